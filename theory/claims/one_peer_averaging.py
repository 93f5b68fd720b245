"""One-peer exponential graphs average exactly, for powers of two."""

from __future__ import annotations

import numpy as np

from theory.setting import Setting
from theory.spectrum import levels, one_peer_exponential
from theory.theorem import Curve, Hypothesis, Theorem


class OnePeerAveraging(Theorem):
    """If n = 2^p, the product of any p consecutive rounds of the one-peer directed exponential graph is (1/n) 1 1'.

    The rounds are circulant, so they commute; (1/2)(1 + S)(1/2)(1 + S^2)...(1/2)(1 + S^{n/2}) = (1/n) sum_j S^j for
    the cyclic shift S.
    """

    name = "one-peer exact averaging"
    kind = "pathwise"
    provenance = "recalled"
    source = "Ying et al. 2021, one-peer exponential graphs (recalled); the factorization proves it"
    relation = "="

    def hypotheses(self, setting: Setting) -> list[Hypothesis]:
        nodes = setting.nodes
        power = Hypothesis("n is a power of two", "holds" if nodes & (nodes - 1) == 0 and nodes > 1 else "fails", f"n = {nodes}")
        return [one_peer_exponential(setting), power]

    def predicted(self, setting: Setting, evidence: None) -> Curve:
        count = levels(setting.nodes)
        return Curve.of("start", np.arange(count), np.full((count, setting.nodes, setting.nodes), 1.0 / setting.nodes))

    def measured(self, setting: Setting, evidence: None) -> Curve:
        count = levels(setting.nodes)
        found = np.stack([setting.chain.product(start, start + count) for start in range(count)])
        return Curve.of("start", np.arange(count), found, np.array(4.0 * count))
