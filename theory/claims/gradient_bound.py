"""G-bound: how large the drawn gradients are in mean square."""

from __future__ import annotations

import numpy as np

from theory import assumptions
from theory.evidence import Moments
from theory.setting import Setting
from theory.theorem import Curve, Hypothesis, Theorem


class GradientBound(Theorem):
    """(1/n) E|G^s|_F^2 <= sigma^2 + 3 zeta^2 + 3 L^2 M^s + 3 N^s.

    Noise apart, grad f_i(z_i) = (grad f_i(z_i) - grad f_i(xbar)) + (grad f_i(xbar) - grad f(xbar)) + grad f(xbar),
    squared with (a+b+c)^2 <= 3(...).
    """

    name = "G-bound"
    kind = "expectation"
    provenance = "derived"
    source = "A1 and A2 at z_i, xbar"
    span = "step"

    def hypotheses(self, setting: Setting) -> list[Hypothesis]:
        return [*assumptions.stochastic(setting), assumptions.bounded_heterogeneity(setting)]

    def predicted(self, setting: Setting, evidence: Moments) -> Curve:
        constants = setting.constants
        assert constants.smoothness.value is not None and constants.variance.value is not None and constants.heterogeneity.value is not None
        fixed = constants.variance.value + 3 * constants.heterogeneity.value
        found = fixed + 3 * constants.smoothness.value**2 * evidence.deviation + 3 * evidence.squared_gradient
        return Curve.of("step", np.arange(evidence.steps), found)

    def measured(self, setting: Setting, evidence: Moments) -> Curve:
        return Curve.of("step", np.arange(evidence.steps), evidence.drawn)
