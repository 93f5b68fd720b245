"""Whether the bytes of a run fit through the links: against shortest paths by hand, and alike on both clocks."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
from hypothesis import given, settings
from test_clusters import cablings

from sgpsim.algorithms.adpsgd import ADPSGD
from sgpsim.algorithms.algorithm import Algorithm
from sgpsim.algorithms.allreduce_sgd import AllReduceSGD
from sgpsim.algorithms.overlap_sgp import OverlapSGP
from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.events import simulated
from sgpsim.backends.events.simulated import Simulated
from sgpsim.backends.fleet import clock as fleet_clock
from sgpsim.backends.fleet import vectorized
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.budget import Budget, Seconds, Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.collective import Collective, PipelinedTree, RecursiveDoubling, Ring
from sgpsim.clusters.compute_time import ConstantTime
from sgpsim.clusters.distributions import ExponentialTime
from sgpsim.clusters.hockney import Hockney
from sgpsim.clusters.link_load import LINK_LOAD, Overload, Traffic, busiest, load_check, overloads
from sgpsim.clusters.routes import Routes
from sgpsim.descents.sgd import SGD
from sgpsim.descents.step_sizes import Constant
from sgpsim.experiment import Experiment
from sgpsim.files.toml_files import read
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.reports.summary import about, shown_remarks
from sgpsim.results.run import Run
from sgpsim.schedules.bipartite_exponential import BipartiteExponential
from sgpsim.schedules.one_peer_exponential import OnePeerExponential
from sgpsim.schedules.random_peer import RandomPeer
from sgpsim.schedules.ring import DirectedRing
from sgpsim.schedules.schedule import Schedule

EXAMPLES = Path(__file__).parent.parent / "examples"
SIZE = 102.2e6
UPLINK = 125e6
LONG = Steps(200)


def two_racks(machines: int = 8, uplink: float = UPLINK) -> nx.Graph:
    """Half of the machines below each of two switches, ten times as fast as the link that joins these."""
    graph = nx.Graph()
    for node in range(machines):
        graph.add_edge(node, "rack A" if node < machines // 2 else "rack B", latency=1e-5, bandwidth=1.25e9)
    graph.add_edge("rack A", "rack B", latency=5e-5, bandwidth=uplink)
    return graph


def job(
    algorithm: Algorithm, schedule: Schedule, budget: Budget = LONG, seeds: tuple[int, ...] = (0,)
) -> Experiment:
    return Experiment(algorithm, Quadratic(schedule.size, 2), schedule, budget, seeds, message_bytes=SIZE)


def machines(graph: nx.Graph | None, seconds: float = 0.1, collective: Collective | None = None) -> Cluster:
    nodes = 8 if graph is None else sum(isinstance(node, int) for node in graph)
    return Cluster(nodes, ConstantTime(seconds), Hockney(), collective or Ring(), graph=graph)


def over_links(graph: nx.Graph, pairs: Counter[tuple[int, int]]) -> Counter[tuple[Any, Any]]:
    """Messages per directed link along networkx's shortest paths."""
    crossed: Counter[tuple[Any, Any]] = Counter()
    for (sender, receiver), count in pairs.items():
        for hop in itertools.pairwise(nx.shortest_path(graph, sender, receiver, weight="latency")):
            crossed[hop] += count
    return crossed


def factors(monkeypatch: pytest.MonkeyPatch, backend: Any, experiment: Experiment) -> tuple[Run, list[Overload]]:
    """A run, and what its load check found."""
    found: list[Overload] = []

    def spy(cluster: Cluster, size: float, traffic: Any) -> tuple[str, ...]:
        held = list(traffic)
        found.extend(overloads(cluster, size, held))
        return load_check(cluster, size, held)

    for module in (simulated, vectorized):
        monkeypatch.setattr(module, "load_check", spy)
    return backend.run(experiment), found


