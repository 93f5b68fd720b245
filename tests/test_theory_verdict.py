"""One rule of evidence per kind, on toy claims whose truth is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from sgpsim.schedules.complete import Complete
from sgpsim.streams import stream
from theory.setting import Setting
from theory.theorem import Curve, Hypothesis, Kind, Provenance, Relation, Theorem
from theory.verdict import Outcome, Verdict, corrected, verify

SETTING = Setting.of("toy", Complete(2), 4)
HOLDS = Hypothesis("it is so", "holds", "by construction")


@dataclass
class Toy(Theorem):
    """measured <= predicted, whatever they are."""

    kind: Kind
    left: Curve
    right: Curve
    relation: Relation = "<="
    asked: list[Hypothesis] = field(default_factory=lambda: [HOLDS])
    known: float | None = None
    distribution: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None
    name: str = "toy"
    provenance: Provenance = "derived"
    source: str = "a test"

    def hypotheses(self, setting: Setting) -> list[Hypothesis]:
        return self.asked

    def predicted(self, setting: Setting, evidence: object) -> Curve:
        return self.right

    def measured(self, setting: Setting, evidence: object) -> Curve:
        return self.left

    def trivial(self, setting: Setting, evidence: object) -> float | None:
        return self.known

    def law(self, setting: Setting) -> Callable[[NDArray[np.float64]], NDArray[np.float64]] | None:
        return self.distribution


def curve(values: object, rounding: object = 0.0, at: object = None) -> Curve:
    found = np.atleast_1d(np.asarray(values, dtype=float))
    return Curve.of("k", np.arange(len(found)) if at is None else at, found, rounding)  # pyright: ignore[reportArgumentType]


def judged(toy: Toy) -> Verdict:
    return verify(toy, SETTING)


def runs(mean: float, points: int = 1, seeds: int = 40, spread: float = 1.0, seed: int = 0) -> NDArray[np.float64]:
    noise = stream(seed, "verdict").standard_normal((points, seeds))
    return mean + spread * (noise - noise.mean(axis=1, keepdims=True)) / noise.std(axis=1, ddof=1, keepdims=True)


# -- pathwise ----------------------------------------------------------------------------------------------------------


def test_pathwise_inequalities_hold_to_rounding() -> None:
    epsilon = SETTING.epsilon
    assert judged(Toy("pathwise", curve([1.0, 2.0]), curve([1.0, 2.5]))).outcome is Outcome.HOLDS
    above = curve([1.0 + 20 * epsilon, 2.0], 10.0)
    assert judged(Toy("pathwise", above, curve([1.0, 2.5]))).outcome is Outcome.VIOLATED
    assert judged(Toy("pathwise", replace(above, rounding=np.array(30.0)), curve([1.0, 2.5]))).outcome is Outcome.HOLDS


def test_pathwise_slack_is_measured_over_bound() -> None:
    found = judged(Toy("pathwise", curve([1.0, 3.0, 0.0]), curve([4.0, 6.0, 0.0])))
    assert found.slack == pytest.approx(0.5) and "k = 1" in found.sentence


def test_equalities_compare_the_defect_with_the_rounding_allowed() -> None:
    epsilon = SETTING.epsilon
    found = judged(Toy("pathwise", curve([1.0 + 5 * epsilon], 10.0), curve([1.0]), relation="="))
    assert found.outcome is Outcome.HOLDS and found.slack == pytest.approx(0.5)
    assert judged(Toy("pathwise", curve([1.0 + 5 * epsilon], 4.0), curve([1.0]), relation="=")).outcome is Outcome.VIOLATED


def test_rounding_scales_with_the_type() -> None:
    single = replace(SETTING, dtype="float32")
    toy = Toy("pathwise", curve([1.0 + 1e-7], 10.0), curve([1.0]), relation="=")
    assert verify(toy, single).outcome is Outcome.HOLDS and verify(toy, SETTING).outcome is Outcome.VIOLATED


def test_numbers_that_are_not_finite_violate() -> None:
    assert judged(Toy("pathwise", curve([np.nan]), curve([1.0]))).outcome is Outcome.VIOLATED
    assert judged(Toy("pathwise", curve([np.inf]), curve([np.inf]))).outcome is Outcome.VIOLATED


# -- expectation -------------------------------------------------------------------------------------------------------


def test_exact_moments_decide_at_once() -> None:
    assert judged(Toy("expectation", curve([1.0, 2.0]), curve([1.0, 2.0]))).outcome is Outcome.HOLDS
    assert judged(Toy("expectation", curve([1.0, 2.0]), curve([1.0, 2.0 * (1 - 1e-6)]))).outcome is Outcome.VIOLATED


def test_seeds_decide_by_their_confidence_limit() -> None:
    error = 1 / np.sqrt(40)
    assert judged(Toy("expectation", curve(runs(1.0)), curve([1.0 + 5 * error]))).outcome is Outcome.HOLDS
    assert judged(Toy("expectation", curve(runs(1.0)), curve([1.0 - 5 * error]))).outcome is Outcome.VIOLATED
    assert judged(Toy("expectation", curve(runs(1.0)), curve([1.0 + error]))).outcome is Outcome.UNDECIDED


def test_fewer_than_thirty_seeds_decide_nothing() -> None:
    assert judged(Toy("expectation", curve(runs(1.0, seeds=29)), curve([100.0]))).outcome is Outcome.UNDECIDED
    assert judged(Toy("expectation", curve(runs(1.0, seeds=30)), curve([100.0]))).outcome is Outcome.HOLDS


def test_both_sides_of_a_run_are_compared_with_each_other() -> None:
    """Each run's own right-hand side varies with its left: differences decide, not means against each other."""
    left = runs(1.0, spread=10.0)
    right = left + 0.5 + runs(0.0, spread=0.1, seed=1)
    assert judged(Toy("expectation", curve(left), curve(right))).outcome is Outcome.HOLDS


