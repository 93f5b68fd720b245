"""S-step: with strong convexity the average comes nearer to the minimizer."""

from __future__ import annotations

import numpy as np

from theory import assumptions
from theory.evidence import Moments
from theory.setting import Setting
from theory.theorem import Curve, Hypothesis, Theorem


class ContractionStep(Theorem):
    """If every f_i is mu-strongly convex and L-smooth and gamma <= 1/(4L):

    E|xbar^{k+1} - x*|^2 <= (1 - gamma mu/2) E|xbar^k - x*|^2 - gamma E(f(xbar^k) - f*) + (5/2) gamma L M^k + gamma^2
    sigma^2 / n.
    """

    name = "S-step"
    kind = "expectation"
    provenance = "derived"
    source = "convexity at z_i, smoothness between z_i and xbar"
    span = "step"

    def hypotheses(self, setting: Setting) -> list[Hypothesis]:
        smoothness, convexity = setting.constants.smoothness.value, setting.constants.convexity
        strongly = assumptions.known("every f_i is mu-strongly convex", convexity)
        if convexity.value is not None and convexity.value <= 0:
            strongly = Hypothesis(strongly.sentence, "fails", f"mu = {convexity.value:.4g}")
        limit = None if smoothness is None else assumptions.reciprocal(4 * smoothness)
        return [
            assumptions.column_sums(setting),
            *assumptions.stochastic(setting),
            strongly,
            assumptions.bounded_below(setting),
            assumptions.step_at_most(setting, limit, "1/(4L)"),
        ]

    def missing(self, setting: Setting, evidence: Moments) -> str:
        return "" if evidence.distance is not None else "the minimizer x* is not known"

    def predicted(self, setting: Setting, evidence: Moments) -> Curve:
        constants, step = setting.constants, setting.step_size
        assert evidence.distance is not None and step is not None
        assert constants.smoothness.value is not None and constants.convexity.value is not None
        assert constants.variance.value is not None and constants.lowest.value is not None
        found = (
            (1 - step * constants.convexity.value / 2) * evidence.distance[:-1]
            - step * (evidence.loss[:-1] - constants.lowest.value)
            + 2.5 * step * constants.smoothness.value * evidence.deviation
            + step**2 * constants.variance.value / setting.nodes
        )
        return Curve.of("step", np.arange(evidence.steps), found)

    def measured(self, setting: Setting, evidence: Moments) -> Curve:
        assert evidence.distance is not None
        return Curve.of("step", np.arange(evidence.steps), evidence.distance[1:])