def test_two_racks_need_380_seconds_for_what_runs_in_170(monkeypatch: pytest.MonkeyPatch) -> None:
    schedule, graph = OnePeerExponential(8), two_racks()
    sent = Counter(
        (sender, receiver)
        for step in range(200)
        for sender, pushes in enumerate(schedule.round(step).pushes)
        for receiver, _ in pushes
    )
    crossed = over_links(graph, sent)["rack A", "rack B"]
    remarks: list[tuple[str, ...]] = []
    for backend in (Simulated(machines(graph)), Vectorized(machines(graph))):
        run, found = factors(monkeypatch, backend, job(SGP(), schedule))
        assert run.final.clocks.max() == pytest.approx(170, abs=0.5)
        assert crossed * SIZE / UPLINK == pytest.approx(380, abs=0.5)
        assert {load[:2] for load in found} == {("rack A", "rack B"), ("rack B", "rack A")}
        for load in found:
            assert load.factor == pytest.approx(crossed * SIZE / UPLINK / run.final.clocks.max(), rel=1e-12)
        assert "LINKS OVERLOADED" in run.remarks[0] and "2.23 times the 170.2 s" in run.remarks[0]
        assert run.outcome == "finished" and run.remarks[0] in about(run)["value"].to_list()
        remarks.append(run.remarks)
    assert remarks[0] == remarks[1]


def test_the_example_pushes_32_seconds_through_its_uplink_in_20(monkeypatch: pytest.MonkeyPatch) -> None:
    read_file = read(EXAMPLES / "own_graph.toml")
    chosen, _ = read_file.backend()
    for backend in (chosen, Simulated(chosen.cluster)):  # pyright: ignore[reportAttributeAccessIssue]
        _, (load,) = factors(monkeypatch, backend, read_file.experiment)
        assert load.seconds == pytest.approx(32.0) and load.elapsed == pytest.approx(20.4, abs=0.05)
        assert load.factor == pytest.approx(32.0 / load.elapsed)


@settings(max_examples=60, deadline=None)
@given(graph=cablings())
def test_loads_are_those_of_all_best_paths_in_equal_parts(graph: nx.Graph) -> None:
    routes = Routes(graph, latency=0.5, bandwidth=4.0)

    def cost(path: list[int]) -> tuple[float, float]:
        edges = [graph.edges[hop] for hop in itertools.pairwise(path)]
        latency = sum(edge.get("latency", 0.5) for edge in edges)
        return latency, -min((edge.get("bandwidth", 4.0) for edge in edges), default=float("inf"))

    expected: Counter[tuple[int, int]] = Counter()
    sent: dict[tuple[int, int], float] = {}
    for sender in graph:
        ways = {node: list(nx.all_simple_paths(graph, sender, node)) for node in graph if node != sender}
        best = {node: min(map(cost, paths)) for node, paths in ways.items() if paths}
        for receiver in best:
            good = [
                path
                for path in ways[receiver]
                if all(cost(path[: length + 1]) == best[path[length]] for length in range(1, len(path)))
            ]
            good = [path for path in good if len(path) == min(map(len, good))]
            sent[sender, receiver] = float(1 + sender + 10 * receiver)
            for path in good:
                for hop in itertools.pairwise(path):
                    expected[hop] += sent[sender, receiver] / len(good)  # pyright: ignore[reportArgumentType]
    assert routes.loads(sent) == pytest.approx(expected)
    for hop in expected:
        assert routes.width(*hop) == graph.edges[hop].get("bandwidth", 4.0)


@pytest.mark.parametrize("seeds", [(0,), (3, 1, 4)])
@pytest.mark.parametrize(
    ("algorithm", "schedule", "budget"),
    [
        (SGP(), RandomPeer(8), Steps(30)),
        (SGP(), RandomPeer(8), Seconds(20.0)),
        (OverlapSGP(delay=2), OnePeerExponential(8), Steps(31)),
        (SGP(), OnePeerExponential(8), Steps(0)),
        (AllReduceSGD(), OnePeerExponential(8), Steps(20)),
        (SGP(), OnePeerExponential(2), Steps(20)),
        (SGP(), OnePeerExponential(7), Steps(20)),
        (SGP(), OnePeerExponential(1), Steps(5)),
    ],
    ids=["random", "seconds", "overlap", "none", "all-reduce", "two", "seven", "one"],
)
def test_both_clocks_say_the_same(
    algorithm: Algorithm, schedule: Schedule, budget: Budget, seeds: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_clock, "KEPT_PLANS", 3)
    cluster = replace(machines(two_racks(schedule.size)), compute=ExponentialTime(0.1))
    experiment = job(algorithm, schedule, budget, seeds)
    run, found = factors(monkeypatch, Simulated(cluster), experiment)
    fleet, again = factors(monkeypatch, Vectorized(cluster), experiment)
    assert found == again and run.remarks == fleet.remarks
    assert len({load.seed for load in found} - set(seeds)) == 0
    if schedule.size == 8 and algorithm.uses_schedule and budget != Steps(0):
        assert len(run.remarks) == 1


