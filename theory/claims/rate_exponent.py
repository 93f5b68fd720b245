"""The rate in the number of steps, where it is sharp."""

from __future__ import annotations

from theory.setting import Setting
from theory.sweep import Sweep, rate_hypotheses, unlike_sweep
from theory.theorem import Curve, Hypothesis, Theorem


class RateExponent(Theorem):
    """On strongly convex quadratics with noise, gamma = sqrt(n/K) gives (1/K) sum_{k<K} E|grad f(xbar^k)|^2 ~ c /
    sqrt(nK), so the exponent in K is -1/2.

    Both terms of SGD are of that order: the start is forgotten after about 1/(mu gamma) of K steps, and the
    stationary noise is proportional to gamma/n.
    """

    name = "rate exponent -1/2"
    kind = "asymptotic"
    provenance = "derived"
    source = "stationary covariance of linear SGD"
    relation = "="

    def hypotheses(self, setting: Setting) -> list[Hypothesis]:
        convexity, variance = setting.constants.convexity.value, setting.constants.variance.value
        if convexity is None or variance is None:
            return [*rate_hypotheses(setting), Hypothesis("strongly convex, with noise", "unknown", "not known", "unknown")]
        sharp = convexity > 0 and variance > 0
        evidence = f"mu = {convexity}, sigma^2 = {variance}"
        return [
            *rate_hypotheses(setting),
            Hypothesis("strongly convex, with noise", "holds" if sharp else "fails", evidence),
        ]

    def missing(self, setting: Setting, evidence: Sweep) -> str:
        return unlike_sweep(evidence, "K")

    def predicted(self, setting: Setting, evidence: Sweep) -> Curve:
        return Curve.of(evidence.over, evidence.at, evidence.at**-0.5)

    def measured(self, setting: Setting, evidence: Sweep) -> Curve:
        return Curve.of(evidence.over, evidence.at, evidence.values)
