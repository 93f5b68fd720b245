"""Lemma A with late messages, over the augmented matrix."""

from __future__ import annotations

from theory import assumptions
from theory.connectivity import positivity_bound
from theory.contraction import Contraction
from theory.lengths import largest_entries, lengths, rounding
from theory.setting import Setting
from theory.theorem import Curve, Hypothesis, Theorem


class DelayedKernel(Theorem):
    """For real rows i and all columns j of the augmented product, |[A_{k:s}]_ij / w_i^k - 1/n| <=
    lambda^{floor((k-s)/T')} / delta, where lambda = 1 - n eta, eta is the smallest entry in real rows of any product
    of T' rounds, and T' is the closed form in tau, B, hops.

    Columns of the augmented matrix sum to 1 and the weights of real nodes stay positive; the oscillation of real rows
    shrinks as without delays.
    """

    name = "kernel contraction, late messages"
    kind = "pathwise"
    provenance = "derived"
    source = "Lemma A over augmented states; Assran et al. 2019, consensus lemma (recalled)"

    def hypotheses(self, setting: Setting) -> list[Hypothesis]:
        return [*assumptions.matrices(setting), assumptions.late(setting)]

    def predicted(self, setting: Setting, evidence: None) -> Curve:
        return Curve.of("rounds", lengths(setting), _constants(setting).bound(lengths(setting)))

    def measured(self, setting: Setting, evidence: None) -> Curve:
        return Curve.of("rounds", lengths(setting), largest_entries(setting), rounding(setting))

    def trivial(self, setting: Setting, evidence: None) -> float:
        return 1.0 / setting.mixing.least_weight

    def remarks(self, setting: Setting, evidence: None) -> str:
        found = _constants(setting)
        return f"T' = {found.time}, eta = {found.least:.3g}, lambda = {found.factor:.4g}, delta = {found.weight:.3g}"


def _constants(setting: Setting) -> Contraction:
    assert setting.windows is not None
    time = positivity_bound(setting.windows, setting.nodes, setting.delay)
    *_, found = setting.mixing.products(time)
    return Contraction(time, float(found[:, : setting.nodes].min()), setting.mixing.least_weight, setting.nodes)
