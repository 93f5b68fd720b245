"""Methods against their recursions: every method of the house has one, random runs equal it, and planted errors that
keep all laws of mass do not."""

from __future__ import annotations

import dataclasses
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_experiments import clusters, descents, directed
from test_laws import ours

import theory.recursions
from sgpsim.algorithms.adpsgd import ADPSGD
from sgpsim.algorithms.algorithm import Algorithm
from sgpsim.algorithms.allreduce_sgd import AllReduceSGD
from sgpsim.algorithms.dpsgd import DPSGD
from sgpsim.algorithms.overlap_sgp import OverlapSGP
from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.events.simulated import Simulated
from sgpsim.budget import Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.distributions import ExponentialTime
from sgpsim.descents.descent import Descent
from sgpsim.descents.sgd import SGD
from sgpsim.errors import MassLeak, SpecificationError
from sgpsim.experiment import Experiment
from sgpsim.mass import Mass
from sgpsim.node import Node
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.references import require_as_expected
from sgpsim.schedules.ring import UndirectedRing
from sgpsim.schedules.schedule import Schedule
from sgpsim.testing import Expected, check_algorithm, check_reference
from theory.controls.algorithms import GradientAtNumerator, StepOnRatio
from theory.recursions import recursion_of, recursions
from theory.recursions.adpsgd import recursion as adpsgd
from theory.recursions.overlap_sgp import recursion as overlap_sgp
from theory.recursions.sgp import recursion as sgp

# -- pairs of method and recursion


def test_every_method_of_the_house_has_a_recursion_and_every_recursion_a_method() -> None:
    methods = {kind.__module__.rpartition(".")[2] for kind in ours(Algorithm)}
    assert methods == set(recursions())


def test_a_method_without_a_recursion_is_named() -> None:
    """The control of the pairing: an own method, and one that only bears the name of a file, have none."""
    assert recursion_of(GradientAtNumerator()) is None
    other = dataclasses.make_dataclass("Other", [])
    other.__module__ = "elsewhere.sgp"
    assert recursion_of(other()) is None and recursion_of(SGP()) is sgp


def test_recursions_import_no_method() -> None:
    for file in Path(theory.recursions.__file__).parent.glob("*.py"):
        assert not re.search(r"import.*sgpsim\.(algorithms|backends|testing)|from sgpsim\.(algorithms|backends|testing)", file.read_text())


# -- where timing decides: random machines


@settings(max_examples=15, deadline=None)
@given(
    data=st.data(), nodes=st.integers(1, 6), steps=st.integers(0, 12), delay=st.integers(1, 4), every=st.integers(1, 3)
)
def test_overlap_by_arrival_equals_the_replay_of_its_trace(
    data: st.DataObject, nodes: int, steps: int, delay: int, every: int
) -> None:
    method = OverlapSGP(data.draw(descents()), delay, every, "arrival", data.draw(st.booleans()))
    start = tuple((float(node), -1.0) for node in range(nodes))
    experiment = Experiment(
        method, Quadratic(nodes, 2), data.draw(directed(nodes)), Steps(steps), (3,), start, message_bytes=1000.0
    )
    run = Simulated(data.draw(clusters(nodes, 1000.0)), keep_trajectory=True).run(experiment)
    require_as_expected(run, overlap_sgp, steps)


@settings(max_examples=15, deadline=None)
@given(data=st.data(), nodes=st.sampled_from([2, 4, 6]), steps=st.integers(0, 12))
def test_adpsgd_equals_the_replay_of_its_trace(data: st.DataObject, nodes: int, steps: int) -> None:
    start = tuple((float(node), -1.0) for node in range(nodes))
    method = ADPSGD(data.draw(descents()))
    experiment = Experiment(
        method, Quadratic(nodes, 2), UndirectedRing(nodes), Steps(steps), (3,), start, message_bytes=1000.0
    )
    cluster = dataclasses.replace(data.draw(clusters(nodes, 1000.0)), compute=ExponentialTime(1.0))
    require_as_expected(Simulated(cluster).run(experiment), adpsgd, steps)


def test_a_trace_that_leaves_the_order_open_is_refused() -> None:
    experiment = Experiment(ADPSGD(), Quadratic(4, 2), UndirectedRing(4), Steps(5))
    run = Simulated(Cluster(4)).run(experiment)
    with pytest.raises(ValueError, match=r"as its gradient ends.*never tie"):
        require_as_expected(run, adpsgd, 5)


# -- planted errors


def with_fields(method: Any, **fields: Any) -> Algorithm:
    """The method with other values of some fields."""
    return dataclasses.replace(method, **fields)


@dataclass(frozen=True)
class Planted(Algorithm):
    """SGP, but for what `error` says. Every move that is reported is the move that was made."""

    error: str = "none"
    descent: Descent = SGD()

    async def run(self, node: Node) -> None:
        mass = node.begin()
        state: Any = self.descent.start(mass.value)
        for step in node.steps:
            gradient = await node.gradient(mass.ratio)
            stale = max(step - 1, 0) if self.error == "stale step size" else step
            move, following = self.descent.move(gradient, state, stale)
            state = state if self.error == "state not kept" else following
            before = mass.shifted(move)
            kept = node.scatter(step, before)
            match self.error:
                case "weight kept at 1":
                    mixed = await node.gather(step, kept)
                    mass = Mass(mixed.value, 0.0 * mixed.weight + 1.0)
                case "weight lost":
                    mass = Mass((await node.gather(step, kept)).value, kept.weight)
                case "own share doubled":
                    mass = await node.gather(step, 2.0 * kept)
                case "own share after the senders'":
                    mass = await node.gather(step, 0.0 * kept) + kept
                case _:
                    mass = await node.gather(step, kept)
            node.report(step + 1, mass, move)

    @property
    def source(self) -> str:
        return "a control"


