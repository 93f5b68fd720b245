"""Step sizes gamma_k: constant, sqrt(n/K) as the theorems ask, linear warm-up, step decay.

The rule: a step size is a function of the step alone, finite and above 0 at every step; whatever is not is refused when
it is built.
"""

from __future__ import annotations

import math

from sgpsim.descents.descent import StepSize
from sgpsim.errors import SpecificationError
from sgpsim.specification.ranges import Count, Positive, Whole
from sgpsim.specification.specification import specification


@specification
class Constant(StepSize):
    """gamma_k = step_size."""

    step_size: Positive

    def at(self, step: int) -> float:
        return self.step_size


@specification
class RootNodesOverSteps(StepSize):
    """gamma = sqrt(nodes / steps), the constant step of Assran et al. 2019, Theorem 1, and of claim D2. Fits one fleet
    and one horizon only."""

    nodes: Count
    steps: Count

    def at(self, step: int) -> float:
        return math.sqrt(self.nodes / self.steps)

    def check(self, nodes: int, steps: int | None) -> None:
        if nodes != self.nodes or (steps is not None and steps != self.steps):
            raise SpecificationError(
                f"RootNodesOverSteps(nodes={self.nodes}, steps={self.steps}) in an experiment of {nodes} nodes and"
                f" {steps} steps; both must be the"
                f" experiment's own. Give RootNodesOverSteps(nodes={nodes}, steps={steps})."
            )


@specification
class WarmUp(StepSize):
    """gamma_k = gamma'_k min(1, (k + 1) / steps): a linear ramp up to `then` (Goyal et al. 2017, section 2.2)."""

    then: StepSize
    steps: Count

    def at(self, step: int) -> float:
        return self.then.at(step) * min(1.0, (step + 1) / self.steps)

    def check(self, nodes: int, steps: int | None) -> None:
        self.then.check(nodes, steps)


@specification
class StepDecay(StepSize):
    """gamma_k = step_size * factor^(number of milestones at or before k); the experiments of Assran et al. 2019 use
    factor 0.1."""

    step_size: Positive
    milestones: tuple[Whole, ...]
    factor: Positive = 0.1

    def at(self, step: int) -> float:
        return self.step_size * self.factor ** sum(milestone <= step for milestone in self.milestones)
