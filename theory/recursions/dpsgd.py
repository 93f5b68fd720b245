"""D-PSGD: X <- W X - gamma G(X), or X <- W (X - gamma G(X)), as the method's `order` says."""

from __future__ import annotations

from typing import Any

from sgpsim.experiment import Experiment
from sgpsim.references import Expected
from theory.recursions.parts import Gradients, Moves, beginning, dense, expected


def recursion(experiment: Experiment, seed: int, steps: int) -> Expected:
    """Gradients at x, weights that stay at 1 (Lian et al. 2017, Algorithm 1, and its other order)."""
    method: Any = experiment.algorithm
    values, weights = beginning(experiment)
    gradients, moves = Gradients(experiment, seed), Moves(method, values.shape)
    cuts = [(values, weights)]
    for step in range(steps):
        mixing, move = dense(experiment.schedule, step), moves.of(gradients.at(values), step)
        values = mixing @ values + move if method.order == "combine-then-adapt" else mixing @ (values + move)
        cuts.append((values, weights))
    return expected(cuts)
