"""Rules: what each kind of claim takes as evidence, as functions from its two sides to a finding.

The rule: a rule sees two curves and the precision of the run, nothing of how they came about. Seeds, where there are
any, are the last axis of the measured curve. Tests are stated so that a small p-value earns `if_rejected`, and
anything else `otherwise`; which of both applies is decided with the whole table in view.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theory import statistics
from theory.evidence import Moments
from theory.rounding import allowed, lined
from theory.setting import Setting
from theory.theorem import Curve, Theorem

LEVEL = 0.01
"""Family-wise error of a table's tests."""
SLOPE_TOLERANCE = 0.05
"""How far a fitted exponent may be from the claimed one."""
MARGIN = 0.01
"""How precisely, relative to its value, a claimed mean must be known before it counts as confirmed."""
EXACT = 1e-9
"""Relative error granted to moments that were computed, not sampled."""


@dataclass(frozen=True)
class Finding:
    """slack: measured / bound. sentence: what was compared. if_rejected: the outcome if p_value is small enough (or
    None: no test), otherwise: if not."""

    slack: float
    sentence: str
    if_rejected: str
    otherwise: str = "UNDECIDED"
    p_value: float | None = None


def pathwise(theorem: Theorem, setting: Setting, measured: Curve, predicted: Curve, evidence: Any) -> Finding:
    """Every point of every run, up to epsilon times the rounding that both curves state, and to underflow."""
    left, right = np.broadcast_arrays(measured.values, predicted.values)
    granted = setting.epsilon * np.broadcast_to(lined(measured.rounding, left) + lined(predicted.rounding, left), left.shape)
    granted = granted + _underflow(setting)
    if not (np.isfinite(left).all() and np.isfinite(right).all()):
        return Finding(np.inf, "numbers left the floating-point range", "VIOLATED")
    if theorem.relation == "=":
        excess = np.abs(left - right)
        slack = float(np.max(_ratio(excess, granted), initial=0.0))
        where = _worst(measured, _ratio(excess, granted))
        return Finding(slack, f"largest defect {slack:.3g} of the rounding allowed{where}", "HOLDS" if slack <= 1 else "VIOLATED")
    ratio = _ratio(np.where(left <= granted, 0.0, left), right)
    broken = bool((left > right + granted).any())
    slack = float(np.max(ratio, initial=0.0))
    return Finding(slack, f"largest measured / bound {slack:.4g}{_worst(measured, ratio)}", "VIOLATED" if broken else "HOLDS")


def expectation(theorem: Theorem, setting: Setting, measured: Curve, predicted: Curve, evidence: Any) -> Finding:
    """Exact moments (no axis of seeds): a comparison. Else Student limits of the per-run differences, as a band along
    the axis. What rounding alone may do is granted in both (theory.rounding)."""
    bound = lined(predicted.values, measured.values)
    granted = setting.epsilon * (measured.rounding + predicted.rounding)
    if isinstance(evidence, Moments):
        granted = granted + allowed(theorem, setting, evidence)
    if not np.isfinite(bound).all():
        return Finding(np.nan, "the bound left the floating-point range with the run", "UNDECIDED")
    if not np.isfinite(measured.values).all():
        return Finding(np.inf, "numbers left the floating-point range", "VIOLATED")
    if measured.values.ndim == 1 and bound.ndim == 1:
        scale = EXACT * np.maximum(np.abs(measured.values), np.abs(bound)) + granted
        broken = bool((measured.values > bound + scale).any())
        slack = float(np.max(_ratio(np.where(measured.values <= scale, 0.0, measured.values), bound), initial=0.0))
        return Finding(slack, f"exact moments, measured / bound {slack:.4g}", "VIOLATED" if broken else "HOLDS")
    differences = measured.values - bound - granted
    points, runs = differences.shape
    means = measured.values.mean(axis=1), np.broadcast_to(bound, differences.shape).mean(axis=1)
    slack = float(np.max(_ratio(*means)))
    if runs == 1:
        figures = f"one seed of a run with noise; exact moments, or at least {statistics.LEAST_SEEDS} independent seeds, decide"
        return Finding(slack, figures, "UNDECIDED")
    if runs < statistics.LEAST_SEEDS:
        return Finding(slack, f"{runs} seeds; at least {statistics.LEAST_SEEDS} independent ones decide", "UNDECIDED")
    tail = statistics.tails(differences)
    holds, violated = min(1.0, points * float(tail.below.max())), min(1.0, points * float(tail.above.min()))
    p_value = min(1.0, 2 * min(holds, violated))
    figures = f"{runs} seeds, {points} point{'s' if points > 1 else ''}, measured / bound {slack:.4g}, p = {p_value:.2g}"
    return Finding(slack, figures, "HOLDS" if holds <= violated else "VIOLATED", "UNDECIDED", p_value)


