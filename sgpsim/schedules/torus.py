"""The torus: a grid whose rows and columns close to rings.

The rule: all nodes have equally many neighbours, so equal shares make it symmetric and doubly stochastic.
"""

from __future__ import annotations

from collections.abc import Mapping

from sgpsim.errors import SpecificationError
from sgpsim.schedules.schedule import Schedule
from sgpsim.schedules.shares import equal_shares
from sgpsim.specification.ranges import Count, Nodes
from sgpsim.specification.specification import specification


@specification
class Torus(Schedule):
    """Node r c' + c, in row r and column c of a grid with c' columns, exchanges with the next and previous node of its
    row and its column.

    Shares 1/(1 + d), d the number of distinct neighbours: 4 unless there are fewer than 3 rows or columns.
    rows: a divisor of size. Symmetric, period 1.
    """

    size: Nodes
    rows: Count

    def __post_init__(self) -> None:
        if self.size % self.rows:
            divisors = [rows for rows in range(1, self.size + 1) if self.size % rows == 0]
            raise SpecificationError(
                f"Torus(size={self.size}, rows={self.rows}): size must be rows times columns."
                f" Take rows from {', '.join(map(str, divisors))}, or another size."
            )

    @property
    def columns(self) -> int:
        return self.size // self.rows

    @property
    def period(self) -> int:
        return 1

    def shares(self, sender: int, step: int) -> Mapping[int, float]:
        row, column = divmod(sender, self.columns)
        across = [row * self.columns + (column + turn) % self.columns for turn in (1, -1)]
        along = [(row + turn) % self.rows * self.columns + column for turn in (1, -1)]
        return equal_shares(sender, across + along)
