"""I2: weights are those of the matrices, stay positive, and sum to the number of nodes."""

from __future__ import annotations

import numpy as np

from theory import assumptions
from theory.evidence import Path
from theory.setting import Setting
from theory.theorem import Curve, Hypothesis, Theorem


class MassConservation(Theorem):
    """sum_i w_i^k = n with what is under way, and w^k = A_{k:0} 1 > 0 node by node.

    The sum because columns of every P sum to 1; positivity because every node keeps a share.
    """

    name = "I2 mass"
    kind = "pathwise"
    provenance = "derived"
    source = "column sums; Kempe, Dobra and Gehrke 2003, mass conservation (recalled)"
    relation = "="

    def hypotheses(self, setting: Setting) -> list[Hypothesis]:
        return [
            assumptions.nonnegative(setting),
            assumptions.column_sums(setting),
            assumptions.self_loops(setting),
            assumptions.known_rounds(setting),
        ]

    def predicted(self, setting: Setting, evidence: Path) -> Curve:
        weights = setting.mixing.weights[: evidence.steps + 1]
        return Curve.of(
            "step",
            np.arange(evidence.steps + 1),
            np.column_stack((np.full(len(weights), float(setting.nodes)), weights)),
        )

    def measured(self, setting: Setting, evidence: Path) -> Curve:
        total = evidence.weights.sum(axis=1) + evidence.flight_weights
        # a weight that is not positive can be no true weight, whatever rounding allows
        weights = np.where(evidence.weights > 0, evidence.weights, np.nan)
        steps = np.arange(evidence.steps + 1)
        return Curve.of(
            "step",
            steps,
            np.column_stack((total, weights)),
            setting.weight_epsilon / setting.epsilon * (steps + 1) * (setting.nodes + 8) * setting.nodes,
        )
