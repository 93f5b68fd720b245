"""Push-sum: X <- P X, w <- P w."""

from __future__ import annotations

from sgpsim.experiment import Experiment
from sgpsim.references import Expected
from theory.recursions.parts import beginning, dense, expected


def recursion(experiment: Experiment, seed: int, steps: int) -> Expected:
    """Powers of the rounds, without gradients (Kempe, Dobra and Gehrke 2003)."""
    values, weights = beginning(experiment)
    cuts = [(values, weights)]
    for step in range(steps):
        mixing = dense(experiment.schedule, step)
        values, weights = mixing @ values, mixing @ weights
        cuts.append((values, weights))
    return expected(cuts)
