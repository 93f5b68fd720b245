"""D-step: the loss at the average falls in expectation, up to noise and disagreement."""

from __future__ import annotations

import numpy as np

from theory import assumptions
from theory.evidence import Moments
from theory.setting import Setting
from theory.theorem import Curve, Hypothesis, Theorem


class DescentStep(Theorem):
    """E f(xbar^{k+1}) <= E f(xbar^k) - (gamma/2) N^k - (gamma/2)(1 - L gamma) E|mbar^k|^2 + (gamma L^2/2) M^k + L
    gamma^2 sigma^2 / (2n),

    N^k = E|grad f(xbar^k)|^2, M^k = (1/n) E|Z^k - 1 xbar^k|_F^2, mbar^k = (1/n) sum_i grad f_i(z_i^k). From
    smoothness of f, 2<a,b> = |a|^2 + |b|^2 - |a-b|^2 with |grad f(xbar) - mbar|^2 <= L^2 M, and noise that averages
    to sigma^2 / n.
    """

    name = "D-step"
    kind = "expectation"
    provenance = "derived"
    source = "descent lemma at xbar"
    span = "step"

    def hypotheses(self, setting: Setting) -> list[Hypothesis]:
        return [assumptions.column_sums(setting), *assumptions.stochastic(setting), assumptions.plain_step(setting)]

    def predicted(self, setting: Setting, evidence: Moments) -> Curve:
        smoothness, variance = setting.constants.smoothness.value, setting.constants.variance.value
        assert smoothness is not None and variance is not None and setting.step_size is not None
        step = setting.step_size
        found = (
            evidence.loss[:-1]
            - step / 2 * evidence.squared_gradient
            - step / 2 * (1 - smoothness * step) * evidence.mean_gradient
            + step * smoothness**2 / 2 * evidence.deviation
            + smoothness * step**2 * variance / (2 * setting.nodes)
        )
        return Curve.of("step", np.arange(evidence.steps), found)

    def measured(self, setting: Setting, evidence: Moments) -> Curve:
        return Curve.of("step", np.arange(evidence.steps), evidence.loss[1:])
