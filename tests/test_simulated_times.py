"""Simulated time against closed forms, exact laws, and a second simulation that makes an event of every message."""

from __future__ import annotations

import math
from dataclasses import dataclass

import networkx as nx
import numpy as np
import polars as pl
import pytest
from event_per_message import EventPerMessage
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from random_experiments import clusters, experiments

from sgpsim.algorithms.adpsgd import ADPSGD
from sgpsim.algorithms.algorithm import Algorithm
from sgpsim.algorithms.allreduce_sgd import AllReduceSGD
from sgpsim.algorithms.dpsgd import DPSGD
from sgpsim.algorithms.overlap_sgp import OverlapSGP
from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.events.simulated import Simulated
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.budget import Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.compute_time import ConstantTime
from sgpsim.clusters.distributions import ExponentialTime
from sgpsim.clusters.hockney import Hockney
from sgpsim.clusters.stragglers import MarkovSlow, PersistentSlow, SlowFrom
from sgpsim.experiment import Experiment
from sgpsim.node import Node
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.schedules.one_peer_exponential import MPeerExponential, OnePeerExponential
from sgpsim.schedules.ring import DirectedRing, UndirectedRing
from sgpsim.schedules.schedule import Schedule

RESNET50 = 102.2e6
CONFIDENT = 4.4
"""Standard errors: a right law stays within with probability 0.99999."""


def experiment(
    method: Algorithm, schedule: Schedule, steps: int, seeds: int = 1, message_bytes: float | None = None
) -> Experiment:
    objective = Quadratic(schedule.size, 1, noise=0.0)
    return Experiment(
        method, objective, schedule, Steps(steps), tuple(range(seeds)), message_bytes=message_bytes, measure_every=10**6
    )


def paced(compute: list[float], network: Hockney) -> Cluster:
    """Nodes that take `compute` seconds each, on one switch."""
    graph = nx.Graph()
    graph.add_nodes_from((node, {"pace": seconds}) for node, seconds in enumerate(compute))
    graph.add_edges_from(((node, "switch") for node in range(len(compute))), latency=network.latency / 2)
    return Cluster(len(compute), ConstantTime(1.0), network, graph=graph)


def seconds_per_step(found: Experiment, cluster: Cluster, burn: int, backend: type = Vectorized) -> NDArray[np.float64]:
    """Per seed, the mean time of a step after the first `burn` steps, the drain left out."""
    cuts = backend(cluster, keep_trajectory=True).run(found).trajectory
    assert isinstance(found.budget, Steps)
    last = found.budget.count
    return (cuts.clocks[last].max(axis=0) - cuts.clocks[burn].max(axis=0)) / (last - burn)


def require_mean(found: NDArray[np.float64], law: float) -> None:
    error = found.std(ddof=1) / math.sqrt(len(found))
    assert abs(found.mean() - law) < CONFIDENT * error, (found.mean(), law, error)
    assert error < 0.02 * law, "a test that could hardly fail"


@pytest.mark.parametrize("nodes", [2, 3, 4, 8, 16])
def test_a_directed_ring_of_exponential_nodes_takes_2_less_1_over_n(nodes: int) -> None:
    """Stationary speed of the exclusion process with n particles on 2 n sites; no neighbour of it passes."""
    found = seconds_per_step(
        experiment(SGP(), DirectedRing(nodes), 700, seeds=150), Cluster(nodes, ExponentialTime(1.0)), burn=200
    )
    require_mean(found, 2 - 1 / nodes)
    error = found.std(ddof=1) / math.sqrt(len(found))
    harmonic = sum(1 / k for k in range(1, nodes + 1))
    neighbour = 2 - 1 / (nodes + 1)  # told apart up to 8 nodes
    for wrong in (*([neighbour] if nodes <= 8 else []), *([harmonic] if nodes > 2 else [])):
        assert abs(found.mean() - wrong) > CONFIDENT * error


def test_the_event_clock_finds_the_same_law() -> None:
    found = seconds_per_step(
        experiment(SGP(), DirectedRing(4), 300, seeds=24), Cluster(4, ExponentialTime(1.0)), 60, Simulated
    )
    require_mean(found, 2 - 1 / 4)


@pytest.mark.parametrize("nodes", [2, 8, 32])
def test_a_barrier_of_exponential_nodes_takes_the_harmonic_number(nodes: int) -> None:
    found = seconds_per_step(
        experiment(AllReduceSGD(), DirectedRing(nodes), 100, seeds=60), Cluster(nodes, ExponentialTime(1.0)), burn=0
    )
    require_mean(found, sum(1 / k for k in range(1, nodes + 1)))


