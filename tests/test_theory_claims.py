"""The claims themselves: each is told fully, and its own numbers are derived again here in small cases."""

from __future__ import annotations

import ast
import math
from dataclasses import replace
from pathlib import Path as FilePath

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import theory.claims
from sgpsim.objectives.objective import Constant, Constants
from sgpsim.schedules.complete import Complete
from sgpsim.schedules.erdos_renyi import ErdosRenyiDigraph
from sgpsim.schedules.one_peer_exponential import OnePeerExponential
from sgpsim.schedules.static_exponential import StaticExponential
from theory.claims import claims
from theory.claims.consensus_bound import ConsensusBound
from theory.claims.consensus_sum import ConsensusSum
from theory.claims.d1 import TheoremD1
from theory.claims.d2 import TheoremD2, least_steps
from theory.claims.gradient_bound import GradientBound
from theory.claims.gradients_at_nodes import GradientsAtNodes
from theory.claims.one_peer_averaging import OnePeerAveraging
from theory.claims.static_exponential_gap import StaticExponentialGap
from theory.claims.static_exponential_gap_odd import StaticExponentialGapOdd
from theory.controls.claims import AveragingAtAnySize, OwnNodeBound
from theory.evidence import Moments, Path
from theory.exact_moments import Quadratics, exact_moments
from theory.setting import Setting
from theory.spectrum import second_modulus
from theory.theorem import Theorem
from theory.verdict import Outcome, verify


@pytest.mark.parametrize("claim", claims().values(), ids=lambda claim: claim.name)
def test_every_claim_says_what_it_is_and_where_it_is_from(claim: Theorem) -> None:
    assert claim.kind in ("pathwise", "expectation", "asymptotic", "distribution")
    assert claim.provenance in ("quoted", "recalled", "derived")
    assert len(claim.source) > 5
    assert any(sign in claim.statement for sign in ("=", "<=")), "a claim is a formula"


@pytest.mark.parametrize("claim", claims().values(), ids=lambda claim: claim.name)
def test_every_claim_can_be_asked_about_bare_matrices(claim: Theorem) -> None:
    for schedule in (OnePeerExponential(4), ErdosRenyiDigraph(5, 0.5)):
        found = claim.hypotheses(Setting.of("bare", schedule, 30))
        assert found and all(hypothesis.sentence and hypothesis.evidence for hypothesis in found)


def test_one_file_one_claim_and_no_claim_knows_an_implementation() -> None:
    folder = FilePath(theory.claims.__file__).parent
    names = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
    assert len(names) == len(claims())
    for path in names:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                assert not node.module.startswith(("sgpsim.algorithms", "sgpsim.backends")), path.name


# -- spectra -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nodes", range(4, 66))
def test_static_exponential_gap_for_every_size(nodes: int) -> None:
    claim = StaticExponentialGap() if nodes % 2 == 0 else StaticExponentialGapOdd()
    other = StaticExponentialGapOdd() if nodes % 2 == 0 else StaticExponentialGap()
    setting = Setting.of("static", StaticExponential(nodes), 5)
    assert verify(claim, setting).outcome is Outcome.HOLDS
    assert verify(other, setting).outcome is Outcome.NOT_APPLICABLE
    if nodes % 2:
        assert second_modulus(setting.chain.round(0)) < 1 - 2 / (1 + math.ceil(math.log2(nodes))) - 1e-6


@pytest.mark.parametrize(("nodes", "distance"), [(3, 0.25), (5, 0.202), (6, 0.217), (7, 0.125), (10, 0.192), (12, 0.209)])
def test_one_peer_graphs_of_other_sizes_stay_away_from_the_average(nodes: int, distance: float) -> None:
    setting = Setting.of("one peer", OnePeerExponential(nodes), 30)
    assert verify(OnePeerAveraging(), setting).outcome is Outcome.NOT_APPLICABLE
    assert verify(AveragingAtAnySize(), setting).outcome is Outcome.VIOLATED
    product = setting.chain.product(0, math.ceil(math.log2(nodes)))
    assert np.linalg.norm(product - 1 / nodes, ord=2) == pytest.approx(distance, abs=6e-4)


