"""D1, part on sum M: disagreement summed over the run."""

from __future__ import annotations

from theory import assumptions
from theory.evidence import Moments
from theory.setting import Setting
from theory.theorem import Curve, Hypothesis, Theorem


class ConsensusSum(Theorem):
    """If gamma <= min(1/L, 1/(sqrt(24) L S1)):

    sum_{k<K} M^k <= 4 S2 X0 + 4 gamma^2 S1^2 ( K (sigma^2 + 3 zeta^2) + 3 sum_{k<K} N^k ), with X0 = |X^0|_F^2 / n,
    or 0 if all nodes start equal.

    I4 and Cauchy's inequality, (sum eps b)^2 <= S1 sum eps b^2, then the G-bound; the step size absorbs the term in M.
    """

    name = "sum M"
    kind = "expectation"
    provenance = "derived"
    source = "I4, Cauchy, G-bound"

    def hypotheses(self, setting: Setting) -> list[Hypothesis]:
        return assumptions.theorem_d1(setting)

    def predicted(self, setting: Setting, evidence: Moments) -> Curve:
        constants, step = setting.constants, setting.step_size
        assert step is not None and setting.start_spread is not None
        assert constants.variance.value is not None and constants.heterogeneity.value is not None
        fixed = evidence.steps * (constants.variance.value + 3 * constants.heterogeneity.value)
        found = 4 * setting.profile.second * setting.start_spread
        sums = found + 4 * (step * setting.profile.first) ** 2 * (fixed + 3 * evidence.squared_gradient.sum(axis=0))
        return Curve.of("K", evidence.steps, sums[None])

    def measured(self, setting: Setting, evidence: Moments) -> Curve:
        return Curve.of("K", evidence.steps, evidence.deviation.sum(axis=0)[None])

    def remarks(self, setting: Setting, evidence: Moments) -> str:
        return f"S1 = {setting.profile.first:.4g}, S2 = {setting.profile.second:.4g}"
