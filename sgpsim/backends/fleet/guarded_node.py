"""GuardedFleet: a fleet as a text from outside sgpsim sees it.

The rule: every array that the text is given is guarded, and every one that it gives back is taken out of its guard, so
that the fleet's own work is the same. A refusal stays one, though the text may have caught it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Coroutine, Iterator
from typing import Any

import numpy as np

from sgpsim.backends.fleet.guarded_array import Guarded
from sgpsim.backends.fleet.mixing import KeptShare
from sgpsim.backends.fleet.node import FleetNode
from sgpsim.mass import Array, Mass
from sgpsim.node import Letter, Node


class GuardedFleet(Node):
    """size, schedule, dimension as in Node."""

    def __init__(self, fleet: FleetNode) -> None:
        self.size, self.schedule, self.dimension = fleet.size, fleet.schedule, fleet.dimension
        self._fleet = fleet

    @property
    def rank(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self._fleet.rank

    @property
    def steps(self) -> Iterator[int]:
        return self._fleet.steps

    def begin(self) -> Mass:
        return self._guarded(self._fleet.begin())

    async def gradient(self, at: Array) -> Array:
        return self._array(await self._fleet.gradient(_bare(at)))

    def scatter(self, step: int, mass: Mass) -> Mass:
        kept: Any = self._fleet.scatter(step, self._mass(mass))
        return KeptShare(step, kept.mass, lambda: self._guarded(kept), kept)  # pyright: ignore[reportReturnType]

    async def gather(self, step: int, kept: Mass) -> Mass:
        return self._guarded(await self._fleet.gather(step, self._mass(kept)))

    async def mean(self, value: Array) -> Array:
        whole = _bare(value)
        if getattr(whole, "ndim", 0) < 3:  # one for all nodes
            whole = np.broadcast_to(np.asarray(whole), (self.size, 1, np.size(whole)))
        mean = await self._fleet.mean(whole)
        shape = (self.size, len(self._fleet.seeds), mean.shape[-1])
        if not isinstance(mean, np.ndarray):
            return self._array(mean.expand(shape).clone())
        whole = np.broadcast_to(mean, shape).copy()  # laid out by nodes, as else numpy sums it in another order
        whole.flags.writeable = False  # as a node's
        return self._array(whole)

    def report(self, step: int, mass: Mass, move: Array | None) -> None:
        self._fleet.report(step, self._mass(mass), _bare(move))

    def note(self, metric: str, value: float) -> None:
        self._fleet.note(metric, value)

    def generator(self, purpose: str) -> np.random.Generator:
        return self._fleet.generator(purpose)

    def catch_up(self, step: int, kept: Mass) -> Awaitable[Mass]:
        return self._fleet.catch_up(step, kept)

    def send(self, to: int, mass: Mass, channel: str = "push") -> None:
        self._fleet.send(to, mass, channel)

    def receive(self, sender: int, channel: str = "push") -> Awaitable[Letter]:
        return self._fleet.receive(sender, channel)

    def receive_any(self, channel: str, senders: tuple[int, ...]) -> AsyncIterator[Letter]:
        return self._fleet.receive_any(channel, senders)

    def farewell(self, to: int, channel: str) -> None:
        self._fleet.farewell(to, channel)

    def spawn(self, activity: Coroutine[Any, Any, None]) -> Any:
        return self._fleet.spawn(activity)

    def join(self, activity: Any) -> Awaitable[None]:
        return self._fleet.join(activity)

    # -- in and out of the guard --

    def _array(self, whole: Any) -> Any:
        return Guarded(whole, self._fleet.refuse)

    def _guarded(self, mass: Mass) -> Mass:
        return Mass(self._array(mass.value), Guarded(mass.weight, self._fleet.refuse, weak=True))

    def _mass(self, mass: Any) -> Any:
        """A mass as the fleet holds it; what is none is left to the fleet to refuse."""
        if not isinstance(mass, Mass):
            return _bare(mass)
        value, weight = _bare(mass.value), _bare(mass.weight)
        if isinstance(weight, int | float):  # one for all nodes
            weight = self._fleet.rounds.ones() if weight == 1.0 else self._fleet.rounds.ones() * float(weight)
        return Mass(value, weight)


def _bare(value: Any) -> Any:
    return value.whole if type(value) in (Guarded, KeptShare) else value
