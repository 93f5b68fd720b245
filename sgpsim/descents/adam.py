"""Adam with moments that stay on their node."""

from __future__ import annotations

from typing import Any

from sgpsim.descents.descent import Descent, StepSize
from sgpsim.descents.step_sizes import Constant
from sgpsim.mass import Array
from sgpsim.specification.ranges import Positive, Share
from sgpsim.specification.specification import specification


@specification
class Adam(Descent):
    """m <- a m + (1-a) g; v <- b v + (1-b) g^2; move = -gamma_k (m / (1-a^k)) / (sqrt(v / (1-b^k)) + epsilon) (Kingma
    and Ba 2015, Algorithm 1).

    first, second: the decay rates a and b in [0, 1). epsilon: added to the root. Not linear in g: averaging before and
    after differ.
    """

    step_size: StepSize = Constant(0.001)
    first: Share = 0.9
    second: Share = 0.999
    epsilon: Positive = 1e-8

    def start(self, value: Array) -> Any:
        return value * 0.0, value * 0.0, 0

    def move(self, gradient: Array, state: Any, step: int) -> tuple[Array, Any]:
        mean, square, count = state
        count += 1
        mean = self.first * mean + (1 - self.first) * gradient
        square = self.second * square + (1 - self.second) * (gradient * gradient)
        root = (square / (1 - self.second**count)) ** 0.5 + self.epsilon
        return (mean / (1 - self.first**count)) / root * -self.step_size.at(step), (mean, square, count)

    @property
    def linear(self) -> bool:
        return False
