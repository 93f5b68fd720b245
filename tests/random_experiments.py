"""Random experiments and clusters for property tests: small, but with all that makes backends differ.

The rule: nothing is drawn that an experiment would refuse. Matrices are irregular (weights differ from 1), schedules may
or may not repeat, compute times may tie, links may be free, slow or unlike one another.
"""

from __future__ import annotations

from dataclasses import dataclass

import networkx as nx
import numpy as np
from hypothesis import strategies as st

from sgpsim.algorithms.algorithm import Algorithm
from sgpsim.algorithms.allreduce_sgd import AllReduceSGD
from sgpsim.algorithms.dpsgd import DPSGD
from sgpsim.algorithms.overlap_sgp import OverlapSGP
from sgpsim.algorithms.push_sum import PushSum
from sgpsim.algorithms.sgp import SGP
from sgpsim.budget import Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.compute_time import ComputeTime, ConstantTime
from sgpsim.clusters.distributions import ExponentialTime, LogNormalTime
from sgpsim.clusters.hockney import Hockney
from sgpsim.clusters.network import Network, Wire, Wires
from sgpsim.clusters.straggler import Straggler
from sgpsim.clusters.stragglers import MarkovSlow, PersistentSlow, SlowFrom
from sgpsim.descents.adam import Adam
from sgpsim.descents.descent import Descent, StepSize
from sgpsim.descents.momentum import Momentum
from sgpsim.descents.sgd import SGD
from sgpsim.descents.step_sizes import Constant, StepDecay, WarmUp
from sgpsim.experiment import Experiment
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.schedules.complete import Complete
from sgpsim.schedules.graph_schedule import GraphSchedule
from sgpsim.schedules.matrices import Matrices
from sgpsim.schedules.one_peer_exponential import OnePeerExponential
from sgpsim.schedules.periodic import Periodic
from sgpsim.schedules.random_peer import RandomPeer
from sgpsim.schedules.ring import DirectedRing, UndirectedRing
from sgpsim.schedules.schedule import Schedule
from sgpsim.schedules.shares import Metropolis
from sgpsim.schedules.switched import Switched


