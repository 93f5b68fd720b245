"""Description: what the machines of a cluster are, in words.

The rule: one short phrase per part, which reads by itself, so that two clusters are told apart by the phrases that differ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import networkx as nx

from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.compute_time import ComputeTime, ConstantTime
from sgpsim.clusters.hockney import Hockney
from sgpsim.clusters.network import Network
from sgpsim.specification.wording import bytes_told, concise, seconds_told

SHOWN = 6
"""Nodes that a phrase names."""
STILL = "no machines: no time passes"
"""What is said where there is no cluster."""


def described(cluster: Cluster | None) -> dict[str, str]:
    """Phrases on gradients, paces, stragglers, network, links, collective, and faults where there are any."""
    if cluster is None:
        return {"machines": STILL}
    told = {"gradient": _gradient(cluster.compute)}
    if paces := _paces(cluster):
        told["paces"] = paces
    told["stragglers"] = ", ".join(map(concise, cluster.stragglers)) or "no stragglers"
    told["network"] = _network(cluster.network)
    told["links"] = "one switch that never blocks" if cluster.graph is None else _links(cluster.graph, cluster.nodes)
    told["collective"] = f"all-reduce by {concise(cluster.collective)}"
    if cluster.faults:
        told["faults"] = ", ".join(map(concise, cluster.faults))
    return told


def _gradient(compute: ComputeTime) -> str:
    """The mean, and the law where it is not constant."""
    mean = f"{seconds_told(compute.mean)} a gradient" if math.isfinite(compute.mean) else "no finite mean of a gradient"
    return mean if isinstance(compute, ConstantTime) else f"{mean}, {concise(compute)}"


def _paces(cluster: Cluster) -> str:
    """How many times the seconds of a gradient which nodes take, where some differ from 1."""
    nodes: dict[float, list[int]] = {}
    for node in range(cluster.nodes):
        nodes.setdefault(cluster.pace(node), []).append(node)
    unlike = [f"{pace:g} times as long on {_named(those)}" for pace, those in sorted(nodes.items()) if pace != 1.0]
    return "; ".join(unlike)


def _named(nodes: list[int]) -> str:
    more = f", ... {len(nodes)} in all" if len(nodes) > SHOWN else ""
    return f"node{'s' if len(nodes) > 1 else ''} {', '.join(map(str, nodes[:SHOWN]))}{more}"


def _network(network: Network) -> str:
    if not isinstance(network, Hockney):
        return concise(network)
    if network == Hockney():
        return "messages that cost no time"
    wire = f"{network.latency * 1e6:g} us a message, {_rate(network.bandwidth)}"
    return wire + (f", of which payload {network.efficiency:g}" if network.efficiency < 1 else "")


def _rate(bandwidth: float) -> str:
    return f"{bytes_told(bandwidth)}/s" if math.isfinite(bandwidth) else "bandwidth without limit"


def _links(graph: nx.Graph, nodes: int) -> str:
    """How many links there are, and from what to what those that say so themselves reach."""
    others = len(graph) - nodes
    ends = f"{nodes} nodes" + (f" and {others} switch{'es' if others > 1 else ''}" if others else "")
    own = {name: [float(value) for _, _, value in graph.edges(data=name) if value is not None] for name in ("bandwidth", "latency")}
    ranges = [
        *([_range(own["bandwidth"], _rate)] if own["bandwidth"] else []),
        *([_range(own["latency"], lambda seconds: f"{seconds * 1e6:g} us")] if own["latency"] else []),
    ]
    words = f"{graph.number_of_edges()} links between {ends}"
    return words + (f", of {' and '.join(ranges)}" if ranges else "")


def _range(values: Sequence[float], words: Callable[[float], str]) -> str:
    least, most = min(values), max(values)
    return words(least) if least == most else f"{words(least)} to {words(most)}"
