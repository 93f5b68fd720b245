"""Schedules: closed forms of how fast they average, and who exchanges with whom."""

from __future__ import annotations

import math

import networkx as nx
import numpy as np
import pytest

from sgpsim.schedules.bipartite_exponential import BipartiteExponential
from sgpsim.schedules.complete import Complete
from sgpsim.schedules.erdos_renyi import ErdosRenyiDigraph
from sgpsim.schedules.graph_schedule import GraphSchedule
from sgpsim.schedules.one_peer_exponential import MPeerExponential, OnePeerExponential, PlusMinusExponential
from sgpsim.schedules.random_matching import RandomMatching
from sgpsim.schedules.random_peer import CyclingPeer, RandomExponentialPeer, RandomPeer
from sgpsim.schedules.random_regular import RandomRegular
from sgpsim.schedules.ring import DirectedRing, UndirectedRing
from sgpsim.schedules.rotating_star import RotatingStar
from sgpsim.schedules.schedule import Schedule
from sgpsim.schedules.shares import Metropolis
from sgpsim.schedules.static_exponential import StaticExponential
from sgpsim.schedules.torus import Torus


def product(schedule: Schedule, steps: int, start: int = 0) -> np.ndarray:
    found = np.eye(schedule.size)
    for step in range(start, start + steps):
        found = schedule.matrix(step).toarray() @ found
    return found


def distance_to_average(schedule: Schedule, steps: int, start: int = 0) -> float:
    return float(np.linalg.norm(product(schedule, steps, start) - 1.0 / schedule.size, 2))


def name(schedule: Schedule) -> str:
    return f"{type(schedule).__name__}-{schedule.size}"


@pytest.mark.parametrize("power", [1, 2, 3, 4, 5])
def test_one_peer_exponential_averages_exactly_after_any_p_steps(power: int) -> None:
    schedule = OnePeerExponential(2**power)
    assert schedule.period == power
    for start in range(power + 1):
        assert distance_to_average(schedule, power, start) < 1e-15
        assert distance_to_average(schedule, power - 1, start) > 0.2


@pytest.mark.parametrize(
    ("size", "distance"),
    [(3, 0.250), (5, 0.202), (6, 0.217), (7, 0.125), (10, 0.192), (12, 0.209), (24, 0.207), (48, 0.207)],
)
def test_one_peer_exponential_is_not_exact_for_other_sizes(size: int, distance: float) -> None:
    assert distance_to_average(OnePeerExponential(size), math.ceil(math.log2(size))) == pytest.approx(
        distance, abs=6e-4
    )


@pytest.mark.parametrize("power", [2, 3, 4, 5])
def test_plus_minus_hops_average_exactly_after_2p_minus_1_steps_and_not_after_p(power: int) -> None:
    schedule = PlusMinusExponential(2**power)
    assert schedule.period == 2 * power - 1
    assert distance_to_average(schedule, 2 * power - 1) < 1e-15
    assert distance_to_average(schedule, 2 * power - 2) > 0.05
    assert distance_to_average(schedule, power) > 0.05


def test_plus_minus_hops_are_those_of_the_published_code() -> None:
    assert PlusMinusExponential(16).hops == (1, 15, 2, 14, 4, 12, 8)
    assert PlusMinusExponential(6).hops == (1, 5, 2, 4)
    assert PlusMinusExponential(2).hops == (1,)


@pytest.mark.parametrize(("peers", "power"), [(1, 4), (2, 1), (2, 2), (2, 3), (3, 2), (4, 2)])
def test_m_peer_exponential_averages_exactly_for_powers_of_m_plus_1(peers: int, power: int) -> None:
    schedule = MPeerExponential((peers + 1) ** power, peers)
    assert schedule.period == power
    for start in range(power):
        assert distance_to_average(schedule, power, start) < 1e-14
    if power > 1:
        assert distance_to_average(schedule, power - 1) > 0.1


