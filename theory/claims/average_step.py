"""I1: the average of all mass takes a plain SGD step, with gradients at the nodes' own points."""

from __future__ import annotations

import numpy as np

from theory import assumptions
from theory.evidence import Path
from theory.setting import Setting
from theory.theorem import Curve, Hypothesis, Theorem


class AverageStep(Theorem):
    """xbar^{k+1} = xbar^k - (gamma/n) sum_i g_i^k, where xbar = (1/n)(sum_i x_i + messages under way).

    Columns of P sum to 1, so 1'X^{k+1} = 1'P(X^k - gamma G^k) = 1'X^k - gamma 1'G^k; what is under way is counted, so
    delays change nothing.
    """

    name = "I1 average step"
    kind = "pathwise"
    provenance = "derived"
    source = "column sums; Assran et al. 2019, section 3 (recalled)"
    relation = "="

    def hypotheses(self, setting: Setting) -> list[Hypothesis]:
        return [assumptions.column_sums(setting), assumptions.constant_step(setting)]

    def predicted(self, setting: Setting, evidence: Path) -> Curve:
        assert setting.step_size is not None
        stepped = evidence.average[:-1] - setting.step_size * evidence.gradients.mean(axis=1)
        return Curve.of("step", np.arange(evidence.steps), stepped)

    def measured(self, setting: Setting, evidence: Path) -> Curve:
        assert setting.step_size is not None
        held = np.abs(evidence.values).sum(axis=1) + np.abs(evidence.flight_values)
        terms = (held[:-1] + held[1:] + setting.step_size * np.abs(evidence.gradients).sum(axis=1)) / setting.nodes
        return Curve.of("step", np.arange(evidence.steps), evidence.average[1:], (2 * setting.nodes + 16) * terms)
