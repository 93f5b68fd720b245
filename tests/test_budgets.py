"""Budgets stop both backends after the same step, with the same numbers, with nothing under way; and where they say."""

from __future__ import annotations

import dataclasses

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from random_experiments import clusters, experiments

from sgpsim.algorithms.allreduce_sgd import AllReduceSGD
from sgpsim.algorithms.dpsgd import DPSGD
from sgpsim.algorithms.overlap_sgp import OverlapSGP
from sgpsim.algorithms.push_sum import PushSum
from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.events.simulated import Simulated
from sgpsim.backends.fleet import vectorized
from sgpsim.backends.fleet.node import FleetNode
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.budget import Budget, Gradients, Seconds, Steps, TargetLoss
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.compute_time import ConstantTime
from sgpsim.clusters.distributions import ExponentialTime
from sgpsim.clusters.hockney import Hockney
from sgpsim.clusters.stragglers import PersistentSlow
from sgpsim.descents.sgd import SGD
from sgpsim.descents.step_sizes import Constant
from sgpsim.errors import SpecificationError
from sgpsim.experiment import Experiment
from sgpsim.mass import Mass
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.results.run import Run
from sgpsim.schedules.one_peer_exponential import OnePeerExponential
from sgpsim.schedules.ring import DirectedRing, UndirectedRing

ENOUGH = 14


def assert_same_run(one: Run, other: Run) -> None:
    for name, first, second in zip(one.final._fields, one.final, other.final, strict=True):
        np.testing.assert_array_equal(first, second, err_msg=name)
    keys = ["seed", "step", "metric"]
    rows = [run.metrics.sort(keys).filter(~pl.col("metric").is_in(["mass_defect"])) for run in (one, other)]
    assert rows[0].drop("value").equals(rows[1].drop("value"))
    assert rows[0]["value"].to_numpy() == pytest.approx(rows[1]["value"].to_numpy(), rel=1e-6, abs=1e-6)
    assert one.outcome == other.outcome == "finished"


def steps_taken(run: Run, seed: int) -> int:
    """The last step that was measured, a drain (which is no step) left out."""
    assert run.trace is not None
    return (
        int(
            max(
                run.trace.spans.filter((pl.col("seed") == seed) & (pl.col("lane") == "compute"))["step"].to_list(),
                default=-1,
            )
        )
        + 1
    )


@settings(max_examples=120, deadline=None)
@given(
    found=experiments(),
    data=st.data(),
    budget=st.one_of(
        st.builds(Gradients, st.integers(1, 50)),
        st.builds(Seconds, st.sampled_from([0.3, 1.0, 2.0, 3.7, 5.0])),
        st.builds(TargetLoss, st.floats(0.0, 3.0), st.integers(1, ENOUGH)),
    ),
)
def test_both_backends_stop_after_the_same_step(found: Experiment, data: st.DataObject, budget: Budget) -> None:
    """Ties included: half of the clusters have constant times."""
    cluster = data.draw(clusters(found.nodes, found.message_size))
    assume(not (isinstance(found.algorithm, PushSum) and isinstance(budget, Seconds)))  # time may stand still
    bounded = dataclasses.replace(found, budget=budget)
    assert_same_run(Vectorized(cluster).run(bounded), Simulated(cluster).run(bounded))


@settings(max_examples=80, deadline=None)
@given(found=experiments(most_steps=0), data=st.data(), limit=st.sampled_from([0.5, 1.0, 2.0, 3.3]))
def test_the_last_step_is_the_last_that_anybody_began_before_the_limit(
    found: Experiment, data: st.DataObject, limit: float
) -> None:
    assume(not isinstance(found.algorithm, PushSum))
    cluster = data.draw(clusters(found.nodes, found.message_size))
    long = dataclasses.replace(found, budget=Steps(60), seeds=found.seeds[:1])
    begins = _clocks(cluster, long)[:60].min(axis=1)
    assume(begins[-1] >= limit)
    run = Simulated(cluster).run(dataclasses.replace(long, budget=Seconds(limit)))
    assert steps_taken(run, found.seeds[0]) == int((begins < limit).sum())


@settings(max_examples=60, deadline=None)
@given(found=experiments(most_steps=0), data=st.data(), share=st.floats(0.05, 1.2))
def test_a_target_ends_the_run_with_the_steps_begun_by_then(
    found: Experiment, data: st.DataObject, share: float
) -> None:
    assume(not isinstance(found.algorithm, PushSum) and not found.algorithm.leaves_in_flight)
    cluster = data.draw(clusters(found.nodes, found.message_size))
    long = dataclasses.replace(found, budget=Steps(ENOUGH), seeds=found.seeds[:1])
    full = Vectorized(cluster, keep_trajectory=True).run(long)
    clocks = full.trajectory.clocks[:, :, 0]  # type: ignore[union-attr]
    losses = full.curve("loss").filter(pl.col("step") % found.measure_every == 0)
    target = share * losses["value"][0]
    reached = losses.filter(pl.col("value") <= target)
    if len(reached):
        instant = clocks[reached["step"][0]].max()
        expected = min(ENOUGH, int((clocks[:ENOUGH].min(axis=1) <= instant).sum()))
    else:
        expected = ENOUGH
    run = Simulated(cluster).run(dataclasses.replace(long, budget=TargetLoss(target, ENOUGH)))
    assert steps_taken(run, found.seeds[0]) == expected
    if len(reached):
        assert run.time_to(target)["step"][0] == reached["step"][0]


def _clocks(cluster: Cluster, found: Experiment) -> NDArray[np.float64]:
    cuts = Vectorized(cluster, keep_trajectory=True).run(found).trajectory
    assert cuts is not None
    return cuts.clocks[:, :, 0]


