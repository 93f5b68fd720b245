"""Push-sum preserves constants: where all nodes start equal and nothing moves them, they stay."""

from __future__ import annotations

import numpy as np

from theory import assumptions
from theory.evidence import Path
from theory.setting import Setting
from theory.theorem import Curve, Hypothesis, Theorem


class ConstantsPreserved(Theorem):
    """If all nodes start at one point c and no step is taken, every gradient is taken at c, late messages or not.

    x_i^k = w_i^k c, as both are moved by the same matrices, so x / w = c. A method that takes gradients at x while mass
    is under way sees a shrunken point instead: (2/3) c in the long run, one peer and tau = 1.
    """

    name = "constants preserved"
    kind = "pathwise"
    provenance = "derived"
    source = "linearity of push-sum; I6"
    relation = "="

    def hypotheses(self, setting: Setting) -> list[Hypothesis]:
        spread = setting.start_spread
        evidence = "unknown" if spread is None else "compared point by point"
        status = "unknown" if spread is None else "holds" if spread == 0.0 else "fails"
        return [
            assumptions.column_sums(setting),
            assumptions.self_loops(setting),
            Hypothesis("all nodes start at one point", status, evidence),
            assumptions.known_rounds(setting),
        ]

    def missing(self, setting: Setting, evidence: Path) -> str:
        return "" if evidence.points is not None else "the points at which gradients were taken are not known"

    def predicted(self, setting: Setting, evidence: Path) -> Curve:
        assert setting.start is not None and evidence.points is not None
        start = setting.start[None, :, None]
        return Curve.of("step", np.arange(evidence.steps), np.broadcast_to(start, evidence.points.shape))

    def measured(self, setting: Setting, evidence: Path) -> Curve:
        assert setting.start is not None and evidence.points is not None
        steps = np.arange(evidence.steps)
        counted = (4 * steps + 2 * setting.nodes + 16) / setting.mixing.least_weight
        return Curve.of("step", steps, evidence.points, counted * float(np.abs(setting.start).max()))