@pytest.mark.parametrize("nodes", [2, 4, 8, 16, 32])
def test_one_peer_graphs_of_powers_of_two_average_exactly(nodes: int) -> None:
    setting = Setting.of("one peer", OnePeerExponential(nodes), 30)
    assert verify(OnePeerAveraging(), setting).outcome is Outcome.HOLDS


# -- theorems D1 and D2 ------------------------------------------------------------------------------------------------


def constants(smoothness: float, variance: float, heterogeneity: float, lowest: float) -> Constants:
    return Constants(*(Constant(value, "certified", "given") for value in (smoothness, 0.0, variance, heterogeneity, lowest)))


def asked(steps: int, step_size: float, start: np.ndarray) -> Setting:
    """L = 2, sigma^2 = 3, zeta^2 = 5, F0 = 7 - 1, on one-peer graphs of 4 nodes: S1 = 1, S2 = 2."""
    bare = Setting.of("by hand", OnePeerExponential(4), steps)
    return replace(bare, constants=constants(2.0, 3.0, 5.0, 1.0), step_size=step_size, start=start, start_loss=7.0, sampling="replacement")


def figures(gradient: float, deviation: float, steps: int) -> Moments:
    flat = np.full(steps, gradient)
    return Moments(np.zeros(steps + 1), flat, np.full(steps, deviation), flat, np.full(steps, 31.0), flat)


def test_the_bounds_are_the_formulae_by_hand() -> None:
    apart = np.array([[2.0], [0.0], [0.0], [0.0]])  # X0 = 4/4 = 1
    setting, steps, gamma = asked(100, 0.05, apart), 100, 0.05
    assert (setting.profile.first, setting.profile.second) == pytest.approx((1.0, 2.0))
    moments = figures(0.5, 0.1, steps)
    bound = 4 * 6 / (gamma * 100) + 2 * 2 * gamma * 3 / 4 + 8 * 4 * 2 * 1 / 100 + 8 * gamma**2 * 4 * 1 * (3 + 15)
    assert TheoremD1().predicted(setting, moments).values[0] == pytest.approx(bound)
    summed = 4 * 2 * 1 + 4 * gamma**2 * 1 * (100 * (3 + 15) + 3 * 50)
    assert ConsensusSum().predicted(setting, moments).values[0] == pytest.approx(summed)
    assert GradientBound().predicted(setting, moments).values[0] == pytest.approx(3 + 15 + 3 * 4 * 0.1 + 3 * 0.5)
    spread = (4 * 2 * 1 + 4 * gamma**2 * (100 * 18 + 3 * 100 * bound)) / 100
    assert GradientsAtNodes().predicted(setting, moments).values == pytest.approx([spread, 8 * spread + 2 * bound])


def test_equal_starts_contribute_nothing() -> None:
    setting = asked(100, 0.05, np.full((4, 1), 3.0))
    assert setting.start_spread == 0.0


def test_d2_evaluates_its_three_conditions() -> None:
    steps = 5000
    setting = asked(steps, math.sqrt(4 / steps), np.array([[2.0], [0.0], [0.0], [0.0]]))
    gap = 6 + 2 * 3 / 2
    third = 4 * (4 * (2 * 1 + 4 * 1 * 18) / gap) ** 2
    assert least_steps(setting) == pytest.approx((16.0, 24 * 4 * 4, third))
    found = verify(TheoremD2(), setting, figures(0.5, 0.1, steps))
    assert found.outcome is (Outcome.HOLDS if steps >= third else Outcome.NOT_APPLICABLE)
    assert TheoremD2().predicted(setting, None).values[0] == pytest.approx(12 * gap / math.sqrt(4 * steps))  # pyright: ignore[reportArgumentType]
    below = asked(300, math.sqrt(4 / 300), np.zeros((4, 1)))
    refused = verify(TheoremD2(), below, figures(0.5, 0.1, 300))
    assert refused.outcome is Outcome.NOT_APPLICABLE and "condition (2)" in refused.sentence
    assert verify(TheoremD2(), replace(setting, step_size=0.01), None).outcome is Outcome.NOT_APPLICABLE


