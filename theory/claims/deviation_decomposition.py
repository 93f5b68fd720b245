"""I4: every node's distance from the average is a sum of kernels times starts and gradients."""

from __future__ import annotations

import numpy as np

from theory import assumptions
from theory.evidence import Path
from theory.setting import Setting
from theory.theorem import Curve, Hypothesis, Theorem


class DeviationDecomposition(Theorem):
    """Z^k - 1 xbar^k = E_{k:0} X^0 - gamma sum_{s<k} E_{k:s} G^s, with E_{k:s} = diag(w^k)^{-1} A_{k:s} - (1/n) 1 1'.

    With delays the columns of E are those of real nodes: only these start with mass and take gradients.
    """

    name = "I4 deviation"
    kind = "pathwise"
    provenance = "derived"
    source = "unrolled X^{k+1} = P^k (X^k - gamma G^k)"
    relation = "="

    def hypotheses(self, setting: Setting) -> list[Hypothesis]:
        return [assumptions.column_sums(setting), assumptions.self_loops(setting), assumptions.constant_step(setting)]

    def predicted(self, setting: Setting, evidence: Path) -> Curve:
        assert setting.step_size is not None
        chain, nodes = setting.mixing, setting.nodes
        found = np.empty_like(evidence.values)
        for stop in range(evidence.steps + 1):
            product, total = np.eye(chain.states), np.zeros(evidence.values.shape[1:])
            for start in range(stop, -1, -1):
                kernel = product[:nodes, :nodes] / chain.weights[stop][:, None] - 1.0 / nodes
                if start < stop:
                    total -= setting.step_size * np.tensordot(kernel, evidence.gradients[start], 1)
                if start == 0:
                    total += np.tensordot(kernel, evidence.values[0], 1)
                else:
                    product = product @ chain.round(start - 1)
            found[stop] = total
        return Curve.of("step", np.arange(evidence.steps + 1), found)

    def measured(self, setting: Setting, evidence: Path) -> Curve:
        assert setting.step_size is not None
        pushed = setting.step_size * np.abs(evidence.gradients).sum(axis=1)
        terms = np.abs(evidence.values[0]).sum(axis=0) + np.concatenate((np.zeros_like(pushed[:1]), np.cumsum(pushed, axis=0)))
        steps = np.arange(evidence.steps + 1)
        counted = (4 * steps + 2 * setting.nodes + 16) / setting.mixing.least_weight
        return Curve.of("step", steps, evidence.deviations, (counted[:, None, None] * terms)[:, None])
