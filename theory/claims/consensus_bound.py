"""The consensus bound: every node's distance from the average, with the sum over all nodes."""

from __future__ import annotations

import numpy as np

from theory import assumptions
from theory.evidence import Path
from theory.setting import Setting
from theory.theorem import Curve, Hypothesis, Theorem


class ConsensusBound(Theorem):
    """|z_i^k - xbar^k| <= c_k sum_j |x_j^0| + sum_{s<k} c_{k-s} sum_j |m_j^s|, with c_m = lambda^{floor(m/T)} / delta (at
    most C q^m) and m_j^s the move of node j, -gamma g_j^s for plain SGD.

    I4 with Lemma A. The sum runs over all nodes j: a bound by node i's own start and moves is false
    (theory.controls has the counterexample), and s stops at k - 1. Late messages change T, lambda and delta only.
    """

    name = "consensus bound"
    kind = "pathwise"
    provenance = "derived"
    source = "I4 and Lemma A; corrects the consensus lemma of Assran et al. 2019 as recalled"

    def hypotheses(self, setting: Setting) -> list[Hypothesis]:
        return [*assumptions.matrices(setting), assumptions.mixed_moves(setting)]

    def predicted(self, setting: Setting, evidence: Path) -> Curve:
        assert setting.contraction is not None
        factors = setting.contraction.bound(np.arange(evidence.steps + 1))
        starts = np.linalg.norm(evidence.values[0], axis=-1).sum(axis=0)
        pushes = np.linalg.norm(evidence.moves, axis=-1).sum(axis=1)
        found = factors[:, None] * starts
        for step in range(1, evidence.steps + 1):
            found[step] += factors[step:0:-1] @ pushes[:step]
        return Curve.of("step", np.arange(evidence.steps + 1), found[:, None])

    def measured(self, setting: Setting, evidence: Path) -> Curve:
        found = np.linalg.norm(evidence.deviations, axis=-1)
        return Curve.of("step", np.arange(evidence.steps + 1), found, evidence.deviation_rounding(setting)[:, None])
