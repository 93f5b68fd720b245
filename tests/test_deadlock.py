"""A run that cannot finish says who waits for whom, at which step, and the cycle; SimPy alone would return in silence."""

from __future__ import annotations

import pytest
from faulty_algorithms import Waits

from sgpsim.backends.events.simulated import Simulated
from sgpsim.budget import Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.compute_time import ConstantTime
from sgpsim.clusters.hockney import Hockney
from sgpsim.errors import Deadlock
from sgpsim.experiment import Experiment
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.schedules.ring import DirectedRing


def told(how: str, nodes: int = 4) -> str:
    cluster = Cluster(nodes, ConstantTime(1.0), Hockney(0.5))
    with pytest.raises(Deadlock) as stop:
        Simulated(cluster).run(Experiment(Waits(how), Quadratic(nodes, 2), DirectedRing(nodes), Steps(5)))
    return str(stop.value)


def test_a_round_that_nobody_has_sent() -> None:
    """Everybody gathers round 3 in step 2, before anybody scatters it."""
    said = told("round")
    assert said.startswith("deadlock at 1 s: "), "two rounds of half a second"
    for node in range(4):
        assert f"node {node} waits at step 2 for messages of round 3 from {(node - 1) % 4}" in said
    assert "cycle: 0 -> 3 -> 2 -> 1 -> 0" in said
    assert said.endswith("Every send needs a receive of the same round at the other end.")


@pytest.mark.parametrize("how", ["letter", "any"])
def test_a_letter_that_nobody_writes(how: str) -> None:
    said = told(how)
    assert "node 2 waits at step 2 for a message on channel 'mail' from 1" in said
    assert "cycle: 0 -> 3 -> 2 -> 1 -> 0" in said


def test_a_meeting_that_somebody_misses() -> None:
    """Only the one who stays away is named, not those who came; there is no cycle."""
    said = told("mean")
    for node in (1, 2, 3):
        assert f"node {node} waits at step 2 for the collective mean from 0" in said
    assert "node 0 waits" not in said and "cycle" not in said


def test_one_node_waits_for_another_that_has_ended() -> None:
    said = told("one")
    assert "node 0 waits at step 2 for a message on channel 'mail' from 1" in said
    assert "node 1 waits" not in said and "cycle" not in said


def test_an_activity_on_the_side_that_waits_for_ever() -> None:
    assert "node 0 waits at step 4 for a message on channel 'mail' from 1" in told("side")


def test_an_activity_that_waits_for_its_own_end() -> None:
    said = told("itself")
    assert said.startswith("deadlock at 1 s: node 0 waits at step 4 for the end of an activity of its own; node 1 waits")
    assert "nobody" not in said and "cycle" not in said


def test_a_large_fleet_is_not_listed_in_full() -> None:
    said = told("round", nodes=40)
    assert "; and 32 more; cycle: " in said and said.count("waits at step") == 8
