"""Linear speed-up: the rate in the number of nodes."""

from __future__ import annotations

from theory.setting import Setting
from theory.sweep import Sweep, rate_hypotheses, unlike_sweep
from theory.theorem import Curve, Hypothesis, Theorem


class LinearSpeedUp(Theorem):
    """With gamma = sqrt(n/K): (1/K) sum_{k<K} E|grad f(xbar^k)|^2 = O(n^{-1/2}) at fixed K, so n nodes need 1/n of
    the steps for the same accuracy.

    Holds once K exceeds the conditions of D2 for every n of the sweep; consensus then costs a lower order only.
    """

    name = "linear speed-up"
    kind = "asymptotic"
    provenance = "derived"
    source = "D2; Assran et al. 2019, Theorem 1 (recalled)"

    def hypotheses(self, setting: Setting) -> list[Hypothesis]:
        return rate_hypotheses(setting)

    def missing(self, setting: Setting, evidence: Sweep) -> str:
        return unlike_sweep(evidence, "n")

    def predicted(self, setting: Setting, evidence: Sweep) -> Curve:
        return Curve.of(evidence.over, evidence.at, evidence.at**-0.5)

    def measured(self, setting: Setting, evidence: Sweep) -> Curve:
        return Curve.of(evidence.over, evidence.at, evidence.values)
