"""Theorem D2: the rate 1/sqrt(nK), the paper's Theorem 1 with constants that are proved."""

from __future__ import annotations

import math

from theory import assumptions
from theory.evidence import Moments
from theory.setting import Setting
from theory.theorem import Curve, Hypothesis, Theorem


class TheoremD2(Theorem):
    """With gamma = sqrt(n/K), A = F0 + L sigma^2/2 and K >= max of

    (1) n L^2, (2) 24 n L^2 S1^2, (3) n ( L^2 ( S2 X0 + n S1^2 (sigma^2 + 3 zeta^2) ) / A )^2:

    (1/K) sum_{k<K} N^k <= 12 A / sqrt(nK). In D1, 4A of it come from the terms of SGD, and at most 8A from those of
    consensus, by (3).
    """

    name = "D2"
    kind = "expectation"
    provenance = "derived"
    source = "D1 at gamma = sqrt(n/K); constant and rate are those of Assran et al. 2019, Theorem 1 (recalled)"

    def hypotheses(self, setting: Setting) -> list[Hypothesis]:
        found = [
            *assumptions.matrices(setting),
            assumptions.mixed_moves(setting),
            *assumptions.stochastic(setting),
            assumptions.bounded_heterogeneity(setting),
            assumptions.bounded_below(setting),
            assumptions.known_start(setting),
            assumptions.rate_step(setting.moving, setting.nodes, setting.steps),
        ]
        needed = least_steps(setting) if all(hypothesis.status == "holds" for hypothesis in found) else None
        for number, least in enumerate(needed or (None, None, None), start=1):
            sentence = f"K >= condition ({number})"
            if least is None:
                found.append(Hypothesis(sentence, "unknown", "a constant in it is not known"))
            else:
                evidence = f"K = {setting.steps}, needed {least:.4g}"
                found.append(Hypothesis(sentence, "holds" if setting.steps >= least else "fails", evidence))
        return found

    def predicted(self, setting: Setting, evidence: Moments) -> Curve:
        return Curve.of("K", setting.steps, 12 * _gap(setting) / math.sqrt(setting.nodes * setting.steps))

    def measured(self, setting: Setting, evidence: Moments) -> Curve:
        return Curve.of("K", evidence.steps, evidence.squared_gradient.mean(axis=0)[None])

    def trivial(self, setting: Setting, evidence: Moments) -> float:
        return float(evidence.squared_gradient[0].mean())

    def remarks(self, setting: Setting, evidence: Moments) -> str:
        return "K = {} against {:.4g}, {:.4g}, {:.4g}".format(setting.steps, *least_steps(setting))


def least_steps(setting: Setting) -> tuple[float, float, float]:
    """The three conditions on K, as the least K that each allows."""
    constants, profile, nodes = setting.constants, setting.profile, setting.nodes
    smoothness, variance, unlike = constants.smoothness.value, constants.variance.value, constants.heterogeneity.value
    assert smoothness is not None and variance is not None and unlike is not None and setting.start_spread is not None
    spread = profile.second * setting.start_spread + nodes * profile.first**2 * (variance + 3 * unlike)
    # where A = 0 (start at the minimizer, no noise) the third condition asks that consensus costs nothing either
    third = nodes * (smoothness**2 * spread * assumptions.reciprocal(_gap(setting))) ** 2 if smoothness**2 * spread > 0 else 0.0
    return nodes * smoothness**2, 24 * nodes * (smoothness * profile.first) ** 2, third


def _gap(setting: Setting) -> float:
    """A = F0 + L sigma^2 / 2."""
    smoothness, variance = setting.constants.smoothness.value, setting.constants.variance.value
    assert smoothness is not None and variance is not None and setting.start_gap is not None
    return setting.start_gap + smoothness * variance / 2
