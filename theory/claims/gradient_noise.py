"""Gradients are those of the nodes' own functions at the nodes' own points, up to noise of variance sigma^2."""

from __future__ import annotations

from theory import assumptions
from theory.evidence import Moments
from theory.setting import Setting
from theory.theorem import Curve, Hypothesis, Theorem


class GradientNoise(Theorem):
    """(1/(nK)) sum_{k<K} sum_i E|g_i^k - grad f_i(z_i^k)|^2 <= sigma^2.

    The variance half of A2 at the points z_i = x_i / w_i. A method that takes gradients elsewhere (at x, or at a stale point)
    adds to the left side what the gradient changes between there and z_i; without noise (sigma = 0) that is all there is.
    """

    name = "gradient noise"
    kind = "expectation"
    provenance = "derived"
    source = "A2 (Assran et al. 2019, recalled) at z_i"

    def hypotheses(self, setting: Setting) -> list[Hypothesis]:
        # smoothness says what rounding of a point does to a gradient
        return [assumptions.smooth(setting), assumptions.bounded_variance(setting), assumptions.at_ratios(setting)]

    def missing(self, setting: Setting, evidence: Moments) -> str:
        return "" if evidence.noise is not None else "the gradients' own noise is not known"

    def predicted(self, setting: Setting, evidence: Moments) -> Curve:
        assert setting.constants.variance.value is not None
        return Curve.of("K", evidence.steps, setting.constants.variance.value)

    def measured(self, setting: Setting, evidence: Moments) -> Curve:
        assert evidence.noise is not None
        return Curve.of("K", evidence.steps, evidence.noise.mean(axis=0)[None])
