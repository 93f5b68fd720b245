"""Heavy-ball and Nesterov momentum with a buffer that stays on its node."""

from __future__ import annotations

from typing import Any

from sgpsim.descents.descent import Descent, StepSize
from sgpsim.descents.step_sizes import Constant
from sgpsim.mass import Array
from sgpsim.specification.ranges import Share
from sgpsim.specification.specification import specification


@specification
class Momentum(Descent):
    """u <- m u + g; move = -gamma_k u (heavy ball, Polyak 1964) or -gamma_k (m u + g) (Nesterov, as the experiments of
    Assran et al. 2019).

    momentum: m in [0, 1). nesterov: look ahead along the new buffer.
    """

    step_size: StepSize = Constant(0.1)
    momentum: Share = 0.9
    nesterov: bool = True

    def start(self, value: Array) -> Any:
        return value * 0.0

    def move(self, gradient: Array, state: Any, step: int) -> tuple[Array, Any]:
        buffer = self.momentum * state + gradient
        direction = self.momentum * buffer + gradient if self.nesterov else buffer
        return direction * -self.step_size.at(step), buffer
