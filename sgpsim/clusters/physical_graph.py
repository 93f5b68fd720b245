"""Physical graph: what a networkx graph must say to be a cluster's cabling.

The rule: the graph is checked and copied when the cluster is built, so a cluster stays the value it was. Node attribute
`pace` multiplies compute times; edge attributes are `latency` (seconds) and `bandwidth` (bytes per second); all may be
missing, and attributes of other names are the user's own. A name that is nearly one of these is taken for a slip.
"""

from __future__ import annotations

import difflib
import math
import numbers
from collections.abc import Hashable, Mapping
from typing import Any

import networkx as nx

from sgpsim.errors import SpecificationError


def cabling(graph: nx.Graph, nodes: int) -> nx.Graph:
    """A frozen copy of `graph`, which must hold the machines 0..nodes-1 and carry sound attributes."""
    if not isinstance(graph, nx.Graph):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise SpecificationError(
            f"Cluster(graph) is {graph!r}; it must be a networkx Graph or DiGraph. Give None for one full switch."
        )
    if graph.is_multigraph():
        raise SpecificationError(
            f"Cluster(graph) is a {type(graph).__name__}; parallel edges have no single latency."
            " Give networkx.Graph(graph) or networkx.DiGraph(graph)."
        )
    missing = [node for node in range(nodes) if node not in graph]
    if missing:
        raise SpecificationError(
            f"Cluster(nodes={nodes}) with a graph that lacks node {missing[0]}; the machines must be named"
            f" 0..{nodes - 1}. Use networkx.convert_node_labels_to_integers(graph)."
        )
    for node, attributes in graph.nodes(data=True):
        _sound(f"node {node!r}", attributes, {"pace": "a finite number above 0, such as 2.0 for half as fast"})
    rules = {"latency": "finite seconds of at least 0, such as 25e-6", "bandwidth": "bytes per second above 0, such as 1.25e9"}
    for one, other, attributes in graph.edges(data=True):
        _sound(f"edge ({one!r}, {other!r})", attributes, rules)
    return nx.freeze(graph.copy())


def contents(graph: nx.Graph) -> Hashable:
    """What makes two cablings equal: direction, nodes, edges and all attributes, in whatever order they were added."""

    def named(ends: list[Any], attributes: Mapping[Any, Any]) -> tuple[Hashable, ...]:
        return (*ends, *sorted((repr(name), _plain(value)) for name, value in attributes.items()))

    directed = graph.is_directed()
    nodes = sorted((repr(node), named([], attributes)) for node, attributes in graph.nodes(data=True))
    edges = sorted(
        (tuple([repr(a), repr(b)] if directed else sorted((repr(a), repr(b)))), named([], attributes))
        for a, b, attributes in graph.edges(data=True)
    )
    return directed, tuple(nodes), tuple(edges)


def _plain(value: Any) -> str:
    return repr(float(value) + 0.0) if isinstance(value, numbers.Real) else repr(value)


def _sound(where: str, attributes: Mapping[Any, Any], rules: Mapping[str, str]) -> None:
    for name, value in attributes.items():
        if name not in rules:
            for meant in difflib.get_close_matches(str(name), rules, n=1, cutoff=0.8):
                raise SpecificationError(
                    f"Cluster(graph): {where} has an attribute {name!r}, which nothing reads; did you mean {meant!r}?"
                )
            continue
        number = float(value) if isinstance(value, numbers.Real) and not isinstance(value, bool) else math.nan
        sound = number >= 0 if name == "latency" else number > 0
        if not sound or (number == math.inf and name != "bandwidth"):
            raise SpecificationError(f"Cluster(graph): `{name}` of {where} is {value!r}; it must be {rules[name]}.")