@pytest.mark.parametrize("backend", [Vectorized, Simulated])
@pytest.mark.parametrize(("latency", "transfer"), [(2.0, 0.0), (0.0, 2.0), (0.5, 1.5)])
@pytest.mark.parametrize(
    ("compute", "law"), [([1.0, 2, 3, 4, 2, 1], 25 / 6), ([1.0, 2, 3, 9, 2, 1], 9.0), ([1.0, 1, 1], 3.0)]
)
def test_a_deterministic_ring_takes_its_largest_cycle_mean(
    backend: type, latency: float, transfer: float, compute: list[float], law: float
) -> None:
    """max(max_i c_i, mean_i c_i + D): a step's message costs D = latency + bytes / bandwidth, however it is split."""
    nodes = len(compute)
    bandwidth = 1000.0 / transfer if transfer else math.inf
    cluster = paced(compute, Hockney(latency, bandwidth))
    found = seconds_per_step(
        experiment(SGP(), DirectedRing(nodes), 40 * nodes, message_bytes=1000.0), cluster, 30 * nodes, backend
    )
    assert found == pytest.approx(law, rel=1e-12)
    assert law == pytest.approx(max(*compute, sum(compute) / nodes + 2.0))


@pytest.mark.parametrize("backend", [Vectorized, Simulated])
def test_a_port_that_is_slower_than_the_cycle_sets_the_pace(backend: type) -> None:
    """Overlap can hide latency, never the port: a step takes at least bytes / bandwidth, whatever the delay."""
    cluster = Cluster(4, ConstantTime(1.0), Hockney(0.5, 1000.0 / 3.0))
    overlapped = experiment(OverlapSGP(delay=9), DirectedRing(4), 100, message_bytes=1000.0)
    assert seconds_per_step(overlapped, cluster, 50, backend) == pytest.approx(3.0)


@pytest.mark.parametrize("backend", [Vectorized, Simulated])
def test_a_homogeneous_step_takes_compute_latency_and_transfer(backend: type) -> None:
    cluster = Cluster(8, ConstantTime(0.3), Hockney(30e-6, 1.25e9))
    one_peer = experiment(SGP(), OnePeerExponential(8), 20, message_bytes=RESNET50)
    assert seconds_per_step(one_peer, cluster, 0, backend) == pytest.approx(0.38179)
    hidden = experiment(OverlapSGP(delay=1), OnePeerExponential(8), 20, message_bytes=RESNET50)
    assert seconds_per_step(hidden, cluster, 0, backend) == pytest.approx(0.3)


@pytest.mark.parametrize("peers", [1, 2, 3])
def test_messages_of_one_sender_leave_one_after_the_other(peers: int) -> None:
    cluster = Cluster(16, ConstantTime(0.3), Hockney(1e-3, 1e9))
    step = 0.3 + peers * RESNET50 / 1e9 + 1e-3
    for backend in (Vectorized, Simulated):
        found = experiment(SGP(), MPeerExponential(16, peers), 5, message_bytes=RESNET50)
        assert seconds_per_step(found, cluster, 0, backend) == pytest.approx(step)


@pytest.mark.parametrize("backend", [Vectorized, Simulated])
@pytest.mark.parametrize("late", [0.0, 0.1, 2.0])
def test_an_all_reduce_starts_with_the_last_and_takes_the_closed_form(backend: type, late: float) -> None:
    cluster = paced([0.3] * 7 + [0.3 + late], Hockney(30e-6, 1.25e9))
    found = seconds_per_step(
        experiment(AllReduceSGD(), DirectedRing(8), 5, message_bytes=RESNET50), cluster, 0, backend
    )
    assert found == pytest.approx(0.3 + late + 2 * 7 * (30e-6 + RESNET50 / 8 / 1.25e9), rel=1e-12)
    assert found - 0.3 - late == pytest.approx(0.14350, abs=5e-6)


@settings(max_examples=120, deadline=None)
@given(found=experiments(most_steps=9), data=st.data())
def test_an_event_for_every_message_gives_the_same_clocks(found: Experiment, data: st.DataObject) -> None:
    """To the bit: what is computed when a message is sent is what happens to it on its way."""
    cluster = data.draw(clusters(found.nodes, found.message_size))
    assert isinstance(found.budget, Steps)
    run = Vectorized(cluster, keep_trajectory=True).run(found)
    assert run.trajectory is not None
    for column, seed in enumerate(found.seeds):
        reference = EventPerMessage(found, cluster, seed, found.budget.count)
        assert len(reference.clocks) == len(run.trajectory.clocks)
        for cut, clocks in reference.clocks.items():
            np.testing.assert_array_equal(run.trajectory.clocks[cut, :, column], clocks)


