"""What a verdict may rest on: exact moments or seeds, moves, rounding, known hypotheses, and the run that was made."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sgpsim.algorithms.algorithm import Algorithm
from sgpsim.algorithms.overlap_sgp import OverlapSGP
from sgpsim.algorithms.sgp import SGP
from sgpsim.descents.adam import Adam
from sgpsim.descents.descent import Descent
from sgpsim.descents.momentum import Momentum
from sgpsim.descents.step_sizes import Constant, StepDecay
from sgpsim.errors import SpecificationError
from sgpsim.objectives.objective import Constant as Known
from sgpsim.objectives.objective import Constants
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.schedules.one_peer_exponential import OnePeerExponential
from theory.cases.exact import ALIKE, SHARED
from theory.cases.experiments import setting_of
from theory.cases.rates import STEPS, UNEQUAL, sweep, swept
from theory.cases.runs import IRREGULAR, Job, exact, fleet, moments, path, path_of
from theory.claims import claims
from theory.claims.average_step import AverageStep
from theory.claims.consensus_bound import ConsensusBound
from theory.claims.consensus_profile import ConsensusProfile
from theory.claims.contraction_step import ContractionStep
from theory.claims.d1 import TheoremD1
from theory.claims.d2 import TheoremD2
from theory.claims.delayed_kernel import DelayedKernel
from theory.claims.descent_step import DescentStep
from theory.claims.deviation_decomposition import DeviationDecomposition
from theory.claims.moves import Moves
from theory.claims.rate_in_steps import RateInSteps
from theory.evidence import moments_of
from theory.setting import Setting
from theory.verdict import Outcome, verify

EXPECTED = [claim for claim in claims().values() if claim.kind == "expectation"]
NOISY = Job(SHARED, IRREGULAR, 60, 0.02)
STILL = Quadratic(8, noise=0.0, spread=0.0, distance=2.0, least_curvature=0.3)


# -- one seed is no exact moment ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("seeds", [1, 2, 29])
def test_few_seeds_with_noise_decide_nothing_about_an_expectation(seeds: int) -> None:
    job = replace(NOISY, seeds=seeds)
    for claim in EXPECTED:
        found = verify(claim, job.setting("few seeds"), moments(job))
        assert found.outcome in (Outcome.UNDECIDED, Outcome.NOT_APPLICABLE), claim.name
        assert found.outcome is Outcome.NOT_APPLICABLE or "seed" in found.sentence


def test_exact_moments_thirty_seeds_and_no_noise_decide() -> None:
    assert verify(TheoremD1(), NOISY.setting("exact"), exact(NOISY)).outcome is Outcome.HOLDS
    many = replace(NOISY, seeds=30)
    assert verify(TheoremD1(), many.setting("30 seeds"), moments(many)).outcome is Outcome.HOLDS
    for seeds in (1, 3):  # without noise all seeds are one run
        quiet = replace(NOISY, objective=replace(SHARED, noise=0.0), seeds=seeds)
        assert verify(DescentStep(), quiet.setting("no noise"), moments(quiet)).outcome is Outcome.HOLDS


def test_one_seed_of_a_sweep_is_no_exact_rate() -> None:
    jobs = [Job(UNEQUAL, IRREGULAR, count, math.sqrt(8 / count)) for count in (50, 100, 200)]
    found = verify(RateInSteps(), swept(jobs, "one seed"), sweep("K", jobs, 1))
    assert found.outcome is Outcome.UNDECIDED


# -- moves -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delay", [0, 2])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "descent",
    [Momentum(Constant(0.05)), Momentum(Constant(0.05), nesterov=False), Momentum(StepDecay(0.05, (20, 40))), Adam(Constant(0.01))],
    ids=["Nesterov", "heavy ball", "Nesterov, decay", "Adam"],
)
def test_identities_and_bounds_hold_for_every_descent(descent: Descent, dtype: Any, delay: int) -> None:
    job = replace(NOISY, descent=descent, dtype=dtype, delay=delay, start="apart", seeds=2)
    setting, seen = job.setting("momentum"), path(job)
    for claim in (AverageStep(), DeviationDecomposition(), ConsensusBound(), ConsensusProfile()):
        assert verify(claim, setting, seen).outcome is Outcome.HOLDS, claim.name
    formed = verify(Moves(), setting, seen)
    assert formed.outcome is (Outcome.NOT_APPLICABLE if isinstance(descent, Adam) else Outcome.HOLDS)
    for claim in (DescentStep(), ContractionStep(), TheoremD1(), TheoremD2()):
        refused = verify(claim, setting, moments(job))
        assert refused.outcome is Outcome.NOT_APPLICABLE and "descent:" in refused.sentence


def test_moves_of_momentum_are_the_sums_by_hand() -> None:
    job = replace(NOISY, descent=Momentum(StepDecay(0.5, (1,), 0.5), 0.9), steps=3)
    moving = job.setting("by hand").moving
    assert moving is not None
    g = np.random.default_rng(0).standard_normal((3, 1, 1, 1))
    u = [g[0], 0.9 * g[0] + g[1], 0.81 * g[0] + 0.9 * g[1] + g[2]]
    wanted = [-size * (0.9 * buffer + gradient) for size, buffer, gradient in zip((0.5, 0.25, 0.25), u, g, strict=True)]
    assert moving.moves(g) == pytest.approx(np.stack(wanted), rel=1e-14)


# -- hypotheses --------------------------------------------------------------------------------------------------------


def test_nothing_known_is_undecided_and_never_an_exception() -> None:
    """Every claim about a bare schedule, with no evidence, with a run, with moments."""
    bare = Setting.of("bare", IRREGULAR, NOISY.steps)
    for claim in claims().values():
        for setting in (bare, replace(bare, step_size=0.02), replace(bare, method=None)):
            for evidence in (None, {"Path": path(NOISY), "Moments": moments(NOISY)}.get(claim.reads)):
                outcome = verify(claim, setting, evidence).outcome
                assert outcome not in (Outcome.VIOLATED, Outcome.INCONSISTENT), claim.name


@pytest.mark.parametrize("name", ["smoothness", "convexity", "variance", "heterogeneity", "lowest"])
def test_each_unknown_constant_leaves_claims_that_need_it_undecided(name: str) -> None:
    setting = NOISY.setting("a constant short")
    setting = replace(setting, constants=replace(setting.constants, **{name: Known.unknown("on purpose")}))
    for claim in EXPECTED:
        found = verify(claim, setting, exact(NOISY))
        assert found.outcome in (Outcome.UNDECIDED, Outcome.NOT_APPLICABLE, Outcome.HOLDS), claim.name


def test_d2_below_its_least_k_does_not_apply_and_without_a_start_is_undecided() -> None:
    job = Job(ALIKE, IRREGULAR, 60, math.sqrt(8 / 60), seeds=30)
    assert verify(TheoremD2(), job.setting("K = 60"), moments(job)).outcome is Outcome.NOT_APPLICABLE
    unknown = replace(job.setting("no start"), start=None, start_loss=None)
    assert verify(TheoremD2(), unknown, moments(job)).outcome is Outcome.UNDECIDED


def test_gamma_of_a_sweep_is_looked_at() -> None:
    right = [Job(UNEQUAL, IRREGULAR, count, math.sqrt(8 / count)) for count in STEPS[:3]]
    assert verify(RateInSteps(), swept(right, "right"), sweep("K", right, 0)).outcome is Outcome.CONSISTENT
    fixed = [replace(job, step_size=0.02) for job in right]
    assert verify(RateInSteps(), swept(fixed, "gamma = 0.02"), sweep("K", fixed, 0)).outcome is Outcome.NOT_APPLICABLE
    unsaid = right[-1].setting("nothing said of gamma")
    assert verify(RateInSteps(), unsaid, sweep("K", right, 0)).outcome is Outcome.UNDECIDED
    with pytest.raises(SpecificationError, match="the sweep's K"):
        verify(RateInSteps(), swept(right[:2], "two points"), sweep("K", right, 0))


def test_lateness_is_looked_at() -> None:
    setting = replace(NOISY, delay=2).setting("tau = 2")
    assert verify(DelayedKernel(), setting).outcome is Outcome.HOLDS
    assert verify(DelayedKernel(), replace(setting, delay=1)).outcome is Outcome.NOT_APPLICABLE
    by_arrival = replace(NOISY.experiment(), algorithm=OverlapSGP(delay=2, mixing="arrival"))
    assert verify(DelayedKernel(), setting_of(by_arrival)).outcome is Outcome.UNDECIDED


# -- zero constants ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zero", ["F0", "sigma", "zeta", "L", "all"])
def test_zero_constants_divide_nothing(zero: str) -> None:
    values = {"smoothness": 1.0, "convexity": 0.0, "variance": 1.0, "heterogeneity": 1.0, "lowest": 0.0}
    named = {"sigma": "variance", "zeta": "heterogeneity", "L": "smoothness"}
    for name in values:
        if zero == "all" or named.get(zero) == name:
            values[name] = 0.0
    constants = Constants(*(Known(value, "certified", "given") for value in values.values()))
    steps = 20000
    bare = Setting.of("zero", OnePeerExponential(4), steps, None, math.sqrt(4 / steps))
    start = np.zeros((4, 1))
    setting = replace(bare, constants=constants, start=start, start_loss=0.0 if zero in ("F0", "all") else 1.0, sampling="replacement")
    for claim in EXPECTED:
        assert claim.hypotheses(setting), claim.name


@pytest.mark.parametrize("spread", [0.0, 0.05])
def test_d2_where_a_is_zero(spread: float) -> None:
    """F0 = sigma = 0: with zeta = 0 the bound is 0 and met, else no K is large enough."""
    objective = Quadratic(8, noise=0.0, spread=spread, distance=2.0, least_curvature=0.3)
    job = Job(objective, IRREGULAR, 400, math.sqrt(8 / 400))
    experiment = replace(job.experiment(), start=tuple(objective.minimizer))
    setting, seen = setting_of(experiment), path_of(fleet(), experiment)
    setting = replace(setting, start_loss=objective.minimum)
    found = verify(TheoremD2(), setting, moments_of(seen, objective, objective.minimizer))
    assert found.outcome is Outcome.NOT_APPLICABLE or (spread == 0 and found.outcome is Outcome.HOLDS)


# -- rounding ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("start", ["optimum", "origin"])
def test_rounding_accuses_nobody(dtype: Any, start: str) -> None:
    """From x*, and after convergence, both sides are rounding."""
    job = Job(STILL, IRREGULAR, 600, 0.1, dtype=dtype)
    experiment = replace(job.experiment(), start=tuple(STILL.minimizer) if start == "optimum" else 0.0)
    setting, figures = setting_of(experiment), moments_of(path_of(fleet(), experiment), STILL, STILL.minimizer)
    for claim in EXPECTED:
        assert verify(claim, setting, figures).outcome in (Outcome.HOLDS, Outcome.NOT_APPLICABLE), claim.name


@pytest.mark.parametrize("claim", [DescentStep(), ContractionStep()], ids=["D-step", "S-step"])
def test_an_error_of_one_in_a_million_is_no_rounding(claim: Any) -> None:
    """The left side is raised by a millionth of itself beyond the right, at the first step, where it is of size 1."""
    job = replace(NOISY, objective=STILL)
    setting, figures = job.setting("one in a million"), moments(job)
    assert verify(claim, setting, figures).outcome is Outcome.HOLDS
    name = "loss" if isinstance(claim, DescentStep) else "distance"
    values = getattr(figures, name).copy()
    values[1] = claim.predicted(setting, figures).values[0] * (1 + 1e-6)
    assert verify(claim, setting, replace(figures, **{name: values})).outcome is Outcome.VIOLATED


# -- one run -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"steps": 61}, "K is 61 in the setting and 60 in the evidence"),
        ({"schedule": OnePeerExponential(8)}, "the schedule"),
        ({"step_size": 0.03}, "gamma = 0.03 in the setting and SGD, gamma = 0.02"),
        ({"dtype": "float32"}, "float32 in the setting and float64"),
        ({"start": 1.0}, "the start"),
        ({"delay": 1}, "the delay"),
        ({"objective": ALIKE}, "the objective"),
        ({"objective": Quadratic(4, dimension=2), "schedule": OnePeerExponential(4)}, "n is 4 in the setting and 8"),
    ],
)
def test_a_claim_is_asked_about_the_run_that_was_made(change: dict[str, Any], said: str) -> None:
    other = replace(NOISY, **change).setting("another")
    for claim, evidence in ((AverageStep(), path(NOISY)), (DescentStep(), moments(NOISY)), (DescentStep(), exact(NOISY))):
        with pytest.raises(SpecificationError, match="in the setting and") as refused:
            verify(claim, other, evidence)
        assert said in str(refused.value)


def test_evidence_without_an_origin_still_has_a_length_and_a_size() -> None:
    unsaid = replace(path(NOISY), origin=None)
    with pytest.raises(SpecificationError, match="K is 59"):
        verify(AverageStep(), replace(NOISY, steps=59).setting("shorter"), unsaid)
    with pytest.raises(SpecificationError, match="reads Moments"):
        verify(DescentStep(), NOISY.setting("a path"), path(NOISY))


def test_settings_that_no_run_has_are_refused() -> None:
    for steps, size in ((0, 0.1), (5, 0.0), (5, math.nan), (5, -1.0)):
        with pytest.raises(SpecificationError):
            Setting.of("nothing", OnePeerExponential(4), steps, None, size)


def test_a_run_that_diverged_decides_only_what_it_shows() -> None:
    job = Job(STILL, IRREGULAR, 400, 50.0)
    setting, seen = job.setting("diverges"), path(job)
    assert seen.steps < 400 or not np.isfinite(seen.values).all()
    for claim in claims().values():
        outcome = verify(claim, setting, {"Path": seen, "Moments": moments(job)}.get(claim.reads)).outcome
        assert outcome not in (Outcome.VIOLATED, Outcome.INCONSISTENT), claim.name


def test_the_method_of_an_experiment_is_read_from_it() -> None:
    methods: list[Algorithm] = [SGP(), OverlapSGP(delay=1, biased=True), OverlapSGP(delay=1, mixing="arrival")]
    read = [setting_of(replace(NOISY.experiment(), algorithm=method)).method for method in methods]
    assert read == ["push", "biased push", None]
