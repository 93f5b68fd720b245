"""Adam with moments that stay on their node."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from sgpsim.descents.descent import Descent, StepSize
from sgpsim.descents.step_sizes import Constant
from sgpsim.errors import SpecificationError, require_positive
from sgpsim.mass import Array


@dataclass(frozen=True)
class Adam(Descent):
    """m <- a m + (1-a) g; v <- b v + (1-b) g^2; move = -gamma_k (m / (1-a^k)) / (sqrt(v / (1-b^k)) + epsilon) (Kingma
    and Ba 2015, Algorithm 1).

    first, second: the decay rates a and b in [0, 1). epsilon: added to the root. Not linear in g: averaging before and
    after differ.
    """

    step_size: StepSize = Constant(0.001)
    first: float = 0.9
    second: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        for name, value in (("first", self.first), ("second", self.second)):
            if not (math.isfinite(value) and 0 <= value < 1):
                raise SpecificationError(f"Adam({name}) is {value!r}; it must lie in [0, 1). Give one such as 0.9.")
        require_positive("Adam(epsilon)", self.epsilon)
        for name in ("first", "second", "epsilon"):
            object.__setattr__(self, name, float(getattr(self, name)))  # a numpy scalar would widen float32 to float64

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