@settings(max_examples=60, deadline=None)
@given(found=experiments(most_steps=9), data=st.data())
def test_more_delay_never_makes_anything_earlier(found: Experiment, data: st.DataObject) -> None:
    """Monotone in every latency, transfer and compute time, rounding included, since rounding is monotone too."""
    quick = Cluster(
        found.nodes,
        ExponentialTime(1.0),
        Hockney(data.draw(st.sampled_from([0.0, 0.2])), found.message_size / 0.3),
        stragglers=(MarkovSlow(factor=3.0), SlowFrom((0,), 2.0, 1.5)),
    )
    slower = [
        Cluster(found.nodes, quick.compute, Hockney(0.35, found.message_size / 0.3), stragglers=quick.stragglers),
        Cluster(found.nodes, quick.compute, Hockney(0.2, found.message_size / 0.7), stragglers=quick.stragglers),
        Cluster(found.nodes, ExponentialTime(1.3), quick.network, stragglers=quick.stragglers),
        Cluster(found.nodes, quick.compute, quick.network, stragglers=(*quick.stragglers, PersistentSlow((0,), 1.5))),
    ]
    before, after = (
        Vectorized(cluster, keep_trajectory=True).run(found).trajectory
        for cluster in (quick, data.draw(st.sampled_from(slower)))
    )
    assert before is not None and after is not None
    assert (after.clocks >= before.clocks).all()
    np.testing.assert_array_equal(after.values, before.values)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), nodes=st.sampled_from([2, 4, 6]), steps=st.integers(1, 12))
def test_messages_of_a_pair_stay_in_order_and_ports_carry_one_at_a_time(
    data: st.DataObject, nodes: int, steps: int
) -> None:
    method = data.draw(
        st.sampled_from([SGP(), DPSGD(), OverlapSGP(delay=3), OverlapSGP(delay=2, mixing="arrival"), ADPSGD()])
    )
    found = experiment(method, UndirectedRing(nodes), steps)
    trace = Simulated(data.draw(clusters(nodes, found.message_size))).run(found).trace
    assert trace is not None
    for _, sent in trace.messages.group_by("sender", "receiver", "channel", maintain_order=True):
        assert sent["arrival"].is_sorted() and sent["step"].is_sorted()
    for _, sent in trace.messages.group_by("sender", maintain_order=True):
        assert (sent["begin"][1:] >= sent["end"][:-1]).all(), "a port holds one message at a time"
    for row in trace.messages.iter_rows(named=True):
        assert row["begin"] <= row["end"] <= row["arrival"]
    for _, lane in trace.spans.group_by("node", "lane"):
        ordered = lane.sort("start", "end")
        assert (ordered["start"][1:] >= ordered["end"][:-1]).all(), "spans of a lane do not overlap"
        assert (ordered["end"] >= ordered["start"]).all()
    computing = trace.spans.filter(pl.col("lane") == "compute")
    assert len(computing) == nodes * steps


@dataclass(frozen=True)
class Served(Algorithm):
    """Node 1 computes for a second and sends a message; node 0 takes it by `receive`, or by `receive_any`."""

    any_sender: bool
    channel: str

    async def run(self, node: Node) -> None:
        mass = node.begin()
        for step in node.steps:
            if node.rank == 1:
                await node.gradient(mass.value)
                node.send(0, 0.5 * mass, self.channel)
                node.farewell(0, self.channel)
                mass = 0.5 * mass
            elif self.any_sender:
                async for letter in node.receive_any(self.channel, (1,)):
                    mass = mass + letter.mass
            else:
                mass = mass + (await node.receive(1, self.channel)).mass
            node.report(step + 1, mass, None)

    @property
    def source(self) -> str:
        return "a control"

    @property
    def leaves_in_flight(self) -> bool:
        return True


@pytest.mark.parametrize("channel", ["push", "answer", "any word"])
def test_what_stops_a_node_is_traced_and_what_it_serves_is_not_whatever_the_channel(channel: str) -> None:
    cluster = Cluster(2, ConstantTime(1.0), Hockney(0.5))
    for any_sender, known in ((False, [("receive", channel, 0.0, 1.5)]), (True, [])):
        method = Served(any_sender, channel)
        run = Simulated(cluster).run(Experiment(method, Quadratic(2, 1), UndirectedRing(2), Steps(1)))
        assert run.trace is not None
        spans = run.trace.spans.filter(pl.col("node") == 0)
        assert spans.select("lane", "name", "start", "end").rows() == known
