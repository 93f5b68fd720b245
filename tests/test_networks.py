"""Networks of a user's own: asked pair by pair on every backend, against an event simulation written apart; and broken
ones that the law suite must find out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import networkx as nx
import numpy as np
import pytest
from event_per_message import EventPerMessage
from hypothesis import given, settings
from hypothesis import strategies as st
from random_experiments import PerPair, methods_with_schedules
from test_laws import ours

from sgpsim.algorithms.allreduce_sgd import AllReduceSGD
from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.backend import Backend
from sgpsim.backends.choice import best_for
from sgpsim.backends.events.simulated import Simulated
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.budget import Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.collective import Collective, PipelinedTree, RecursiveDoubling, Ring
from sgpsim.clusters.compute_time import ConstantTime
from sgpsim.clusters.distributions import ExponentialTime
from sgpsim.clusters.hockney import Hockney
from sgpsim.clusters.network import Load, Network, Wire, Wires
from sgpsim.errors import SpecificationError
from sgpsim.experiment import Experiment
from sgpsim.files.plain_data import from_plain
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.schedules.complete import Complete
from sgpsim.schedules.one_peer_exponential import OnePeerExponential
from sgpsim.testing import check_network


@dataclass(frozen=True)
class Odd(Network, Wires):
    """fault: "none", "uniform" (says that all pairs are alike), "random" (another answer each time), "overtaking" (short
    messages are faster than long ones' latency), "negative", "endless"; "missing" (no wire from 1 to 2), "steps" (packets
    of 1,500 bytes)."""

    fault: str = "none"

    @property
    def uniform(self) -> bool:
        return self.fault == "uniform"

    def attach(self, graph: nx.Graph | None) -> Wires:
        return self

    def wire(self, sender: int, receiver: int, size: float) -> Wire:
        far = 1.0 if (sender, receiver) == (1, 2) else 0.01
        match self.fault:
            case "random":
                return Wire(size / 1e6, float(np.random.default_rng().random()))
            case "overtaking":
                return Wire(0.0, size / 1e6)
            case "negative":
                return Wire(size / 1e6, -far)
            case "endless":
                return Wire(size / 1e6, np.inf)
            case "missing" if far == 1.0:
                raise SpecificationError("no wire from node 1 to node 2. Lay one.")
            case "steps":
                return Wire(np.ceil(size / 1500) * 1e-3, far)
        return Wire(far + size / 1e6, far)


@pytest.mark.parametrize("network", [*(kind() for kind in ours(Network)), PerPair(3), Odd(), Odd("missing")], ids=repr)
@pytest.mark.parametrize("nodes", [1, 2, 4, 7])
def test_networks_obey_their_laws(network: Network, nodes: int) -> None:
    if network == Odd("missing") and nodes > 2:
        with pytest.raises(SpecificationError, match="no wire"):
            check_network(network, nodes)
    else:
        check_network(network, nodes)


@pytest.mark.parametrize("fault", ["uniform", "random", "overtaking", "negative", "endless"])
def test_broken_networks_are_found_out(fault: str) -> None:
    with pytest.raises(AssertionError, match="Odd: from node"):
        check_network(Odd(fault))


@settings(max_examples=40, deadline=None)
@given(data=st.data(), seed=st.integers(0, 99))
def test_every_pair_is_asked_as_an_event_simulation_written_apart_does(data: st.DataObject, seed: int) -> None:
    nodes = data.draw(st.integers(1, 7))
    method, schedule = data.draw(methods_with_schedules(nodes))
    collective: Collective = data.draw(st.sampled_from([Ring(), RecursiveDoubling(), PipelinedTree(2)]))
    cluster = Cluster(nodes, ExponentialTime(1.0), PerPair(seed), collective)
    experiment = Experiment(method, Quadratic(nodes, 2), schedule, Steps(6), (seed,), message_bytes=1000.0)
    oracle = EventPerMessage(experiment, cluster, seed, 6).clocks
    for backend in (Simulated(cluster), Vectorized(cluster)):
        clocks = backend.run(experiment).final.clocks[:, 0]
        np.testing.assert_array_equal(clocks, oracle[max(oracle)], err_msg=type(backend).__name__)


def test_the_slow_pair_counts_wherever_it_is() -> None:
    """One pair of all takes a second; the array program used to see the first pair only."""
    experiment = Experiment(SGP(), Quadratic(4), Complete(4), Steps(5), message_bytes=1.0)
    runs = [backend(Cluster(4, ConstantTime(1.0), Odd())).run(experiment) for backend in (Simulated, Vectorized)]
    assert runs[0].final.clocks.max() == runs[1].final.clocks.max() > 10.0


def test_a_collective_meets_the_slowest_pair_and_the_fixed_part_of_a_wire() -> None:
    cluster = Cluster(4, network=Odd())
    assert cluster.collective_seconds(4e6) == pytest.approx(2 * 3 * (1.0 + 1.0 + 1.0))
    assert Cluster(4, network=Odd()).collective_seconds(8e6) == pytest.approx(2 * 3 * (1.0 + 1.0 + 2.0))
    with pytest.raises(SpecificationError, match="not a fixed time plus a time per byte"):
        Cluster(4, network=Odd("steps")).collective_seconds(1e4)


@pytest.mark.parametrize("method", [SGP(), AllReduceSGD()], ids=repr)
def test_a_missing_wire_is_refused_before_the_run(method: SGP | AllReduceSGD) -> None:
    cluster = Cluster(4, network=Odd("missing"))
    experiment = Experiment(method, Quadratic(4), OnePeerExponential(4), Steps(5))
    backends: list[Backend] = [Simulated(cluster), Vectorized(cluster)]
    for backend in backends:
        with pytest.raises(SpecificationError, match="no wire"):
            backend.check(experiment)
    backend, why = best_for(experiment, cluster)
    assert isinstance(backend, Simulated) and "no wire" in why


def test_a_network_of_ones_own_does_not_change_what_a_file_without_a_type_means() -> None:
    assert from_plain({"nodes": 2, "network": {"latency": 1}}, Cluster).network == Hockney(1.0)
    assert from_plain({"nodes": 2, "network": {"type": "Odd"}}, Cluster).network == Odd()


@dataclass(frozen=True)
class Wrong(Network):
    """Answers `attached`, or wires that answer `wired` for pair (1, 2) and `carried` for loads."""

    wired: Any = Wire(0.5, 0.5)
    attached: Any = None
    alike: Any = False
    carried: Any = ()

    @property
    def uniform(self) -> bool:
        return self.alike

    def attach(self, graph: nx.Graph | None) -> Wires:
        return WrongWires(self) if self.attached is None else self.attached


@dataclass(frozen=True)
class WrongWires(Wires):
    network: Wrong

    def wire(self, sender: int, receiver: int, size: float) -> Wire:
        return self.network.wired if (sender, receiver) == (1, 2) else Wire(0.5, 0.5)

    def loads(self, sent: Mapping[tuple[int, int], float]) -> list[Load]:
        return self.network.carried


NO_WIRES = (None, (0.5, 0.5), 0.5, [0.5, 0.5], Wire, Wire("1", 0.5), Wire(0.5, None), Wire(True, 0.0), Wire(0.5j, 0.0))  # pyright: ignore
ANSWERS: dict[str, tuple[Network, str]] = {
    **{repr(wired): (Wrong(wired), "from node 1 to node 2 is") for wired in NO_WIRES},
    "a time of numpy's": (Wrong(Wire(np.timedelta64(1), 0.0)), "must be a Wire of two numbers"),  # pyright: ignore
    "an array": (Wrong(Wire(np.array([1.0]), 0.0)), "must be a Wire of two numbers"),  # pyright: ignore
    "no wires": (Wrong(attached=3), "Wrong.attach gives 3; it must give Wires."),
    "a class of wires": (Wrong(attached=WrongWires), "it must give Wires."),
    "neither uniform nor not": (Wrong(alike="yes"), "Wrong.uniform is 'yes'; it must be true or false."),
}


@pytest.mark.parametrize("method", [SGP(), AllReduceSGD()], ids=repr)
@pytest.mark.parametrize("name", ANSWERS)
def test_what_is_no_wire_is_refused_before_the_run(name: str, method: SGP | AllReduceSGD) -> None:
    network, words = ANSWERS[name]
    experiment = Experiment(method, Quadratic(4), Complete(4), Steps(2))
    backends: list[Backend] = [Simulated(Cluster(4, network=network)), Vectorized(Cluster(4, network=network))]
    for backend in backends:
        for refuse in (backend.check, backend.run):
            with pytest.raises(SpecificationError) as refused:
                refuse(experiment)
            assert words in str(refused.value) and "\n" not in str(refused.value)
    with pytest.raises(SpecificationError):
        check_network(network)


def test_wires_of_numpy_numbers_are_wires() -> None:
    check_network(Wrong(Wire(np.float64(0.5), np.float32(0.5))))  # pyright: ignore


def test_loads_that_are_none_are_refused_where_they_are_asked_for() -> None:
    cluster = Cluster(4, network=Wrong(carried=[(0, 1, 3.0, 1.0)]), graph=nx.complete_graph(4))
    with pytest.raises(SpecificationError, match="loads must be a list of Load"):
        Simulated(cluster).run(Experiment(SGP(), Quadratic(4), Complete(4), Steps(2)))
