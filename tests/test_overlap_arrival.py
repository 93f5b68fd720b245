"""Overlap SGP that mixes messages as they arrive: every message once, none too late, none too early."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_experiments import clusters, directed

from sgpsim.algorithms.overlap_sgp import OverlapSGP
from sgpsim.backends.events.node import SimulatedNode
from sgpsim.backends.events.simulated import Simulated
from sgpsim.budget import Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.compute_time import ConstantTime
from sgpsim.clusters.hockney import Hockney
from sgpsim.clusters.stragglers import PersistentSlow
from sgpsim.descents.sgd import SGD
from sgpsim.errors import SpecificationError
from sgpsim.experiment import Experiment
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.schedules.ring import DirectedRing

Taking = tuple[int, int, int, int, float]
"""sender, receiver, round, the receiver's step, now."""


@pytest.fixture
def takings(monkeypatch: pytest.MonkeyPatch) -> list[Taking]:
    """Every message as it is received, in order."""
    found: list[Taking] = []
    honest = SimulatedNode._take

    def take(self: Any, sender: int, number: int, value: Any, step: int, weight: float) -> None:
        found.append((sender, self.rank, step, self.step, self._environment.now))
        honest(self, sender, number, value, step, weight)

    monkeypatch.setattr(SimulatedNode, "_take", take)
    return found


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.data(), nodes=st.integers(2, 6), steps=st.integers(0, 14), delay=st.integers(1, 4), every=st.integers(1, 3)
)
def test_every_message_is_mixed_once_and_at_most_delay_steps_late(
    takings: list[Taking], data: st.DataObject, nodes: int, steps: int, delay: int, every: int
) -> None:
    takings.clear()
    schedule = data.draw(directed(nodes))
    cluster = data.draw(clusters(nodes, 1000.0))
    method = OverlapSGP(delay=delay, every=every, mixing="arrival")
    experiment = Experiment(method, Quadratic(nodes, 2), schedule, Steps(steps), start=1.0, message_bytes=1000.0)
    run = Simulated(cluster).run(experiment)
    assert run.outcome == "finished" and run.trace is not None
    rounds = steps // every
    sent = Counter(
        (sender, receiver, number)
        for number in range(rounds)
        for sender, pushed in enumerate(schedule.round(number).pushes)
        for receiver, _ in pushed
    )
    assert Counter(taking[:3] for taking in takings) == sent, "each exactly once"
    arrivals = {
        (row["sender"], row["receiver"], row["step"]): row["arrival"]
        for row in run.trace.messages.iter_rows(named=True)
    }
    per_pair: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for sender, receiver, number, step, now in takings:
        sent_at = every * (number + 1) - 1
        assert step - sent_at <= delay, "as measured by the receiver's own steps"
        assert arrivals[sender, receiver, number] <= now, "never before it has come"
        per_pair[sender, receiver].append(number)
    assert all(numbers == sorted(numbers) for numbers in per_pair.values())
    assert run.final.weights.sum() == pytest.approx(nodes)
    again = Simulated(cluster, look_ahead=False).run(experiment)
    np.testing.assert_array_equal(run.final.values, again.final.values)
    assert run.metrics.equals(again.metrics)


def test_a_quick_node_takes_in_what_has_come_and_waits_for_what_would_be_too_late(takings: list[Taking]) -> None:
    """Node 0 is ten times slower: its receiver takes its messages when due, all others at once."""
    cluster = Cluster(4, ConstantTime(1.0), Hockney(0.25), stragglers=(PersistentSlow((0,), 10.0),))
    method = OverlapSGP(SGD(), delay=3, mixing="arrival")
    run = Simulated(cluster).run(Experiment(method, Quadratic(4, 2), DirectedRing(4), Steps(20)))
    lateness: defaultdict[int, set[int]] = defaultdict(set)
    for sender, receiver, number, step, _ in takings:
        if 6 < number < 14:
            assert receiver == (sender + 1) % 4
            lateness[receiver].add(step - number)
    assert lateness[1] == {3}, "waits for the slow node, as late as allowed"
    assert max(lateness[0]) < 0, "the slow node receives what its sender, who is ahead, has sent already"
    assert run.final.clocks.max() == pytest.approx(20 * 10.0, rel=0.05), "a persistent straggler paces all, in the end"


def test_what_arrives_at_this_very_instant_is_left_for_the_next_step(takings: list[Taking]) -> None:
    """Strictly before now, so that nothing depends on the order of events of one instant."""
    method = OverlapSGP(SGD(), delay=4, mixing="arrival")
    for latency, late in ((1.0, 2), (0.999, 1), (0.0, 1)):
        takings.clear()
        cluster = Cluster(3, ConstantTime(1.0), Hockney(latency))
        Simulated(cluster).run(Experiment(method, Quadratic(3, 2), DirectedRing(3), Steps(12)))
        assert {step - number for _, _, number, step, _ in takings if number < 6} == {late}


def test_timing_changes_the_numbers_and_one_trajectory_holds_one_seed() -> None:
    method = OverlapSGP(SGD(), delay=3, mixing="arrival")
    experiment = Experiment(method, Quadratic(4, 2), DirectedRing(4), Steps(20), seeds=(0, 1))
    slow = Cluster(4, ConstantTime(1.0), Hockney(0.25), stragglers=(PersistentSlow((0,), 10.0),))
    quick, late = (Simulated(cluster).run(experiment).final.values for cluster in (Cluster(4), slow))
    assert (quick != late).any()
    with pytest.raises(SpecificationError, match="Run one seed at a time"):
        Simulated(slow, keep_trajectory=True).run(experiment)
