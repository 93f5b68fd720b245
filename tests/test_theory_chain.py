"""Products, kernels, connectivity and contraction, against brute force and against numbers known by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgpsim.schedules.erdos_renyi import ErdosRenyiDigraph
from sgpsim.schedules.one_peer_exponential import OnePeerExponential
from sgpsim.schedules.random_peer import RandomPeer
from sgpsim.schedules.ring import DirectedRing
from sgpsim.schedules.rotating_star import RotatingStar
from sgpsim.schedules.schedule import Schedule
from theory.chain import Chain
from theory.connectivity import positivity_bound, positivity_time, windows, zeros
from theory.contraction import a_priori, contraction, exact_averaging, profile
from theory.delays import augmented
from theory.setting import Setting

IRREGULAR = ErdosRenyiDigraph(6, 0.3)


@pytest.mark.parametrize("schedule", [IRREGULAR, RotatingStar(5), OnePeerExponential(6), RandomPeer(5)])
def test_products_and_kernels_are_what_they_say(schedule: Schedule) -> None:
    chain = Chain.of(schedule, 24)
    weights = np.ones(schedule.size)
    for step in range(24):
        assert np.allclose(chain.weights[step], weights, rtol=1e-13)
        weights = schedule.matrix(step).toarray() @ weights
    for length, found in enumerate(chain.kernels(10)):
        for start, kernel in enumerate(found):
            product = np.eye(schedule.size)
            for step in range(start, start + length):
                product = schedule.matrix(step).toarray() @ product
            by_hand = product / chain.weights[start + length][:, None] - 1 / schedule.size
            assert np.allclose(kernel, by_hand, atol=1e-13)
            assert np.allclose(kernel, chain.kernel(start, start + length), atol=1e-13)


def test_starts_left_out_have_kernels_that_were_seen() -> None:
    chain = Chain.of(RotatingStar(5), 200)
    assert 5 <= chain.distinct < 150
    for length in (1, 3, 7):
        *_, seen = chain.kernels(length)
        for start in (chain.distinct, 120, 180):
            late = chain.kernel(start, start + length)
            assert np.abs(seen - late).max(axis=(1, 2)).min() < 1e-13
    assert all(np.allclose(chain.weights[step], chain.weights[chain.phase(step)], atol=1e-13) for step in range(200))
    assert all(np.array_equal(chain.round(step), chain.round(chain.phase(step))) for step in range(200))


def test_remainders_compose() -> None:
    chain = augmented(Chain.of(IRREGULAR, 30), 2)
    short, long = (list(chain.remainders(8))[length] for length in (4, 8))
    assert np.allclose(long[0], short[4] @ short[0], atol=1e-13)


def test_the_rotating_star_needs_all_but_one_of_its_rounds() -> None:
    chain = Chain.of(RotatingStar(6), 40)
    assert zeros(chain, 5)[1:] == [12, 6, 2, 0]
    assert positivity_time(chain, 40) == 5
    found = windows(chain)
    assert found is not None and found.length == 1 and set(found.diameters) == {2} and not found.constant
    assert positivity_bound(found, 6) == 5


def test_a_schedule_in_two_parts_has_no_window() -> None:
    parts = np.asarray(np.kron(np.eye(2), np.full((2, 2), 0.5)), dtype=np.float64)
    chain = Chain.of_matrices(parts, 50)
    assert windows(chain) is None and positivity_time(chain, 50) is None and contraction(chain, 50) is None


def test_windows_that_need_several_rounds() -> None:
    found = windows(Chain.of(OnePeerExponential(8), 50))
    # hops of 4 alone, or of 1 in a window that starts at the wrong round, reach not everybody
    assert found is not None and found.length == 3 and found.constant
    ring, rest = DirectedRing(4).matrix(0).toarray(), np.eye(4)
    paused = windows(Chain.of_matrices(np.stack((ring, rest, rest, ring)), 50))
    assert paused is not None and paused.length == 2


@given(st.integers(3, 6), st.floats(0.2, 0.8), st.integers(0, 50), st.integers(1, 3), st.booleans())
@settings(max_examples=30, deadline=None)
def test_lemma_a_holds_for_random_digraphs_and_the_time_bound_too(nodes: int, density: float, seed: int, period: int, late: bool) -> None:
    generator = np.random.default_rng(seed)
    arcs = generator.random((period, nodes, nodes)) < density
    arcs[:, np.arange(nodes), np.arange(nodes)] = True
    plain = Chain.of_matrices(arcs / arcs.sum(axis=1, keepdims=True), 60)
    found = windows(plain)
    if found is None:
        return
    delay = 2 if late else 0
    chain = augmented(plain, generator.integers(0, 3, size=(period, nodes, nodes))) if late else plain
    time = positivity_time(chain, 60)
    assert time is None or time <= positivity_bound(found, nodes, delay)
    if positivity_bound(found, nodes, delay) <= 60:
        assert time is not None
        bound, prior = contraction(chain, 60), a_priori(plain, delay)
        assert bound is not None and prior is not None
        assert bound.least >= prior.least and bound.weight >= prior.weight
        entries = np.array([np.abs(kernel).max() for kernel in chain.kernels(60)])
        assert (entries <= bound.bound(np.arange(61)) * (1 + 1e-12) + 1e-12).all()
        assert (bound.bound(np.arange(61)) <= prior.bound(np.arange(61)) * (1 + 1e-12)).all()


@pytest.mark.parametrize(("nodes", "rounds"), [(3, 9), (4, 13), (5, 17), (6, 21)])
def test_late_messages_on_a_pausing_ring_meet_the_time_bound_exactly(nodes: int, rounds: int) -> None:
    ring, rest = DirectedRing(nodes).matrix(0).toarray(), np.eye(nodes)
    chain = Chain.of_matrices(np.stack((ring, rest, rest, ring)), 60)
    found = windows(chain)
    assert found is not None and positivity_bound(found, nodes, 1) == rounds
    assert positivity_time(augmented(chain, 1), 60) == rounds


def test_late_messages_lose_nothing() -> None:
    chain = augmented(Chain.of(IRREGULAR, 20), 3)
    assert np.allclose(chain.rounds.sum(axis=1), 1.0)
    assert np.allclose(chain.masses.sum(axis=1), 6.0)
    # by hand: every message of step k arrives at the end of step k + 3
    weights, under_way = np.ones(6), [np.zeros(6)] * 3
    matrix = IRREGULAR.matrix(0).toarray()
    own = np.diag(matrix)
    for step in range(20):
        assert np.allclose(chain.weights[step], weights)
        under_way.append((matrix - np.diag(own)) @ weights)
        weights = own * weights + under_way.pop(0)


def test_no_delay_is_the_chain_itself() -> None:
    chain = Chain.of(IRREGULAR, 10)
    assert np.array_equal(augmented(chain, 0).rounds, chain.rounds)


def test_one_peer_graphs_contract_to_nothing() -> None:
    setting = Setting.of("n = 16", OnePeerExponential(16), 100)
    assert setting.contraction is not None and setting.contraction.time == 4 and setting.contraction.factor == 0.0
    assert setting.contraction.geometric is None
    assert setting.contraction.bound(np.arange(6)).tolist() == [1, 1, 1, 1, 0, 0]
    assert (setting.profile.first, setting.profile.second) == pytest.approx((3.0, 4.0))
    assert exact_averaging(setting.chain, 10) == (4, 4)


@pytest.mark.parametrize("cut", [3, 8, 20])
@pytest.mark.parametrize("delay", [0, 1])
def test_what_is_cut_off_a_profile_is_counted_in(cut: int, delay: int) -> None:
    chain = Chain.of(IRREGULAR, 150)
    chain = augmented(chain, delay) if delay else chain
    whole, part = profile(chain, 150, None), profile(chain, cut, contraction(chain, 150))
    assert part.first >= whole.first and part.second >= whole.second
    assert part.norms.tolist() == whole.norms[: len(part.norms)].tolist()


def test_geometric_and_floor_forms_agree_at_their_worst() -> None:
    found = contraction(Chain.of(IRREGULAR, 100), 100)
    assert found is not None and found.geometric is not None
    constant, ratio = found.geometric
    lengths = np.arange(60)
    assert (constant * ratio**lengths >= found.bound(lengths) * (1 - 1e-12)).all()
    worst = found.time - 1  # just before the first block is complete both are equal
    assert constant * ratio**worst == pytest.approx(found.bound(np.array([worst]))[0])
