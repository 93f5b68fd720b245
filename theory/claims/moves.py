"""What nodes add is what their descent makes of their own gradients."""

from __future__ import annotations

import numpy as np

from theory import assumptions
from theory.evidence import Path
from theory.setting import Setting
from theory.theorem import Curve, Hypothesis, Theorem


class Moves(Theorem):
    """m_i^k = -gamma_k g_i^k; with momentum, u_i^k = m u_i^{k-1} + g_i^k and m_i^k = -gamma_k u_i^k (heavy ball) or -gamma_k (m
    u_i^k + g_i^k) (Nesterov). A collective method moves every node by the mean of all gradients instead of its own.

    The definition of the step; buffers never leave their node. A method that steps on z instead of x moves by w_i times
    as much.
    """

    name = "moves"
    kind = "pathwise"
    provenance = "derived"
    source = "Assran et al. 2019, Algorithm 1, line 3, and their local Nesterov momentum (recalled)"
    relation = "="

    def hypotheses(self, setting: Setting) -> list[Hypothesis]:
        sentence, moving = "moves are those of SGD or momentum, step sizes known", setting.moving
        if moving is None:
            return [Hypothesis(sentence, "unknown", "no step size was given"), assumptions.known_rounds(setting)]
        status = "fails" if moving.momentum is None else "holds" if len(moving.sizes) == setting.steps else "unknown"
        return [Hypothesis(sentence, status, f"descent: {moving}"), assumptions.known_rounds(setting)]

    def predicted(self, setting: Setting, evidence: Path) -> Curve:
        moving = setting.moving
        assert moving is not None
        moves, roundings = moving.moves(evidence.gradients), moving.rounding(evidence.gradients)
        if setting.method == "collective":
            spread = np.ones_like(moves)
            moves = moves.mean(axis=1, keepdims=True) * spread
            roundings = (setting.nodes + 2) * roundings.mean(axis=1, keepdims=True) * spread
        return Curve.of("step", np.arange(evidence.steps), moves, roundings)

    def measured(self, setting: Setting, evidence: Path) -> Curve:
        return Curve.of("step", np.arange(evidence.steps), evidence.moves)
