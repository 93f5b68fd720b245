"""Descent: from a gradient to the displacement that a node adds to its numerator.

The rule: a descent is pure. `start` makes its state, `move` maps (gradient, state, step) to (displacement, next state),
and nothing else changes. State stays on its node and is never communicated (Assran et al. 2019: "local" momentum).
Arrays may have any leading axes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from sgpsim.mass import Array


class StepSize(ABC):
    """The step size gamma_k, a function of the step alone."""

    @abstractmethod
    def at(self, step: int) -> float:
        """gamma at `step` (0, 1, ...)."""

    def check(self, nodes: int, steps: int | None) -> None:
        """Raise SpecificationError where the step size was made for another number of nodes or steps. By default all
        fit."""
        return


class Descent(ABC):
    """How a gradient becomes a displacement."""

    step_size: StepSize

    @abstractmethod
    def start(self, value: Array) -> Any:
        """The state before the first step; `value` lends its shape and type."""

    @abstractmethod
    def move(self, gradient: Array, state: Any, step: int) -> tuple[Array, Any]:
        """(displacement, next state): the displacement is what is added to x, so plain SGD returns -gamma_k g."""

    @property
    def linear(self) -> bool:
        """Whether displacements depend linearly on gradients, so that averaging before or after is the same (false for
        Adam)."""
        return True
