"""Each hypothesis and each term counts: settings in which one thing is not so, bounds against plain loops, and what rounding of
the rounds themselves may do."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sgpsim.algorithms.dpsgd import DPSGD
from sgpsim.algorithms.overlap_sgp import OverlapSGP
from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.budget import Steps
from sgpsim.descents.momentum import Momentum
from sgpsim.descents.sgd import SGD
from sgpsim.descents.step_sizes import Constant
from sgpsim.errors import SpecificationError
from sgpsim.experiment import Experiment
from sgpsim.objectives.objective import Constant as Known
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.schedules.complete import Complete
from sgpsim.schedules.matrices import Matrices
from sgpsim.schedules.one_peer_exponential import OnePeerExponential
from sgpsim.schedules.random_peer import RandomPeer
from theory.assumptions import contracting
from theory.cases.exact import ALIKE
from theory.cases.experiments import setting_of
from theory.cases.runs import IRREGULAR, Job, as_quadratics, moments, path, path_of
from theory.chain import Chain
from theory.claims import claims
from theory.contraction import Contraction, profile
from theory.delays import augmented
from theory.evidence import moments_of
from theory.exact_moments import exact_moments
from theory.mixing import mixing
from theory.setting import Setting, SweepPoint
from theory.statistics import tails
from theory.sweep import Sweep
from theory.verdict import Outcome, verify

CLAIMS = claims()
QUIET = Quadratic(5, 2, noise=0.0, spread=1.0, seed=3)


def irregular(nodes: int, seed: int = 0) -> np.ndarray:
    """A column-stochastic matrix with unequal shares, everybody connected."""
    generator = np.random.default_rng((nodes, seed))
    matrix = generator.random((nodes, nodes)) * (generator.random((nodes, nodes)) < 0.5) + 0.1 * np.eye(nodes)
    matrix[(np.arange(nodes) + 1) % nodes, np.arange(nodes)] += 0.3
    return matrix / matrix.sum(axis=0)


def ring(nodes: int, share: float) -> Matrices:
    matrix = np.eye(nodes) * (1 - share)
    matrix[(np.arange(nodes) + 1) % nodes, np.arange(nodes)] = share
    return Matrices((matrix,))  # pyright: ignore[reportArgumentType]


# -- shares that were printed ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delay", [0, 1])
@pytest.mark.parametrize(("nodes", "digits"), [(3, 12), (7, 13)])
def test_shares_printed_with_12_digits_accuse_nobody(nodes: int, digits: int, delay: int) -> None:
    printed = np.random.default_rng(nodes).random((nodes, nodes)) + 0.1
    printed = np.round(printed / printed.sum(axis=0), digits)
    objective, descent = Quadratic(nodes, 3, noise=0.0), SGD(Constant(0.1))
    algorithm = OverlapSGP(descent, delay=delay) if delay else SGP(descent)
    experiment = Experiment(algorithm, objective, Matrices((printed,)), Steps(60), start=1.0)  # pyright: ignore[reportArgumentType]
    setting, seen = setting_of(experiment), path_of(Vectorized(keep_trajectory=True), experiment)
    figures = moments_of(seen, objective, objective.minimizer)
    for name, claim in CLAIMS.items():
        verdict = verify(claim, setting, {"Path": seen, "Moments": figures}.get(claim.reads))
        assert verdict.outcome is not Outcome.VIOLATED, (name, verdict.sentence)
        assert "not once" not in verdict.sentence
    off = seen.values.copy()
    off[30] *= 1 + 1e-8  # a control: what is granted is the rounds' own rounding
    assert verify(CLAIMS["I1 average step"], setting, replace(seen, values=off)).outcome is Outcome.VIOLATED
    weights = seen.weights.copy()
    weights[30] *= 1 + 1e-8
    assert verify(CLAIMS["I2 mass"], setting, replace(seen, weights=weights)).outcome is Outcome.VIOLATED


def test_nothing_is_granted_for_columns_that_validation_refuses() -> None:
    lossy = Setting.of("lossy", Matrices((0.999 * irregular(5),)), 20)  # pyright: ignore[reportArgumentType]
    assert lossy.epsilon == np.finfo(np.float64).eps
    assert verify(CLAIMS["I7 absolute probabilities"], lossy).outcome is Outcome.NOT_APPLICABLE


@pytest.mark.parametrize(("nodes", "share"), [(24, 1e-14), (24, 1e-15), (40, 1e-9)])
def test_constants_below_all_numbers_bound_nothing(nodes: int, share: float) -> None:
    verdict = verify(CLAIMS["kernel contraction, a priori"], Setting.of("small shares", ring(nodes, share), 50))
    assert verdict.outcome is Outcome.NOT_APPLICABLE and "floating point" in verdict.sentence


# -- one thing is not so -----------------------------------------------------------------------------------------------


def test_a_stream_shared_with_the_schedule_is_not_covered() -> None:
    job = Job(QUIET, Complete(5), 10, 0.05)
    for name in ("D-step", "S-step", "G-bound", "D1"):
        verdict = verify(CLAIMS[name], replace(job.setting("shared stream"), own_stream=False), moments(job))
        assert verdict.outcome is Outcome.NOT_APPLICABLE and "shared stream" in verdict.sentence


def test_the_place_of_gradients_and_of_moves_is_looked_at() -> None:
    descent, schedule = SGD(Constant(0.05)), Complete(5)
    asked = {"biased": OverlapSGP(descent, delay=1, biased=True), "outside": DPSGD(descent)}
    refused = {"biased": ("D-step", "S-step", "G-bound", "gradient noise"), "outside": ("I4 deviation", "consensus bound", "D1")}
    for word, algorithm in asked.items():
        experiment = Experiment(algorithm, QUIET, schedule, Steps(10))
        setting, seen = setting_of(experiment), path_of(Vectorized(keep_trajectory=True), experiment)
        figures = moments_of(seen, QUIET, QUIET.minimizer)
        for name in refused[word]:
            verdict = verify(CLAIMS[name], setting, figures if CLAIMS[name].reads == "Moments" else seen)
            assert verdict.outcome is Outcome.NOT_APPLICABLE, (word, name)


def test_unequal_starts_preserve_no_constant() -> None:
    job = Job(QUIET, Complete(5), 5, 0.05, start="apart")
    seen = replace(path(job), points=np.zeros((5, 5, 1, 2)))
    assert verify(CLAIMS["constants preserved"], job.setting("apart"), seen).outcome is Outcome.NOT_APPLICABLE


def test_half_a_run_shows_no_claim_about_the_whole() -> None:
    job = Job(QUIET, Complete(5), 20, 0.05)
    verdict = verify(CLAIMS["I1 average step"], job.setting("half"), path(job).first(10))
    assert verdict.outcome is Outcome.UNDECIDED and "10 of 20" in verdict.sentence


def test_only_a_certified_zero_makes_all_seeds_one(monkeypatch: pytest.MonkeyPatch) -> None:
    job = Job(QUIET, Complete(5), 5, 0.05, seeds=2)
    assert moments(job).loss.ndim == 1
    known = replace(QUIET.constants(), variance=Known(0.0, "observed", "at the points seen"))
    monkeypatch.setattr(Quadratic, "constants", lambda _: known)
    assert moments_of(path(job), QUIET).loss.ndim == 2


def test_the_proved_time_counts_late_messages() -> None:
    setting = Setting.of("late", RandomPeer(2), 2, delay=2)  # never repeats, so that two rounds are all there is
    assert contracting(setting).status == "unknown" and "T <= 5 is proved, 2 rounds" in contracting(setting).evidence


# -- sweeps ------------------------------------------------------------------------------------------------------------


def swept(over: str, points: list[tuple[int, int]], title: str = "a sweep") -> tuple[Setting, Sweep]:
    made = tuple(SweepPoint(nodes, steps, math.sqrt(nodes / steps)) for nodes, steps in points)
    along = np.array([point.steps if over == "K" else point.nodes for point in made])
    setting = Setting.of(title, Complete(4), 64, ALIKE_4, 0.25)
    return replace(setting, points=made), Sweep(over, along, along**-0.5, made)


ALIKE_4 = replace(ALIKE, nodes=4)
RATES = ("rate in steps", "rate exponent -1/2", "linear speed-up")


@pytest.mark.parametrize("name", RATES)
@pytest.mark.parametrize("count", [1, 2])
def test_one_point_has_no_exponent(name: str, count: int) -> None:
    verdict = verify(CLAIMS[name], *swept("n" if name == RATES[2] else "K", [(4, 64)] * count))
    assert verdict.outcome is Outcome.UNDECIDED and "two different values" in verdict.sentence


def test_a_sweep_over_another_axis_decides_nothing() -> None:
    along_steps, along_nodes = [(4, 64), (4, 256), (4, 1024)], [(4, 64), (8, 64), (16, 64)]
    both = [(4, 64), (8, 256), (16, 1024)]
    for name in RATES:
        right, over = (along_nodes, "n") if name == RATES[2] else (along_steps, "K")
        assert verify(CLAIMS[name], *swept(over, right)).outcome is Outcome.CONSISTENT
        other, wrong = (along_steps, "K") if name == RATES[2] else (along_nodes, "n")
        assert "the sweep is over" in verify(CLAIMS[name], *swept(wrong, other)).sentence
        verdict = verify(CLAIMS[name], *swept(over, both))
        assert verdict.outcome is Outcome.UNDECIDED and "changes along the sweep" in verdict.sentence


# -- the run that was made ---------------------------------------------------------------------------------------------


def refusal(setting: Setting, evidence: Any, name: str = "I1 average step") -> str:
    with pytest.raises(SpecificationError, match="in the setting and") as refused:
        verify(CLAIMS[name], setting, evidence)
    return str(refused.value)


def test_method_lateness_and_single_step_sizes_are_compared() -> None:
    job = Job(QUIET, Complete(5), 10, 0.05, delay=2)
    setting, seen = job.setting("late"), path(job)
    assert "the method" in refusal(replace(setting, method="biased push"), seen)
    earlier = np.full((1, 5, 5), 2)
    earlier[0, 1, 0] = 1
    assert "how late messages are" in refusal(replace(setting, delayed=augmented(setting.chain, earlier)), seen)
    assert "states with messages under way" in refusal(replace(setting, delayed=None), seen)
    twice = Chain(np.concatenate((setting.chain.rounds,) * 2), 10, True, 5)  # the same rounds, stored twice
    verify(CLAIMS["I1 average step"], replace(setting, chain=twice, delayed=augmented(twice, 2)), seen)
    nearly = replace(job, step_size=0.05 * (1 + 1e-13)).setting("nearly")
    assert "gamma of step 0 is 0.050000000000005" in refusal(nearly, seen)


def test_exact_moments_are_those_of_the_settings_functions() -> None:
    setting = Job(QUIET, Complete(5), 10, 0.05).setting("quiet")
    assert exact_moments(setting, as_quadratics(QUIET)).steps == 10
    for other in (replace(QUIET, noise=3.0), replace(QUIET, spread=9.0), replace(QUIET, most_curvature=0.9)):
        with pytest.raises(SpecificationError, match="in the setting and"):
            exact_moments(setting, as_quadratics(other))


def test_gammas_of_a_sweep_are_compared() -> None:
    setting, sweep = swept("K", [(4, 64), (4, 256)])
    assert sweep.points is not None
    other = replace(sweep, points=tuple(point._replace(step_size=0.01) for point in sweep.points))
    assert "the sweep's (n, K, gamma)" in refusal(setting, other, "rate in steps")


# -- every term --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nodes", [1, 5])
def test_one_step_and_consensus_bounds_are_those_of_plain_loops(nodes: int) -> None:
    """Both sides from the run's gradients and moves alone, by loops over nodes and steps."""
    objective, gamma, steps, shares = Quadratic(nodes, 2, noise=0.5, unequal=True, seed=1), 0.05, 12, irregular(nodes)
    start = np.random.default_rng(1).standard_normal((nodes, 2))
    experiment = Experiment(
        SGP(SGD(Constant(gamma))),
        objective,
        Matrices((shares,)),  # pyright: ignore[reportArgumentType]
        Steps(steps),
        start=start,  # pyright: ignore[reportArgumentType]
    )
    setting, seen = setting_of(experiment), path_of(Vectorized(keep_trajectory=True), experiment)
    figures = moments_of(seen, objective, objective.minimizer)
    hessians, centres = np.broadcast_to(objective.hessians, (nodes, 2, 2)), objective.centers

    def gradient(node: int, at: np.ndarray) -> np.ndarray:
        return hessians[node] @ (at - centres[node])

    def loss(at: np.ndarray) -> float:
        return sum(float((at - centres[i]) @ gradient(i, at)) for i in range(nodes)) / (2 * nodes)

    curvatures = np.linalg.eigvalsh(hessians)
    smooth, convex = float(curvatures.max()), float(curvatures.min())
    optimum = np.linalg.solve(hessians.sum(axis=0), sum(hessians[i] @ centres[i] for i in range(nodes)))
    held, weights, descent, contraction = start.copy(), np.ones(nodes), [], []
    for step in range(steps):
        mean, points = held.mean(axis=0), held / weights[:, None]
        spread = sum(float((z - mean) @ (z - mean)) for z in points) / nodes
        full = np.stack([gradient(i, mean) for i in range(nodes)]).mean(axis=0)
        at_points = np.stack([gradient(i, points[i]) for i in range(nodes)]).mean(axis=0)
        noise = gamma**2 * 0.25 / nodes
        descent.append(
            loss(mean) - gamma / 2 * full @ full - gamma / 2 * (1 - smooth * gamma) * at_points @ at_points
            + gamma * smooth**2 / 2 * spread + smooth * noise / 2
        )  # fmt: skip
        away = mean - optimum
        contraction.append(
            (1 - gamma * convex / 2) * away @ away - gamma * (loss(mean) - loss(optimum)) + 2.5 * gamma * smooth * spread + noise
        )
        held, weights = shares @ (held - gamma * seen.gradients[step, :, 0]), shares @ weights
    for name, expected in (("D-step", descent), ("S-step", contraction)):
        assert CLAIMS[name].predicted(setting, figures).values[:, 0] == pytest.approx(expected, rel=1e-9), name
    found = setting.contraction
    assert found is not None
    sizes = np.linalg.norm(seen.moves[:, :, 0], axis=-1).sum(axis=1)
    factor = [found.factor ** (length // found.time) / found.weight for length in range(steps + 1)]
    bound = [
        factor[k] * np.linalg.norm(start, axis=1).sum() + sum(factor[k - s] * sizes[s] for s in range(k)) for k in range(steps + 1)
    ]
    assert CLAIMS["consensus bound"].predicted(setting, seen).values[:, 0, 0] == pytest.approx(bound, rel=1e-9)


@pytest.mark.parametrize("share", [0.2, 1e-17, 1e-25])
def test_norms_are_the_largest_over_all_starts_however_small_a_weight_becomes(share: float) -> None:
    """Node 2 is given almost nothing: its weight still falls when those of the others have long settled, and kernels divide by it."""
    matrix = np.array([[0.5, 0.5, 0.5], [0.5, 0.5, 0.0], [share, share, 0.5]])
    chain, steps = Chain.of_matrices(matrix / matrix.sum(axis=0), 120), 120
    shares, weights, norms = chain.rounds[0], [np.ones(3)], np.zeros(steps + 1)
    for step in range(steps):
        weights.append(shares @ weights[step])
    for start in range(steps + 1):
        product = np.eye(3)
        for stop in range(start, steps + 1):
            norms[stop - start] = max(norms[stop - start], np.linalg.norm(product / weights[stop][:, None] - 1 / 3, 2))
            product = shares @ product
    found = profile(chain, 40, None).norms
    assert found == pytest.approx(norms[: len(found)], rel=1e-9, abs=1e-12)


def test_what_is_cut_off_is_bounded_by_the_sums_themselves() -> None:
    known = Contraction(time=2, least=0.1, weight=0.5, nodes=3)
    for power in (1, 2):  # 3 is the last length of a block of T = 2
        rest = sum((3 * known.factor ** (length // 2) / 0.5) ** power for length in range(4, 400))
        assert known.tail(3, power) == pytest.approx(rest)
    symmetric = np.full((4, 4), 0.1) + 0.6 * np.eye(4)  # eps_m = 0.6^m, where blocks bound nothing away
    cut = profile(Chain.of_matrices(symmetric, 200), 5, None)
    assert len(cut.norms) == 6
    assert (cut.first, cut.second) == pytest.approx((0.6 / 0.4, 1 / (1 - 0.36)))


def test_profile_sums_are_those_of_the_geometric_form() -> None:
    setting = Setting.of("geometric", Matrices((irregular(5),)), 60)  # pyright: ignore[reportArgumentType]
    found = setting.contraction
    assert found is not None
    ratio = found.factor ** (1 / found.time)
    constant = 5 * found.factor ** (-(found.time - 1) / found.time) / found.weight
    by_hand = [constant * ratio / (1 - ratio), constant**2 / (1 - ratio**2)]
    assert CLAIMS["profile sums"].predicted(setting, None).values == pytest.approx(by_hand)


def test_the_gap_is_per_round() -> None:
    once, twice = (mixing(Matrices((irregular(5),) * count), "a matrix") for count in (1, 2))  # pyright: ignore[reportArgumentType]
    assert once.spectral_gap == pytest.approx(twice.spectral_gap)


# -- no more than rounding ---------------------------------------------------------------------------------------------


def test_a_spread_beyond_all_numbers_decides_nothing() -> None:
    tail = tails(np.array([[1e200, -1e200, 3e200]]))
    assert (float(tail.below[0]), float(tail.above[0])) == (0.5, 0.5)


@pytest.mark.parametrize(("dtype", "error"), [("float64", 2e-9), ("float32", 1e-2)])
@pytest.mark.parametrize("name", ["D-step", "S-step"])
def test_rounding_hides_no_larger_error(name: str, dtype: Any, error: float) -> None:
    """One left side beyond the right by little more than exact moments are granted, in float32 than the type can tell."""
    job = Job(Quadratic(8, noise=0.0, spread=0.0, distance=2.0, least_curvature=0.3), IRREGULAR, 60, 0.02, dtype=dtype)
    setting, figures = job.setting("an error"), moments(job)
    field = {"D-step": "loss", "S-step": "distance"}[name]
    values = getattr(figures, field).copy()
    values[1] = CLAIMS[name].predicted(setting, figures).values[0] * (1 + error)
    assert verify(CLAIMS[name], setting, replace(figures, **{field: values})).outcome is Outcome.VIOLATED


def test_an_error_of_one_in_ten_thousand_millions_is_seen_in_a_move_of_momentum() -> None:
    job = Job(QUIET, OnePeerExponential(5), 20, 0.05, descent=Momentum(Constant(0.05)))
    seen = path(job)
    assert verify(CLAIMS["moves"], job.setting("right"), seen).outcome is Outcome.HOLDS
    moves = seen.moves.copy()
    moves[5] *= 1 + 1e-10
    assert verify(CLAIMS["moves"], job.setting("off"), replace(seen, moves=moves)).outcome is Outcome.VIOLATED