@st.composite
def irregular(draw: st.DrawFn, nodes: int) -> Schedule:
    """One to three column-stochastic matrices with differing shares, some arcs missing; a ring within each period."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    count = draw(st.integers(1, 3))
    matrices = []
    for number in range(count):
        matrix = generator.random((nodes, nodes)) * (generator.random((nodes, nodes)) < draw(st.floats(0.0, 0.8)))
        np.fill_diagonal(matrix, generator.uniform(0.2, 1.0, nodes))
        if number == 0:
            matrix[(np.arange(nodes) + 1) % nodes, np.arange(nodes)] += 0.3
        matrices.append(matrix / matrix.sum(axis=0))
    return Matrices(tuple(matrices))


@st.composite
def directed(draw: st.DrawFn, nodes: int) -> Schedule:
    """Any schedule that push-sum carries."""
    named: list[Schedule] = [
        OnePeerExponential(nodes),
        DirectedRing(nodes),
        Complete(nodes),
        Switched(Complete(nodes), DirectedRing(nodes), at=3),
        Periodic((OnePeerExponential(nodes), DirectedRing(nodes)), each=2),
    ]
    if nodes > 1:
        named.append(RandomPeer(nodes, seed=draw(st.integers(0, 99))))
    return draw(st.one_of(irregular(nodes), st.sampled_from(named)))


@st.composite
def undirected(draw: st.DrawFn, nodes: int) -> Schedule:
    """Any schedule that D-PSGD carries: symmetric, directed, and without own shares."""
    graph = nx.gnp_random_graph(nodes, draw(st.floats(0.0, 1.0)), seed=draw(st.integers(0, 2**32)))
    graph.add_edges_from((node, node + 1) for node in range(nodes - 1))
    symmetric = [UndirectedRing(nodes), Complete(nodes), GraphSchedule((graph,), Metropolis())]
    one = np.roll(np.eye(nodes), 1, axis=0)
    hollow = [Matrices(((one + one.T) / 2,))] if nodes % 2 else []  # of an even number, two halves would swap for ever
    return draw(st.sampled_from([*symmetric, OnePeerExponential(nodes), *hollow]))


def descents() -> st.SearchStrategy[Descent]:
    sizes: st.SearchStrategy[StepSize] = st.sampled_from(
        [Constant(0.1), Constant(0.3), WarmUp(Constant(0.2), 5), StepDecay(0.3, (4, 9), 0.5)]
    )
    return st.one_of(
        st.builds(SGD, sizes),
        st.builds(Momentum, sizes, st.sampled_from([0.0, 0.5]), st.booleans()),
        st.builds(Adam, sizes, epsilon=st.just(0.1)),  # near 0, Adam makes a whole step of a rounding error
    )


@st.composite
def methods_with_schedules(draw: st.DrawFn, nodes: int) -> tuple[Algorithm, Schedule]:
    """A method whose numbers do not depend on timing, with a schedule that carries it."""
    descent = draw(descents())
    method = draw(
        st.one_of(
            st.just(PushSum()),
            st.just(SGP(descent)),
            st.builds(OverlapSGP, st.just(descent), st.integers(0, 4), st.integers(1, 3), biased=st.booleans()),
            st.builds(DPSGD, st.just(descent), st.sampled_from(["combine-then-adapt", "adapt-then-combine"])),
            st.just(AllReduceSGD(descent)),
        )
    )
    return method, draw(undirected(nodes) if isinstance(method, DPSGD) else directed(nodes))


@st.composite
def experiments(draw: st.DrawFn, most_nodes: int = 6, most_steps: int = 14) -> Experiment:
    """A quadratic, a method, a schedule; one to three seeds."""
    nodes, dimension = draw(st.integers(1, most_nodes)), draw(st.integers(1, 4))
    method, schedule = draw(methods_with_schedules(nodes))
    start = draw(
        st.one_of(
            st.none(),
            st.sampled_from([1.0, -1e3]),
            st.integers(0, 2**32).map(
                lambda seed: tuple(map(tuple, np.random.default_rng(seed).standard_normal((nodes, dimension)).tolist()))
            ),
        )
    )
    objective = Quadratic(
        nodes,
        dimension,
        noise=draw(st.sampled_from([0.0, 1.0])),
        structure=draw(st.sampled_from(["scalar", "diagonal", "dense"])),
        unequal=draw(st.booleans()),
        seed=draw(st.integers(0, 9)),
    )
    return Experiment(
        method,
        objective,
        schedule,
        Steps(draw(st.integers(0, most_steps))),
        seeds=draw(st.sampled_from([(0,), (7, 3), (1, 2, 5)])),
        start=start,
        message_bytes=draw(st.sampled_from([None, 1000.0, 102.2e6])),
        measure_every=draw(st.sampled_from([1, 1, 3])),
        dtype=draw(st.sampled_from(["float64", "float64", "float32"])),
    )


@st.composite
def stragglers(draw: st.DrawFn, nodes: int) -> tuple[Straggler, ...]:
    someone = st.integers(0, nodes - 1).map(lambda node: (node,))
    causes = st.one_of(
        st.builds(PersistentSlow, someone, st.sampled_from([2.0, 5.0])),
        st.builds(SlowFrom, someone, st.sampled_from([3.0, 0.5]), st.sampled_from([0.0, 0.7, 2.0, 4.0])),
        st.just(MarkovSlow(factor=4.0, enter=0.2, leave=0.5)),
    )
    return tuple(draw(st.lists(causes, max_size=2)))


@dataclass(frozen=True)
class PerPair(Network, Wires):
    """A network without a graph whose wires differ from pair to pair: a user's own, which does not call itself uniform.
    size: bytes that take up to a second on the port."""

    seed: int
    size: float = 1000.0

    def attach(self, graph: nx.Graph | None) -> Wires:
        return self

    def wire(self, sender: int, receiver: int, size: float) -> Wire:
        pace, latency, fixed = np.random.default_rng((self.seed, sender, receiver)).random(3).tolist()
        return Wire(fixed / 8 + size / self.size * pace, latency)


@st.composite
def clusters(draw: st.DrawFn, nodes: int, size: float) -> Cluster:
    """A cluster; `size`: bytes of a message, so that transfers take about as long as computing."""
    compute: ComputeTime = draw(
        st.sampled_from([ConstantTime(1.0), ConstantTime(0.1), ExponentialTime(1.0), LogNormalTime(0.3, 0.5)])
    )
    network: Network = Hockney(
        latency=draw(st.sampled_from([0.0, 0.01, 0.7])),
        bandwidth=size / draw(st.sampled_from([1e-3, 0.1, 0.9])) if draw(st.booleans()) else float("inf"),
    )
    graph = None
    kind = draw(st.sampled_from(["switch", "graph", "pairs"]))
    if kind == "pairs":
        network = PerPair(draw(st.integers(0, 99)), size)
    if kind == "graph":
        graph = nx.star_graph(nodes)  # node `nodes` is the switch after relabelling
        graph = nx.relabel_nodes(graph, {0: "switch", **{node + 1: node for node in range(nodes)}})
        generator = np.random.default_rng(draw(st.integers(0, 2**32)))
        for node in range(nodes):
            kind = generator.integers(3)
            if kind == 1:
                graph.edges[node, "switch"].update(latency=0.0, bandwidth=float("inf"))
            elif kind == 2:
                graph.edges[node, "switch"].update(latency=0.3, bandwidth=size / 0.6)
            graph.nodes[node]["pace"] = float(generator.choice([1.0, 2.0]))
    return Cluster(nodes, compute, network, stragglers=draw(stragglers(nodes)), graph=graph)


@st.composite
def odd_experiments(draw: st.DrawFn, most_steps: int = 300) -> Experiment:
    """What makes rounding show: tiny and huge starts in both types, one node or seven, matrices printed with twelve or
    thirteen digits, shares so small that weights run out of range, many steps."""
    nodes = draw(st.sampled_from([1, 2, 3, 7]))
    method, schedule = draw(methods_with_schedules(nodes))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    kind = draw(st.sampled_from(["as drawn", "printed", "small shares"]))
    if kind != "as drawn" and not isinstance(method, DPSGD):
        matrices = []
        for _ in range(draw(st.integers(1, 2))):
            matrix = generator.random((nodes, nodes)) + 0.05
            if kind == "small shares":
                matrix *= 10.0 ** -generator.integers(0, draw(st.sampled_from([6, 30, 200])), (nodes, nodes))
            matrix /= matrix.sum(axis=0)
            if kind == "printed":
                matrix = matrix.round(draw(st.sampled_from([12, 13])))
            matrices.append(matrix)
        schedule = Matrices(tuple(matrices))
    scale = 10.0 ** draw(st.sampled_from([-310, -300, -160, -46, -40, -37, -20, 0, 3, 18, 30, 37, 150, 300]))
    dimension = draw(st.integers(1, 3))
    apart = generator.standard_normal((nodes, dimension))
    if draw(st.booleans()):
        apart -= apart.mean(axis=0)
    start = np.clip(scale * apart, -3e38, 3e38) if (small := draw(st.booleans())) else scale * apart
    objective = Quadratic(
        nodes,
        dimension,
        noise=draw(st.sampled_from([0.0, 1e-20, 1.0])),
        spread=draw(st.sampled_from([0.0, 1.0])),
        unequal=draw(st.booleans()),
        seed=draw(st.integers(0, 9)),
    )
    return Experiment(
        method,
        objective,
        schedule,
        Steps(draw(st.integers(0, most_steps))),
        seeds=draw(st.sampled_from([(0,), (7, 3)])),
        start=tuple(map(tuple, start.tolist())),
        measure_every=draw(st.sampled_from([1, 3, 50])),
        dtype="float32" if small else "float64",
    )