@pytest.mark.parametrize("total", [1, 5, 6, 7, 100])
@pytest.mark.parametrize("method", [SGP(), OverlapSGP(delay=2), DPSGD(), AllReduceSGD()])
def test_gradients_in_total_are_shared_out_evenly_where_nodes_run_in_step(method: SGP, total: int) -> None:
    cluster = Cluster(6, ExponentialTime(1.0))
    run = Simulated(cluster).run(Experiment(method, Quadratic(6, 2), UndirectedRing(6), Gradients(total)))
    assert run.statistics["node_steps"] == total // 6 * 6


@pytest.mark.parametrize(
    "backend", [Simulated(Cluster(4, ConstantTime(0.1))), Vectorized(Cluster(4, ConstantTime(0.1))), Vectorized()]
)
def test_a_target_stops_without_machines_too(backend: Simulated | Vectorized) -> None:
    """Without machines all nodes stand at the same step, and the run ends with it; with equal ones, one step later."""
    descent = SGD(Constant(0.3))
    found = Experiment(
        SGP(descent),
        Quadratic(4, 3, noise=0.0, least_curvature=0.5),
        OnePeerExponential(4),
        TargetLoss(0.6, 500),
        start=2.0,
    )
    run = backend.run(found)
    losses = run.curve("loss")
    first = int(losses.filter(pl.col("value") <= 0.6)["step"][0])
    assert 0 < first < 100
    assert losses["step"].max() == (first if backend == Vectorized() else first + 1)
    assert backend.run(dataclasses.replace(found, budget=TargetLoss(-1.0, 7))).curve("loss")["step"].max() == 7


def test_seeds_stop_each_for_itself() -> None:
    found = Experiment(
        SGP(), Quadratic(4, 2, noise=3.0), OnePeerExponential(4), TargetLoss(1.0, 60), seeds=(0, 1, 2, 3), start=3.0
    )
    cluster = Cluster(4, ExponentialTime(1.0))
    together = Vectorized(cluster).run(found)
    lasts = together.curve("loss").group_by("seed").agg(pl.col("step").max()).sort("seed")["step"].to_list()
    assert len(set(lasts)) > 1, "a case in which seeds differ"
    for number, seed in enumerate(found.seeds):
        alone = Simulated(cluster).run(dataclasses.replace(found, seeds=(seed,)))
        assert alone.curve("loss")["step"].max() == lasts[number]
        np.testing.assert_array_equal(alone.final.values[:, 0], together.final.values[:, number])
    assert 0 < together.statistics["worst_monitor_ratio"] < 1, "the worst of the seeds, not their sum"


def test_a_slow_node_does_not_make_the_others_stop_early() -> None:
    """A run that ends by the clock ends with the last step that any node has begun, and everybody takes it."""
    cluster = Cluster(4, ConstantTime(1.0), stragglers=(PersistentSlow((2,), 7.5),))
    found = Experiment(OverlapSGP(delay=3), Quadratic(4, 2), DirectedRing(4), Seconds(20.0))
    run = Simulated(cluster).run(found)
    assert run.trace is not None
    per_node = run.trace.spans.filter(pl.col("lane") == "compute").group_by("node").len()["len"]
    assert per_node.n_unique() == 1
    starts = run.trace.spans.filter(pl.col("lane") == "compute")
    last = starts.filter(pl.col("step") == starts["step"].max())
    assert float(last["start"].min()) < 20.0 <= float(last["end"].max())  # type: ignore[arg-type]


@pytest.mark.parametrize("backend", [Simulated(Cluster(4)), Vectorized(Cluster(4))])
def test_a_limit_in_seconds_needs_time_to_pass(backend: Simulated | Vectorized) -> None:
    found = Experiment(PushSum(), Quadratic(4, 2), DirectedRing(4), Seconds(1.0))
    with pytest.raises(SpecificationError, match="taken no time at all"):
        backend.run(found)
    latency = Cluster(4, network=Hockney(0.25))
    assert type(backend)(latency).run(found).curve("consensus_max")["step"].max() == 4
    with pytest.raises(SpecificationError, match="without machines no time passes"):
        Vectorized().run(found)


def test_no_steps_are_a_run_too() -> None:
    for method in (SGP(), OverlapSGP(delay=2), DPSGD(), AllReduceSGD(), PushSum()):
        for backend in (Simulated(Cluster(4)), Vectorized(Cluster(4)), Vectorized()):
            run = backend.run(Experiment(method, Quadratic(4, 2), UndirectedRing(4), Steps(0), start=1.0))
            assert run.outcome == "finished" and (run.final.values == 1.0).all() and (run.final.clocks == 0.0).all()
            assert run.curve("loss")["step"].to_list() == [0]


def test_an_interruption_before_a_seed_has_begun_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seeds with a target go one by one; what the first of them computed is no finished run of all."""
    begun: list[int] = []

    class Interrupted(FleetNode):
        def begin(self) -> Mass:
            begun.append(self.seeds[0])
            if len(begun) == 2:
                raise KeyboardInterrupt
            return super().begin()

    monkeypatch.setattr(vectorized, "FleetNode", Interrupted)
    found = Experiment(SGP(), Quadratic(4, 2), OnePeerExponential(4), TargetLoss(-1.0, 5), seeds=(3, 1, 2))
    with pytest.raises(KeyboardInterrupt) as stop:
        Vectorized().run(found)
    run = stop.value.run  # type: ignore[attr-defined]
    assert run.outcome == "interrupted" and set(run.metrics["seed"]) == {3}
    assert np.isfinite(run.final.values[:, 0]).all() and np.isnan(run.final.values[:, 1:]).all()