@dataclass(frozen=True)
class GradientElsewhere(Algorithm):
    """A method whose gradients are taken at half the point at which its text takes them."""

    right: Algorithm
    descent: Descent = SGD()

    async def run(self, node: Node) -> None:
        gradient = node.gradient
        node.gradient = lambda at: gradient(0.5 * at)
        await with_fields(self.right, descent=self.descent).run(node)

    uses_schedule = property(lambda self: self.right.uses_schedule)
    depends_on_timing = property(lambda self: self.right.depends_on_timing)
    leaves_in_flight = property(lambda self: self.right.leaves_in_flight)
    in_step = property(lambda self: self.right.in_step)
    needs_own_shares = property(lambda self: self.right.needs_own_shares)

    def check(self, schedule: Schedule) -> None:
        self.right.check(schedule)

    @property
    def source(self) -> str:
        return "a control"


KEEPING_MASS = [GradientAtNumerator(), StepOnRatio(), Planted("stale step size"), Planted("state not kept")]
LOSING_MASS = [Planted("weight kept at 1"), Planted("weight lost"), Planted("own share doubled")]


@pytest.mark.parametrize("method", [*KEEPING_MASS, *LOSING_MASS], ids=repr)
def test_planted_errors_are_told_from_the_method_by_its_recursion(method: Algorithm) -> None:
    name = type(method).__name__
    sentence = rf"^{name} with \w+ on \w+\(size=\d\), Simulated, seed 5: after step \d+ of 12, .* at node \d is"
    with pytest.raises(AssertionError, match=sentence):
        check_algorithm(method, reference=sgp)


RIGHT = [ADPSGD(), OverlapSGP(delay=2, mixing="arrival"), OverlapSGP(), DPSGD(), AllReduceSGD()]


@pytest.mark.parametrize("right", RIGHT, ids=repr)
def test_a_gradient_elsewhere_is_caught_by_every_recursion(right: Algorithm) -> None:
    recursion = recursion_of(right)
    assert recursion is not None

    def of_the_right_one(experiment: Experiment, *more: Any) -> Expected:
        planted: Any = experiment.algorithm
        method = with_fields(right, descent=planted.descent)
        return recursion(dataclasses.replace(experiment, algorithm=method), *more)

    with pytest.raises(AssertionError, match=r"GradientElsewhere .* of x at node \d is .*; the reference says"):
        check_reference(GradientElsewhere(right), of_the_right_one, fleet=False)


@pytest.mark.parametrize(
    ("method", "change"),
    [
        (OverlapSGP(delay=2, mixing="arrival"), {"biased": True}),
        (OverlapSGP(delay=2), {"biased": True}),
        (DPSGD(), {"order": "adapt-then-combine"}),
    ],
    ids=repr,
)
def test_the_neighbouring_method_is_another_one(method: Algorithm, change: dict[str, Any]) -> None:
    """A wrong field is as wrong as a wrong text."""
    recursion = recursion_of(method)
    assert recursion is not None

    def neighbour(experiment: Experiment, *more: Any) -> Expected:
        return recursion(dataclasses.replace(experiment, algorithm=with_fields(experiment.algorithm, **change)), *more)

    with pytest.raises(AssertionError, match=r"of x at node \d"):
        check_reference(method, neighbour)


def test_a_reference_that_gives_no_expected_is_refused() -> None:
    def short(experiment: Experiment, seed: int, steps: int) -> Expected:
        return sgp(experiment, seed, steps - 1)

    wrong: list[tuple[Any, str]] = [
        (short, r"values shaped \(12, 4, 3\) for SGP; the run has \(13, 4, 3\)"),
        (lambda *given: None, "for SGP; it must give an Expected"),
        (3, "reference"),
    ]
    for reference, sentence in wrong:
        with pytest.raises(SpecificationError, match=sentence):
            check_algorithm(SGP(), reference=reference)


def test_the_order_of_addition_is_no_error() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_reference(Planted(), sgp)
        check_algorithm(Planted("own share after the senders'"), reference=sgp)


@pytest.mark.parametrize("method", KEEPING_MASS[:2], ids=repr)
def test_without_a_reference_errors_that_keep_mass_pass_and_a_warning_says_so(method: Algorithm) -> None:
    with pytest.warns(UserWarning, match=rf"check_algorithm\({type(method).__name__}\) has no reference.*Give reference="):
        check_algorithm(method)


@pytest.mark.parametrize("method", LOSING_MASS, ids=repr)
@pytest.mark.filterwarnings("ignore:.*has no reference")
def test_lost_mass_is_caught_without_one_too(method: Algorithm) -> None:
    with pytest.raises((AssertionError, MassLeak)):
        check_algorithm(method)
