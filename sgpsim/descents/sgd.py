"""Plain stochastic gradient descent: the displacement is -gamma_k g."""

from __future__ import annotations

from typing import Any

from sgpsim.descents.descent import Descent, StepSize
from sgpsim.descents.step_sizes import Constant
from sgpsim.mass import Array
from sgpsim.specification.specification import specification


@specification
class SGD(Descent):
    """move = -gamma_k g (Assran et al. 2019, Algorithm 1, line 3; Robbins and Monro 1951). No state."""

    step_size: StepSize = Constant(0.1)

    def start(self, value: Array) -> Any:
        return None

    def move(self, gradient: Array, state: Any, step: int) -> tuple[Array, Any]:
        return gradient * -self.step_size.at(step), None
