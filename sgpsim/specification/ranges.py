"""Ranges: which numbers a field of a specification may hold, as annotations.

The rule: a field's annotation is the only place that says its range. `size: Count`, `noise: NotNegative`,
`step_size: Positive` are checked when an object is built, from Python or from a file, with one sentence. Every range has
ends on both sides, so that what is computed from a number that was accepted (a square, a product of two, an entry of an
int64 array) exists.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, NamedTuple

from sgpsim.errors import SpecificationError, Unfit

SMALLEST, LARGEST = 1e-75, 1e75
"""Ends of physical quantities: the square of a product of two such numbers is neither 0 nor infinite in float64."""

MOST_COUNT = 2**63 - 1
"""The largest whole number: that of int64."""

MOST_ENTRIES = 1 << 27
"""The most entries of one array that is made from numbers alone: 1 GiB."""

MOST_NODES = 1 << 24
"""The most nodes: more exceed the memory of any machine that a run could have."""


class Range(NamedTuple):
    """The numbers from `least` to `most`, both included. rule: what follows "it must be". example: one of them."""

    rule: str
    example: str
    least: float
    most: float

    def check(self, value: float) -> float:
        """`value`; raises Unfit where it lies outside."""
        if self.least <= value <= self.most:
            return value
        raise self.unfit(value)

    def unfit(self, value: Any) -> Unfit:
        """The error about `value`, which names an end of the range only where `value` lies beyond it."""
        rule = self.rule
        number = value if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
        if self.most < number < math.inf and _written(self.most) not in rule:
            rule += f", at most {_written(self.most)}"
        elif 0 < number < self.least and _written(self.least) not in rule:
            rule += f", at least {_written(self.least)}"
        return Unfit(value, rule, f"Give one such as {self.example}.")


def _written(end: float) -> str:
    return f"{end:g}" if isinstance(end, float) else str(end)


class Several(NamedTuple):
    """A list in which a number alone does not stand for a list of one, as it would be taken for a count. cure: what to
    give, `{}` stands for the number."""

    cure: str


class Own(NamedTuple):
    """The class settles this field itself, in `__post_init__`: arrays and graphs, whose rules are not those of a
    number."""


OWN = Own()

_BELOW_ONE = math.nextafter(1.0, 0.0)

Finite = Annotated[float, Range("a finite number", "0.5", -1e300, 1e300)]
Positive = Annotated[float, Range("a finite number above 0", "0.1", 5e-324, LARGEST)]
Quantity = Annotated[float, Range("a finite number above 0", "0.1", SMALLEST, LARGEST)]
NotNegative = Annotated[float, Range("a finite number of at least 0", "0.1", 0.0, LARGEST)]
PositiveOrInfinite = Annotated[float, Range("a number above 0, or inf", "1.25e9", SMALLEST, math.inf)]
Share = Annotated[float, Range("a number in [0, 1)", "0.9", 0.0, _BELOW_ONE)]
Part = Annotated[float, Range("a number in (0, 1]", "0.5", SMALLEST, 1.0)]
Between = Annotated[float, Range("a number strictly between 0 and 1", "0.5", SMALLEST, _BELOW_ONE)]

Count = Annotated[int, Range("a whole number of at least 1", "1", 1, MOST_COUNT)]
Whole = Annotated[int, Range("a whole number of at least 0", "10", 0, MOST_COUNT)]
Seed = Annotated[int, Range("a whole number of at least 0", "0", 0, MOST_COUNT)]
Threads = Annotated[int, Range("a whole number of at least 1", "1", 1, 1024)]
Nodes = Annotated[int, Range("a whole number of at least 1", "8", 1, MOST_NODES)]


def require_room(what: str, entries: int) -> None:
    """Raise where the fields `what` together ask for an array of more than MOST_ENTRIES entries."""
    if entries > MOST_ENTRIES:
        raise SpecificationError(
            f"{what} ask for an array of {entries} entries; at most {MOST_ENTRIES} are held. Give smaller ones."
        )
