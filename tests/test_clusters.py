"""Clusters: routes against all paths, wires and collectives against closed forms and step-by-step counts, equality."""

import copy
import itertools
import math
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.collective import Collective, PipelinedTree, RecursiveDoubling, Ring, implied_efficiency, rounds
from sgpsim.clusters.compute_time import ConstantTime
from sgpsim.clusters.distributions import ExponentialTime
from sgpsim.clusters.hockney import Hockney
from sgpsim.clusters.network import Wire
from sgpsim.clusters.routes import Routes
from sgpsim.clusters.stragglers import PersistentSlow
from sgpsim.errors import SpecificationError

RESNET50 = 102.2e6


@st.composite
def cablings(draw: st.DrawFn) -> nx.Graph:
    """Small graphs, directed or not, connected or not; few distinct latencies, so that paths tie, all exact in binary."""
    size = draw(st.integers(2, 6))
    graph: nx.Graph = draw(st.sampled_from([nx.Graph, nx.DiGraph]))()
    graph.add_nodes_from(range(size))
    pairs = [pair for pair in itertools.permutations(range(size), 2) if graph.is_directed() or pair[0] < pair[1]]
    for one, other in draw(st.lists(st.sampled_from(pairs), unique=True)):
        attributes: dict[str, float] = {}
        if draw(st.booleans()):
            attributes["latency"] = draw(st.sampled_from([0.0, 0.25, 0.5, 1.0]))
        if draw(st.booleans()):
            attributes["bandwidth"] = draw(st.sampled_from([1.0, 2.0, 8.0]))
        graph.add_edge(one, other, **attributes)
    return graph


@settings(max_examples=120, deadline=None)
@given(graph=cablings())
def test_routes_are_the_best_of_all_paths(graph: nx.Graph) -> None:
    routes = Routes(graph, latency=0.5, bandwidth=4.0)
    for sender, receiver in itertools.permutations(graph, 2):
        offers = [
            (sum(edge.get("latency", 0.5) for edge in edges), -min(edge.get("bandwidth", 4.0) for edge in edges))
            for path in nx.all_simple_paths(graph, sender, receiver)
            for edges in [[graph.edges[hop] for hop in itertools.pairwise(path)]]
        ]
        if not offers:
            with pytest.raises(SpecificationError, match=f"no path from node {sender} to node {receiver}"):
                routes.route(sender, receiver)
            continue
        latency, width = min(offers)
        assert routes.route(sender, receiver) == (latency, -width)


def star(nodes: int, **attributes: float) -> nx.Graph:
    graph = nx.Graph()
    graph.add_edges_from([(node, "switch") for node in range(nodes)], **attributes)
    return graph


def test_a_wire_is_latency_and_bytes_over_payload_bandwidth() -> None:
    network = Hockney(latency=30e-6, bandwidth=1.25e9, efficiency=0.8)
    assert Cluster(2, network=network).wire(0, 1, 1e6) == Wire(1e6 / 1e9, 30e-6)
    wired = Cluster(4, network=network, graph=star(4, latency=25e-6, bandwidth=5e8)).wire(0, 3, 1e6)
    assert wired == Wire(1e6 / 4e8, 50e-6)
    assert Cluster(2).wire(0, 1, 1e9) == Wire(0.0, 0.0)


def test_a_homogeneous_push_step_takes_compute_latency_and_transfer() -> None:
    """c + alpha + M / B = 0.38179 s on 10 GbE, here by the max-plus recursion along a directed ring."""
    cluster = Cluster(8, ConstantTime(0.3), Hockney(30e-6, 1.25e9))
    blocks = [next(cluster.durations(node, 0)) for node in range(8)]
    clock = np.zeros(8)
    for step in range(50):
        leaving = clock + [block[step] for block in blocks]
        wires = [cluster.wire((node - 1) % 8, node, RESNET50) for node in range(8)]
        arrival = [leaving[node - 1] + sum(wires[node]) for node in range(8)]
        clock = np.maximum(leaving, arrival)
    assert clock / 50 == pytest.approx(0.38179, abs=5e-6)