@pytest.mark.parametrize(
    ("algorithm", "schedule"),
    [(SGP(), RandomPeer(8)), (OverlapSGP(mixing="arrival"), OnePeerExponential(8)), (ADPSGD(), BipartiteExponential(8))],
)
def test_what_is_counted_is_what_the_trace_shows(
    algorithm: Algorithm, schedule: Schedule, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = two_racks(uplink=1e6)
    run, found = factors(monkeypatch, Simulated(machines(graph)), job(algorithm, schedule, Steps(20)))
    assert run.trace is not None and found
    crossed = over_links(graph, Counter(run.trace.messages.select("sender", "receiver").iter_rows()))  # pyright: ignore[reportArgumentType]
    for load in found:
        assert load.bytes == pytest.approx(crossed[load.begin, load.end] * SIZE)


def test_a_collective_sends_what_its_closed_form_says() -> None:
    for nodes, form, total in (
        (8, Ring(), 14.0),
        (7, Ring(), 12.0),
        (1, Ring(), 0.0),
        (8, RecursiveDoubling(), 24.0),
        (7, PipelinedTree(5), 12.0),
        (1, PipelinedTree(), 0.0),
    ):
        assert form.share(nodes) * len(list(form.partners(nodes))) == pytest.approx(total)


@pytest.mark.parametrize(("form", "across"), [(RecursiveDoubling(), 4.0), (PipelinedTree(4), 4.0), (Ring(), 1.75)], ids=repr)
def test_an_all_reduce_is_no_faster_than_its_traffic(form: Collective, across: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed form that lets the messages of a step cross the uplink side by side is told so; a ring crosses it once."""
    cluster = machines(two_racks(), 0.1, form)
    for backend in (Simulated(cluster), Vectorized(cluster)):
        run, found = factors(monkeypatch, backend, job(AllReduceSGD(), OnePeerExponential(8), Steps(20)))
        step = run.final.clocks.max() / 20
        needed = across * SIZE / UPLINK
        assert step == pytest.approx(0.1 + cluster.collective_seconds(SIZE))
        assert bool(found) == (needed > step) == (form != Ring())
        for load in found:
            assert load.factor == pytest.approx(needed / step)


def test_nothing_is_said_where_all_fits_or_where_there_are_no_links() -> None:
    for graph in (two_racks(uplink=1.25e10), None):
        for backend in (Simulated(machines(graph)), Vectorized(machines(graph))):
            assert backend.run(job(SGP(), OnePeerExponential(8))).remarks == ()
    assert Vectorized().run(job(SGP(), OnePeerExponential(8))).remarks == ()


def test_a_link_is_full_duplex_and_may_be_exactly_full() -> None:
    cables = nx.Graph([(0, 1, {"bandwidth": 100.0})])
    cluster = Cluster(2, network=Hockney(efficiency=0.5), graph=cables)
    both = {(0, 1): 5.0, (1, 0): 5.0}
    assert overloads(cluster, 10.0, [Traffic(0, both, 0, 1.0)]) == []
    found = overloads(cluster, 10.0, [Traffic(0, both, 0, 1.0), Traffic(1, {(0, 1): 6.0}, 0, 1.0)])
    assert [(load.begin, load.end, load.seed, load.factor) for load in found] == [(0, 1, 1, pytest.approx(1.2))]
    one_way = nx.DiGraph([(0, 1, {"bandwidth": 100.0}), (1, 0, {"bandwidth": 10.0})])
    found = overloads(Cluster(2, network=Hockney(), graph=one_way), 10.0, [Traffic(0, both, 0, 1.0)])
    assert [(load.begin, load.end, load.factor) for load in found] == [(1, 0, pytest.approx(5.0))]


@pytest.mark.parametrize(
    ("form", "entries"), [(Ring(), 2 * 4 / 5), (RecursiveDoubling(), 3.0), (PipelinedTree(4), 2.0 + 1.0)], ids=repr
)
def test_a_collective_loads_the_links_by_hand(form: Collective, entries: float) -> None:
    """Five nodes on a switch, 10 collectives of 8 bytes; entries: messages, or parts of one, that the busiest node sends
    (a parent in the tree sends to two children and to its own parent)."""
    cables = nx.Graph([(node, "switch", {"bandwidth": 2.0}) for node in range(5)])
    loads = overloads(Cluster(5, network=Hockney(), graph=cables, collective=form), 8.0, [Traffic(0, {}, 10, 1.0)])
    assert loads[0].bytes == pytest.approx(10 * 8 * entries)
    assert loads[0].factor == pytest.approx(10 * 8 * entries / 2)


def test_each_way_carries_an_equal_part_and_not_each_last_link() -> None:
    """Three ways from 0 to 6, two of them through 4."""
    graph = nx.Graph([(0, 1), (0, 2), (0, 3), (1, 4), (2, 4), (3, 5), (4, 6), (5, 6)])
    loads = Routes(graph, 1.0, 1.0).loads({(0, 6): 6.0})
    assert loads == pytest.approx({(0, 1): 2, (0, 2): 2, (0, 3): 2, (1, 4): 2, (2, 4): 2, (3, 5): 2, (4, 6): 4, (5, 6): 2})


@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e9])
def test_ways_of_equal_decimal_latency_are_equal(scale: float) -> None:
    """0.1 + 0.2 s is as long as 0.3 s, though not in float64: the widest of them is taken, the same there and back."""
    first, second, direct = (float(f"{scale * tenths / 10:.6g}") for tenths in (1, 2, 3))
    links = [(0, 2, first, 50.0), (2, 1, second, 50.0), (0, 1, direct, 5.0)]
    routes = Routes(nx.Graph([(one, other, {"latency": latency, "bandwidth": width}) for one, other, latency, width in links]), 0.0, 1.0)
    assert routes.route(0, 1) == routes.route(1, 0) == (direct, 50.0)
    assert set(routes.loads({(0, 1): 8.0})) == {(0, 2), (2, 1)}
    longer = nx.Graph([(0, 2, {"latency": first}), (2, 1, {"latency": second + 1e-10 * scale}), (0, 1, {"latency": direct})])
    assert set(Routes(longer, 0.0, 1.0).loads({(0, 1): 8.0})) == {(0, 1)}, "a little longer is longer"


def test_links_without_limit_are_never_full_even_where_no_time_passes() -> None:
    graph = nx.Graph([(0, 1), (1, 2)])
    cluster = Cluster(3, network=Hockney(), graph=graph)
    assert overloads(cluster, 10.0, [Traffic(0, {(0, 2): 5.0}, 0, 0.0)]) == []
    (load,) = overloads(Cluster(3, network=Hockney(bandwidth=1.0), graph=graph), 10.0, [Traffic(0, {(0, 1): 5.0}, 0, 0.0)])
    assert load.factor == float("inf")


@pytest.mark.parametrize("backend", [Simulated, Vectorized])
def test_a_run_that_diverged_is_held_against_its_links_too(backend: Any) -> None:
    experiment = job(SGP(SGD(Constant(50.0))), OnePeerExponential(8), Steps(500))
    run = backend(machines(two_racks())).run(experiment)
    assert run.outcome == "diverged" and "LINKS OVERLOADED" in run.remarks[-1] and "2.2" in run.remarks[-1]


def test_a_flood_that_the_average_hides_is_not_seen() -> None:
    """What the check cannot see, as it says: a burst through the uplink after each of many idle seconds."""
    run = Vectorized(machines(two_racks(), seconds=60.0)).run(job(SGP(), OnePeerExponential(8), Steps(10)))
    assert run.remarks == ()


def test_many_overloaded_links_are_named_worst_first_and_counted() -> None:
    graph = nx.Graph([(node, "switch", {"bandwidth": 1.0 + node}) for node in range(6)])
    cluster = Cluster(6, network=Hockney(), graph=graph)
    sent = {(node, (node + 1) % 6): 1.0 for node in range(6)}
    (remark,) = load_check(cluster, 100.0, [Traffic(0, sent, 0, 1.0)])
    assert remark.index("'switch' -> 0") < remark.index("0 -> 'switch'") < remark.index("'switch' -> 1")
    assert "2 -> 'switch'" not in remark and "and 9 more links" in remark


def test_the_last_remark_is_shown_however_many_there_are() -> None:
    run = Vectorized().run(job(SGP(), OnePeerExponential(8), Steps(1)))
    run = replace(run, remarks=(*(f"leak {number}" for number in range(20)), "LINKS OVERLOADED"))
    assert shown_remarks(run) == ("leak 0", "leak 1", "leak 2", "leak 3", "(and 16 more remarks)", "LINKS OVERLOADED")


@pytest.mark.parametrize(("bandwidth", "remarked"), [(None, True), (math.inf, False), (1e12, False)])
def test_a_link_whose_bandwidth_was_left_out_is_remarked(bandwidth: float | None, remarked: bool) -> None:
    graph = two_racks()
    del graph.edges["rack A", "rack B"]["bandwidth"]
    if bandwidth is not None:
        graph.edges["rack A", "rack B"]["bandwidth"] = bandwidth
    cluster = machines(graph)
    remarks = load_check(cluster, 1.0, [Traffic(0, {(0, 4): 1.0, (4, 0): 1.0, (0, 1): 1.0}, 0, 10.0)])
    assert any("no limit, because the graph gives no `bandwidth` there" in remark for remark in remarks) == remarked
    assert not load_check(cluster, 1.0, [Traffic(0, {(0, 1): 1.0}, 0, 10.0)])  # nothing crossed it


@pytest.mark.parametrize(
    ("attributes", "remarked"),
    [
        (("speed", 1.0, 2.0), True),
        (("speed", 2.0, 2.0), False),  # all alike, as they are taken
        (("x", 1.0, 2.0), False),
        (("label", "a", "b"), False),
        (("pace", 1.0, 2.0), False),
    ],
)
def test_a_speed_of_machines_that_nothing_reads_is_remarked(
    attributes: tuple[str, Any, Any], remarked: bool
) -> None:
    graph = two_racks()
    for node in range(8):
        graph.nodes[node].pop("pace", None)
        graph.nodes[node][attributes[0]] = attributes[1 + node % 2]
    remarks = load_check(machines(graph), 1.0, [Traffic(0, {(0, 1): 1.0}, 0, 10.0)])
    assert any("all machines compute alike: the graph's 'speed'" in remark for remark in remarks) == remarked


def test_a_network_that_no_link_asks_is_remarked() -> None:
    own = nx.complete_graph(4)
    nx.set_edge_attributes(own, {edge: {"bandwidth": 1e12, "latency": 0.0} for edge in own.edges})
    some = nx.complete_graph(4)
    nx.set_edge_attributes(some, {(0, 1): {"bandwidth": 1e12}})
    experiment = Experiment(SGP(), Quadratic(4), DirectedRing(4), Steps(2))

    def said(network: Hockney, graph: nx.Graph | None) -> list[str]:
        remarks = [Simulated(Cluster(4, network=network, graph=graph)).run(experiment).remarks for _ in range(2)]
        assert remarks[0] == remarks[1] == Vectorized(Cluster(4, network=network, graph=graph)).run(experiment).remarks
        return [remark for remark in remarks[0] if "changed nothing" in remark]

    (remark,) = said(Hockney(latency=1e-3, bandwidth=1e9), own)
    assert "the network's latency of 0.001 and bandwidth of 1e+09 changed nothing" in remark
    assert "bandwidth of 1e+09 changed" in said(Hockney(bandwidth=1e9), own)[0]
    for network, graph in ((Hockney(), own), (Hockney(bandwidth=1e9), some), (Hockney(1e-3, 1e9), None), (Hockney(1e-3), some)):
        assert not said(network, graph)


def test_the_busiest_link_of_the_seed_that_is_loaded_least_bounds_every_seed() -> None:
    graph = nx.path_graph(3)
    nx.set_edge_attributes(graph, {(0, 1): 10.0, (1, 2): 5.0}, "bandwidth")
    cluster = Cluster(3, network=Hockney(), graph=graph)
    sent = [{(0, 1): 8.0, (1, 2): 3.0}, {(2, 1): 1.0, (0, 1): 3.0}, {(1, 2): 9.0}]
    traffic = [Traffic(seed, messages, 0, seconds) for seed, messages, seconds in zip(range(3), sent, (2.0, 1.0, 1.0), strict=True)]
    assert busiest(cluster, 10.0, traffic) == {LINK_LOAD: min(max(80 / 10 / 2, 30 / 5 / 2), max(10 / 5, 30 / 10), 90 / 5)}
    assert busiest(cluster, 10.0, traffic[:1]) == {LINK_LOAD: 4.0}
