"""`@specification`: Python accepts what a file accepts, and both refuse with one sentence when an object is built."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import networkx as nx
import numpy as np
import pytest

import sgpsim
from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.budget import Gradients, Seconds, Steps, TargetLoss
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.compute_time import ConstantTime
from sgpsim.clusters.distributions import GammaTime
from sgpsim.clusters.presets import preset
from sgpsim.clusters.stragglers import PersistentSlow
from sgpsim.descents.descent import Descent, StepSize
from sgpsim.descents.momentum import Momentum
from sgpsim.descents.sgd import SGD
from sgpsim.descents.step_sizes import Constant, StepDecay, WarmUp
from sgpsim.errors import SpecificationError
from sgpsim.experiment import Experiment
from sgpsim.files.plain_data import from_plain, to_plain
from sgpsim.objectives.datasets import Digits
from sgpsim.objectives.quadratic import Quadratic, QuadraticArrays
from sgpsim.objectives.softmax import SoftmaxRegression
from sgpsim.objectives.split import EvenSplit
from sgpsim.schedules.graph_schedule import GraphSchedule
from sgpsim.schedules.periodic import Periodic
from sgpsim.schedules.ring import DirectedRing
from sgpsim.specification.ranges import Count
from sgpsim.specification.specification import specification


def any_(value: Any) -> Any:
    """A value that the type checker would not let through."""
    return value


SHORT = {
    "a number for a step size": (lambda: SGD(any_(0.1)), lambda: SGD(Constant(0.1))),
    "a whole number for a float": (lambda: Constant(1), lambda: Constant(1.0)),
    "a name for data": (lambda: SoftmaxRegression(8, data=any_("Digits")), lambda: SoftmaxRegression(8, Digits())),
    "a number for compute": (lambda: Cluster(8, compute=any_(0.1)), lambda: Cluster(8, ConstantTime(0.1))),
    "a graph for a list": (
        lambda: GraphSchedule(any_(nx.cycle_graph(4))),
        lambda: GraphSchedule((nx.cycle_graph(4),)),
    ),
    "a cause for a list": (
        lambda: Cluster(8, stragglers=any_(PersistentSlow((1,), 2))),
        lambda: Cluster(8, stragglers=(PersistentSlow((1,), 2.0),)),
    ),
    "a number in momentum": (lambda: Momentum(any_(0.1)), lambda: Momentum(Constant(0.1))),
    "a table": (lambda: SGD(any_({"type": "WarmUp", "then": 0.5, "steps": 3})), lambda: SGD(WarmUp(Constant(0.5), 3))),
    "a number for a list": (lambda: StepDecay(1, any_(30)), lambda: StepDecay(1.0, (30,))),
    "a list for a tuple": (lambda: StepDecay(1, any_([30, 60])), lambda: StepDecay(1.0, (30, 60))),
    "a range for a tuple": (lambda: StepDecay(1, any_(range(2))), lambda: StepDecay(1.0, (0, 1))),
    "numpy's scalars": (lambda: StepDecay(np.float64(1), any_(np.array([3]))), lambda: StepDecay(1.0, (3,))),
    "numpy's float32, exactly": (lambda: Constant(any_(np.float32(0.1))), lambda: Constant(float(np.float32(0.1)))),
    "numpy's whole numbers": (lambda: Steps(any_(np.int32(3))), lambda: Steps(3)),
}


@pytest.mark.parametrize("name", SHORT)
def test_python_accepts_what_a_file_accepts(name: str) -> None:
    short, long = (build() for build in SHORT[name])
    assert short == long and hash(short) == hash(long) and repr(short) == repr(long)
    assert from_plain(to_plain(short), type(long)) == long


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "a string": (lambda: Momentum(any_(0.1), momentum=any_("x")), "Momentum(momentum) is 'x'; it must be a number in"),
    "a whole number for a descent": (lambda: SGP(any_(3)), "SGP(descent) is 3; it must be a Descent. Give one of Adam,"),
    "a number for a descent": (lambda: SGP(any_(0.1)), "SGP(descent) is 0.1; it must be a Descent. Give one of Adam,"),
    "a number for schedules": (
        lambda: Periodic(schedules=any_(7)),
        "Periodic(schedules)[0] is 7; it must be a Schedule. Give one of ",
    ),
    "hardly any variation": (lambda: GammaTime(1.0, 1e-300), "GammaTime(variation) is 1e-300; it must be a finite number"),
    "noise of 401 digits": (lambda: Quadratic(4, noise=10**400), "it must be a finite number of at least 0, at most 1e+75."),
    "noise of a preset": (lambda: preset("ethernet_10g", 4, noise=10**400), "it must be a finite number of at least 0"),
    "a job of no name": (lambda: preset("ethernet_10g", 4, any_({"a": 1})), "job {'a': 1} does not exist; known:"),
    "an endless batch": (lambda: SoftmaxRegression(4, batch=2**31), "SoftmaxRegression(batch) is 2147483648; it must be"),
    "a seed above int64": (lambda: EvenSplit(2**63), "EvenSplit(seed) is 9223372036854775808; it must be a whole number"),
    "an array too large": (lambda: Quadratic(2**20, 2**20), "Quadratic(nodes, dimension) ask for an array of 1099511627776"),
    "torch's meta device": (lambda: Vectorized(device="meta"), "Vectorized(device) is 'meta'; it must be 'cpu' or 'cuda'"),
    "words in an array": (lambda: QuadraticArrays(any_([["1"]]), np.zeros((1, 1))), "(hessians) is [['1']]; it must be an"),
    "a count for seeds": (
        lambda: Experiment(SGP(), Quadratic(4), DirectedRing(4), seeds=any_(5)),
        "Experiment(seeds) is 5; it must be a list. Give seeds=(5,), in a file seeds = [5], for the one seed 5; seeds=range(5)",
    ),
    "a boolean": (lambda: Steps(True), "Steps(count) is True; it must be a whole number of at least 0."),
    "a fraction": (lambda: Gradients(any_(2.5)), "Gradients(total) is 2.5; it must be a whole number of at least 1."),
    "an array": (lambda: Seconds(any_(np.ones(3))), "Seconds(limit) is an array of shape (3,); it must be a finite"),
    "None": (lambda: TargetLoss(any_(None), 3), "TargetLoss(loss) is None; it must be a finite number."),
    "5,000 digits": (lambda: Constant(10**5000), "Constant(step_size) is a whole number of 5001 digits; it must be"),
    "above int64": (lambda: Steps(2**63), "it must be a whole number of at least 0, at most 9223372036854775807."),
    "too large to be squared": (lambda: Constant(1e200), "Constant(step_size) is 1e+200; it must be a finite number"),
    "too small to be squared": (lambda: Seconds(1e-300), "above 0, at least 1e-75."),
    "inside a list": (lambda: StepDecay(1.0, (1, any_(0.5))), "StepDecay(milestones)[1] is 0.5; it must be a whole"),
    "an endless list": (lambda: StepDecay(1.0, any_(iter(int, 1))), "StepDecay(milestones) is <callable_iterator"),
    "a class": (lambda: SGD(any_(Constant)), "as an object: Constant(...)."),
    "another family": (lambda: SGD(any_(SGD())), "SGD(step_size) is SGD(step_size=Constant(step_size=0.1)); it must be"),
    "an unknown name": (lambda: SGD(any_("Constnt")), "SGD(step_size).type: 'Constnt' is unknown; did you mean"),
    "an unknown field": (
        lambda: SGD(any_({"type": "WarmUp", "then": {"type": "Constant", "step": 1}, "steps": 2})),
        "SGD(step_size).then.step: unknown field of Constant; did you mean 'step_size'?",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_refused_when_built_in_one_line(name: str) -> None:
    build, words = REFUSED[name]
    with pytest.raises(SpecificationError) as refused:
        build()
    assert words in str(refused.value) and "\n" not in str(refused.value)


def test_a_file_and_python_refuse_with_the_same_sentence() -> None:
    with pytest.raises(SpecificationError) as python:
        Momentum(momentum=1.5)
    with pytest.raises(SpecificationError) as file:
        from_plain({"type": "Momentum", "momentum": 1.5}, Descent, source="x.toml", path="descent")  # pyright: ignore[reportAbstractUsage]
    assert str(file.value) == f"x.toml: descent.momentum: {python.value}"


def test_copies_of_all_kinds_are_equal() -> None:
    given = Momentum(any_(0.3), momentum=0)
    assert pickle.loads(pickle.dumps(given)) == copy.deepcopy(given) == dataclasses.replace(given) == given
    assert dataclasses.replace(given, step_size=any_(0.4)) == Momentum(Constant(0.4), 0.0)
    with pytest.raises(SpecificationError, match=r"Momentum\(momentum\) is -1"):
        dataclasses.replace(given, momentum=-1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        given.momentum = 0.5  # pyright: ignore[reportAttributeAccessIssue]


def test_a_users_plain_dataclass_works_in_python_and_in_a_file() -> None:
    @dataclasses.dataclass(frozen=True)
    class Halving(StepSize):
        first: float
        every: int = 10

        def at(self, step: int) -> float:
            return self.first * 0.5 ** (step // self.every)

    assert SGD(Halving(1, 2)).step_size.at(4) == 0.25
    assert from_plain({"type": "SGD", "step_size": {"type": "Halving", "first": 1}}, Descent) == SGD(Halving(1.0))  # pyright: ignore[reportAbstractUsage]


def test_a_specification_inherits_from_another_and_from_a_plain_dataclass() -> None:
    @dataclasses.dataclass(frozen=True)
    class Plain(SGP):
        extra: int = 1

    @specification
    class Checked(Plain):
        more: Count = 2

        def __post_init__(self) -> None:
            super().__post_init__()  # pyright: ignore[reportAttributeAccessIssue]
            assert isinstance(self.descent.step_size, Constant), "settled before this"

    assert Plain(any_({"type": "SGD", "step_size": 0.5})).descent == SGD(Constant(0.5))
    assert Checked(any_({"type": "SGD", "step_size": 0.5}), more=any_(np.int64(3))).more == 3
    with pytest.raises(SpecificationError, match=r"Checked\(more\) is 0"):
        Checked(more=0)
    with pytest.raises(SpecificationError, match=r"SGP\(descent\) is 3"):
        Plain(any_(3))


def test_a_default_loads_no_catalogue() -> None:
    program = "import sys, sgpsim; sgpsim.SGP(); print('sgpsim.backends.events.simulated' in sys.modules, 'networkx' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert told.split()[0] == "False"


def test_building_is_cheap() -> None:
    Constant(0.1)
    start = time.process_time()
    for _ in range(1000):
        Constant(0.1)
    assert time.process_time() - start < 0.1


def test_the_star_imports_every_public_name_and_the_list_stands_once() -> None:
    names: dict[str, Any] = {}
    exec("from sgpsim import *", names)
    assert set(sgpsim.__all__) == set(names) - {"__builtins__"} and names["SGP"] is SGP  # pyright: ignore
    assert "__all__ =" not in inspect.getsource(sgpsim)


def test_a_run_is_told_in_one_line() -> None:
    run = Vectorized().run(Experiment(SGP(), Quadratic(4, 3), DirectedRing(4), Steps(5), seeds=range(2)))  # pyright: ignore[reportArgumentType]
    last = run.metrics.filter(run.metrics["metric"] == "loss")["value"][-1]
    assert repr(run) == f"<Run of SGP on Vectorized: finished, 4 nodes, 2 seeds, loss {last:.6g} at step 5>"
    assert "loss" not in repr(dataclasses.replace(run, metrics=run.metrics.clear()))


def test_arrays_and_graphs_are_told_by_their_size() -> None:
    objective = QuadraticArrays(np.eye(30), np.zeros((64, 30)))
    experiment = Experiment(SGP(), objective, GraphSchedule(any_(nx.cycle_graph(64))), start=any_(np.ones((64, 30))))
    assert len(repr(experiment)) < 600 and "\n" not in repr(experiment)
    assert "<Graph of 64 nodes and 64 edges>" in repr(experiment) and "... 64 entries)" in repr(experiment)
