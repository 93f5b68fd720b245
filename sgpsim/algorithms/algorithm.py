"""Algorithm: one coroutine that reads like the paper's listing, and the declarations by which backends and checks know
what it is.

The rule: an algorithm is a frozen value; all that changes while it runs lives in the coroutine's own variables. It
names no clock, no graph library and no array library. What it declares (weights, mass in flight, dependence on timing)
is tested, not trusted.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from sgpsim.descents.descent import Descent
from sgpsim.node import Node
from sgpsim.schedules.schedule import Schedule


class Algorithm(ABC):
    """A method of decentralized optimization, as one text for every backend."""

    @abstractmethod
    async def run(self, node: Node) -> None:
        """The method at one node, from `begin` to the last `report`. Everything sent must have been received when it
        returns."""

    @property
    @abstractmethod
    def source(self) -> str:
        """Citation, and the place in it."""

    @property
    def uses_schedule(self) -> bool:
        """Whether mass travels along the schedule; False where only collectives are used."""
        return True

    @property
    def needs_own_shares(self) -> bool:
        """Whether every node must keep a share of its own at every step. If not, `check` sees to it that averaging
        tends to the mean."""
        return True

    @property
    def leaves_in_flight(self) -> bool:
        """Whether mass may be under way between two steps. If not, the monitor takes any mass under way for a leak."""
        return False

    @property
    def depends_on_timing(self) -> bool:
        """Whether the numbers depend on when messages arrive. Such methods run on an event clock only."""
        return False

    @property
    def in_step(self) -> bool:
        """Whether all nodes take the same number of steps. If not, a step of a curve is n gradients of all
        nodes together, and curves run over time (sgpsim.budget says what that means for each budget)."""
        return True

    def parts(self) -> tuple[Algorithm | Descent, ...]:
        """All algorithms and descents among its fields, and theirs, in order; itself not."""
        fields = dataclasses.fields(self) if dataclasses.is_dataclass(self) else ()
        return tuple(part for field in fields for part in _parts_in(getattr(self, field.name)))

    def check(self, schedule: Schedule) -> None:
        """Raise SpecificationError where `schedule` cannot carry this method. By default every valid schedule can."""
        return


def _parts_in(value: Any) -> Iterator[Algorithm | Descent]:
    """The parts that a field's value holds."""
    if isinstance(value, tuple | list):
        for entry in value:
            yield from _parts_in(entry)
    elif isinstance(value, Algorithm):
        yield value
        yield from value.parts()
    elif isinstance(value, Descent):
        yield value
