"""Statistics against distributions whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from sgpsim.streams import stream
from theory import statistics


def test_student_limits_are_those_of_the_textbook() -> None:
    samples = np.array([[4.0, 6.0, 5.0, 7.0, 3.0]])
    found = statistics.confidence_limits(samples, 0.05)
    low, high = stats.t.interval(0.95, 4, loc=5.0, scale=stats.sem(samples[0]))
    assert found.mean == pytest.approx(5.0)
    assert (found.lower[0], found.upper[0]) == pytest.approx((low, high))


def test_limits_miss_a_true_mean_as_often_as_they_say() -> None:
    samples = stream(1, "limits").standard_normal((4000, 30))
    found = statistics.confidence_limits(samples, 0.1)
    missed = np.mean((found.lower > 0) | (found.upper < 0))
    assert missed == pytest.approx(0.1, abs=4 * np.sqrt(0.09 / 4000))


def test_tails_decide_by_sign_where_nothing_varies() -> None:
    found = statistics.tails(np.array([[1.0, 1.0, 1.0], [-1.0, -1.0, -1.0], [0.0, 0.0, 0.0]]))
    assert found.below.tolist() == [1.0, 0.0, 0.0]
    assert found.above.tolist() == [0.0, 1.0, 1.0]


def test_tails_are_one_sided_student_tests() -> None:
    samples = stream(3, "tails").standard_normal((1, 40)) - 0.3
    expected = stats.ttest_1samp(samples[0], 0.0, alternative="less").pvalue
    assert statistics.tails(samples).below[0] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("p_values", "rejected"),
    [
        ((0.01, 0.04, 0.03, 0.005), (True, False, False, True)),  # 0.005 <= .05/4, 0.01 <= .05/3, 0.03 > .05/2
        ((0.04, 0.04), (False, False)),
        ((0.02, 0.04), (True, True)),
        ((), ()),
    ],
)
def test_holm_steps_down(p_values: tuple[float, ...], rejected: tuple[bool, ...]) -> None:
    assert tuple(statistics.holm(p_values, 0.05)) == rejected


def test_holm_keeps_the_family_wise_error() -> None:
    tables = stream(4, "holm").uniform(size=(4000, 50))
    wrong = np.mean([any(statistics.holm(row.tolist(), 0.05)) for row in tables])
    assert wrong <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / 4000)


def test_a_power_law_has_its_exponent() -> None:
    at = np.array([1.0, 10.0, 100.0])
    assert statistics.fitted_slope(at, 7.0 * at**-0.5) == pytest.approx(-0.5)
    exact = statistics.bootstrap_slope(at, 7.0 * at**-0.5, 0.01)
    assert exact == pytest.approx((-0.5, 0.0, -0.5, -0.5))


def test_resampled_slopes_cover_the_truth() -> None:
    generator = stream(5, "slopes")
    at, covered = np.array([100.0, 200.0, 400.0, 800.0]), 0
    for number in range(150):
        runs = generator.gamma(20.0, 1 / 20.0, size=(4, 40)) * at[:, None] ** -0.5
        found = statistics.bootstrap_slope(at, runs, 0.05, resamples=300, seed=number)
        covered += found.lower <= -0.5 <= found.upper
    assert covered / 150 >= 0.95 - 4 * np.sqrt(0.05 * 0.95 / 150)


def test_whole_seeds_are_resampled() -> None:
    """A factor that is common to all points of a seed says nothing about the slope; treating points as independent would widen it."""
    at = np.array([1.0, 2.0, 4.0])
    common = stream(6, "common").uniform(0.5, 1.5, size=40)
    assert statistics.bootstrap_slope(at, common * at[:, None] ** -1.0, 0.05).error < 1e-12


def test_slope_tails() -> None:
    sharp = statistics.Slope(-0.5, 0.0, -0.5, -0.5)
    assert statistics.slope_tail(sharp, -0.45, 1) == (0.0, 1.0)
    fuzzy = statistics.Slope(-0.5, 0.05, -0.6, -0.4)
    below, above = statistics.slope_tail(fuzzy, -0.45, 40)
    assert below == pytest.approx(stats.t.cdf(-1.0, 39)) and above == pytest.approx(stats.t.sf(-1.0, 39))


def test_goodness_of_fit_accepts_the_law_and_refuses_a_near_one() -> None:
    sample = stream(7, "fit").exponential(1.0, size=20000)
    assert statistics.goodness_of_fit(sample, lambda t: 1 - np.exp(-t)) > 1e-3
    assert statistics.goodness_of_fit(sample, lambda t: 1 - np.exp(-t / 1.05)) < 1e-3


def test_mean_test_counts_all_points() -> None:
    samples = stream(8, "means").standard_normal((2, 50)) + np.array([[0.0], [1.0]])
    alone = stats.ttest_1samp(samples[1], 0.0).pvalue
    assert statistics.mean_test(samples, np.zeros(2)) == pytest.approx(min(1.0, 2 * alone))
