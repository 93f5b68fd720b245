"""The complete graph: everybody sends to everybody.

The rule: P = 11'/n, so one step averages exactly. Its n - 1 messages per node leave in the order i + 1, i + 2, ..., so
that at each moment every node receives from one other.
"""

from __future__ import annotations

from collections.abc import Mapping

from sgpsim.schedules.schedule import Schedule
from sgpsim.specification.ranges import Nodes
from sgpsim.specification.specification import specification


@specification
class Complete(Schedule):
    """Node i sends 1/n of its mass to each of i + 1, i + 2, ..., i + n - 1 modulo n, at every step. Symmetric, period
    1."""

    size: Nodes

    @property
    def period(self) -> int:
        return 1

    def shares(self, sender: int, step: int) -> Mapping[int, float]:
        return dict.fromkeys([*range(sender, self.size), *range(sender)], 1.0 / self.size)
