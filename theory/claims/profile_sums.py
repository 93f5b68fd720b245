"""The sums S1 and S2 of the contraction profile against their closed forms."""

from __future__ import annotations

from theory import assumptions
from theory.setting import Setting
from theory.theorem import Curve, Hypothesis, Theorem


class ProfileSums(Theorem):
    """With eps_m = sup_s |E_{s+m:s}|_2: S1 = sum_{m>=1} eps_m <= C' q / (1-q) and S2 = sum_{m>=0} eps_m^2 <= C'^2 /
    (1-q^2), C' = n C.

    C = lambda^{-(T-1)/T} / delta and q = lambda^{1/T} exist only for lambda > 0. The 2-norm is at most n times the
    largest entry.
    """

    name = "profile sums"
    kind = "pathwise"
    provenance = "derived"
    source = "Lemma A, summed"

    def hypotheses(self, setting: Setting) -> list[Hypothesis]:
        found = setting.contraction
        positive = found is not None and 0 < found.factor < 1  # 1 where 1 - n eta is 1 to rounding
        evidence = "unknown" if found is None else f"lambda = {found.factor:.4g}, n eta = {found.nodes * found.least:.3g}"
        return [
            *assumptions.matrices(setting),
            Hypothesis("0 < lambda < 1 in floating point, so that C and q exist", "holds" if positive else "fails", evidence),
        ]

    def predicted(self, setting: Setting, evidence: None) -> Curve:
        assert setting.contraction is not None and setting.contraction.geometric is not None
        constant, ratio = setting.contraction.geometric
        constant *= setting.nodes
        return Curve.of("S1, S2", [1, 2], [constant * ratio / (1 - ratio), constant**2 / (1 - ratio**2)])

    def measured(self, setting: Setting, evidence: None) -> Curve:
        return Curve.of("S1, S2", [1, 2], [setting.profile.first, setting.profile.second])

    def remarks(self, setting: Setting, evidence: None) -> str:
        return f"S1 = {setting.profile.first:.4g}, S2 = {setting.profile.second:.4g}"
