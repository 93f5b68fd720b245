"""Tests that an exception of a user's own class ends a run as what it is, and that nothing measured by then is lost."""

from __future__ import annotations

import dataclasses
import gc
import traceback
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from sgpsim import SGP, Cluster, Experiment, OverlapSGP, Quadratic, Simulated, Steps, Store, Vectorized, load
from sgpsim.algorithms.algorithm import Algorithm
from sgpsim.backends.backend import Backend
from sgpsim.backends.processes.assembly import as_run
from sgpsim.backends.processes.records import record_paths, row_type
from sgpsim.backends.processes.torch_distributed import TorchDistributed
from sgpsim.backends.watch.cuts import TimeCuts
from sgpsim.budget import Seconds
from sgpsim.errors import Deadlock
from sgpsim.node import Node
from sgpsim.results.metrics import Row
from sgpsim.results.run import Run
from sgpsim.schedules.ring import DirectedRing

BACKENDS: list[Backend] = [Simulated(Cluster(3)), Vectorized(Cluster(3)), Vectorized()]
IDS = ["Simulated", "Vectorized", "timeless"]


class TwoArguments(Exception):
    """An exception that cannot be made from its `args`."""

    def __init__(self, first: str, second: int) -> None:
        super().__init__(f"{first} {second}")


@dataclass(frozen=True)
class Fails(Algorithm):
    """SGD of each node alone that fails at one step."""

    at: int = 0
    seconds: bool = False
    """Whether a second activity fails, for which the text waits."""
    caught: bool = False

    async def run(self, node: Node) -> None:
        mass = node.begin()
        for step in node.steps:
            gradient = await node.gradient(mass.ratio)
            if step == self.at:
                await self._fail(node)
            mass = mass.shifted(gradient * -0.1)
            node.report(step + 1, mass, gradient * -0.1)

    async def _fail(self, node: Node) -> None:
        if not self.seconds:
            raise TwoArguments("a mistake\nof number", 7)
        try:
            await node.join(node.spawn(Fails._raise()))
        except TwoArguments:
            if not self.caught:
                raise

    @staticmethod
    async def _raise() -> None:
        raise TwoArguments("a mistake\nof number", 7)

    @property
    def source(self) -> str:
        return "this test"


def experiment(algorithm: Algorithm, seeds: tuple[int, ...] = (4, 1), nodes: int = 3) -> Experiment:
    return Experiment(algorithm, Quadratic(nodes, dimension=2), DirectedRing(nodes), Steps(12), seeds=seeds)


def failed(backend: Backend, task: Experiment, kind: type[Exception] = TwoArguments) -> Exception:
    with pytest.raises(kind) as raised:
        backend.run(task)
    assert type(raised.value) is kind
    return raised.value


def carried(error: BaseException) -> Run:
    run = getattr(error, "run", None)
    assert isinstance(run, Run) and run.outcome == "failed"
    return run


@pytest.mark.parametrize("backend", BACKENDS, ids=IDS)
@pytest.mark.parametrize("seeds", [(4,), (4, 1)])
def test_an_exception_is_what_it_was_and_carries_what_was_measured(backend: Backend, seeds: tuple[int, ...]) -> None:
    error = failed(backend, experiment(Fails(at=7), seeds))
    run, whole = carried(error), backend.run(experiment(Fails(at=99), seeds))
    assert error.__cause__ is None and error.__context__ is None and str(error) == "a mistake\nof number 7"
    last = traceback.extract_tb(error.__traceback__)[-1]
    assert last.name == "_fail" and "raise TwoArguments" in (last.line or "")
    assert whole.metrics.head(run.metrics.height).equals(run.metrics)
    assert set(run.curve("loss")["step"]) >= set(range(7))
    assert np.isfinite(run.final.values[:, 0]).all(), "where the nodes stood is known"
    assert "TwoArguments: a mistake of number 7" in run.remarks[0]
    (note,) = error.__notes__
    assert "in step 7 of seed 4" in note and "this exception's `run` holds what was measured" in note
    assert ("node 0" in note) == isinstance(backend, Simulated)


def test_of_several_seeds_those_before_are_whole() -> None:
    @dataclass(frozen=True)
    class LateDraws(Quadratic):
        def draws(self, node, generator):  # pyright: ignore
            if generator.bit_generator.state["state"]["state"] == wanted:
                raise TwoArguments("no draws", 1)
            return super().draws(node, generator)

    from sgpsim.streams import stream

    wanted = stream(1, "gradient", 2).bit_generator.state["state"]["state"]  # pyright: ignore
    task = Experiment(SGP(), LateDraws(3, dimension=2), DirectedRing(3), Steps(12), seeds=(4, 1, 5))
    error = failed(BACKENDS[0], task)
    run = carried(error)
    assert set(run.metrics["seed"]) == {4} and np.isnan(run.final.values[:, 1:]).all()
    assert "before seed 1 began" in error.__notes__[0] and "not begun, and NaN at the end: seed 1, 5" in run.remarks
    timed = dataclasses.replace(task, budget=Seconds(5.0))  # seed after seed on a fleet too
    run = carried(failed(BACKENDS[1], timed))
    assert set(run.metrics["seed"]) == {4} and "not begun, and NaN at the end: seed 1, 5" in run.remarks


