"""Theorem D1: the average squared gradient norm at xbar, for any constant step size that is small enough."""

from __future__ import annotations

from theory import assumptions
from theory.evidence import Moments
from theory.setting import Setting
from theory.theorem import Curve, Hypothesis, Theorem


class TheoremD1(Theorem):
    """If gamma <= min(1/L, 1/(sqrt(24) L S1)):

    (1/K) sum_{k<K} N^k <= 4 F0/(gamma K) + 2 L gamma sigma^2/n + 8 L^2 S2 X0/K + 8 gamma^2 L^2 S1^2 (sigma^2 + 3
    zeta^2),

    F0 = f(xbar^0) - f*, X0 = |X^0|_F^2 / n, or 0 if all nodes start equal. The D-step telescoped, with the bound of
    sum M inserted.
    """

    name = "D1"
    kind = "expectation"
    provenance = "derived"
    source = "D-step and sum M; Assran et al. 2019, Theorem 1 (recalled) is its case gamma = sqrt(n/K)"

    def hypotheses(self, setting: Setting) -> list[Hypothesis]:
        return assumptions.theorem_d1(setting)

    def predicted(self, setting: Setting, evidence: Moments) -> Curve:
        return Curve.of("K", setting.steps, d1_bound(setting))

    def measured(self, setting: Setting, evidence: Moments) -> Curve:
        return Curve.of("K", evidence.steps, evidence.squared_gradient.mean(axis=0)[None])

    def trivial(self, setting: Setting, evidence: Moments) -> float:
        return float(evidence.squared_gradient[0].mean())  # what standing still would give


def d1_bound(setting: Setting) -> float:
    """The right-hand side, with the setting's K as the number of steps."""
    constants, step = setting.constants, setting.step_size
    smoothness, variance, unlike = constants.smoothness.value, constants.variance.value, constants.heterogeneity.value
    assert smoothness is not None and variance is not None and unlike is not None
    assert step is not None and setting.start_gap is not None and setting.start_spread is not None
    return (
        4 * setting.start_gap / (step * setting.steps)
        + 2 * smoothness * step * variance / setting.nodes
        + 8 * smoothness**2 * setting.profile.second * setting.start_spread / setting.steps
        + 8 * (step * smoothness * setting.profile.first) ** 2 * (variance + 3 * unlike)
    )
