"""Rounding: by how much rounding alone may tell the two sides of a claim about expectations apart.

The rule: a side is a function of the figures of moments, so what rounding does to it follows from what it does to each
figure, and to a figure from how far it may have moved a point. With u the distance by which rounding may move a point
(`Moments.reach` times the machine epsilon of the run's type, plus underflow), L the smoothness:

- one step's u where a claim compares a step with the next, k + 1 of them after k steps where it rests on the whole run;
- variances of exact moments are carried along as numbers and are off by epsilon times their size, whatever they cancel to;
- f moves by |grad f| u + L u^2 / 2, a squared length |v|^2 by 2 |v| e + e^2 with e = L u for gradients, 2u for z - xbar.

A comparison of numbers of size 1 is thus granted about 1e-14 in float64, and one of 1e-32 with one of 1e-33, where points
are of size 1, is a tie.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from theory.evidence import Moments
from theory.setting import Setting
from theory.theorem import Curve, Theorem

UNDERFLOWS = 64
"""Roundings of one step below the smallest normal number, each of one smallest subnormal."""


@np.errstate(over="ignore", invalid="ignore")  # a run that has diverged: the verdict says so
def allowed(theorem: Theorem, setting: Setting, evidence: Moments) -> NDArray[np.float64] | float:
    """How much the left side may exceed the right by rounding alone: both sides' change if every figure moves by what
    rounding may move it, added up."""
    if evidence.reach is None:
        return 0.0
    sides: list[Callable[[Setting, Moments], Curve]] = [theorem.measured, theorem.predicted]
    total = np.zeros_like(theorem.measured(setting, evidence).values)
    for side in sides:
        plain = side(setting, evidence).values
        for name, moved in _moved(theorem, setting, evidence).items():
            shifted = side(setting, replace(evidence, **{name: getattr(evidence, name) + moved})).values
            total = total + lined(np.abs(shifted - plain), total)
    return total


def lined(side: NDArray[np.float64], like: NDArray[np.float64]) -> NDArray[np.float64]:
    """`side` with axes added at the end, so that its points meet the points of `like`."""
    return side.reshape(side.shape + (1,) * (like.ndim - side.ndim)) if 0 < side.ndim < like.ndim else side


def _moved(theorem: Theorem, setting: Setting, evidence: Moments) -> dict[str, NDArray[np.float64]]:
    """What rounding may do to each figure."""
    assert evidence.reach is not None
    one = setting.epsilon * evidence.reach + UNDERFLOWS * float(np.finfo(setting.dtype).smallest_subnormal)
    steps = np.arange(1, len(one) + 1).reshape(-1, *(1,) * (one.ndim - 1))
    moved = one * (1 if theorem.span == "step" else steps)
    smoothness = setting.constants.smoothness.value or 0.0
    slope = np.sqrt(evidence.squared_gradient)
    slope = np.concatenate((slope, slope[-1:]))
    found = {"loss": slope * moved + smoothness * moved**2 / 2}
    here = moved[:-1]
    for name in ("squared_gradient", "mean_gradient", "drawn", "at_nodes"):
        found[name] = _of_square(getattr(evidence, name), smoothness * here)
    if evidence.noise is not None:
        found["noise"] = _of_square(evidence.noise, smoothness * here)
    found["deviation"] = _of_square(evidence.deviation, 2 * here)
    if evidence.distance is not None:
        found["distance"] = _of_square(evidence.distance, moved)
    if evidence.covariance_rounding is not None:
        lost = evidence.covariance_rounding * (1 if theorem.span == "step" else steps)
        for name in found:  # how far a figure stretches a variance of points: L/2, L^2, |I - 1 1'/n|^2 <= 1, 1
            scale = {"loss": smoothness / 2, "deviation": 1.0, "distance": 1.0}.get(name, smoothness**2)
            found[name] = found[name] + scale * lost[: len(found[name])]
    return found


def _of_square(square: NDArray[np.float64], moved: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far |v|^2 moves where v moves by `moved`."""
    return 2 * np.sqrt(square) * moved + moved**2
