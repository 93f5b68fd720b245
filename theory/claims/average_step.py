"""I1: the average of all mass moves by the mean of what the nodes add, whatever the rounds do."""

from __future__ import annotations

import numpy as np

from theory import assumptions
from theory.evidence import Path
from theory.setting import Setting
from theory.theorem import Curve, Hypothesis, Theorem


class AverageStep(Theorem):
    """xbar^{k+1} = xbar^k + (1/n) sum_i m_i^k, where xbar = (1/n)(sum_i x_i + messages under way) and m_i is the move that
    node i added: -gamma g_i(z_i) for plain SGD, whose mean step this then is.

    Columns of P sum to 1, so 1'X^{k+1} = 1'P(X^k + M^k) = 1'X^k + 1'M^k; what is under way is counted, so delays change
    nothing. Holds for any descent and any step sizes; what the moves should be is a claim of its own (`moves`).
    """

    name = "I1 average step"
    kind = "pathwise"
    provenance = "derived"
    source = "column sums; Assran et al. 2019, section 3 (recalled)"
    relation = "="

    def hypotheses(self, setting: Setting) -> list[Hypothesis]:
        return [assumptions.column_sums(setting)]

    def predicted(self, setting: Setting, evidence: Path) -> Curve:
        stepped = evidence.average[:-1] + evidence.moves.mean(axis=1)
        return Curve.of("step", np.arange(evidence.steps), stepped)

    def measured(self, setting: Setting, evidence: Path) -> Curve:
        held = np.abs(evidence.values).sum(axis=1) + np.abs(evidence.flight_values)
        terms = (held[:-1] + held[1:] + np.abs(evidence.moves).sum(axis=1)) / setting.nodes
        return Curve.of("step", np.arange(evidence.steps), evidence.average[1:], (2 * setting.nodes + 16) * terms)
