"""Lemma A with constants known before any product is formed."""

from __future__ import annotations

import numpy as np

from theory import assumptions
from theory.contraction import Contraction, a_priori
from theory.lengths import largest_entries, lengths, rounding
from theory.setting import Setting
from theory.theorem import Curve, Hypothesis, Theorem

SMALLEST = float(np.finfo(np.float64).smallest_normal)
"""Numbers below it have no reciprocal, or one of few digits."""


class KernelAPriori(Theorem):
    """If every nonzero share is at least 1/D, then eta >= D^{-T} and delta >= D^{-T} with T from B, the diameter or n
    alone, and the kernel obeys max_ij |[E_{k:s}]_ij| <= (1 - n D^{-T})^{floor((k-s)/T)} D^T.

    delta: before T rounds a node still has its own shares' product, from then on w_i >= eta sum_j w_j = n eta.
    """

    name = "kernel contraction, a priori"
    kind = "pathwise"
    provenance = "derived"
    source = "Lemma A; lambda = 1 - n D^{-(Delta+1)B} in Assran et al. 2019 (recalled)"

    def hypotheses(self, setting: Setting) -> list[Hypothesis]:
        known = a_priori(setting.chain, setting.delay)
        sentence = "D^T is a number in floating point"
        if known is None:
            return [*assumptions.matrices(setting), Hypothesis(sentence, "unknown", "no window length works", "unknown")]
        holds = "holds" if known.least >= SMALLEST else "fails"
        return [*assumptions.matrices(setting), Hypothesis(sentence, holds, f"D^-T = {known.least:.3g}")]

    def predicted(self, setting: Setting, evidence: None) -> Curve:
        found = _constants(setting)
        bounds = np.append(found.bound(lengths(setting)), [1 / found.least, 1 / found.weight])
        return Curve.of("rounds; then 1/eta, 1/delta", _axis(setting), bounds)

    def measured(self, setting: Setting, evidence: None) -> Curve:
        assert setting.contraction is not None
        own = [1 / setting.contraction.least, 1 / setting.contraction.weight]
        found = np.append(largest_entries(setting), own)
        return Curve.of(
            "rounds; then 1/eta, 1/delta",
            _axis(setting),
            found,
            np.append(rounding(setting), [16 * own[0], 16 * own[1]]),
        )

    def trivial(self, setting: Setting, evidence: None) -> float:
        return 1.0 / setting.mixing.least_weight

    def remarks(self, setting: Setting, evidence: None) -> str:
        found = _constants(setting)
        return f"a priori T = {found.time}, eta and delta at least {found.least:.3g}"


def _constants(setting: Setting) -> Contraction:
    found = a_priori(setting.chain, setting.delay)
    assert found is not None
    return found


def _axis(setting: Setting) -> np.ndarray:
    return np.append(lengths(setting), [-1, -1])
