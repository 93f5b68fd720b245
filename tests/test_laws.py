"""The law suite over everything that the catalogue finds, and broken methods that it must find out."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import pytest
from objective_examples import EXAMPLES as OBJECTIVES

from sgpsim.algorithms.algorithm import Algorithm
from sgpsim.algorithms.overlap_sgp import OverlapSGP
from sgpsim.algorithms.push_sum import PushSum
from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.events.simulated import Simulated
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.descents.descent import Descent
from sgpsim.descents.momentum import Momentum
from sgpsim.descents.sgd import SGD
from sgpsim.errors import MassLeak, SpecificationError
from sgpsim.mass import Mass
from sgpsim.node import Node
from sgpsim.objectives.objective import Objective
from sgpsim.schedules.laws import examples
from sgpsim.schedules.matrices import Matrices, UncheckedMatrices
from sgpsim.schedules.random_peer import RandomPeer
from sgpsim.schedules.schedule import Schedule
from sgpsim.specification.catalogue import implementations
from sgpsim.testing import (
    check_algorithm,
    check_objective,
    check_ones,
    check_schedule,
    check_stays_at_one,
    ones,
    uneven,
)
from theory.recursions import recursion_of

IRREGULAR = np.array([[0.5, 0.0, 0.25, 0.7], [0.5, 0.4, 0.0, 0.0], [0.0, 0.3, 0.75, 0.0], [0.0, 0.3, 0.0, 0.3]])
"""Column stochastic, row sums from 0.6 to 1.45."""


def ours(kind: type) -> list[type]:
    """Classes of sgpsim's own rooms: tests and notebooks define others."""
    return [
        found
        for found in implementations(kind).values()
        if found.__module__.startswith("sgpsim.") and found.__module__ != "sgpsim.testing"
    ]


def _named(schedule: Schedule) -> str:
    """A name that is the same in every process: reprs of graphs hold addresses."""
    return f"{type(schedule).__name__}-{schedule.size}"


VARIANTS: list[Algorithm] = [
    *(kind() for kind in ours(Algorithm)),
    SGP(Momentum()),
    OverlapSGP(delay=0),
    OverlapSGP(delay=3),
    OverlapSGP(delay=2, every=3),
    OverlapSGP(delay=2, mixing="arrival"),
    OverlapSGP(delay=2, biased=True),
]