def asymptotic(theorem: Theorem, setting: Setting, measured: Curve, predicted: Curve, evidence: Any) -> Finding:
    """The slope of log measured over log axis against that of the predicted curve."""
    if len(set(measured.at.tolist())) < 2:
        return Finding(np.nan, f"an exponent needs at least two different values of {measured.over}", "UNDECIDED")
    rate = float(statistics.fitted_slope(predicted.at, predicted.values.reshape(len(predicted.at))))
    runs = measured.values.shape[-1] if measured.values.ndim > 1 else 1
    if measured.values.ndim > 1 and runs < statistics.LEAST_SEEDS:
        figures = f"{runs} seed{'s' if runs > 1 else ''}; at least {statistics.LEAST_SEEDS} independent ones decide"
        return Finding(np.nan, figures, "UNDECIDED")
    if not (measured.values > 0).all():  # no logarithm: the figure has vanished, or left the floating-point range
        return Finding(np.nan, "a figure is 0 or no number, so no exponent can be fitted", "UNDECIDED")
    fit = statistics.bootstrap_slope(measured.at, measured.values, LEVEL)
    figures = f"slope {fit.slope:.3f} in [{fit.lower:.3f}, {fit.upper:.3f}] against {rate:.3g} over {measured.over}"
    slack = fit.slope / rate
    below_top, above_top = statistics.slope_tail(fit, rate + SLOPE_TOLERANCE, runs)
    if theorem.relation == "<=":
        good, bad = below_top, above_top
    else:
        below_floor, above_floor = statistics.slope_tail(fit, rate - SLOPE_TOLERANCE, runs)
        good, bad = max(below_top, above_floor), min(1.0, 2 * min(above_top, below_floor))
    word = "CONSISTENT" if good <= bad else "INCONSISTENT"
    return Finding(slack, figures, word, "UNDECIDED", min(1.0, 2 * min(good, bad)))


def distribution(theorem: Theorem, setting: Setting, measured: Curve, predicted: Curve, evidence: Any) -> Finding:
    """The claimed mean (Student, seeds last) and, where the claim gives one, the law of single durations
    (Kolmogorov-Smirnov)."""
    runs = measured.values.shape[-1]
    if runs < statistics.LEAST_SEEDS:
        return Finding(np.nan, f"{runs} replicates; at least {statistics.LEAST_SEEDS} independent ones decide", "UNDECIDED")
    p_value = statistics.mean_test(measured.values, predicted.values)
    law = theorem.law(setting)
    figures = f"p = {p_value:.2g} for the mean"
    if law is not None:
        fit = statistics.goodness_of_fit(measured.values, law)
        figures += f", {fit:.2g} for the law"
        p_value = min(1.0, 2 * min(p_value, fit))
    limits = statistics.confidence_limits(measured.values, LEVEL)
    slack = float(np.max(limits.mean / predicted.values))
    precision = float(np.max((limits.upper - limits.lower) / 2 / predicted.values))
    figures = f"mean {float(limits.mean[0]):.5g} against {float(predicted.values[0]):.5g}, known to {precision:.2%}; {figures}"
    return Finding(slack, figures, "VIOLATED", "HOLDS" if precision <= MARGIN else "UNDECIDED", p_value)


RULES: dict[str, Callable[[Theorem, Setting, Curve, Curve, Any], Finding]] = {
    rule.__name__: rule for rule in (pathwise, expectation, asymptotic, distribution)
}


def _underflow(setting: Setting) -> float:
    """What may be lost below the smallest normal number of the run's type: a smallest subnormal for every share that was
    added, over the smallest weight."""
    least = setting.mixing.least_weight
    added = (4 * setting.steps + 2 * setting.nodes + 16) * setting.nodes
    return float(np.finfo(setting.dtype).smallest_subnormal) * added / least if least > 0 else 0.0


def _ratio(measured: NDArray[np.float64], bound: NDArray[np.float64]) -> NDArray[np.float64]:
    """measured / bound, where 0 / 0 is 0 and anything else over 0 is infinite."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(measured == 0, 0.0, np.divide(measured, bound))


def _worst(curve: Curve, ratio: NDArray[np.float64]) -> str:
    """Where along the axis the ratio is largest, in words."""
    if len(curve.at) < 2 or ratio.size == 0:
        return ""
    point = int(np.unravel_index(int(np.nanargmax(ratio)), ratio.shape)[0])
    return f" at {curve.over} = {curve.at[point]}"
