"""Sweep: one figure of many runs along one axis, which is what claims about rates are asked about.

The rule: every point of the axis was run with the same seeds in the same order, so whole seeds can be resampled
across all points together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from theory import assumptions
from theory.displacement import Displacement
from theory.setting import Setting, SweepPoint
from theory.theorem import Hypothesis


@dataclass(frozen=True, eq=False)
class Sweep:
    """over: the axis (K or n). at: its points. values: (points, seeds), or (points,) if exact: (1/K) sum_k |grad
    f(xbar^k)|^2 of each run. points: n, K and gamma with which each was made, where that is known."""

    over: str
    at: NDArray[np.int64]
    values: NDArray[np.float64]
    points: tuple[SweepPoint, ...] | None = None


def rate_hypotheses(setting: Setting) -> list[Hypothesis]:
    """What the rate 1/sqrt(nK) supposes. For an exponent alone, convexity does instead of a bound of heterogeneity at
    every point: runs stay near the minimizer, where it is finite."""
    unlike, convexity = assumptions.bounded_heterogeneity(setting), setting.constants.convexity
    if unlike.status != "holds" and convexity.value is not None and convexity.value > 0:
        unlike = Hypothesis("zeta^2 finite, or every f_i strongly convex", "holds", f"mu = {convexity.value:.3g}", convexity.evidence)
    return [
        *assumptions.matrices(setting),
        *assumptions.stochastic(setting),
        unlike,
        assumptions.bounded_below(setting),
        assumptions.mixed_moves(setting),
        _steps_at_points(setting),
    ]


def unlike_sweep(evidence: Sweep, over: str) -> str:
    """How `evidence` is no sweep over `over` (K or n) with the other of both fixed, in words; empty where it is, as far as known."""
    if evidence.over != over:
        return f"the sweep is over {evidence.over}, the claim about {over}"
    fixed = "n" if over == "K" else "K"
    held = {point.nodes if over == "K" else point.steps for point in evidence.points or ()}
    return f"{fixed} changes along the sweep ({', '.join(map(str, sorted(held)))})" if len(held) > 1 else ""


def _steps_at_points(setting: Setting) -> Hypothesis:
    sentence = "gamma = sqrt(n/K) at every point of the sweep"
    if setting.points is None:
        return Hypothesis(sentence, "unknown", "the setting does not say at which n, K and gamma the sweep was made")
    for point in setting.points:
        moving = Displacement("no constant step") if point.step_size is None else Displacement.plain(point.step_size, 1)
        asked = assumptions.rate_step(moving, point.nodes, point.steps)
        if asked.status != "holds":
            return Hypothesis(sentence, asked.status, f"n = {point.nodes}, K = {point.steps}: {asked.evidence}")
    return Hypothesis(sentence, "holds", f"at {len(setting.points)} points")
