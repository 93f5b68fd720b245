"""Mass at every single event: a ledger kept apart from the monitor, which asks the nodes and looks into the mailboxes."""

from __future__ import annotations

import types
from collections.abc import AsyncIterator, Generator
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import simpy

from sgpsim.algorithms.adpsgd import ADPSGD
from sgpsim.algorithms.algorithm import Algorithm
from sgpsim.algorithms.allreduce_sgd import AllReduceSGD
from sgpsim.algorithms.dpsgd import DPSGD
from sgpsim.algorithms.overlap_sgp import OverlapSGP
from sgpsim.algorithms.push_sum import PushSum
from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.events import simulated
from sgpsim.backends.events.node import SimulatedNode
from sgpsim.backends.events.simulated import Simulated
from sgpsim.budget import Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.distributions import ExponentialTime
from sgpsim.clusters.faults import Drop
from sgpsim.clusters.hockney import Hockney
from sgpsim.experiment import Experiment
from sgpsim.mass import Array, Mass
from sgpsim.node import Letter
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.schedules.erdos_renyi import ErdosRenyiDigraph
from sgpsim.schedules.ring import UndirectedRing
from sgpsim.schedules.schedule import Schedule

NODES = 6
IRREGULAR = ErdosRenyiDigraph(NODES, 0.4, seed=3)
MACHINES = Cluster(NODES, ExponentialTime(1.0), Hockney(0.05, 1e3))


class Ledger:
    """What every node holds and what every mailbox holds, kept apart from the monitor, and summed after every event."""

    def __init__(self) -> None:
        self.holds: dict[int, Mass] = {}
        self.untold: dict[int, Any] = {}
        self.letters: dict[int, Mass] = {}
        self.nodes: list[Any] = []
        self.expected: Any = 0.0
        self.size: Any = 1.0
        self.events = 0

    def changed(self, rank: int, mass: Mass) -> None:
        """The node's own doing: what it added to what it held."""
        added = np.asarray(mass.value, dtype=np.float64) - self.holds[rank].value
        self.untold[rank] = self.untold.get(rank, 0.0) + added
        self.expected = self.expected + added
        self.holds[rank] = mass

    def look(self) -> None:
        if len(self.holds) < len(self.nodes) or not self.nodes:
            return
        boxed = [
            (value, weight)
            for node in self.nodes
            for box in node._rounds.values()
            for _, value, weight, _ in box.values()
        ]
        parts = [*self.holds.values(), *boxed, *self.letters.values()]
        total = sum(np.asarray(value, dtype=np.float64) for value, _ in parts)
        self.size = max(np.abs(value).max() for value, _ in parts) + 1.0
        assert total == pytest.approx(self.expected, abs=1e-12 * self.size * len(parts))
        assert sum(weight for _, weight in parts) == pytest.approx(len(self.nodes), abs=1e-12 * len(parts))
        assert all(weight > 0 for _, weight in self.holds.values())
        self.events += 1


