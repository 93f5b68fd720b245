"""What methods without push-sum weights accept: what converges, against the spectrum of the product over a period."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgpsim.algorithms.carriers import require_averaging
from sgpsim.algorithms.dpsgd import DPSGD
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.budget import Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.descents.sgd import SGD
from sgpsim.descents.step_sizes import Constant
from sgpsim.errors import SpecificationError
from sgpsim.experiment import Experiment
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.schedules.matrices import Matrices
from sgpsim.schedules.one_peer_exponential import OnePeerExponential
from sgpsim.schedules.random_matching import RandomMatching
from sgpsim.schedules.ring import DirectedRing
from sgpsim.schedules.schedule import Schedule
from sgpsim.schedules.switched import Switched


def accepts(schedule: Schedule) -> bool:
    try:
        Experiment(DPSGD(), Quadratic(schedule.size, 2), schedule, Steps(1))
    except SpecificationError:
        return False
    return True


@settings(max_examples=80, deadline=None)
@given(nodes=st.integers(1, 7), period=st.integers(1, 3), terms=st.integers(1, 2), seed=st.integers(0, 2**32))
def test_accepted_is_exactly_what_tends_to_the_average(nodes: int, period: int, terms: int, seed: int) -> None:
    """Birkhoff: means of permutations are the doubly stochastic matrices; many have zeros on the diagonal."""
    generator = np.random.default_rng(seed)
    rounds = [np.mean([np.eye(nodes)[generator.permutation(nodes)] for _ in range(terms)], axis=0) for _ in range(period)]
    product = np.eye(nodes)
    for matrix in rounds:
        product = matrix @ product
    away = np.linalg.matrix_power(product, 4096) - 1 / nodes
    assert accepts(Matrices(tuple(rounds))) == bool(np.abs(away).max() < 1e-3)


@pytest.mark.parametrize("schedule", [DirectedRing(4), OnePeerExponential(8), RandomMatching(6)], ids=repr)
def test_directed_rounds_bring_everybody_to_one_point(schedule: Schedule) -> None:
    require_averaging("DPSGD", schedule)
    start = tuple((float(node), 1.0) for node in range(schedule.size))
    method = DPSGD(SGD(Constant(1e-12)))
    run = Vectorized(Cluster(schedule.size)).run(Experiment(method, Quadratic(schedule.size, 2), schedule, Steps(99), start=start))
    mean = [(schedule.size - 1) / 2, 1.0]
    np.testing.assert_allclose(run.final.points[:, 0], np.tile(mean, (schedule.size, 1)), atol=1e-6)


def test_a_switch_is_looked_at_on_both_sides() -> None:
    swaps = Matrices((np.eye(2)[::-1],))
    assert not accepts(swaps)
    assert accepts(Switched(swaps, DirectedRing(2), at=3))
    assert not accepts(Switched(DirectedRing(2), swaps, at=3))
