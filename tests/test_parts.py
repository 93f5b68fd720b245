"""The parts of a method: its nested algorithms and descents, whose step sizes are all checked, and of which the theory knows
the moves only where there is one descent and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from sgpsim.algorithms.adpsgd import ADPSGD
from sgpsim.algorithms.algorithm import Algorithm
from sgpsim.algorithms.allreduce_sgd import AllReduceSGD
from sgpsim.algorithms.dpsgd import DPSGD
from sgpsim.algorithms.overlap_sgp import OverlapSGP
from sgpsim.algorithms.push_sum import PushSum
from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.budget import Steps
from sgpsim.descents.adam import Adam
from sgpsim.descents.descent import Descent
from sgpsim.descents.momentum import Momentum
from sgpsim.descents.sgd import SGD
from sgpsim.descents.step_sizes import Constant, RootNodesOverSteps
from sgpsim.errors import SpecificationError
from sgpsim.experiment import Experiment
from sgpsim.node import Node
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.schedules.ring import UndirectedRing
from theory.cases.experiments import setting_of
from theory.claims import claims
from theory.evidence import Path
from theory.verdict import Outcome, verify


@dataclass(frozen=True)
class Alternating(Algorithm):
    """SGP that moves by `even` and `odd` in turn; by `even` alone where there is no other."""

    even: Descent = SGD(Constant(0.1))
    odd: Descent | None = None

    async def run(self, node: Node) -> None:
        mass = node.begin()
        descents = (self.even, self.odd or self.even)
        states = [descent.start(mass.value) for descent in descents]
        for step in node.steps:
            move, states[step % 2] = descents[step % 2].move(await node.gradient(mass.ratio), states[step % 2], step)
            mass = await node.gather(step, node.scatter(step, mass.shifted(move)))
            node.report(step + 1, mass, move)

    @property
    def source(self) -> str:
        return "a control"


@dataclass(frozen=True)
class Either(Algorithm):
    """One of several methods."""

    first: Algorithm = SGP(Momentum())
    others: tuple[Algorithm, ...] = (Alternating(SGD(), Adam()), PushSum(), DPSGD())
    own: Descent = Adam()

    async def run(self, node: Node) -> None:
        await self.first.run(node)

    @property
    def source(self) -> str:
        return "a control"


def experiment(method: Algorithm) -> Experiment:
    return Experiment(method, Quadratic(4, 2), UndirectedRing(4), Steps(6), start=1.0)


def test_parts_come_in_order_and_a_method_is_none_of_its_own() -> None:
    either = Either()
    several = either.others[0]
    assert either.parts() == (SGP(Momentum()), Momentum(), several, SGD(), Adam(), PushSum(), DPSGD(), SGD(), Adam())
    assert PushSum().parts() == ()
    for method in (SGP(), DPSGD(), OverlapSGP(), AllReduceSGD(), ADPSGD()):
        assert method.parts() == (SGD(),)


def test_step_sizes_of_all_parts_are_checked() -> None:
    fitting, other = SGD(RootNodesOverSteps(4, 6)), SGD(RootNodesOverSteps(4, 7))
    for place in (SGP, Alternating, lambda descent: Alternating(odd=descent), lambda descent: Either(SGP(descent))):
        experiment(place(fitting))
        with pytest.raises(SpecificationError, match=r"RootNodesOverSteps\(nodes=4, steps=7\)"):
            experiment(place(other))
    with pytest.raises(SpecificationError, match="RootNodesOverSteps"):
        experiment(Either(others=(PushSum(), Alternating(odd=other))))


@pytest.mark.parametrize(
    ("method", "name", "outcome"),
    [
        (Alternating(), "SGD", Outcome.HOLDS),
        (Alternating(odd=SGD(Constant(0.2))), None, Outcome.UNDECIDED),
        (Alternating(odd=SGD(Constant(0.1))), None, Outcome.UNDECIDED),
        (Either(SGP(), (), SGD()), None, Outcome.UNDECIDED),
    ],
    ids=["one descent under another name", "two unlike", "two alike", "a method in a method"],
)
def test_moves_are_known_of_one_descent_alone(method: Algorithm, name: str | None, outcome: Outcome) -> None:
    asked = experiment(method)
    setting = replace(setting_of(asked), method="push")  # as all of them are, which cannot be known
    assert (None if setting.displacement is None else setting.displacement.name) == name
    run = Vectorized(keep_trajectory=True).run(asked)
    assert run.trajectory is not None
    (claim,) = [claim for key, claim in claims().items() if "moves" in key]
    assert verify(claim, setting, Path.of(run.trajectory, 6, origin=setting)).outcome is outcome
