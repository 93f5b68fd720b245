"""Mass is watched: what honest runs never do, and everything that must be caught, with node, round and amount."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from faulty_algorithms import Faulty, Letters, Undrained
from hypothesis import given, settings
from hypothesis import strategies as st
from random_experiments import clusters, experiments, irregular

from sgpsim.algorithms.adpsgd import ADPSGD
from sgpsim.algorithms.algorithm import Algorithm
from sgpsim.algorithms.allreduce_sgd import AllReduceSGD
from sgpsim.algorithms.dpsgd import DPSGD
from sgpsim.algorithms.overlap_sgp import OverlapSGP
from sgpsim.algorithms.push_sum import PushSum
from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.events.node import SimulatedNode
from sgpsim.backends.events.simulated import Simulated
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.budget import Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.distributions import ExponentialTime
from sgpsim.clusters.faults import Drop, Fault
from sgpsim.clusters.hockney import Hockney
from sgpsim.descents.sgd import SGD
from sgpsim.descents.step_sizes import Constant
from sgpsim.errors import MassLeak, SpecificationError
from sgpsim.experiment import Experiment
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.results.run import Run
from sgpsim.schedules.erdos_renyi import ErdosRenyiDigraph
from sgpsim.schedules.matrices import Matrices, UncheckedMatrices
from sgpsim.schedules.one_peer_exponential import OnePeerExponential
from sgpsim.schedules.ring import DirectedRing, UndirectedRing
from sgpsim.schedules.schedule import Schedule

NODES = 6
IRREGULAR = ErdosRenyiDigraph(NODES, 0.4, seed=3)
MACHINES = Cluster(NODES, ExponentialTime(1.0), Hockney(0.05, 1e3))
BOTH = [Simulated(MACHINES, monitor="record"), Vectorized(MACHINES, monitor="record")]


def experiment(method: Algorithm, schedule: Schedule = IRREGULAR, steps: int = 25, **more: Any) -> Experiment:
    return Experiment(method, Quadratic(schedule.size, 3), schedule, Steps(steps), **more)


def losing(*faults: Fault) -> Cluster:
    return replace(MACHINES, faults=faults)


def leaked(backend: Simulated | Vectorized, found: Experiment) -> Run:
    """The run, which must have leaked."""
    run = backend.run(found)
    assert run.outcome == "leaked" and run.remarks, type(backend).__name__
    return run


# -- honest runs -------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(found=experiments(), data=st.data())
def test_honest_runs_stay_within_the_tolerance(found: Experiment, data: st.DataObject) -> None:
    cluster = data.draw(clusters(found.nodes, found.message_size))
    for backend in (Simulated(cluster), Vectorized(cluster, check_every=data.draw(st.integers(1, 12)))):
        run = backend.run(found)
        assert run.outcome == "finished"
        assert run.statistics["worst_monitor_ratio"] < 0.5  # 0.12 was the worst of 3,000 runs


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("scale", [1.0, 1e12, 1e-12])
@pytest.mark.parametrize("nodes", [64, 256])
def test_many_nodes_and_large_values_are_no_leak(nodes: int, scale: float, dtype: Any) -> None:
    generator = np.random.default_rng(nodes)
    apart = generator.standard_normal((nodes, 2))
    apart -= apart.mean(axis=0)
    for start in (scale * apart, scale * (1 + 0.1 * apart)):  # sums that cancel, sums that do not
        rows = tuple(map(tuple, start.tolist()))
        for schedule in (OnePeerExponential(nodes), ErdosRenyiDigraph(nodes, 0.08)):
            for method in (SGP(SGD(Constant(0.5))), OverlapSGP(SGD(Constant(0.5)), delay=2)):
                found = Experiment(method, Quadratic(nodes, 2), schedule, Steps(4), start=rows, dtype=dtype)
                for backend in (Simulated(Cluster(nodes), trace=False), Vectorized()):
                    run = backend.run(found)
                    assert run.outcome == "finished" and run.statistics["worst_monitor_ratio"] < 0.5


@pytest.mark.parametrize("backend", BOTH, ids=lambda backend: type(backend).__name__)
def test_sums_that_cancel_are_no_leak(backend: Simulated | Vectorized) -> None:
    """All values average to 0, exactly to rounding: what is held shrinks by 16 orders in two steps."""
    start = ((1.1, 2.3, 0.1), (-1.7, 0.4, 0.2), (0.3, -2.9, 0.3), (0.3, 0.2, -0.6))
    cluster = Cluster(4)
    found = Experiment(PushSum(), Quadratic(4, 3), OnePeerExponential(4), Steps(40), start=start)
    run = type(backend)(cluster).run(found)
    assert np.abs(run.final.values).max() < 1e-15 and run.outcome == "finished"


# -- leaks -------------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    when=st.integers(0, 24),
    culprit=st.integers(0, NODES - 1),
    amount=st.sampled_from([1e-9, -1e-9, 3.0]),
    fault=st.sampled_from(["one coordinate", "weight"]),
    seeds=st.sampled_from([(0,), (4, 5)]),
)
def test_a_billionth_on_one_coordinate_is_found_in_whichever_round(
    when: int, culprit: int, amount: float, fault: str, seeds: tuple[int, ...]
) -> None:
    found = experiment(Faulty(fault, when, culprit, amount), seeds=seeds, measure_every=7)
    for run in (leaked(backend, found) for backend in BOTH):
        told = run.remarks[0]
        amounts = re.search(r"changed by up to (\S+) beyond the moves, of w by (\S+);", told)
        assert amounts is not None
        assert float(amounts[1 if fault == "one coordinate" else 2]) == pytest.approx(amount, rel=1e-4)
        if run.backend == "Simulated":
            assert f"by step {when + 1}:" in told
        else:
            assert any(f"by step {step}:" in told for step in range(when + 1, when + 11))
        defects = run.curve("mass_defect").sort("step")["value"].to_list()
        assert defects[-1] == pytest.approx(abs(amount), rel=1e-4)
        assert len(run.remarks) == (len(seeds) if run.backend == "Simulated" else 1), "told once, not at every look"


@pytest.mark.parametrize("backend", BOTH, ids=lambda backend: type(backend).__name__)
def test_moves_that_are_not_what_was_added_are_found(backend: Simulated | Vectorized) -> None:
    leaked(backend, experiment(Faulty("half a move told", when=8)))
    leaked(backend, experiment(Faulty("step on z")))
    assert backend.run(experiment(Faulty("step on z"), DirectedRing(NODES))).outcome == "finished", (
        "w = 1: no difference"
    )
    assert backend.run(experiment(Faulty())).outcome == "finished"


@pytest.mark.parametrize("backend", [Simulated(MACHINES), Vectorized(MACHINES)], ids=lambda found: type(found).__name__)
def test_what_was_sent_is_read_only(backend: Simulated | Vectorized) -> None:
    with pytest.raises(ValueError, match="read-only"):
        backend.run(experiment(Faulty("change after sending", when=3)))


def test_letters_are_watched_too() -> None:
    found = experiment(Letters(), steps=8)
    assert Simulated(MACHINES).run(found).outcome == "finished"
    with pytest.raises(ValueError, match="read-only"):
        Simulated(MACHINES).run(experiment(Letters("change after sending"), steps=8))
    changed = Simulated(MACHINES).run(experiment(Letters("view"), steps=8, start=1.0))
    assert (changed.final.values == 1.0).all(), "what is sent as a view is copied"
    for fault in ("twice", "unread"):
        with pytest.raises(MassLeak) as stop:
            Simulated(MACHINES).run(experiment(Letters(fault), steps=8, start=1.0))
        if fault == "unread":
            assert "channel 'push' from node 0 to node 1 was never received" in str(stop.value)


@pytest.mark.parametrize(
    "method", [PushSum(), SGP(), OverlapSGP(delay=2), OverlapSGP(delay=1, mixing="arrival")], ids=repr
)
def test_a_row_stochastic_matrix_is_found_and_the_node_named(method: Algorithm) -> None:
    honest = IRREGULAR.matrix(0).toarray()
    with pytest.raises(SpecificationError, match="shares that sum to"):
        experiment(method, Matrices((honest.T,)))
    sums = honest.T.sum(axis=0)
    wrong = int(np.flatnonzero(np.abs(sums - 1) > 1e-9)[0])
    start = tuple(map(tuple, np.random.default_rng(0).standard_normal((NODES, 3)).tolist()))
    for backend in BOTH[: 1 if method.depends_on_timing else 2]:
        told = leaked(backend, experiment(method, UncheckedMatrices((honest.T,)), start=start)).remarks[0]
        assert f"node {wrong} (its shares sum to {sums[wrong]:.6g})" in told


@pytest.mark.parametrize("bad", range(7))
@pytest.mark.parametrize("backend", BOTH, ids=lambda backend: type(backend).__name__)
def test_one_bad_round_of_a_period_is_named(backend: Simulated | Vectorized, bad: int) -> None:
    """Also where the monitor looks only every ten rounds."""
    matrices = [IRREGULAR.matrix(0).toarray() for _ in range(7)]
    matrices[bad][0, 4] += 0.125
    told = leaked(backend, experiment(SGP(), UncheckedMatrices(tuple(matrices)))).remarks[0]
    assert "node 4 (its shares sum to 1.125)" in told
    assert any(f", round {number}," in told for number in range(bad, 25, 7))


@pytest.mark.parametrize(
    "method", [SGP(), OverlapSGP(delay=2), OverlapSGP(delay=2, mixing="arrival"), DPSGD()], ids=repr
)
def test_a_dropped_message_is_named(method: Algorithm) -> None:
    schedule = UndirectedRing(NODES)
    found = experiment(method, schedule, start=1.0)
    with pytest.raises(MassLeak) as stop:
        Simulated(losing(Drop(1, 2, 4))).run(found)
    told, part = str(stop.value), stop.value.run  # type: ignore[attr-defined]
    assert "from node 1 to node 2 at round 4" in told and "|lost x| = " in told and "lost w = " in told
    assert isinstance(part, Run) and part.outcome == "leaked" and len(part.metrics) and part.trace is not None
    recorded = Simulated(losing(Drop(1, 2, 4)), monitor="record").run(found)
    assert recorded.outcome == "leaked" and recorded.remarks[0] == told
    assert any("mass leak by step" in remark for remark in recorded.remarks[1:]), "the law of the round finds it too"
    curve = recorded.curve("mass_defect").sort("time")
    assert curve["value"][0] == 0.0 and curve["value"][-1] > 0.01
    assert recorded.final.weights.sum() == pytest.approx(NODES - float(told.split("lost w = ")[1]), rel=1e-5)
    assert Simulated(losing(Drop(1, 2, 4)), monitor="off").run(found).outcome == "finished"


def test_the_amount_of_a_dropped_message_is_what_it_carried() -> None:
    found = experiment(SGP(), IRREGULAR, start=1.0)
    sender, step = 2, 5
    receiver = IRREGULAR.round(step).pushes[sender][0][0]
    honest = Simulated(MACHINES, keep_trajectory=True).run(found).trajectory
    assert honest is not None
    share = IRREGULAR.matrix(step)[receiver, sender]
    value = share * (honest.values[step, sender, 0] + honest.moves[step, sender, 0])
    with pytest.raises(MassLeak) as stop:
        Simulated(losing(Drop(sender, receiver, step))).run(found)
    assert f"|lost x| = {np.linalg.norm(value):.6g}, lost w = {share * honest.weights[step, sender]:.6g}" in str(
        stop.value
    )


@pytest.mark.parametrize("method", [SGP(), OverlapSGP(delay=2), OverlapSGP(delay=2, mixing="arrival")], ids=repr)
@pytest.mark.parametrize("part", ["x", "w"])
@pytest.mark.parametrize("transit", [True, False])
def test_numerator_or_weight_lost_alone(
    monkeypatch: pytest.MonkeyPatch, method: Algorithm, part: str, transit: bool
) -> None:
    """By the law of transit, and by that of the round where transit is not looked at."""
    honest, take = SimulatedNode.arrive, SimulatedNode._take

    def arrive(self: Any, sender: int, step: int, message: tuple[float, Any, float, int]) -> None:
        arrival, value, weight, number = message
        if (sender, step) == (3, 6):
            message = (arrival, value * 0.0, weight, number) if part == "x" else (arrival, value, 0.0, number)
        honest(self, sender, step, message)

    def blind(self: Any, sender: int, number: int, value: Any, step: int, weight: float) -> None:
        _, sent, sent_weight = self._expected[sender][0]
        take(self, sender, number, sent, step, sent_weight)

    monkeypatch.setattr(SimulatedNode, "arrive", arrive)
    if not transit:
        monkeypatch.setattr(SimulatedNode, "_take", blind)
    run = leaked(BOTH[0], experiment(method, start=1.0))  # type: ignore[arg-type]
    if transit:
        assert "from node 3" in run.remarks[0] and "at round 6 arrived altered" in run.remarks[0]
        assert run.remarks[0].endswith("lost w = 0") == (part == "x")
        assert ("|lost x| = 0," in run.remarks[0]) == (part == "w")
    else:
        assert "mass leak by step" in run.remarks[0]


@pytest.mark.parametrize("backend", BOTH, ids=lambda backend: type(backend).__name__)
def test_an_undrained_run_is_a_leak(backend: Simulated | Vectorized) -> None:
    told = leaked(backend, experiment(Undrained(), OnePeerExponential(NODES))).remarks[0]
    assert "left in flight at the end" in told and "round 24" in told
    if isinstance(backend, Simulated):
        assert "from node 2 to node 0" in told or "from node 5 to node 0" in told


# -- divergence is no leak ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["raise", "record", "off"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("method", [SGP, OverlapSGP, ADPSGD, AllReduceSGD])
def test_numbers_that_overflow_end_the_run_with_what_it_has(method: Any, dtype: Any, policy: Any) -> None:
    steps = 2000
    found = experiment(method(SGD(Constant(100.0))), UndirectedRing(NODES), steps, dtype=dtype, start=1.0)
    backends = [Simulated(MACHINES, monitor=policy)] + (
        [] if method is ADPSGD else [Vectorized(MACHINES, monitor=policy)]
    )
    for backend in backends:
        run = backend.run(found)
        assert run.outcome == "diverged", type(backend).__name__
        assert "left the floating-point range by step" in run.remarks[0] and "node " in run.remarks[0]
        assert 0 < max(run.metrics["step"].to_list()) < steps and run.curve("loss")["value"][0] < 1e3


@pytest.mark.parametrize("backend", BOTH, ids=lambda backend: type(backend).__name__)
def test_a_nan_is_told_by_its_node(backend: Simulated | Vectorized) -> None:
    run = backend.run(experiment(Faulty("not a number", when=6, culprit=4), measure_every=100))
    assert run.outcome == "diverged" and len(run.remarks) == 1
    if isinstance(backend, Simulated):
        assert "by step 7: node 4 holds nan" in run.remarks[0]
    assert run.metrics["value"].is_finite().all()


def test_a_leak_before_the_last_seed_ends_the_run_there() -> None:
    found = experiment(SGP(), DirectedRing(NODES), seeds=(3, 1, 2))
    with pytest.raises(MassLeak) as stop:
        Simulated(losing(Drop(1, 2, 4))).run(found)
    part: Run = stop.value.run  # type: ignore[attr-defined]
    assert part.metrics["seed"].unique().to_list() == [3] and part.remarks[0].startswith("seed 3:")
    recorded = Simulated(losing(Drop(1, 2, 4)), monitor="record").run(found)
    assert set(recorded.metrics.filter(pl.col("step") == 25)["seed"]) == {1, 2, 3}


@settings(max_examples=25, deadline=None)
@given(schedule=irregular(5), data=st.data())
def test_all_ones_stay_ones(schedule: Schedule, data: st.DataObject) -> None:
    """The probe that four of four simulators fail: no gradient, all start at 1, and every node must stay at 1."""
    still = SGD(Constant(1e-300))
    cluster = data.draw(clusters(5, 1000.0))
    for method in (PushSum(), SGP(still), OverlapSGP(still, delay=2), OverlapSGP(still, delay=3, mixing="arrival")):
        found = Experiment(method, Quadratic(5, 3), schedule, Steps(20), start=1.0, message_bytes=1000.0)
        for backend in (Simulated(cluster), Vectorized(cluster))[: 1 if method.depends_on_timing else 2]:
            assert backend.run(found).final.points == pytest.approx(1.0, abs=1e-13)
