"""A seed diverges at the same step with the same numbers on every backend, whatever is measured how often; the others go
on. Beside it: what happens to letters before all have begun, to rounds sent twice, and to clocks after the last report."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from faulty_algorithms import Faulty, Letters

from sgpsim.algorithms.adpsgd import ADPSGD
from sgpsim.algorithms.algorithm import Algorithm
from sgpsim.algorithms.allreduce_sgd import AllReduceSGD
from sgpsim.algorithms.overlap_sgp import OverlapSGP
from sgpsim.algorithms.push_sum import PushSum
from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.backend import Backend
from sgpsim.backends.events.simulated import Simulated
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.budget import Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.distributions import ExponentialTime
from sgpsim.descents.sgd import SGD
from sgpsim.descents.step_sizes import Constant
from sgpsim.errors import Deadlock, SpecificationError
from sgpsim.experiment import Experiment
from sgpsim.launch import launch
from sgpsim.node import Node
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.results.run import Run
from sgpsim.schedules.matrices import Matrices
from sgpsim.schedules.one_peer_exponential import OnePeerExponential
from sgpsim.schedules.ring import DirectedRing, UndirectedRing


def assert_alike(runs: list[Run]) -> None:
    """Outcome, final state, and all that was measured, but for defects and bytes (added in other orders)."""
    keys = ["seed", "step", "metric"]
    tables = [run.metrics.sort(keys).filter(~run.metrics.sort(keys)["metric"].is_in(["mass_defect", "bytes_sent"])) for run in runs]
    for run, table in zip(runs[1:], tables[1:], strict=True):
        assert run.outcome == runs[0].outcome, (runs[0].remarks, run.remarks)
        for name, one, other in zip(run.final._fields, runs[0].final, run.final, strict=True):
            np.testing.assert_array_equal(one, other, err_msg=f"{name} on {run.backend}")
        assert table.select(keys).equals(tables[0].select(keys))
        values, others = (frame["value"].to_numpy() for frame in (table, tables[0]))
        if run.experiment.algorithm.leaves_in_flight:  # what is in flight is added in another order
            values, others = (np.nan_to_num(each, nan=np.inf) for each in (values, others))
            np.testing.assert_allclose(values, others, rtol=1e-9, atol=1e-9)
        else:
            np.testing.assert_array_equal(values, others)


def everywhere(experiment: Experiment, **options: Any) -> list[Run]:
    cluster = Cluster(experiment.nodes, ExponentialTime(1.0))
    backends: list[Backend] = [
        Simulated(cluster, **options),
        *(Vectorized(cluster, check_every=every, **options) for every in (1, 10, 1000)),
    ]
    return [backend.run(experiment) for backend in backends]


@pytest.mark.parametrize("nodes", [1, 2, 7])
@pytest.mark.parametrize("method", [SGP(), OverlapSGP(), AllReduceSGD(), PushSum()], ids=repr)
def test_a_loss_out_of_range_at_the_start_is_no_finished_run(method: Algorithm, nodes: int) -> None:
    runs = everywhere(Experiment(method, Quadratic(nodes, 2), DirectedRing(nodes), Steps(5), start=1e200))
    assert_alike(runs)
    assert runs[0].outcome == "diverged" and (runs[0].final.values == 1e200).all() and (runs[0].final.clocks == 0).all()
    assert "by step 0: the loss is " in runs[0].remarks[0]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("measure_every", [1, 7, 1000])
@pytest.mark.parametrize("method", [SGP, OverlapSGP, AllReduceSGD], ids=lambda kind: kind.__name__)
def test_steps_too_long_end_every_backend_at_the_same_step(method: Any, measure_every: int, dtype: Any) -> None:
    found = Experiment(
        method(SGD(Constant(60.0))), Quadratic(5, 2, noise=0.3), OnePeerExponential(5), Steps(400), (0, 3, 9),
        start=1.0, measure_every=measure_every, dtype=dtype,
    )  # fmt: skip
    for options in ({}, {"monitor": "off"}):
        runs = everywhere(found, **options)
        assert_alike(runs)
        assert runs[0].outcome == "diverged" and len(runs[0].remarks) == 3
        for simulated, vectorized in zip(*(sorted(run.remarks) for run in runs[:2]), strict=True):
            assert simulated.startswith(vectorized), "the same sentence, and when"


@pytest.mark.parametrize("measure_every", [1, 4, 100])
def test_weights_that_float32_cannot_hold_are_told(measure_every: int) -> None:
    """The weight is float64, and 0 where it meets float32 values: z is 0 / 0."""
    matrix = np.array([[1e-30, 0.5, 0.0], [1 - 1e-30, 0.5, 1e-12], [0.0, 0.0, 1 - 1e-12]])
    matrix[:, 2] = (0.0, 1 - 1e-30, 1e-30)
    matrix[:, 0] = (1 - 1e-9, 1e-9, 0.0)
    matrix[2, 1], matrix[1, 1] = 1e-300, 0.5
    found = Experiment(
        PushSum(), Quadratic(3, 2), Matrices((matrix,)), Steps(30), start=1.0, measure_every=measure_every, dtype="float32"
    )
    runs = everywhere(found)
    assert_alike(runs)
    assert runs[0].outcome == "diverged" and "z = x / w of node 2 is nan" in runs[0].remarks[0]
    wide = everywhere(Experiment(PushSum(), Quadratic(3, 2), Matrices((matrix,)), Steps(30), start=1.0))
    assert {run.outcome for run in wide} == {"finished"}


@pytest.mark.parametrize("nodes", [1, 2, 7])
def test_seeds_that_do_not_diverge_go_on(nodes: int) -> None:
    """All grow alike from noise of their own, so they leave the range at steps of their own; half of them within the
    budget. Alone and together they end alike."""
    seeds = tuple(range(5))
    found = Experiment(
        SGP(SGD(Constant(1.15))), Quadratic(nodes, 1, 1e30, structure="scalar", least_curvature=2.0, most_curvature=2.0),
        DirectedRing(nodes), Steps(200), seeds, start=0.0, measure_every=2, dtype="float32",
    )  # fmt: skip
    ends = sorted(everywhere(found)[1].curve("loss").group_by("seed").agg(last=pl.col("step").max())["last"].to_list())
    end = Steps(ends[1] + 2)
    assert ends[0] + 4 < ends[-1] < 200
    runs = everywhere(replace(found, budget=end), keep_trajectory=True)
    assert_alike(runs)
    assert runs[0].outcome == "diverged" and 1 <= len(runs[0].remarks) < 5
    assert [run.remarks[0].split(":")[0] for run in runs[1:]] == [runs[1].remarks[0].split(":")[0]] * 3
    for place, seed in enumerate(seeds):
        alone = Vectorized(Cluster(nodes, ExponentialTime(1.0))).run(replace(found, seeds=(seed,), budget=end))
        for one, together in zip(alone.final, runs[1].final, strict=True):
            np.testing.assert_array_equal(one[:, 0], together[:, place])


def test_sums_over_nodes_may_overflow_where_no_node_does() -> None:
    """Steps at which nothing is measured: nobody holds more than the range, only their sum is larger for a while."""
    still = SGP(SGD(Constant(0.5)))
    task = Quadratic(4, 1, noise=0.0, spread=0.0, structure="scalar")
    rows = ((1.7e308,), (1.7e308,), (-1.7e308,), (-1.7e308,))
    runs = everywhere(Experiment(still, task, DirectedRing(4), Steps(30), start=rows, measure_every=1000))
    assert_alike(runs)
    assert not any("leak" in remark for run in runs for remark in run.remarks)


def test_a_nan_is_found_at_its_step_however_seldom_is_looked() -> None:
    fault = Faulty("not a number", when=6, culprit=2)
    runs = everywhere(Experiment(fault, Quadratic(5, 2), DirectedRing(5), Steps(40), measure_every=1000))
    assert_alike(runs)
    assert all("by step 7: node 2 holds nan" in run.remarks[0] for run in runs)


def test_divergence_by_time_ends_the_run() -> None:
    for method in (ADPSGD(SGD(Constant(50.0))), OverlapSGP(SGD(Constant(50.0)), mixing="arrival")):
        found = Experiment(method, Quadratic(4, 2), UndirectedRing(4), Steps(500), start=1.0)
        assert Simulated(Cluster(4, ExponentialTime(1.0))).run(found).outcome == "diverged"


# -- before all have begun, twice in a round, after the last report


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("nodes", [1, 2, 7])
def test_who_sends_before_the_last_node_has_begun_loses_nothing(nodes: int, keep: bool) -> None:
    start = tuple((float(node + 1),) for node in range(nodes))
    experiment = Experiment(Letters("early"), Quadratic(nodes, 1), DirectedRing(nodes), Steps(1), start=start)
    run = Simulated(Cluster(nodes), keep_trajectory=keep).run(experiment)
    assert run.outcome == "finished" and run.final.values.sum() == sum(range(nodes + 1))
    assert (run.curve("mass_defect", "time")["value"] == 0.0).all()


@dataclass(frozen=True)
class Scatters(Algorithm):
    """Push-sum that scatters a round `how`: "twice", "again" (a later round, then that one), or gathers it "before" it is
    sent, or a second time ("after"); "late" works on after its last report."""

    how: str

    async def run(self, node: Node) -> None:
        mass = node.begin()
        for step in node.steps:
            if step == 2 and self.how == "before":
                mass = await node.gather(step, mass)
            number = step - 1 if step == 2 and self.how == "again" else step
            mass = await node.gather(number, node.scatter(number, mass))
            if step == 2 and self.how == "twice":
                mass = await node.gather(step, node.scatter(step, mass))
            if step == 2 and self.how == "after":
                mass = await node.gather(step, mass)
            node.report(step + 1, mass, None)
        if self.how == "late":
            await node.gradient(mass.value)

    @property
    def source(self) -> str:
        return "a control"


@pytest.mark.parametrize("how", ["twice", "again"])
@pytest.mark.parametrize("nodes", [2, 7])
def test_a_round_scattered_twice_is_refused_alike(how: str, nodes: int) -> None:
    found = Experiment(Scatters(how), Quadratic(nodes, 1), DirectedRing(nodes), Steps(5))
    number = 2 if how == "twice" else 1
    for backend in (Simulated(Cluster(nodes)), Vectorized()):
        with pytest.raises(SpecificationError, match=rf"Scatters scatters round {number} from node \d to node \d after round"):
            backend.run(found)


@pytest.mark.parametrize("how", ["before", "after"])
def test_a_round_that_nobody_sent_is_a_deadlock_alike(how: str) -> None:
    found = Experiment(Scatters(how), Quadratic(3, 1), DirectedRing(3), Steps(5))
    for backend in (Simulated(Cluster(3)), Vectorized()):
        with pytest.raises(Deadlock, match="at step 2 for messages of round 2"):
            backend.run(found)


@pytest.mark.parametrize("nodes", [1, 2, 7])
def test_the_final_clock_is_that_of_the_last_report(nodes: int) -> None:
    found = Experiment(Scatters("late"), Quadratic(nodes, 1), DirectedRing(nodes), Steps(5), (0, 1))
    runs = everywhere(found)
    assert_alike(runs)
    assert (runs[0].final.clocks == 0.0).all(), "the gradients come after the last report"


@pytest.mark.slow
@pytest.mark.parametrize("measure_every", [1, 7])
@pytest.mark.parametrize("start", [1.0, 1e200])
def test_processes_end_a_diverging_seed_at_the_same_step(start: float, measure_every: int) -> None:
    method = SGP(SGD(Constant(60.0)))
    found = Experiment(
        method, Quadratic(3, 2), DirectedRing(3), Steps(400), (0, 3), start=start, measure_every=measure_every
    )
    processes, vectorized = launch(found), Vectorized().run(found)
    assert processes.outcome == vectorized.outcome == "diverged" and processes.remarks == vectorized.remarks
    np.testing.assert_array_equal(processes.final.values, vectorized.final.values)
