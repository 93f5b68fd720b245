"""The rate in the number of steps."""

from __future__ import annotations

from theory.setting import Setting
from theory.sweep import Sweep, rate_hypotheses, unlike_sweep
from theory.theorem import Curve, Hypothesis, Theorem


class RateInSteps(Theorem):
    """With gamma = sqrt(n/K): (1/K) sum_{k<K} E|grad f(xbar^k)|^2 = O(K^{-1/2}) for fixed n. An upper bound, so
    steeper is consistent too."""

    name = "rate in steps"
    kind = "asymptotic"
    provenance = "derived"
    source = "D2; Assran et al. 2019, Theorem 1 (recalled)"

    def hypotheses(self, setting: Setting) -> list[Hypothesis]:
        return rate_hypotheses(setting)

    def missing(self, setting: Setting, evidence: Sweep) -> str:
        return unlike_sweep(evidence, "K")

    def predicted(self, setting: Setting, evidence: Sweep) -> Curve:
        return Curve.of(evidence.over, evidence.at, evidence.at**-0.5)

    def measured(self, setting: Setting, evidence: Sweep) -> Curve:
        return Curve.of(evidence.over, evidence.at, evidence.values)
