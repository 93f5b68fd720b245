"""Cycle times against enumerated cycles and against the recursion itself; laws against numbers known by hand."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgpsim.schedules.one_peer_exponential import OnePeerExponential
from sgpsim.schedules.ring import DirectedRing
from theory.cases import timing as timed
from theory.chain import Chain
from theory.claims.barrier_time import BarrierTime
from theory.claims.directed_ring_time import DirectedRingTime
from theory.setting import Setting
from theory.timing import Durations, Timing, cycle_mean, cycle_time, max_plus, rounds
from theory.verdict import Outcome, verify


def enumerated(weights: np.ndarray) -> float:
    """The largest mean weight of any simple cycle, by listing them."""
    nodes, best = len(weights), -np.inf
    for length in range(1, nodes + 1):
        for cycle in itertools.permutations(range(nodes), length):
            edges = [weights[cycle[(place + 1) % length], cycle[place]] for place in range(length)]
            best = max(best, sum(edges) / length)
    return best


@given(st.integers(2, 5), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_karp_finds_the_heaviest_cycle(nodes: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    weights = generator.uniform(-1, 3, (nodes, nodes))
    missing = generator.random((nodes, nodes)) < 0.3
    weights[missing] = -np.inf
    ring = (np.arange(1, nodes + 1) % nodes, np.arange(nodes))  # keeps everything reachable
    weights[ring] = generator.uniform(-1, 3, nodes)
    assert cycle_mean(weights) == pytest.approx(enumerated(weights))


@pytest.mark.parametrize(("delay", "expected"), [(0.0, 4.0), (2.0, 25 / 6), (4.0, 37 / 6)])
def test_ring_cycle_time_is_the_slowest_node_or_the_mean_and_the_delay(delay: float, expected: float) -> None:
    paces = (1.0, 2.0, 3.0, 4.0, 2.0, 1.0)
    found = cycle_time(Chain.of(DirectedRing(6), 10), Timing("constant", paces, latency=delay))
    assert found == pytest.approx(max(4.0, np.mean(paces) + delay)) == pytest.approx(expected)


def test_cycle_time_is_the_rate_of_the_recursion() -> None:
    chain, timing = Chain.of(OnePeerExponential(6), 10), Timing("constant", (1.0, 1.5, 0.4, 2.0, 0.7, 1.1), latency=0.9)
    clock, matrices, steps = np.zeros(6), rounds(chain, timing), 3 * 2000
    for step in range(steps):
        clock = max_plus(matrices[step % 3], clock[:, None])[:, 0]
    assert clock.max() / steps == pytest.approx(cycle_time(chain, timing), rel=1e-3)


@pytest.mark.parametrize("case", timed.cases(), ids=lambda case: f"{case.claim.name}-{case.slow}")
def test_the_clocks_of_both_backends_keep_the_laws(case: timed.Case) -> None:
    if case.slow:
        pytest.skip("in the whole table")
    setting, evidence = case.make()
    assert verify(case.claim, setting, evidence).outcome is case.declared


def test_the_ring_all_reduce_of_resnet_on_ten_gigabit() -> None:
    setting, path = timed._all_reduce(8, 0.0)  # pyright: ignore[reportPrivateUsage]
    assert path.clocks[-1].max() - 1.0 == pytest.approx(0.14350, abs=5e-6)  # pyright: ignore[reportAttributeAccessIssue]
    assert setting.timing is not None


def test_a_wrong_law_is_refused() -> None:
    generator = np.random.default_rng(0)
    longest = generator.exponential(1.0, (40_000, 5)).max(axis=1)[None]
    bare = Setting.of("five nodes said to be four", DirectedRing(4), 10)
    setting = replace(bare, timing=Timing("exponential", (1.0,) * 4))
    assert verify(BarrierTime(), setting, Durations(longest)).outcome is Outcome.VIOLATED
    honest = generator.exponential(1.0, (40_000, 4)).max(axis=1)[None]
    assert verify(BarrierTime(), setting, Durations(honest)).outcome is Outcome.HOLDS


def test_timing_claims_ask_for_their_timing() -> None:
    setting = Setting.of("ring", DirectedRing(4), 10)
    assert verify(DirectedRingTime(), setting, None).outcome is Outcome.UNDECIDED
    constant = replace(setting, timing=Timing("constant", (1.0,) * 4))
    assert verify(DirectedRingTime(), constant, None).outcome is Outcome.NOT_APPLICABLE
    other = Setting.of("not a ring", OnePeerExponential(4), 10)
    asked = replace(other, timing=Timing("exponential", (1.0,) * 4))
    assert verify(DirectedRingTime(), asked, None).outcome is Outcome.NOT_APPLICABLE