@pytest.mark.parametrize("caught", [True, False])
def test_who_waits_for_a_second_activity_gets_its_very_exception(caught: bool) -> None:
    task = experiment(Fails(at=3, seconds=True, caught=caught))
    if caught:
        assert BACKENDS[0].run(task).metrics.equals(BACKENDS[0].run(experiment(Fails(at=99))).metrics)
        return
    error = failed(BACKENDS[0], task)
    assert traceback.extract_tb(error.__traceback__)[-1].name == "_raise" and "in step 3" in error.__notes__[0]


@pytest.mark.parametrize("backend", BACKENDS, ids=IDS)
def test_a_text_that_fails_at_once_leaves_nothing(tmp_path: Path, backend: Backend) -> None:
    with pytest.raises(TwoArguments) as raised, warnings.catch_warnings():
        warnings.simplefilter("error")
        Store(tmp_path).run("job", experiment(Fails(at=0)), backend)
    (note,) = raised.value.__notes__
    assert note.endswith("nothing but the start was measured") and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("backend", BACKENDS, ids=IDS)
def test_a_store_keeps_the_run_and_says_where(tmp_path: Path, backend: Backend) -> None:
    with pytest.raises(TwoArguments) as raised:
        Store(tmp_path).run("job", experiment(Fails(at=7)), backend)
    place = raised.value.__notes__[-1].split("what was measured lies in ")[1]
    kept, run = load(place), carried(raised.value)
    assert place.endswith("-failed") and kept.outcome == "failed" and kept.remarks == run.remarks
    assert kept.metrics.equals(run.metrics) and np.array_equal(kept.final.values, run.final.values, equal_nan=True)
    assert [folder.name for folder in tmp_path.iterdir()] == [Path(place).name], "no journal is left"


def test_a_deadlock_keeps_what_was_measured(tmp_path: Path) -> None:
    from tests.faulty_algorithms import Waits

    with pytest.raises(Deadlock) as raised:
        Store(tmp_path).run("job", experiment(Waits("round")), BACKENDS[0])
    assert carried(raised.value).curve("loss")["step"].max() == 2
    assert load(next(tmp_path.iterdir())).remarks[0].startswith("Deadlock: deadlock at")


def test_a_trajectory_is_kept_up_to_the_failure() -> None:
    for backend in (Simulated(Cluster(3), keep_trajectory=True), Vectorized(keep_trajectory=True)):
        run = carried(failed(backend, experiment(Fails(at=7), seeds=(4,))))
        assert run.trajectory is not None and run.trajectory.values.shape[0] == 8


@pytest.mark.parametrize("nodes", [1, 2, 7])
@pytest.mark.parametrize("algorithm", [SGP(), OverlapSGP()])
def test_the_coroutines_of_a_run_that_ends_before_they_begin_are_closed(
    nodes: int, algorithm: Algorithm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the very first look, or at the first step of the first node."""
    task = experiment(Fails(at=0), nodes=nodes)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        failed(Simulated(Cluster(nodes)), task)
        monkeypatch.setattr(TimeCuts, "look", stop)
        monkeypatch.setattr("sgpsim.backends.watch.cuts.StepCuts.report", stop)
        with pytest.raises(KeyboardInterrupt):
            Simulated(Cluster(nodes)).run(dataclasses.replace(task, algorithm=algorithm))
        gc.collect()
    assert not seen, [str(warning.message) for warning in seen]


def test_a_failure_of_what_measures_is_carried_too() -> None:
    @dataclass(frozen=True)
    class NoLoss(Quadratic):
        def loss(self, at):  # pyright: ignore
            raise TwoArguments("no loss", 1)

    task = Experiment(SGP(), NoLoss(3, dimension=2), DirectedRing(3), Steps(12))
    for backend in BACKENDS:
        assert getattr(failed(backend, task), "run", 1) is None, "nothing was measured"


def test_what_is_kept_was_told_to_the_keeper() -> None:
    for backend in BACKENDS:
        told: list[Row] = []
        with pytest.raises(TwoArguments) as raised:
            backend.run(experiment(Fails(at=7)), None, lambda rows, told=told: told.extend(rows))
        assert carried(raised.value).metrics.rows() == told


@pytest.mark.parametrize("at", [0, 2])
def test_real_processes_lose_nothing_where_the_objective_cannot_be_measured(tmp_path: Path, at: int) -> None:
    """Their records are measured when all is over."""

    @dataclass(frozen=True)
    class NoLoss(Quadratic):
        def loss(self, at):  # pyright: ignore
            calls.append(None)
            if len(calls) == failing:
                raise TwoArguments("no loss", 1)
            return super().loss(at)

    failing, calls = at + 1, list[None]()
    task = Experiment(SGP(), NoLoss(3, dimension=2), DirectedRing(3), Steps(3), seeds=(0, 1))
    rows = np.zeros(4, row_type(task, False))
    rows["step"], rows["weight"], rows["round"], rows["value"][:, 0] = range(4), 1.0, range(-1, 3), range(4)
    for rank in range(3):
        record_paths(tmp_path, 0, 0, rank)[0].write_bytes(rows.tobytes())
    with pytest.raises(TwoArguments) as raised:
        as_run(task, TorchDistributed(monitor="off"), tmp_path)
    run = carried(raised.value)
    assert len(set(run.metrics["step"])) == at and (run.final.values[:, 0, 0] == 3).all()
    assert f"while step {at} of seed 0 was measured" in raised.value.__notes__[0]
    assert "not begun, and NaN at the end: seed 1" in run.remarks