def test_a_step_that_is_too_large_or_shuffled_data_is_not_covered() -> None:
    setting = asked(100, 0.11, np.zeros((4, 1)))  # 1/(sqrt(24) L S1) = 0.102
    assert verify(TheoremD1(), setting, figures(0.5, 0.1, 100)).outcome is Outcome.NOT_APPLICABLE
    shuffled = replace(asked(100, 0.05, np.zeros((4, 1))), sampling="epochs")
    assert verify(TheoremD1(), shuffled, figures(0.5, 0.1, 100)).outcome is Outcome.NOT_APPLICABLE


@given(st.integers(0, 200), st.integers(3, 6), st.booleans())
@settings(max_examples=15, deadline=None)
def test_d1_holds_on_random_quadratics(seed: int, nodes: int, apart: bool) -> None:
    """Exact moments, random digraphs, the largest step that D1 allows: never violated."""
    generator = np.random.default_rng(seed)
    hessian = np.diag(generator.uniform(0.1, 1.0, 2))
    functions = Quadratics(
        np.broadcast_to(hessian, (nodes, 2, 2)), generator.standard_normal((nodes, 2)), np.broadcast_to(np.eye(2) * 0.1, (nodes, 2, 2))
    )
    bare = Setting.of("random", ErdosRenyiDigraph(nodes, 0.5, seed), 150)
    starts = generator.standard_normal((nodes, 2)) if apart else np.zeros((nodes, 2))
    largest = 1 / (math.sqrt(24) * bare.profile.first) if bare.profile.first > 0 else math.inf  # 0: one round averages exactly
    limit = min(1.0, largest) / float(hessian.max()) * 0.999
    setting = functions.setting("random", bare.chain, 150, limit, starts)
    moments = exact_moments(setting, functions)
    for claim in (TheoremD1(), ConsensusSum(), GradientsAtNodes(), GradientBound()):
        assert verify(claim, setting, moments).outcome is Outcome.HOLDS, claim.name


# -- consensus ---------------------------------------------------------------------------------------------------------


def still(values: np.ndarray, steps: int) -> Path:
    """A path on the complete graph without gradients: averaged after one step. values: (nodes,)."""
    nodes = len(values)
    held = np.broadcast_to(np.full(nodes, values.mean()), (steps + 1, nodes)).copy()
    held[0] = values
    shaped = held[:, :, None, None]
    nothing = np.zeros((steps, nodes, 1, 1))
    return Path(shaped, np.ones((steps + 1, nodes)), nothing, nothing, np.zeros((steps + 1, 1, 1)), np.zeros(steps + 1), nothing)


def test_the_sum_over_all_nodes_is_needed() -> None:
    """Starts (0, 1, 1, 1): node 0 is 0.75 away, its own start is 0, and the sum of all starts is 3."""
    path = still(np.array([0.0, 1.0, 1.0, 1.0]), 5)
    setting = replace(Setting.of("by hand", Complete(4), 5), step_size=1.0)
    assert ConsensusBound().measured(setting, path).values[0, 0, 0] == pytest.approx(0.75)
    assert ConsensusBound().predicted(setting, path).values[0, 0, 0] == pytest.approx(3.0)
    assert OwnNodeBound().predicted(setting, path).values[0, 0, 0] == 0.0
    assert verify(ConsensusBound(), setting, path).outcome is Outcome.HOLDS
    assert verify(OwnNodeBound(), setting, path).outcome is Outcome.VIOLATED