def test_m_peer_exponential_drops_self_edges_and_duplicates() -> None:
    assert dict(MPeerExponential(6, 2).shares(1, 1)) == {1: 0.5, 4: 0.5}  # hops 3 and 6 = 0
    assert dict(MPeerExponential(4, 2).shares(0, 1)) == {0: 1 / 3, 3: 1 / 3, 2: 1 / 3}  # hops 3 and 6 = 2
    one, same = MPeerExponential(12, 1), OnePeerExponential(12)
    assert all(one.shares(sender, step) == same.shares(sender, step) for sender in range(12) for step in range(9))


@pytest.mark.parametrize("size", [4, 6, 7, 8, 12, 15, 16, 32, 64])
def test_static_exponential_has_the_gap_2_over_1_plus_p(size: int) -> None:
    matrix = StaticExponential(size).matrix(0).toarray()
    power = math.ceil(math.log2(size))
    second = np.sort(np.abs(np.linalg.eigvals(matrix)))[-2]
    gap = 2 / (1 + power)
    assert 1 - second == pytest.approx(gap, abs=1e-12) if size % 2 == 0 else 1 - second > gap + 1e-6
    assert np.linalg.norm(matrix - 1 / size, 2) == pytest.approx(second, abs=1e-12)


@pytest.mark.parametrize("size", [3, 4, 9, 20])
def test_rings_have_the_eigenvalues_of_circulants(size: int) -> None:
    directed = np.sort(np.abs(np.linalg.eigvals(DirectedRing(size).matrix(0).toarray())))
    assert directed[-2] == pytest.approx(math.cos(math.pi / size), abs=1e-12)
    undirected = np.sort(np.linalg.eigvalsh(UndirectedRing(size).matrix(0).toarray()))
    assert undirected[-2] == pytest.approx((1 + 2 * math.cos(2 * math.pi / size)) / 3, abs=1e-12)


def test_complete_averages_in_one_step_and_sends_to_the_next_first() -> None:
    assert distance_to_average(Complete(7), 1) < 1e-15
    assert [receiver for receiver, _ in Complete(5).round(0).pushes[3]] == [4, 0, 1, 2]


def test_the_rotating_star_has_diameter_2_and_zeros_until_n_minus_1_steps() -> None:
    schedule = RotatingStar(6)
    assert [int((product(schedule, steps) == 0).sum()) for steps in (2, 3, 4, 5)] == [12, 6, 2, 0]
    for step in range(6):
        graph = schedule.graph(step)
        assert nx.is_strongly_connected(graph) and nx.diameter(graph) == 2
    for size in (4, 5, 7, 8):
        for start in range(size):
            assert (product(RotatingStar(size), size - 2, start) == 0).any()
            assert (product(RotatingStar(size), size - 1, start) > 0).all()


def test_the_papers_comparison_of_mixing_after_5_steps_on_32_nodes() -> None:
    def second_singular_value(schedule: Schedule) -> float:
        return float(np.linalg.svd(product(schedule, 5), compute_uv=False)[1])

    assert second_singular_value(OnePeerExponential(32)) < 1e-15
    assert second_singular_value(CyclingPeer(32)) == pytest.approx(0.761, abs=6e-4)
    exponential = np.mean([second_singular_value(RandomExponentialPeer(32, seed)) for seed in range(30)])
    complete = np.mean([second_singular_value(RandomPeer(32, seed)) for seed in range(30)])
    assert 0.55 < exponential < 0.75 and 0.40 < complete < exponential


DOUBLY_STOCHASTIC = (OnePeerExponential, PlusMinusExponential, StaticExponential, DirectedRing, CyclingPeer)
SYMMETRIC = (UndirectedRing, Complete, BipartiteExponential, RandomMatching)


