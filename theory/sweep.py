"""Sweep: one figure of many runs along one axis, which is what claims about rates are asked about.

The rule: every point of the axis was run with the same seeds in the same order, so whole seeds can be resampled
across all points together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from theory import assumptions
from theory.setting import Setting
from theory.theorem import Hypothesis


@dataclass(frozen=True, eq=False)
class Sweep:
    """over: the axis (K or n). at: its points. values: (points, seeds), or (points,) if exact: (1/K) sum_k |grad
    f(xbar^k)|^2 of each run."""

    over: str
    at: NDArray[np.int64]
    values: NDArray[np.float64]


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
        Hypothesis("gamma = sqrt(n/K) at every point of the sweep", "holds", "the cases set it so"),
    ]