@pytest.mark.parametrize("algorithm", VARIANTS, ids=repr)
def test_algorithms_obey_their_laws(algorithm: Algorithm) -> None:
    """Everything that can be checked: each has a recursion of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_algorithm(algorithm, reference=recursion_of(algorithm))


@pytest.mark.parametrize("schedule", [*examples(6), *examples(8)], ids=_named)
def test_every_node_stays_at_one_on_every_schedule(schedule: Schedule) -> None:
    if not schedule.checked:
        pytest.skip("a control that is made to lose mass")
    carried = 0
    for algorithm in (kind() for kind in ours(Algorithm)):
        try:
            algorithm.check(schedule)
        except SpecificationError:
            continue
        carried += 1
        check_stays_at_one(Simulated(uneven(schedule.size)).run(ones(algorithm, schedule)))
        if algorithm.in_step and not algorithm.depends_on_timing:
            check_stays_at_one(Vectorized(uneven(schedule.size)).run(ones(algorithm, schedule)))
    assert carried >= 4  # push-sum, SGP, overlap SGP, and AllReduce, which asks nothing of it


@pytest.mark.parametrize(
    "algorithm", [PushSum(), SGP(), OverlapSGP(delay=2), OverlapSGP(delay=1, mixing="arrival")], ids=repr
)
def test_weights_that_differ_from_one(algorithm: Algorithm) -> None:
    check_algorithm(algorithm, Matrices((IRREGULAR,)), reference=recursion_of(algorithm))
    check_ones(algorithm, RandomPeer(5))


@pytest.mark.parametrize("schedule", [*examples(5), *examples(8)], ids=_named)
def test_schedules_obey_their_laws(schedule: Schedule) -> None:
    check_schedule(schedule)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_objectives_obey_their_laws(name: str) -> None:
    check_objective(OBJECTIVES[name])


def test_every_objective_of_the_rooms_is_among_the_examples() -> None:
    tested = {type(objective) for objective in OBJECTIVES.values()}
    untested = {kind.__name__ for kind in ours(Objective) if kind not in tested}
    assert untested <= {"TorchModule", "Perceptron"}  # these need torch, and have a test file of their own


# -- controls: what is wrong must be found out


@dataclass(frozen=True)
class Broken(Algorithm):
    """Push-sum with a fault in it."""

    @property
    def source(self) -> str:
        return "a control"


@dataclass(frozen=True)
class ForgetsTheWeight(Broken):
    """Numerators are mixed, weights are not: what tvopt does when one of two packets is lost."""

    async def run(self, node: Node) -> None:
        mass = node.begin()
        for step in node.steps:
            await node.gradient(mass.value)
            mixed = await node.gather(step, node.scatter(step, mass))
            mass = Mass(mixed.value, 0.0 * mixed.weight + 1.0)
            node.report(step + 1, mass, None)


@dataclass(frozen=True)
class DropsItsOwnShare(Broken):
    """The own share is thrown away."""

    async def run(self, node: Node) -> None:
        mass = node.begin()
        for step in node.steps:
            await node.gradient(mass.ratio)
            mass = await node.gather(step, 0.0 * node.scatter(step, mass))
            node.report(step + 1, mass, None)


@dataclass(frozen=True)
class AveragesTwice(Broken):
    """Takes its own mass in twice, halved: the ratio is right, the mass is not."""

    async def run(self, node: Node) -> None:
        mass = node.begin()
        for step in node.steps:
            await node.gradient(mass.ratio)
            mass = 0.5 * (await node.gather(step, node.scatter(step, mass)))
            node.report(step + 1, mass, None)


@dataclass(frozen=True)
class SaysItNeverFlies(Broken):
    """Mixes one step late, and does not declare it."""

    descent: Descent = SGD()

    async def run(self, node: Node) -> None:
        mass = node.begin()
        step = -1
        for step in node.steps:
            gradient = await node.gradient(mass.ratio)
            move, _ = self.descent.move(gradient, None, step)
            mass = node.scatter(step, mass.shifted(move))
            if step:
                mass = await node.gather(step - 1, mass)
            node.report(step + 1, mass, move)
        mass = await node.gather(step, mass)
        node.report(step + 2, mass, None)


@dataclass(frozen=True)
class SaysItDependsOnTiming(Broken):
    """SGP that declares what is not so."""

    descent: Descent = SGD()

    async def run(self, node: Node) -> None:
        await SGP(self.descent).run(node)

    @property
    def depends_on_timing(self) -> bool:
        return True


BROKEN = [ForgetsTheWeight(), DropsItsOwnShare(), AveragesTwice(), SaysItNeverFlies(), SaysItDependsOnTiming()]


@pytest.mark.filterwarnings("ignore:.*has no reference")
@pytest.mark.parametrize("algorithm", BROKEN, ids=repr)
def test_broken_methods_are_found_out(algorithm: Broken) -> None:
    with pytest.raises((AssertionError, MassLeak)):
        check_algorithm(algorithm, Matrices((IRREGULAR,)))


@pytest.mark.parametrize("algorithm", BROKEN[:2], ids=repr)
def test_the_probe_alone_finds_what_other_simulators_let_pass(algorithm: Broken) -> None:
    run = Simulated(uneven(4), monitor="off").run(ones(algorithm, Matrices((IRREGULAR,))))
    with pytest.raises((AssertionError, FloatingPointError)):
        check_stays_at_one(run)


def test_a_matrix_that_loses_mass_is_found_out() -> None:
    lossy = UncheckedMatrices((0.99 * IRREGULAR,))
    with pytest.raises(MassLeak, match="node 0"):
        Simulated(uneven(4)).run(ones(SGP(), lossy))
    run = Simulated(uneven(4), monitor="record").run(ones(SGP(), lossy))
    with pytest.raises(AssertionError, match="leaked"):
        check_stays_at_one(run)
