"""Stragglers: the two-state chain against a plain loop and its stationary law; factors by address."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.compute_time import BLOCK
from sgpsim.clusters.distributions import ExponentialTime
from sgpsim.clusters.straggler import Straggler
from sgpsim.clusters.stragglers import MarkovSlow, PersistentSlow, SlowFrom
from sgpsim.errors import SpecificationError
from sgpsim.streams import stream

CONFIDENT = 3.9
"""Standard errors: a right closed form stays within with probability 0.9999."""


def factors(cause: Straggler, blocks: int, node: int = 0, seed: int = 3) -> NDArray[np.float64]:
    return np.concatenate(list(itertools.islice(cause.factors(node, stream(seed, "straggler", node)), blocks)))


probabilities = st.one_of(st.floats(1e-3, 1.0), st.sampled_from([0.5, 1.0]))


@settings(max_examples=60, deadline=None)
@given(enter=probabilities, leave=probabilities, seed=st.integers(0, 2**32))
def test_spells_equal_a_plain_loop(enter: float, leave: float, seed: int) -> None:
    found = factors(MarkovSlow((), 4.0, enter, leave), 3, seed=seed)
    generator = stream(seed, "straggler", 0)
    slow = generator.random() < enter / (enter + leave)
    for k in range(3 * BLOCK):
        slow = generator.random() < (1.0 - leave if slow else enter)
        assert found[k] == (4.0 if slow else 1.0)


@pytest.mark.parametrize(("enter", "leave"), [(0.05, 0.25), (0.3, 0.7), (0.6, 0.9), (0.02, 1.0)])
def test_spells_have_the_stationary_share_and_length(enter: float, leave: float) -> None:
    cause = MarkovSlow(factor=3.0, enter=enter, leave=leave)
    slow = factors(cause, 1600) > 1.0
    share, memory = enter / (enter + leave), 1.0 - enter - leave
    error = math.sqrt(share * (1 - share) * (1 + memory) / (1 - memory) / len(slow))
    assert cause.slow_share == pytest.approx(share)
    assert abs(slow.mean() - share) < CONFIDENT * error
    assert abs(slow.mean() - 1.1 * share) > CONFIDENT * error
    turns = np.diff(slow.astype(int))
    begins, ends = np.flatnonzero(turns == 1), np.flatnonzero(turns == -1)
    ends = ends[ends > begins[0]]
    lengths = ends - begins[: len(ends)]
    spread = math.sqrt((1 - leave) / leave**2 / len(lengths))
    assert abs(lengths.mean() - 1 / leave) <= CONFIDENT * spread + 1e-12


def test_spells_begin_in_the_stationary_law() -> None:
    """The first gradient of each of 20,000 nodes; a chain begun quick would be slow with probability `enter` only."""
    cause = MarkovSlow((), 5.0, 0.05, 0.25)
    first = np.array([next(cause.factors(node, stream(0, "straggler", node)))[0] > 1 for node in range(20_000)])
    error = math.sqrt(cause.slow_share * (1 - cause.slow_share) / len(first))
    assert abs(first.mean() - cause.slow_share) < CONFIDENT * error
    assert abs(first.mean() - 0.05) > CONFIDENT * error


def block(cluster: Cluster, node: int, seed: int = 5) -> NDArray[np.float64]:
    return next(cluster.durations(node, seed))


def test_factors_multiply_and_touch_only_their_nodes() -> None:
    compute = ExponentialTime(1.0)
    plain = Cluster(4, compute)
    slow = Cluster(4, compute, stragglers=(PersistentSlow((1, 2), 5.0), PersistentSlow((2,), 2.0)))
    for node, factor in enumerate((1.0, 5.0, 10.0, 1.0)):
        assert np.array_equal(block(slow, node), factor * block(plain, node))


def test_late_causes_leave_the_durations_alone() -> None:
    late = Cluster(2, ExponentialTime(1.0), stragglers=(SlowFrom((1,), 5.0, 12.5), SlowFrom((1,), 2.0, 0.0)))
    assert np.array_equal(block(late, 1), 2.0 * block(Cluster(2, ExponentialTime(1.0)), 1))
    [(instant, found)] = late.late_causes(1, 5)
    assert instant == 12.5 and (next(found) == 5.0).all()
    assert late.late_causes(0, 5) == []


def test_common_random_numbers_whatever_else_there_is() -> None:
    compute, spells = ExponentialTime(1.0), MarkovSlow((0,), 5.0)
    alone = block(Cluster(1, compute), 0)
    assert np.array_equal(alone, block(Cluster(64, compute), 0))
    assert not np.array_equal(alone, block(Cluster(64, compute), 1))
    spelled = block(Cluster(4, compute, stragglers=(spells,)), 0)
    assert set(np.round(spelled / alone, 9)) == {1.0, 5.0}
    among = (PersistentSlow((1,), 3.0), spells, SlowFrom((0,), 2.0, 9.0), MarkovSlow((2,), 7.0))
    assert np.array_equal(spelled, block(Cluster(4, compute, stragglers=among), 0))
    twice = block(Cluster(4, compute, stragglers=(spells, spells)), 0)
    assert 25.0 in np.round(twice / alone, 9) and 5.0 in np.round(twice / alone, 9)


def test_every_block_has_the_one_length() -> None:
    for cause in (PersistentSlow((0,), 2.0), SlowFrom((0,), 2.0, 1.0), MarkovSlow()):
        assert [len(found) for found in itertools.islice(cause.factors(0, stream(0, "straggler", 0)), 3)] == [BLOCK] * 3


def test_nodes_are_kept_as_plain_numbers() -> None:
    assert PersistentSlow(np.array([2, 0]), 2.0) == PersistentSlow((2, 0), 2.0)  # type: ignore[arg-type]
    assert hash(PersistentSlow([2, 0], 2.0)) == hash(PersistentSlow((2, 0), 2.0))  # type: ignore[arg-type]


BAD: list[tuple[Callable[[], object], str]] = [
    (lambda: PersistentSlow((), 2.0), "at least one node"),
    (lambda: PersistentSlow((1, 1), 2.0), "distinct node numbers"),
    (lambda: PersistentSlow((-1,), 2.0), "PersistentSlow(nodes)"),
    (lambda: PersistentSlow(3, 2.0), "such as (3,)"),  # type: ignore[arg-type]
    (lambda: PersistentSlow(("a",), 2.0), "PersistentSlow(nodes)"),  # type: ignore[arg-type]
    (lambda: PersistentSlow((0,), 0.0), "PersistentSlow(factor)"),
    (lambda: SlowFrom((), 2.0, 1.0), "SlowFrom(nodes)"),
    (lambda: SlowFrom((0,), math.nan, 1.0), "SlowFrom(factor)"),
    (lambda: SlowFrom((0,), 2.0, -1.0), "SlowFrom(instant)"),
    (lambda: SlowFrom((0,), 2.0, math.inf), "SlowFrom(instant)"),
    (lambda: MarkovSlow((0.5,)), "MarkovSlow(nodes)"),  # type: ignore[arg-type]
    (lambda: MarkovSlow((), -1.0), "MarkovSlow(factor)"),
    (lambda: MarkovSlow(enter=0.0), "MarkovSlow(enter)"),
    (lambda: MarkovSlow(enter=1.5), "in (0, 1]"),
    (lambda: MarkovSlow(leave=1.5), "MarkovSlow(leave)"),
    (lambda: Cluster(4, stragglers=(PersistentSlow((4,), 2.0),)), "names node 4 and the cluster has nodes 0..3"),
    (lambda: Cluster(4, stragglers=(SlowFrom((0, 9), 2.0, 1.0),)), "names node 9"),
    (lambda: Cluster(4, stragglers=(MarkovSlow((5,)),)), "names node 5"),
]


@pytest.mark.parametrize(("build", "said"), BAD, ids=[said for _, said in BAD])
def test_bad_stragglers_are_refused_when_built(build: Callable[[], object], said: str) -> None:
    with pytest.raises(SpecificationError) as refused:
        build()
    assert said in str(refused.value)
