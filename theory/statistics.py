"""Statistics: what can be concluded from independent runs: confidence limits, Holm's correction,
slopes, goodness of fit.

The rule: the unit is the whole run (one seed). Runs are independent, steps of one run are not, so nothing here ever
treats steps as a sample; whole seeds are resampled. Every function takes plain arrays whose last axis is seeds.
Limits are Student's, exact for normal statistics and conservative enough for time averages of at least LEAST_SEEDS
runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from sgpsim.streams import stream

LEAST_SEEDS = 30
"""Fewer independent runs than this decide nothing about an expectation."""


class Limits(NamedTuple):
    """mean of the runs, and a two-sided confidence interval of the expected value; arrays where the input had several
    points."""

    mean: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]


class Tail(NamedTuple):
    """One-sided p-values per point. below: of `E >= 0` (small: surely below 0). above: of `E <= 0` (small: surely
    above 0)."""

    below: NDArray[np.float64]
    above: NDArray[np.float64]


class Slope(NamedTuple):
    """A fitted exponent. error: its standard error over resampled seeds (0 without seeds). lower, upper: confidence
    interval."""

    slope: float
    error: float
    lower: float
    upper: float


def confidence_limits(samples: NDArray[np.float64], level: float) -> Limits:
    """Mean and 1 - level confidence interval over the last axis: mean +- t_{1 - level/2, r-1} s / sqrt(r) (Student
    1908)."""
    runs = samples.shape[-1]
    mean = samples.mean(axis=-1)
    half = stats.t.ppf(1 - level / 2, runs - 1) * samples.std(axis=-1, ddof=1) / np.sqrt(runs)
    return Limits(mean, mean - half, mean + half)


def tails(samples: NDArray[np.float64]) -> Tail:
    """One-sided Student tests of E <> 0 per point, over the last axis. Samples without spread decide by their sign;
    all 0 counts as below."""
    runs = samples.shape[-1]
    with np.errstate(over="ignore"):  # a spread beyond all numbers decides nothing
        mean, spread = samples.mean(axis=-1), samples.std(axis=-1, ddof=1) / np.sqrt(runs)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(spread > 0, mean / spread, np.where(mean > 0, np.inf, -np.inf))
    return Tail(np.asarray(stats.t.cdf(ratio, runs - 1)), np.asarray(stats.t.sf(ratio, runs - 1)))


def holm(p_values: Sequence[float], level: float) -> list[bool]:
    """Which hypotheses are rejected at a family-wise `level`: Holm's step-down (Holm 1979): the i-th smallest p
    against level / (m - i)."""
    rejected = [False] * len(p_values)
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        if p_values[index] > level / (len(p_values) - rank):
            break
        rejected[index] = True
    return rejected


def fitted_slope(at: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Least-squares slope of log values over log at. values: (points,) or (points, many)."""
    x = np.log(np.asarray(at, dtype=np.float64))
    x = x - x.mean()
    return np.tensordot(x, np.log(values), axes=(0, 0)) / (x @ x)


def bootstrap_slope(at: NDArray[np.float64], values: NDArray[np.float64], level: float, resamples: int = 2000, seed: int = 0) -> Slope:
    """Slope of the mean over seeds, with an interval from resampling whole seeds, the same ones at every point.

    values: (points, seeds), or (points,) where they are exact; then the interval is the slope itself. The interval is
    slope -+ t times the resampled standard error, so that small levels need no more resamples.
    """
    if values.ndim == 1 or values.shape[1] == 1:
        exact = float(fitted_slope(at, values.reshape(len(at))))
        return Slope(exact, 0.0, exact, exact)
    runs = values.shape[1]
    picks = stream(seed, "bootstrap").integers(runs, size=(resamples, runs))
    resampled = fitted_slope(at, values[:, picks].mean(axis=2))
    centre, error = float(fitted_slope(at, values.mean(axis=1))), float(resampled.std(ddof=1))
    half = float(stats.t.ppf(1 - level / 2, runs - 1)) * error
    return Slope(centre, error, centre - half, centre + half)


def slope_tail(slope: Slope, rate: float, runs: int) -> tuple[float, float]:
    """One-sided p-values of `slope >= rate` and of `slope <= rate`; without spread 0 or 1 by the sign."""
    if slope.error == 0.0:
        return (0.0, 1.0) if slope.slope < rate else (1.0, 0.0)
    ratio = (slope.slope - rate) / slope.error
    return float(stats.t.cdf(ratio, runs - 1)), float(stats.t.sf(ratio, runs - 1))


def goodness_of_fit(sample: NDArray[np.float64], law: Callable[[Any], Any]) -> float:
    """p-value of `sample` coming from the continuous `law` (Kolmogorov 1933, Smirnov 1948; two-sided)."""
    return float(stats.kstest(sample.ravel(), law).pvalue)


def mean_test(samples: NDArray[np.float64], expected: NDArray[np.float64]) -> float:
    """p-value of all points' expected values being `expected`: two-sided Student tests over the last axis, Bonferroni
    over points."""
    found = stats.ttest_1samp(samples, expected[..., None], axis=-1).pvalue
    return float(min(1.0, np.size(found) * np.min(found)))
