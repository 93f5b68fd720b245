"""AllReduce-SGD: every node moves by the mean of all gradients."""

from __future__ import annotations

import numpy as np

from sgpsim.experiment import Experiment
from sgpsim.references import Expected
from theory.recursions.parts import Gradients, Moves, beginning, expected


def recursion(experiment: Experiment, seed: int, steps: int) -> Expected:
    """x_i <- x_i - gamma (1/n) sum_j g_j(x_j) (Goyal et al. 2017, section 2); unequal starts stay as far apart."""
    values, weights = beginning(experiment)
    gradients, moves = Gradients(experiment, seed), Moves(experiment.algorithm, values.shape)
    cuts = [(values, weights)]
    for step in range(steps):
        mean = gradients.at(values).mean(axis=0)
        values = values + moves.of(np.broadcast_to(mean, values.shape), step)
        cuts.append((values, weights))
    return expected(cuts)
