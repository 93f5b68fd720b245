"""I3: the average is the mean of the nodes' points weighted by their push-sum weights, not their plain mean."""

from __future__ import annotations

import numpy as np

from theory import assumptions
from theory.evidence import Path
from theory.setting import Setting
from theory.theorem import Curve, Hypothesis, Theorem


class WeightedMean(Theorem):
    """(1/n)(sum_i w_i^k z_i^k + messages under way) = xbar^k, the weights w^k = A_{k:0} 1 taken from the matrices and
    z from the run."""

    name = "I3 weighted mean"
    kind = "pathwise"
    provenance = "derived"
    source = "z = x / w"
    relation = "="

    def hypotheses(self, setting: Setting) -> list[Hypothesis]:
        signs = assumptions.nonnegative(setting)
        return [signs, assumptions.column_sums(setting), assumptions.self_loops(setting), assumptions.known_rounds(setting)]

    def predicted(self, setting: Setting, evidence: Path) -> Curve:
        return Curve.of("step", np.arange(evidence.steps + 1), evidence.average)

    def measured(self, setting: Setting, evidence: Path) -> Curve:
        weights = setting.mixing.weights[: evidence.steps + 1, :, None, None]
        found = ((weights * evidence.ratios).sum(axis=1) + evidence.flight_values) / setting.nodes
        terms = (np.abs(evidence.values).sum(axis=1) + np.abs(evidence.flight_values)) / setting.nodes
        steps = np.arange(evidence.steps + 1)
        return Curve.of("step", steps, found, (4 * steps[:, None, None] + 2 * setting.nodes + 16) * terms)
