"""Lemma A: products of rounds tend to exact averaging, geometrically in blocks of T rounds."""

from __future__ import annotations

from theory import assumptions
from theory.lengths import largest_entries, lengths, rounding
from theory.setting import Setting
from theory.theorem import Curve, Hypothesis, Theorem


class KernelContraction(Theorem):
    """max_ij |[E_{k:s}]_ij| <= lambda^{floor((k-s)/T)} / delta, with eta the smallest entry of any product of T
    rounds, lambda = 1 - n eta and delta the smallest weight; lambda = 0 (exact averaging) is meant as it stands, 0^0
    = 1.

    By I5, |E_ij| is at most the oscillation of row i of A over w_i. A_{k:s}' = A_{s+T:s}' A_{k:s+T}' with a
    row-stochastic left factor of entries at least eta, which shrinks oscillations by 1 - n eta.
    """

    name = "kernel contraction"
    kind = "pathwise"
    provenance = "derived"
    source = "Dobrushin's coefficient; the form of the consensus lemma in Assran et al. 2019 (recalled)"

    def hypotheses(self, setting: Setting) -> list[Hypothesis]:
        return assumptions.matrices(setting)

    def predicted(self, setting: Setting, evidence: None) -> Curve:
        assert setting.contraction is not None
        return Curve.of("rounds", lengths(setting), setting.contraction.bound(lengths(setting)))

    def measured(self, setting: Setting, evidence: None) -> Curve:
        return Curve.of("rounds", lengths(setting), largest_entries(setting), rounding(setting))

    def trivial(self, setting: Setting, evidence: None) -> float:
        return 1.0 / setting.mixing.least_weight  # shares are at most 1

    def remarks(self, setting: Setting, evidence: None) -> str:
        found = setting.contraction
        assert found is not None
        form = "no C q^m form" if found.geometric is None else "C = {:.3g}, q = {:.4g}".format(*found.geometric)
        return f"T = {found.time}, lambda = {found.factor:.4g}, {form}"
