"""I8: kernels compose, which is why norms over long products are bounded by those over short ones."""

from __future__ import annotations

import numpy as np

from theory import assumptions
from theory.pairs import names, pairs, rounding
from theory.setting import Setting
from theory.theorem import Curve, Hypothesis, Theorem


class KernelComposition(Theorem):
    """E_{k:s} = E_{k:r} A_{r:s} = E_{k:r} diag(w^r) E_{r:s} for all s <= r <= k; looked at with r half-way.

    The first as columns of A_{r:s} sum to 1; the second adds E_{k:r} w^r = 0 (I6).
    """

    name = "I8 kernel composition"
    kind = "pathwise"
    provenance = "derived"
    source = "column sums and I6"
    relation = "="

    def hypotheses(self, setting: Setting) -> list[Hypothesis]:
        return [assumptions.nonnegative(setting), assumptions.column_sums(setting), assumptions.self_loops(setting)]

    def predicted(self, setting: Setting, evidence: None) -> Curve:
        chain = setting.chain
        found: list[np.ndarray] = []
        for start, stop, _ in pairs(chain):
            middle = (start + stop) // 2
            outer = chain.kernel(middle, stop)
            found.append(np.stack((outer @ chain.product(start, middle), outer * chain.weights[middle] @ chain.kernel(start, middle))))
        return Curve.of("k, s", names(chain), np.stack(found))

    def measured(self, setting: Setting, evidence: None) -> Curve:
        chain = setting.chain
        found = [np.stack((chain.kernel(start, stop),) * 2) for start, stop, _ in pairs(chain)]
        return Curve.of("k, s", names(chain), np.stack(found), rounding(chain) * setting.nodes)
