"""I7: seen from the ratios z, a push-sum round averages with a row-stochastic matrix, and w/n is its absolute
probability sequence."""

from __future__ import annotations

import numpy as np

from theory import assumptions
from theory.pairs import rounding
from theory.setting import Setting
from theory.theorem import Curve, Hypothesis, Theorem


class AbsoluteProbabilities(Theorem):
    """R_k = diag(w^{k+1})^{-1} P^k diag(w^k) has rows that sum to 1, and (w^{k+1}/n)' R_k = (w^k/n)'.

    Without gradients z^{k+1} = R_k z^k, so max_i z_i never rises and min_i z_i never falls.
    """

    name = "I7 absolute probabilities"
    kind = "pathwise"
    provenance = "derived"
    source = "idea: Lin and Liu, arXiv 2304.09443, abstract"
    relation = "="

    def hypotheses(self, setting: Setting) -> list[Hypothesis]:
        return [assumptions.nonnegative(setting), assumptions.column_sums(setting), assumptions.self_loops(setting)]

    def predicted(self, setting: Setting, evidence: None) -> Curve:
        weights = setting.chain.weights[:-1] / setting.nodes
        return Curve.of("step", np.arange(len(weights)), np.stack((np.ones_like(weights), weights), axis=1))

    def measured(self, setting: Setting, evidence: None) -> Curve:
        chain, nodes = setting.chain, setting.nodes
        found: list[np.ndarray] = []
        for step in range(chain.horizon):
            averaging = chain.round(step) * chain.weights[step] / chain.weights[step + 1][:, None]
            found.append(np.stack((averaging.sum(axis=1), chain.weights[step + 1] / nodes @ averaging)))
        return Curve.of("step", np.arange(len(found)), np.stack(found), rounding(chain))
