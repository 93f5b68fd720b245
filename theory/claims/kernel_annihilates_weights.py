"""I6: the kernel annihilates the weights, so equal starts contribute nothing."""

from __future__ import annotations

import numpy as np

from theory import assumptions
from theory.pairs import names, pairs, rounding
from theory.setting import Setting
from theory.theorem import Curve, Hypothesis, Theorem


class KernelAnnihilatesWeights(Theorem):
    """E_{k:s} w^s = 0 for all s <= k; with s = 0, E_{k:0} 1 = 0: nodes that start at one point start without deviation.

    diag(w^k)^{-1} A_{k:s} w^s = 1 and (1/n) 1 1' w^s = 1.
    """

    name = "I6 kernel annihilates weights"
    kind = "pathwise"
    provenance = "derived"
    source = "w^k = A_{k:s} w^s and sum_l w_l^s = n"
    relation = "="

    def hypotheses(self, setting: Setting) -> list[Hypothesis]:
        return [assumptions.nonnegative(setting), assumptions.column_sums(setting), assumptions.self_loops(setting)]

    def predicted(self, setting: Setting, evidence: None) -> Curve:
        count = sum(1 for _ in pairs(setting.chain))
        return Curve.of("k, s", names(setting.chain), np.zeros((count, setting.nodes)))

    def measured(self, setting: Setting, evidence: None) -> Curve:
        chain = setting.chain
        found = [chain.kernel(start, stop) @ chain.weights[start] for start, stop, _ in pairs(chain)]
        return Curve.of("k, s", names(chain), np.stack(found), rounding(chain) * setting.nodes)
