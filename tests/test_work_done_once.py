"""What depends on the schedule alone is worked out once, not once per node or per step.

The rule: work is counted, never timed, so these tests say the same on any machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sgpsim.algorithms import carriers
from sgpsim.algorithms.adpsgd import ADPSGD
from sgpsim.algorithms.push_sum import PushSum
from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.events.simulated import Simulated
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.budget import Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.experiment import Experiment
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.schedules import one_peer_exponential
from sgpsim.schedules.bipartite_exponential import BipartiteExponential
from sgpsim.schedules.one_peer_exponential import OnePeerExponential
from sgpsim.schedules.periodic import Periodic
from sgpsim.schedules.random_matching import RandomMatching
from sgpsim.schedules.ring import DirectedRing, UndirectedRing
from sgpsim.schedules.schedule import Schedule


def counted(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> list[int]:
    """Calls of a module's function from now on, as a list that grows by one each."""
    calls: list[int] = []
    plain = getattr(module, name)

    def counting(*given: Any) -> Any:
        calls.append(1)
        return plain(*given)

    monkeypatch.setattr(module, name, counting)
    return calls


@pytest.mark.parametrize("nodes", [2, 8, 32])
def test_ad_psgd_looks_at_the_graph_once_per_schedule(nodes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = counted(monkeypatch, carriers, "_looked_at")
    schedule = BipartiteExponential(nodes)
    for _ in range(2):
        experiment = Experiment(ADPSGD(), Quadratic(nodes), schedule, Steps(3))
        Simulated(Cluster(nodes), trace=False).run(experiment)
    # once for the neighbours, and once in `require_undirected` each time that an experiment is built
    assert len(calls) == 3


def test_neighbours_and_colours_are_those_of_an_equal_schedule_never_asked_before() -> None:
    asked = UndirectedRing(6)
    for _ in range(2):
        assert carriers.two_colours("ADPSGD", asked) == carriers.two_colours("ADPSGD", UndirectedRing(6)) == (0, 1) * 3
        assert carriers.union_neighbours(asked) == carriers.union_neighbours(UndirectedRing(6))
    assert asked == UndirectedRing(6) and hash(asked) == hash(UndirectedRing(6))


@pytest.mark.parametrize("backend", [Simulated(Cluster(8), trace=False), Vectorized(Cluster(8)), Vectorized()])
def test_no_node_works_out_the_period_at_its_steps(backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = counted(monkeypatch, one_peer_exponential, "levels")
    counts: list[int] = []
    for steps in (6, 60):
        before = len(calls)
        backend.run(Experiment(SGP(), Quadratic(8), OnePeerExponential(8), Steps(steps), measure_every=100))
        counts.append(len(calls) - before)
    assert counts[1] - counts[0] <= 54  # the monitor's look may ask once a step; eight nodes never


@pytest.mark.parametrize(
    "schedule", [OnePeerExponential(1), OnePeerExponential(6), RandomMatching(4), Periodic((DirectedRing(4), OnePeerExponential(4)))]
)
def test_the_phase_is_the_step_within_the_period(schedule: Schedule) -> None:
    period = schedule.period
    for step in (0, 1, 5, 17, 3):
        assert schedule.phase(step) == (step if period is None else step % period)


class _Read(tuple[Any, ...]):
    """A tuple that counts how often it is gone through."""

    reads = 0

    def __iter__(self) -> Iterator[Any]:
        _Read.reads += 1
        return super().__iter__()


def test_messages_are_counted_once_per_round_of_the_schedule() -> None:
    counts: list[int] = []
    for steps in (5, 50):
        schedule = DirectedRing(7)
        experiment = Experiment(PushSum(), Quadratic(7), schedule, Steps(steps), message_bytes=10.0)
        round_ = schedule.round(0)
        object.__setattr__(round_, "pushes", _Read(round_.pushes))
        before = _Read.reads
        run = Vectorized().run(experiment)
        counts.append(_Read.reads - before)
        assert run.curve("bytes_sent")["value"][-1] == 70.0 * steps
    assert counts[0] == counts[1] > 0
