"""SGP: X <- P (X - gamma G(Z)), w <- P w, Z = diag(w)^{-1} X."""

from __future__ import annotations

from sgpsim.experiment import Experiment
from sgpsim.references import Expected
from theory.recursions.parts import Gradients, Moves, beginning, dense, expected


def recursion(experiment: Experiment, seed: int, steps: int) -> Expected:
    """Gradients at the ratios, moves of the numerators (Assran et al. 2019, Algorithm 1)."""
    values, weights = beginning(experiment)
    gradients, moves = Gradients(experiment, seed), Moves(experiment.algorithm, values.shape)
    cuts = [(values, weights)]
    for step in range(steps):
        mixing = dense(experiment.schedule, step)
        moved = values + moves.of(gradients.at(values / weights[:, None]), step)
        values, weights = mixing @ moved, mixing @ weights
        cuts.append((values, weights))
    return expected(cuts)
