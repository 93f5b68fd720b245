"""How the benchmark measures: CPU seconds of a round without set-up, ours and the bare loop's in turn, and what their
ratio is known to.

The rule: CPU seconds (user and system) of this process and of the children it has waited for, which other work on the
machine disturbs less than wall-clock time. A round is a long run less a short one, over the rounds between them, so
set-up is apart. Ours and bare alternate (A B A B ...), a pair gives one ratio bare / ours, and the result is the median
of the ratios with its 95 % confidence interval from order statistics, which supposes nothing about their distribution.
"""

from __future__ import annotations

import gc
import resource
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import quantile_test

LEAST_PAIRS = 6
"""The fewest pairs whose extremes enclose the median with 95 % confidence: 1 - 2 / 2^6 = 0.97."""


class Ratio(NamedTuple):
    """bare / ours: median, and the ends of its 95 % interval (nan where there are too few pairs). ours, bare: medians
    of the seconds themselves."""

    median: float
    low: float
    high: float
    ours: float
    bare: float
    pairs: int


def cpu_seconds() -> float:
    """User and system time of this process and of the children it has waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def spent(work: Callable[[int], Any], rounds: int, clock: Callable[[], float] = cpu_seconds) -> float:
    """Seconds of one run of so many rounds, not charged with the garbage of the run before it."""
    gc.collect()
    begin = clock()
    work(rounds)
    return clock() - begin


def per_round(
    work: Callable[[int], Any], short: int, long: int | None, clock: Callable[[], float] = cpu_seconds
) -> float:
    """Seconds of one round without set-up; with long None, of one round of a whole run."""
    if long is None:
        return spent(work, short, clock) / short
    less = spent(work, short, clock)
    return (spent(work, long, clock) - less) / (long - short)


def in_turn(
    ours: Callable[[int], Any],
    bare: Callable[[int], Any],
    short: int,
    long: int | None,
    pairs: int,
    clock: Callable[[], float] = cpu_seconds,
) -> Ratio:
    """The ratio of two works, after a warm-up of both."""
    ours(short)
    bare(short)
    return ratio((per_round(ours, short, long, clock), per_round(bare, short, long, clock)) for _ in range(pairs))


def ratio(seconds: Iterable[tuple[float, float]]) -> Ratio:
    """The ratio that pairs of (ours, bare) give."""
    pairs = np.array(list(seconds))
    ratios = pairs[:, 1] / pairs[:, 0]
    low, high = interval(ratios.tolist())
    ours, bare = np.median(pairs, axis=0).tolist()
    return Ratio(float(np.median(ratios)), low, high, ours, bare, len(ratios))


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % confidence interval of the median of independent values; (nan, nan) below LEAST_PAIRS."""
    if len(values) < LEAST_PAIRS:
        return float("nan"), float("nan")
    ends: Any = quantile_test(np.asarray(values), p=0.5).confidence_interval(confidence_level=0.95)
    return float(ends.low), float(ends.high)