def test_a_ring_all_reduce_takes_the_known_time() -> None:
    assert Cluster(8, network=Hockney(30e-6, 1.25e9)).collective_seconds(RESNET50) == pytest.approx(0.14350, abs=5e-6)


def ring_by_steps(nodes: int, size: float, cost: Callable[[float], float]) -> float:
    """Reduce-scatter and all-gather message by message: node i hands a chunk to i + 1 in each of 2 (n - 1) steps."""
    clock = [0.0] * nodes
    for _ in range(2 * (nodes - 1)):
        sent = [moment + cost(size / nodes) for moment in clock]
        clock = [max(clock[node], sent[node - 1]) for node in range(nodes)]
    return max(clock)


def doubling_by_steps(nodes: int, size: float, cost: Callable[[float], float]) -> float:
    """Hypercube exchange; holds that everyone has everything at the end."""
    clock, known = [0.0] * nodes, [{node} for node in range(nodes)]
    for bit in range(rounds(nodes)):
        others = [node ^ (1 << bit) for node in range(nodes)]
        known = [known[node] | known[other] for node, other in enumerate(others)]
        clock = [max(clock[node], clock[other]) + cost(size) for node, other in enumerate(others)]
    assert all(len(found) == nodes for found in known)
    return max(clock)


def tree_by_steps(nodes: int, size: float, cost: Callable[[float], float], segments: int) -> float:
    """Segments up a heap-shaped tree and down again; a wire carries one segment at a time, the root turns at the end."""
    step = cost(size / segments)
    ready = [[0.0] * segments for _ in range(nodes)]
    for child in range(nodes - 1, 0, -1):
        port = 0.0
        for segment in range(segments):
            port = max(port, ready[child][segment]) + step
            ready[(child - 1) // 2][segment] = max(ready[(child - 1) // 2][segment], port)
    down = [[max(ready[0])] * segments] + [[0.0] * segments for _ in range(nodes - 1)]
    for child in range(1, nodes):
        port = 0.0
        for segment in range(segments):
            port = down[child][segment] = max(port, down[(child - 1) // 2][segment]) + step
    return max(map(max, down))


@pytest.mark.parametrize("nodes", [1, 2, 4, 8, 32])
def test_closed_forms_equal_step_by_step_counts(nodes: int) -> None:
    alpha, slowness, size = 30e-6, 1 / 1.25e9, RESNET50

    def cost(part: float) -> float:
        return alpha + part * slowness

    counts: list[tuple[Collective, float]] = [
        (Ring(), ring_by_steps(nodes, size, cost)),
        (RecursiveDoubling(), doubling_by_steps(nodes, size, cost)),
        *((PipelinedTree(pieces), tree_by_steps(nodes, size, cost, pieces)) for pieces in (1, 2, 7) if nodes > 1),
    ]
    for form, counted in counts:
        assert form.seconds(nodes, size, alpha, slowness) == pytest.approx(counted, rel=1e-12)


FORMS: list[Collective] = [Ring(), RecursiveDoubling(), PipelinedTree(), PipelinedTree(16)]


@pytest.mark.parametrize("form", FORMS, ids=repr)
def test_partners_join_all_nodes_and_one_node_costs_nothing(form: Collective) -> None:
    assert form.seconds(1, RESNET50, 1.0, 1.0) == 0.0 and list(form.partners(1)) == []
    for nodes in range(2, 34):
        talk = nx.DiGraph(list(form.partners(nodes)))
        assert set(talk) == set(range(nodes)) and nx.is_strongly_connected(talk)


@pytest.mark.parametrize("form", FORMS, ids=repr)
@settings(max_examples=40, deadline=None)
@given(nodes=st.integers(2, 300), efficiency=st.floats(0.01, 1.0), latency=st.floats(0.0, 1e-4))
def test_the_implied_efficiency_inverts_every_form(form: Any, nodes: int, efficiency: float, latency: float) -> None:
    fitted = type(form)(**{**form.__dict__, "fitted_efficiency": efficiency, "step_overhead": 14e-6})
    plain = type(form)(**{**form.__dict__, "step_overhead": 14e-6})
    seconds = fitted.seconds(nodes, RESNET50, latency, 1 / 1.25e9)
    assert implied_efficiency(nodes, RESNET50, seconds, latency, 1.25e9, plain) == pytest.approx(efficiency, rel=1e-6)


def test_an_all_reduce_on_a_graph_goes_at_the_pace_of_its_slowest_pair() -> None:
    graph = star(4, latency=15e-6, bandwidth=1.25e9)
    even = Cluster(4, network=Hockney(), graph=graph)
    assert even.collective_seconds(RESNET50) == pytest.approx(6 * (30e-6 + RESNET50 / 5e9))
    graph.edges[2, "switch"]["bandwidth"] = 1.25e8
    slow = Cluster(4, network=Hockney(), graph=graph)
    assert slow.collective_seconds(RESNET50) == pytest.approx(6 * (30e-6 + RESNET50 / 5e8))
    assert Cluster(1, graph=nx.empty_graph(1)).collective_seconds(RESNET50) == 0.0


def test_missing_paths_are_found_beforehand() -> None:
    graph = nx.DiGraph([(0, 1), (1, 2)])
    cluster = Cluster(3, graph=graph)
    cluster.require_paths([(0, 1), (0, 2)])
    with pytest.raises(SpecificationError, match="no path from node 2 to node 0, and they must talk"):
        cluster.require_paths([(0, 2), (2, 0)])
    with pytest.raises(SpecificationError, match="no path"):
        cluster.wire(2, 1, 1.0)
    with pytest.raises(SpecificationError, match="no path"):
        cluster.require_collective()
    Cluster(3).require_collective()


def test_pace_multiplies_durations() -> None:
    graph = star(2)
    graph.nodes[1]["pace"] = 2.5
    paced, plain = Cluster(2, ExponentialTime(1.0), graph=graph), Cluster(2, ExponentialTime(1.0))
    for node, pace in ((0, 1.0), (1, 2.5)):
        assert np.array_equal(next(paced.durations(node, 0)), pace * next(plain.durations(node, 0)))


def test_clusters_are_equal_when_their_contents_are() -> None:
    one, other = nx.Graph(), nx.Graph()
    one.add_edge(0, 1, latency=1e-3)
    one.add_edge("switch", 1, bandwidth=1e9)
    other.add_edge(1, "switch", bandwidth=10**9)
    other.add_edge(1, 0, latency=1e-3)
    first, second = Cluster(2, graph=one), Cluster(2, graph=other)
    assert first == second and hash(first) == hash(second)
    first.wire(0, 1, 1.0)
    assert first == second == copy.deepcopy(first) == pickle.loads(pickle.dumps(first))
    other.edges[0, 1]["latency"] = 2e-3
    assert first == second, "a cluster keeps the graph that it was built with"
    assert first != Cluster(2, graph=other)
    assert first != Cluster(2) != Cluster(3)
    assert Cluster(2, graph=nx.DiGraph([(0, 1)])) != Cluster(2, graph=nx.DiGraph([(1, 0)]))
    assert Cluster(2, graph=nx.DiGraph([(0, 1), (1, 0)])) != Cluster(2, graph=nx.Graph([(0, 1)]))
    assert Cluster(2, stragglers=[PersistentSlow((0,), 2.0)]) == Cluster(2, stragglers=(PersistentSlow((0,), 2.0),))  # type: ignore[arg-type]


def with_attribute(**attributes: Any) -> nx.Graph:
    return star(2, **attributes)


def with_pace(pace: Any) -> nx.Graph:
    graph = star(2)
    graph.nodes[0]["pace"] = pace
    return graph


def bad() -> Iterator[tuple[Callable[[], object], str]]:
    yield lambda: Cluster(0), "Cluster(nodes) is 0"
    yield lambda: Cluster(2, "0.3"), "Cluster(compute).type: '0.3' is unknown"  # type: ignore[arg-type]
    yield lambda: Cluster(2, network=1.25e9), "it must be a Network"  # type: ignore[arg-type]
    yield lambda: Cluster(2, collective="ring"), "Cluster(collective).type: 'ring' is unknown; did you mean 'Ring'?"  # type: ignore[arg-type]
    yield lambda: Cluster(2, stragglers="slow"), "Cluster(stragglers)"  # type: ignore[arg-type]
    yield lambda: Cluster(2, stragglers=(2.0,)), "it must be a Straggler"  # type: ignore[arg-type]
    yield lambda: Cluster(2, graph=nx.MultiGraph([(0, 1)])), "parallel edges"
    yield lambda: Cluster(3, graph=nx.path_graph(2)), "lacks node 2"
    yield lambda: Cluster(2, graph="ring"), "it must be a networkx graph"  # type: ignore[arg-type]
    yield lambda: Cluster(2, graph=with_pace(0.0)), "`pace` of node 0 is 0.0"
    yield lambda: Cluster(2, graph=with_pace(math.inf)), "`pace` of node 0 is inf"
    yield lambda: Cluster(2, graph=with_attribute(latency=-1.0)), "`latency` of edge (0, 'switch') is -1.0"
    yield lambda: Cluster(2, graph=with_attribute(latency=math.inf)), "`latency` of edge"
    yield lambda: Cluster(2, graph=with_attribute(bandwidth="fast")), "`bandwidth` of edge (0, 'switch') is 'fast'"
    yield lambda: Cluster(2, graph=with_attribute(bandwidth=0.0)), "bytes per second above 0"
    yield lambda: Cluster(2, graph=with_attribute(bandwith=1e9)), "did you mean 'bandwidth'?"
    yield lambda: Hockney(latency=-1e-6), "Hockney(latency)"
    yield lambda: Hockney(latency=math.nan), "Hockney(latency)"
    yield lambda: Hockney(bandwidth=0.0), "Hockney(bandwidth)"
    yield lambda: Hockney(bandwidth=math.nan), "Hockney(bandwidth)"
    yield lambda: Hockney(efficiency=1.5), "in (0, 1]"
    yield lambda: Hockney(efficiency=0.0), "Hockney(efficiency)"
    yield lambda: Ring(fitted_efficiency=1.1), "Ring(fitted_efficiency)"
    yield lambda: Ring(step_overhead=-1.0), "Ring(step_overhead)"
    yield lambda: RecursiveDoubling(0.0), "RecursiveDoubling(fitted_efficiency)"
    yield lambda: PipelinedTree(0), "PipelinedTree(segments)"
    yield lambda: PipelinedTree(1, math.nan), "PipelinedTree(fitted_efficiency)"
    yield lambda: implied_efficiency(1, 1e6, 1.0, 0.0, 1e9), "implied_efficiency(nodes)"
    yield lambda: implied_efficiency(4, 0.0, 1.0, 0.0, 1e9), "implied_efficiency(size)"
    yield lambda: implied_efficiency(4, 1e6, 1e-3, 1.0, 1e9), "the latency of 4 nodes alone takes 6 s"


@pytest.mark.parametrize(("build", "said"), list(bad()), ids=[said for _, said in bad()])
def test_bad_clusters_are_refused_when_built(build: Callable[[], object], said: str) -> None:
    with pytest.raises(SpecificationError) as refused:
        build()
    assert said in str(refused.value)


def test_attributes_of_other_names_are_the_users_own() -> None:
    Cluster(2, graph=star(2, weight=3.0, colour=1.0))
