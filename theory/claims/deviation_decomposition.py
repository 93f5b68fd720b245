"""I4: every node's distance from the average is a sum of kernels times starts and moves."""

from __future__ import annotations

import numpy as np

from theory import assumptions
from theory.evidence import Path
from theory.setting import Setting
from theory.theorem import Curve, Hypothesis, Theorem


class DeviationDecomposition(Theorem):
    """Z^k - 1 xbar^k = E_{k:0} X^0 + sum_{s<k} E_{k:s} M^s, with E_{k:s} = diag(w^k)^{-1} A_{k:s} - (1/n) 1 1' and M^s the
    moves, -gamma G^s for plain SGD.

    With delays the columns of E are those of real nodes: only these start with mass and take steps. The sum is formed by
    Horner's scheme, Y^{k+1} = P^k (Y^k + M^k), as A_{k+1:s} = P^k A_{k:s}.
    """

    name = "I4 deviation"
    kind = "pathwise"
    provenance = "derived"
    source = "unrolled X^{k+1} = P^k (X^k + M^k)"
    relation = "="

    def hypotheses(self, setting: Setting) -> list[Hypothesis]:
        signs = assumptions.nonnegative(setting)
        return [signs, assumptions.column_sums(setting), assumptions.self_loops(setting), assumptions.mixed_moves(setting)]

    def predicted(self, setting: Setting, evidence: Path) -> Curve:
        chain, nodes = setting.mixing, setting.nodes
        found = np.empty_like(evidence.values)
        total = np.zeros((chain.states, *evidence.values.shape[2:]))
        total[:nodes] = evidence.values[0]
        for step in range(evidence.steps + 1):
            mean = total.sum(axis=0) / nodes
            found[step] = total[:nodes] / chain.weights[step][:, None, None] - mean
            if step < evidence.steps:
                total[:nodes] += evidence.moves[step]
                total = np.tensordot(chain.round(step), total, 1)
        return Curve.of("step", np.arange(evidence.steps + 1), found)

    def measured(self, setting: Setting, evidence: Path) -> Curve:
        pushed = np.abs(evidence.moves).sum(axis=1)
        terms = np.abs(evidence.values[0]).sum(axis=0) + np.concatenate((np.zeros_like(pushed[:1]), np.cumsum(pushed, axis=0)))
        steps = np.arange(evidence.steps + 1)
        counted = (4 * steps + 2 * setting.nodes + 16) / setting.mixing.least_weight
        return Curve.of("step", steps, evidence.deviations, (counted[:, None, None] * terms)[:, None])