@pytest.mark.parametrize("kind", DOUBLY_STOCHASTIC + SYMMETRIC, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("size", [2, 4, 6, 10, 16])
def test_regular_schedules_are_doubly_stochastic(kind: type[Schedule], size: int) -> None:
    schedule: Schedule = kind(size)  # pyright: ignore[reportCallIssue]
    for step in range(schedule.period or 10):
        matrix = schedule.matrix(step).toarray()
        assert matrix.sum(axis=1) == pytest.approx(np.ones(size), abs=1e-14)
        assert kind not in SYMMETRIC or np.array_equal(matrix, matrix.T)


def test_torus_neighbours_and_shares() -> None:
    schedule = Torus(12, rows=3)
    assert set(schedule.shares(5, 0)) == {5, 6, 4, 9, 1} and set(schedule.shares(5, 0).values()) == {0.2}
    assert set(Torus(8, rows=2).shares(0, 0)) == {0, 1, 3, 4}
    assert nx.is_isomorphic(
        nx.Graph(schedule.graph(0)),
        nx.Graph([*nx.grid_2d_graph(3, 4, periodic=True).edges, *((v, v) for v in nx.grid_2d_graph(3, 4))]),
    )
    ring = Torus(7, rows=1)
    assert all(ring.shares(node, 0) == UndirectedRing(7).shares(node, 0) for node in range(7))


@pytest.mark.parametrize("size", [2, 4, 6, 8, 18, 32])
def test_bipartite_exponential_matches_even_with_odd(size: int) -> None:
    schedule = BipartiteExponential(size)
    for step in range(schedule.period):
        for node in range(size):
            (partner,) = set(schedule.shares(node, step)) - {node}
            assert (partner - node) % 2 == 1 and node in schedule.shares(partner, step)
    assert BipartiteExponential(16).distances == (1, 15, 3, 13, 5, 11, 9, 7)


def test_random_schedules_depend_on_seed_and_step_alone() -> None:
    for kind in (RandomMatching, RandomPeer, RandomExponentialPeer):
        forward, backward = kind(9, 3), kind(9, 3)
        ahead = [dict(forward.shares(node, step)) for step in range(20) for node in range(9)]
        back = [dict(backward.shares(node, step)) for step in reversed(range(20)) for node in reversed(range(9))]
        assert ahead == back[::-1]
        assert ahead != [dict(kind(9, 4).shares(node, step)) for step in range(20) for node in range(9)]
        assert len({forward.round(step).pushes for step in range(20)}) > 10, "steps must differ"


def test_random_matchings_pair_everybody_and_shrink_deviations_as_expected() -> None:
    for size in (8, 9):
        for step in range(5):
            alone = sum(len(RandomMatching(size).shares(node, step)) == 1 for node in range(size))
            assert alone == size % 2
    mean = np.mean([RandomMatching(6, 1).matrix(step).toarray() for step in range(4000)], axis=0)
    expected = np.full((6, 6), 0.5 / 5) + np.eye(6) * (0.5 - 0.5 / 5)
    assert mean == pytest.approx(expected, abs=5 * 0.5 * math.sqrt(0.2 * 0.8 / 4000))


def test_erdos_renyi_is_irregular_so_weights_leave_1() -> None:
    schedule = ErdosRenyiDigraph(12, 0.3, seed=1)
    matrix = schedule.matrix(0).toarray()
    assert matrix.sum(axis=0) == pytest.approx(np.ones(12), abs=1e-15)
    assert np.ptp(matrix.sum(axis=1)) > 0.5
    arcs = [len(ErdosRenyiDigraph(30, 0.4, seed).round(0).matrix.data) - 30 for seed in range(40)]
    assert np.mean(arcs) == pytest.approx(0.4 * 870, abs=4 * math.sqrt(870 * 0.24 / 40))


def test_random_regular_is_networkx_own_with_metropolis_shares() -> None:
    graph = nx.random_regular_graph(4, 16, seed=42)
    assert RandomRegular(16, 4, 42).round(0).pushes == GraphSchedule(graph, Metropolis()).round(0).pushes
    assert set(RandomRegular(16, 4, 42).shares(0, 0).values()) == {0.2}