def test_a_sup_over_time_needs_a_band() -> None:
    error = 1 / np.sqrt(40)
    above_at_one = runs(1.0, points=50)
    above_at_one[7] += 6.5 * error
    assert judged(Toy("expectation", curve(above_at_one), curve([1.0] * 50))).outcome is Outcome.VIOLATED
    near = runs(1.0, points=50)
    assert judged(Toy("expectation", curve(near), curve([1.0 + 3.2 * error] * 50))).outcome is Outcome.UNDECIDED
    assert judged(Toy("expectation", curve(near), curve([1.0 + 6.0 * error] * 50))).outcome is Outcome.HOLDS


# -- asymptotic --------------------------------------------------------------------------------------------------------

AT = np.array([100, 200, 400, 800])


def rate(exponent: float, relation: Relation, seeds: int = 40, spread: float = 0.01) -> Outcome:
    values = AT[:, None] ** exponent * (1 + spread * stream(9, "rates").standard_normal((4, max(seeds, 1))))
    left = curve(values if seeds else values[:, 0], at=AT)
    return judged(Toy("asymptotic", left, curve(AT**-0.5, at=AT), relation=relation)).outcome


def test_an_upper_bound_rate_is_one_sided() -> None:
    assert rate(-0.5, "<=") is Outcome.CONSISTENT
    assert rate(-1.0, "<=") is Outcome.CONSISTENT, "steeper passes"
    assert rate(-0.3, "<=") is Outcome.INCONSISTENT


def test_an_exact_rate_is_two_sided() -> None:
    assert rate(-0.5, "=") is Outcome.CONSISTENT
    assert rate(-1.0, "=") is Outcome.INCONSISTENT
    assert rate(-0.3, "=") is Outcome.INCONSISTENT
    assert rate(-0.5, "=", spread=0.5) is Outcome.UNDECIDED, "the interval is wider than the tolerance"


def test_exact_points_need_no_seeds_and_few_seeds_decide_nothing() -> None:
    assert rate(-0.52, "=", seeds=0, spread=0.0) is Outcome.CONSISTENT
    assert rate(-0.57, "=", seeds=0, spread=0.0) is Outcome.INCONSISTENT
    assert rate(-0.5, "=", seeds=20) is Outcome.UNDECIDED


# -- distribution ------------------------------------------------------------------------------------------------------


