"""AD-PSGD on the event clock: mass and mean kept, averaging in one piece, staleness told, no deadlock, nobody waited for."""

from __future__ import annotations

from collections import Counter
from typing import Any

import networkx as nx
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_experiments import clusters

from sgpsim.algorithms.adpsgd import ADPSGD
from sgpsim.algorithms.carriers import two_colours
from sgpsim.backends.events.node import SimulatedNode
from sgpsim.backends.events.simulated import Simulated
from sgpsim.budget import Budget, Gradients, Seconds, Steps, TargetLoss
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.compute_time import ConstantTime
from sgpsim.clusters.distributions import ExponentialTime
from sgpsim.clusters.hockney import Hockney
from sgpsim.clusters.stragglers import PersistentSlow
from sgpsim.descents.momentum import Momentum
from sgpsim.descents.sgd import SGD
from sgpsim.descents.step_sizes import Constant
from sgpsim.errors import SpecificationError
from sgpsim.experiment import Experiment
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.reports.summary import about
from sgpsim.schedules.graph_schedule import GraphSchedule
from sgpsim.schedules.ring import DirectedRing, UndirectedRing
from sgpsim.schedules.schedule import Schedule
from sgpsim.schedules.shares import Metropolis

STILL = SGD(Constant(1e-300))


def experiment(schedule: Schedule, budget: Budget, descent: Any = STILL, **more: Any) -> Experiment:
    return Experiment(ADPSGD(descent), Quadratic(schedule.size, 3), schedule, budget, **more)


def apart(nodes: int) -> tuple[tuple[float, ...], ...]:
    return tuple(map(tuple, np.random.default_rng(nodes).standard_normal((nodes, 3)).tolist()))


@st.composite
def bipartite(draw: st.DrawFn) -> Schedule:
    """A connected bipartite graph."""
    left, right = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    graph = nx.bipartite.random_graph(
        left, right, draw(st.sampled_from([0.0, 0.4, 0.8, 1.0])), seed=draw(st.integers(0, 99))
    )
    graph.add_edges_from((0, left + node) for node in range(right))
    graph.add_edges_from((node, left) for node in range(left))
    return GraphSchedule((nx.Graph(graph.edges),), Metropolis())


@settings(max_examples=100, deadline=None)
@given(
    schedule=bipartite(),
    data=st.data(),
    budget=st.one_of(
        st.builds(Steps, st.integers(0, 12)),
        st.builds(Gradients, st.integers(1, 60)),
        st.builds(Seconds, st.floats(0.1, 20.0)),
        st.builds(TargetLoss, st.floats(0.0, 2.0), st.integers(1, 12)),
    ),
)
def test_any_fleet_comes_to_an_end_with_its_mass(schedule: Schedule, data: st.DataObject, budget: Budget) -> None:
    nodes = schedule.size
    cluster = data.draw(clusters(nodes, 1000.0))
    found = experiment(schedule, budget, start=apart(nodes), message_bytes=1000.0)
    run = Simulated(cluster).run(found)
    assert run.outcome == "finished" and all(
        "had no limit" in remark or "changed nothing" in remark for remark in run.remarks
    )  # of its random cabling
    assert run.final.weights == pytest.approx(np.ones((nodes, 1)), abs=1e-14), "a plain average leaves weights at 1"
    assert run.final.values.mean(axis=0)[0] == pytest.approx(np.mean(apart(nodes), axis=0), abs=1e-14)
    assert run.metrics.filter(pl.col("metric") == "mass_defect")["value"].to_numpy() == pytest.approx(0.0, abs=1e-12)
    assert run.trace is not None
    gradients = len(run.trace.spans.filter(pl.col("lane") == "compute"))
    if isinstance(budget, Gradients):
        assert gradients == budget.total
    if isinstance(budget, Steps):
        assert gradients == nodes * budget.count
    if isinstance(budget, Seconds):
        assert (run.trace.spans.filter(pl.col("lane") == "compute")["start"] < budget.limit).all()
    again = Simulated(cluster, look_ahead=False).run(found)
    np.testing.assert_array_equal(run.final.values, again.final.values)
    assert run.metrics.equals(again.metrics) and run.trace.messages.equals(again.trace.messages)  # type: ignore[union-attr]


