"""The analogue of the paper's Theorem 2: the gradient of f is small at every node's own point too."""

from __future__ import annotations

from theory import assumptions
from theory.claims.d1 import d1_bound
from theory.evidence import Moments
from theory.setting import Setting
from theory.theorem import Curve, Hypothesis, Theorem


class GradientsAtNodes(Theorem):
    """If gamma <= min(1/L, 1/(sqrt(24) L S1)), then with D = the bound of D1 and V = K (sigma^2 + 3 zeta^2):

    (1/(nK)) sum_k sum_i E|z_i^k - xbar^k|^2 <= (4 S2 X0 + 4 gamma^2 S1^2 (V + 3 K D)) / K =: m, and
    (1/(nK)) sum_k sum_i E|grad f(z_i^k)|^2 <= 2 L^2 m + 2 D.

    Smoothness between z_i and xbar, then D1 and the bound of sum M. At gamma = sqrt(n/K) this is O(1/K) and
    O(1/sqrt(nK) + 1/K).
    """

    name = "gradients at the nodes"
    kind = "expectation"
    provenance = "derived"
    source = "analogue of Assran et al. 2019, Theorem 2 (recalled)"

    def hypotheses(self, setting: Setting) -> list[Hypothesis]:
        return assumptions.theorem_d1(setting)

    def predicted(self, setting: Setting, evidence: Moments) -> Curve:
        constants, profile = setting.constants, setting.profile
        smoothness, variance, unlike = (
            constants.smoothness.value,
            constants.variance.value,
            constants.heterogeneity.value,
        )
        assert smoothness is not None and variance is not None and unlike is not None
        assert setting.step_size is not None and setting.start_spread is not None
        bound = d1_bound(setting)
        spread = 4 * profile.second * setting.start_spread / setting.steps
        spread += 4 * (setting.step_size * profile.first) ** 2 * (variance + 3 * unlike + 3 * bound)
        return Curve.of("1: spread, 2: gradients", [1, 2], [spread, 2 * smoothness**2 * spread + 2 * bound])

    def measured(self, setting: Setting, evidence: Moments) -> Curve:
        both = [evidence.deviation.mean(axis=0), evidence.at_nodes.mean(axis=0)]
        return Curve.of("1: spread, 2: gradients", [1, 2], both)