def test_a_law_is_refused_or_confirmed() -> None:
    sample = stream(10, "law").exponential(1.0, size=(1, 100_000))
    right = Toy("distribution", curve(sample), curve([1.0]), distribution=lambda t: 1 - np.exp(-t))
    assert judged(right).outcome is Outcome.HOLDS
    assert judged(replace(right, right=curve([1.05]))).outcome is Outcome.VIOLATED, "the mean is wrong"
    shifted = replace(right, distribution=lambda t: np.clip(t / 2, 0, 1))
    assert judged(shifted).outcome is Outcome.VIOLATED, "the mean is right and the law is wrong"


def test_a_mean_that_is_poorly_known_confirms_nothing() -> None:
    sample = stream(11, "law").exponential(1.0, size=(1, 50))
    assert judged(Toy("distribution", curve(sample), curve([1.0]))).outcome is Outcome.UNDECIDED


# -- hypotheses, grades, tables ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hypothesis", "outcome"),
    [
        (Hypothesis("not so", "fails", "seen"), Outcome.NOT_APPLICABLE),
        (Hypothesis("who knows", "unknown", "nothing said"), Outcome.UNDECIDED),
        (Hypothesis("who knows", "unknown", "nothing said", "unknown"), Outcome.UNDECIDED),
        (Hypothesis("L = 1", "holds", "at visited points", "observed"), Outcome.HOLDS_OBSERVED),
        (Hypothesis("L = 1", "holds", "from samples", "estimated"), Outcome.UNDECIDED),
    ],
)
def test_a_verdict_is_as_good_as_its_hypotheses(hypothesis: Hypothesis, outcome: Outcome) -> None:
    assert judged(Toy("pathwise", curve([1.0]), curve([2.0]), asked=[HOLDS, hypothesis])).outcome is outcome


def test_estimated_constants_do_not_hide_a_violation() -> None:
    asked = [Hypothesis("L = 1", "holds", "from samples", "estimated")]
    assert judged(Toy("pathwise", curve([3.0]), curve([2.0]), asked=asked)).outcome is Outcome.VIOLATED


def test_vacuous_bounds_are_said_to_be() -> None:
    found = judged(Toy("pathwise", curve([1.0]), curve([20.0]), known=5.0))
    assert found.vacuous and found.label == "HOLDS, vacuous"
    assert not judged(Toy("pathwise", curve([1.0]), curve([2.0]), known=5.0)).vacuous


def test_a_table_corrects_its_tests_together() -> None:
    """One claim at p = 0.003 alone is decided; among twenty that are hopeless it is not, by Holm at 1%."""
    error = 1 / np.sqrt(40)
    sure = judged(Toy("expectation", curve(runs(1.0)), curve([1.0 + 3.3 * error])))
    assert sure.outcome is Outcome.HOLDS and sure.finding is not None and sure.finding.p_value is not None
    assert 0.001 < sure.finding.p_value < 0.01
    hopeless = judged(Toy("expectation", curve(runs(1.0)), curve([1.0])))
    assert corrected([sure])[0].outcome is Outcome.HOLDS
    found = corrected([sure, *[hopeless] * 20])
    assert {verdict.outcome for verdict in found} == {Outcome.UNDECIDED}


def test_rows_without_a_test_are_left_alone() -> None:
    exact = judged(Toy("pathwise", curve([1.0]), curve([2.0])))
    missing = judged(Toy("pathwise", curve([1.0]), curve([2.0]), asked=[Hypothesis("not so", "fails", "seen")]))
    assert corrected([exact, missing]) == [exact, missing]


def test_a_law_that_is_not_rejected_in_a_table_holds() -> None:
    """Correcting makes rejection harder, so among many tests a law refused alone at p = 0.005 is not refused."""
    sample = stream(12, "law").standard_normal((1, 200_000)) + 100.0
    centred = sample - sample.mean() + 100.0
    off = float(2.85 * centred.std() / np.sqrt(centred.size))
    refused = judged(Toy("distribution", curve(centred), curve([100.0 + off])))
    assert refused.outcome is Outcome.VIOLATED
    hopeless = judged(Toy("expectation", curve(runs(1.0)), curve([1.0])))
    assert corrected([refused, *[hopeless] * 20])[0].outcome is Outcome.HOLDS
