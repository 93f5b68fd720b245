"""The consensus bound in the Frobenius norm, with the norms of the products themselves."""

from __future__ import annotations

import numpy as np

from theory import assumptions
from theory.evidence import Path
from theory.setting import Setting
from theory.theorem import Curve, Hypothesis, Theorem


class ConsensusProfile(Theorem):
    """|Z^k - 1 xbar^k|_F <= eps_k |X^0|_F + sum_{s<k} eps_{k-s} |M^s|_F, with eps_m = sup_s |E_{s+m:s}|_2 and M^s the moves,
    -gamma G^s for plain SGD; equal starts contribute nothing.

    I4 with the triangle inequality. Much tighter than the form with T, lambda and delta.
    """

    name = "consensus bound, profile"
    kind = "pathwise"
    provenance = "derived"
    source = "I4 and the contraction profile"

    def hypotheses(self, setting: Setting) -> list[Hypothesis]:
        return [*assumptions.matrices(setting), assumptions.mixed_moves(setting)]

    def predicted(self, setting: Setting, evidence: Path) -> Curve:
        norms = np.zeros(evidence.steps + 1)
        known = setting.profile.norms[: evidence.steps + 1]
        norms[: len(known)] = known  # the profile stops where products have become exact
        start = evidence.values[0]
        starts = np.linalg.norm(start, axis=(0, 2)) * (0.0 if (start == start[:1]).all() else 1.0)
        pushes = np.linalg.norm(evidence.moves, axis=(1, 3))
        found = norms[:, None] * starts
        for step in range(1, evidence.steps + 1):
            found[step] += norms[step:0:-1] @ pushes[:step]
        return Curve.of("step", np.arange(evidence.steps + 1), found)

    def measured(self, setting: Setting, evidence: Path) -> Curve:
        found = np.linalg.norm(evidence.deviations, axis=(1, 3))
        return Curve.of("step", np.arange(evidence.steps + 1), found, evidence.deviation_rounding(setting) * np.sqrt(setting.nodes))
