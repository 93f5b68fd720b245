"""I5: weights propagate through any product, and the kernel's entries are weighted differences within its rows."""

from __future__ import annotations

import numpy as np

from theory import assumptions
from theory.pairs import names, pairs, rounding
from theory.setting import Setting
from theory.theorem import Curve, Hypothesis, Theorem


class KernelEntries(Theorem):
    """[E_{k:s}]_ij = (1/(n w_i^k)) sum_l w_l^s ([A_{k:s}]_ij - [A_{k:s}]_il), and w_i^k = sum_l [A_{k:s}]_il w_l^s.

    The second makes the first: sum_l w_l^s [A]_ij = n [A]_ij, as the weights sum to n.
    """

    name = "I5 kernel entries"
    kind = "pathwise"
    provenance = "derived"
    source = "w^k = A_{k:s} w^s and sum_l w_l^s = n"
    relation = "="

    def hypotheses(self, setting: Setting) -> list[Hypothesis]:
        return [assumptions.nonnegative(setting), assumptions.column_sums(setting), assumptions.self_loops(setting)]

    def predicted(self, setting: Setting, evidence: None) -> Curve:
        chain, nodes = setting.chain, setting.nodes
        found: list[np.ndarray] = []
        for start, stop, product in pairs(chain):
            weights = chain.weights[start]
            differences = product[:, :, None] - product[:, None, :]  # over i, j, l
            entries = (differences @ weights) / (nodes * chain.weights[stop][:, None])
            found.append(np.column_stack((entries, product @ weights)))
        return Curve.of("k, s", names(chain), np.stack(found))

    def measured(self, setting: Setting, evidence: None) -> Curve:
        chain = setting.chain
        found = [np.column_stack((chain.kernel(start, stop), chain.weights[stop])) for start, stop, _ in pairs(chain)]
        return Curve.of("k, s", names(chain), np.stack(found), rounding(chain))
