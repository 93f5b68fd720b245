"""Displacement: how the gradients of one node become the moves that it adds to its numerator.

The rule: plain SGD and momentum are told by their numbers, m_k = -gamma_k g_k, or with u_k = m u_{k-1} + g_k
m_k = -gamma_k u_k (heavy ball) or -gamma_k (m u_k + g_k) (Nesterov). Any other descent has a name only, and claims that
need the moves' form do not apply to it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Displacement:
    """name: the descent in words. sizes: gamma_0, ..., gamma_{K-1}. momentum: m, 0 for plain SGD; None where moves have
    another form (Adam, or no step at all: then there are no sizes either). nesterov: whether steps look ahead along the buffer."""

    name: str
    sizes: tuple[float, ...] = ()
    momentum: float | None = 0.0
    nesterov: bool = False

    @classmethod
    def plain(cls, step_size: float, steps: int) -> Displacement:
        """SGD with one step size."""
        return cls("SGD", (step_size,) * steps)

    @property
    def step_size(self) -> float | None:
        """gamma of plain SGD with one step size; None for everything else."""
        same = self.momentum == 0 and len(set(self.sizes)) == 1
        return self.sizes[0] if same else None

    def __str__(self) -> str:
        sizes = sorted(set(self.sizes))
        step_sizes = "" if not sizes else f", gamma = {sizes[0]:.6g}" + (f" to {sizes[-1]:.6g}" if len(sizes) > 1 else "")
        return f"{self.name}{step_sizes}"

    def moves(self, gradients: NDArray[np.float64]) -> NDArray[np.float64]:
        """The moves of these gradients, first axis the steps."""
        return self._directions(gradients)[0] * -self._column(gradients)

    def rounding(self, gradients: NDArray[np.float64]) -> NDArray[np.float64]:
        """Roundings of these moves times the size of their terms: every step's update of the buffer rounds it anew, and what is
        left of an old rounding shrinks like what is left of an old gradient."""
        direction, buffer = self._directions(np.abs(gradients))
        return 8 * self._column(gradients) * (direction + self._directions(buffer)[1])

    def _column(self, gradients: NDArray[np.float64]) -> NDArray[np.float64]:
        """gamma_k beside every gradient of step k."""
        return np.asarray(self.sizes)[: len(gradients), None, None, None]

    def _directions(self, gradients: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(what is stepped along, the buffer after each step)."""
        assert self.momentum is not None
        if self.momentum == 0:
            return gradients, gradients
        buffer = np.zeros_like(gradients)
        for step, gradient in enumerate(gradients):
            buffer[step] = gradient + (self.momentum * buffer[step - 1] if step else 0.0)
        return (self.momentum * buffer + gradients if self.nesterov else buffer), buffer