def watch(monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """Have every simulation keep the ledger that is returned."""
    ledger = Ledger()

    class WatchedEnvironment(simpy.Environment):
        def step(self) -> None:
            super().step()
            ledger.look()

    class WatchedNode(SimulatedNode):
        def __init__(self, simulation: Any, rank: int) -> None:
            super().__init__(simulation, rank)
            ledger.nodes.append(self)

        def begin(self) -> Mass:
            mass = super().begin()
            ledger.holds[self.rank] = mass
            ledger.expected = ledger.expected + np.asarray(mass.value, dtype=np.float64)
            return mass

        def scatter(self, step: int, mass: Mass) -> Mass:
            ledger.changed(self.rank, mass)
            ledger.holds[self.rank] = super().scatter(step, mass)
            return ledger.holds[self.rank]

        @types.coroutine
        def gather(self, step: int, kept: Mass) -> Generator[Any, Any, Mass]:
            ledger.changed(self.rank, kept)
            ledger.holds[self.rank] = yield from cast(Any, SimulatedNode.gather(self, step, kept))
            return ledger.holds[self.rank]

        @types.coroutine
        def catch_up(self, step: int, kept: Mass) -> Generator[Any, Any, Mass]:
            ledger.changed(self.rank, kept)
            ledger.holds[self.rank] = yield from cast(Any, SimulatedNode.catch_up(self, step, kept))
            return ledger.holds[self.rank]

        def send(self, to: int, mass: Mass, channel: str = "push") -> None:
            super().send(to, mass, channel)
            if mass.value is not None:
                ledger.letters[id(mass.value)] = mass
                held = ledger.holds[self.rank]
                ledger.holds[self.rank] = Mass(held.value - mass.value, held.weight - mass.weight)

        def _read(self, letter: Letter) -> Letter:
            del ledger.letters[id(letter.mass.value)]
            ledger.holds[self.rank] = ledger.holds[self.rank] + letter.mass
            return letter

        async def receive(self, sender: int, channel: str = "push") -> Letter:
            return self._read(await super().receive(sender, channel))

        async def receive_any(self, channel: str, senders: tuple[int, ...]) -> AsyncIterator[Letter]:
            async for letter in SimulatedNode.receive_any(self, channel, senders):
                yield self._read(letter)

        def report(self, step: int, mass: Mass, move: Array | None) -> None:
            ledger.changed(self.rank, mass)
            told = 0.0 if move is None else np.asarray(move, dtype=np.float64)
            assert ledger.untold.pop(self.rank, 0.0) == pytest.approx(told, abs=1e-12 * ledger.size)
            super().report(step, mass, move)

    monkeypatch.setattr(simulated.simpy, "Environment", WatchedEnvironment)
    monkeypatch.setattr(simulated, "SimulatedNode", WatchedNode)
    return ledger


@pytest.mark.parametrize(
    ("method", "schedule"),
    [
        (PushSum(), IRREGULAR),
        (SGP(), IRREGULAR),
        (OverlapSGP(delay=2), IRREGULAR),
        (OverlapSGP(delay=3, every=2), IRREGULAR),
        (OverlapSGP(delay=1, mixing="arrival"), IRREGULAR),
        (OverlapSGP(delay=4, every=3, mixing="arrival"), IRREGULAR),
        (DPSGD(), UndirectedRing(NODES)),
        (DPSGD(order="adapt-then-combine"), UndirectedRing(NODES)),
        (AllReduceSGD(), IRREGULAR),
        (ADPSGD(), UndirectedRing(NODES)),
    ],
    ids=repr,
)
def test_mass_is_there_after_every_event(
    monkeypatch: pytest.MonkeyPatch, method: Algorithm, schedule: Schedule
) -> None:
    ledger = watch(monkeypatch)
    run = Simulated(MACHINES).run(Experiment(method, Quadratic(NODES, 3), schedule, Steps(25), start=1.0))
    assert run.outcome == "finished" and not run.remarks
    assert ledger.events >= 2 * 25, "looked at after every event"
    assert not ledger.letters and not any(box for node in ledger.nodes for box in node._rounds.values())
    total = sum(np.asarray(mass.value) for mass in ledger.holds.values())
    assert total == pytest.approx(run.final.values.sum(axis=(0, 1)))


@pytest.mark.parametrize("method", [SGP(), OverlapSGP(delay=2), OverlapSGP(delay=1, mixing="arrival")], ids=repr)
def test_the_ledger_sees_what_is_lost(monkeypatch: pytest.MonkeyPatch, method: Algorithm) -> None:
    """Its own negative control, with the monitor off: a message that arrives empty."""
    watch(monkeypatch)
    round_ = IRREGULAR.round(4)
    lossy = Simulated(replace(MACHINES, faults=(Drop(2, round_.pushes[2][0][0], 4),)), monitor="off")
    with pytest.raises(AssertionError):
        lossy.run(Experiment(method, Quadratic(NODES, 3), IRREGULAR, Steps(25), start=1.0))