def test_the_mean_follows_the_moves_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """sum_i x_i = start + all moves, with real gradients and momentum; the sum of moves is taken from the reports."""
    moves: list[Any] = []
    honest = SimulatedNode.report

    def report(self: Any, step: int, mass: Any, move: Any) -> None:
        if move is not None:
            moves.append(move)
        honest(self, step, mass, move)

    monkeypatch.setattr(SimulatedNode, "report", report)
    cluster = Cluster(6, ExponentialTime(1.0), Hockney(0.3, 1e3))
    run = Simulated(cluster).run(
        experiment(UndirectedRing(6), Gradients(200), Momentum(Constant(0.05)), start=apart(6))
    )
    assert len(moves) == 200
    assert run.final.values.sum(axis=0)[0] == pytest.approx(np.sum(apart(6), axis=0) + np.sum(moves, axis=0), abs=1e-12)
    assert run.curve("loss")["value"][-1] < run.curve("loss")["value"][0]


def test_an_averaging_is_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both sides of an exchange end with the same bits, the plain average of what the two held; nothing gets between."""
    told: list[tuple[int, int, bytes, bool]] = []
    honest = SimulatedNode.report

    def report(self: Any, step: int, mass: Any, move: Any) -> None:
        told.append((self.rank, step, mass.value.tobytes(), move is None))
        honest(self, step, mass, move)

    monkeypatch.setattr(SimulatedNode, "report", report)
    ring = UndirectedRing(8)
    colours = two_colours("ADPSGD", ring)
    Simulated(Cluster(8, ExponentialTime(1.0), Hockney(0.5, 1e3))).run(
        experiment(ring, Gradients(160), SGD(Constant(0.1)), start=apart(8))
    )
    passive = Counter(value for rank, step, value, _ in told if step == -1 and colours[rank] == 1)
    active: Counter[bytes] = Counter()
    for node in range(8):
        if colours[node] == 0:
            exchanges = [value for rank, _, value, bare in told if rank == node and bare]
            active.update(exchanges[1::2])  # after the answer; before it, half is held
    assert sum(active.values()) > 40 and active == passive


def test_staleness_is_told_and_grows_on_slow_passive_nodes() -> None:
    ring = UndirectedRing(8)
    colours = two_colours("ADPSGD", ring)
    slow = colours.index(1)
    cluster = Cluster(8, ExponentialTime(1.0), Hockney(0.05), stragglers=(PersistentSlow((slow,), 10.0),))
    run = Simulated(cluster).run(experiment(ring, Gradients(1600)))
    stale = run.metrics.filter(pl.col("metric") == "staleness")
    assert len(stale) == 1600 and stale["value"].min() == 0.0
    mean = {node: float(stale.filter(pl.col("node") == node)["value"].mean()) for node in range(8)}  # type: ignore[arg-type]
    assert all(mean[node] == 1.0 for node in range(8) if colours[node] == 0), (
        "an active node averages once per gradient"
    )
    others = [mean[node] for node in range(8) if colours[node] == 1 and node != slow]
    assert max(others) < 2.0, "two active neighbours, of like speed, who ask each of theirs half of the time"
    assert mean[slow] > 4 * max(others)
    assert mean[slow] == pytest.approx(10.0, rel=0.35), "ten times as long, as many requests per second"


@pytest.mark.parametrize("colour", [0, 1])
@pytest.mark.parametrize("factor", [20.0, 200.0])
def test_gradients_in_total_do_not_wait_for_the_slowest(colour: int, factor: float) -> None:
    """All others do the work; a slow node delays the end by its last step at the most."""
    ring = UndirectedRing(8)
    slow = two_colours("ADPSGD", ring).index(colour)
    cluster = Cluster(8, ConstantTime(1.0), Hockney(0.01), stragglers=(PersistentSlow((slow,), factor),))
    run = Simulated(cluster).run(experiment(ring, Gradients(800)))
    assert run.trace is not None
    computing = run.trace.spans.filter(pl.col("lane") == "compute")
    assert len(computing) == 800
    others = computing.filter(pl.col("node") != slow)
    assert float(others["end"].max()) < 1.2 * 800 / 7, "as if the slow one were not there"  # type: ignore[arg-type]
    assert len(computing.filter(pl.col("node") == slow)) <= 1 + 800 / 7 / factor
    same = Simulated(cluster).run(experiment(ring, Steps(100)))
    assert same.final.clocks.max() >= 100 * factor, "steps per node do wait"
    words = "seconds a step are the slowest node's; under Gradients(800)"
    assert words in str(about(same).rows()) and words not in str(about(run).rows()), "and the summary says so"


def test_seconds_a_step_are_those_of_all_nodes_or_of_the_slowest() -> None:
    """Under Gradients n over the sum of the nodes' rates; under Steps the slowest node's own; equal where all are."""
    ring = UndirectedRing(8)
    for causes, together, alone in (((), 1.0, 1.0), ((PersistentSlow((3,), 4.0),), 8 / 7.25, 4.0)):
        cluster = Cluster(8, ConstantTime(1.0), stragglers=causes)
        for budget, expected in ((Gradients(1600), together), (Steps(200), alone)):
            loss = Simulated(cluster).run(experiment(ring, budget)).curve("loss")
            assert float(loss["time"][-1]) / float(loss["step"][-1]) == pytest.approx(expected, rel=0.03)


def test_a_schedule_that_cannot_carry_it_is_refused() -> None:
    for schedule, said in (
        (DirectedRing(4), "without push-sum weights both must be equal"),
        (UndirectedRing(5), "lie on an odd cycle"),
        (UndirectedRing(1), "no neighbour to average with"),
    ):
        with pytest.raises(SpecificationError, match=said):
            experiment(schedule, Steps(3))
    with pytest.raises(SpecificationError, match="do not run in step"):
        Simulated(Cluster(4), keep_trajectory=True).run(experiment(UndirectedRing(4), Steps(3)))


@pytest.mark.parametrize("budget", [Steps(0), Steps(4), Gradients(12), Gradients(13)])
def test_no_instant_is_measured_twice(budget: Budget) -> None:
    """The end of a run may be the instant of its last look."""
    for measure_every in (1, 2):
        run = Simulated(Cluster(4, ExponentialTime(1.0))).run(
            experiment(UndirectedRing(4), budget, start=apart(4), measure_every=measure_every)
        )
        looks = run.curve("loss")
        assert len(looks) == len(looks.unique(["step", "time"]))
        assert looks["time"][-1] == run.final.clocks.max()


@pytest.mark.parametrize("measure_every", [1, 3])
def test_measurements_come_every_so_many_gradients_and_count_the_bytes_sent_by_then(measure_every: int) -> None:
    """Nothing occupies a port here, so a message begins when it is sent."""
    cluster = Cluster(4, ExponentialTime(1.0), Hockney(0.1))
    run = Simulated(cluster).run(
        experiment(UndirectedRing(4), Gradients(43), start=apart(4), measure_every=measure_every, message_bytes=10.0)
    )
    assert run.trace is not None
    sent, looks = run.trace.messages["begin"].to_numpy(), run.curve("bytes_sent")
    assert looks["step"].to_list() == [*range(0, 11, measure_every), 10]
    for time, value in zip(looks["time"][:-1], looks["value"][:-1], strict=True):
        assert value == 10.0 * (sent < time).sum()
    assert looks["value"][-1] == 10.0 * len(sent) > 0
