"""Wrong algorithms, one mistake each, otherwise the text of the right one.

The rule: what they report is what they did, so the mass monitor finds nothing and only a theorem can tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sgpsim.algorithms.algorithm import Algorithm
from sgpsim.descents.descent import Descent, StepSize
from sgpsim.descents.sgd import SGD
from sgpsim.descents.step_sizes import Constant
from sgpsim.mass import Array, typed_as
from sgpsim.node import Node


@dataclass(frozen=True)
class GradientAtNumerator(Algorithm):
    """SGP that takes gradients at x instead of z = x / w. Equal to SGP wherever weights are 1."""

    descent: Descent = SGD()

    async def run(self, node: Node) -> None:
        mass = node.begin()
        state = self.descent.start(mass.value)
        for step in node.steps:
            gradient = await node.gradient(mass.value)  # wrong: the numerator is no estimate of anything
            move, state = self.descent.move(gradient, state, step)
            mass = await node.gather(step, node.scatter(step, mass.shifted(move)))
            node.report(step + 1, mass, move)

    @property
    def source(self) -> str:
        return "a mistake: Assran et al. 2019, Algorithm 1, without its line 7"


@dataclass(frozen=True)
class StepOnRatio(Algorithm):
    """SGP that steps on z instead of x: x <- w (z - gamma g) = x - gamma w g. Equal to SGP wherever weights are 1."""

    descent: Descent = SGD()

    async def run(self, node: Node) -> None:
        mass = node.begin()
        state = self.descent.start(mass.value)
        for step in node.steps:
            gradient = await node.gradient(mass.ratio)
            move, state = self.descent.move(gradient, state, step)
            scaled = typed_as(mass.weight, mass.value) * move  # wrong: heavy nodes count more
            mass = await node.gather(step, node.scatter(step, mass.shifted(scaled)))
            node.report(step + 1, mass, scaled)

    @property
    def source(self) -> str:
        return "a mistake: the step of Assran et al. 2019, Algorithm 1, line 3, applied to z"


@dataclass(frozen=True)
class Still(Descent):
    """No displacement, whatever the gradient: for looking at the points at which gradients are taken."""

    step_size: StepSize = Constant(1.0)

    def start(self, value: Array) -> Any:
        return None

    def move(self, gradient: Array, state: Any, step: int) -> tuple[Array, Any]:
        return gradient * 0.0, None
