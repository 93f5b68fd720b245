"""Schedules from graphs: any networkx graph, or a sequence of them, one per step, and a rule that turns each into
shares.

The rule: nodes are 0..n-1 and at most one edge leads from one node to another; an edge of an undirected graph goes both
ways. The graphs are copied and frozen, and all shares are computed when the schedule is built. Two graph schedules are
equal when they send the same shares in the same order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Any, TypeAlias

import networkx as nx

from sgpsim.errors import SpecificationError
from sgpsim.schedules.schedule import Schedule
from sgpsim.schedules.shares import EdgeShares, ShareRule
from sgpsim.specification.specification import specification

GraphShares: TypeAlias = tuple[tuple[tuple[tuple[int, float], ...], ...], ...]
"""Per step and sender, (receiver, share) in the order in which the messages leave."""


@specification(eq=False)
class GraphSchedule(Schedule):
    """Step k uses graph k modulo the number of graphs, and divides mass by `rule`.

    graphs: one graph or a sequence (kept as a tuple of frozen copies). rule: EdgeShares() unless given, which reads the
    edge attribute `share` or `weight` where edges carry one and divides equally where they carry none; every other rule
    but GivenShares() looks at no attribute. Errors: SpecificationError for a multigraph, nodes other than 0..n-1, graphs of
    different sizes, or a rule that cannot serve a graph.
    """

    size: int = field(init=False)
    graphs: tuple[nx.Graph, ...]
    rule: ShareRule = EdgeShares()

    def __post_init__(self) -> None:
        graphs = frozen_graphs("GraphSchedule(graphs)", self.graphs)
        object.__setattr__(self, "graphs", graphs)
        object.__setattr__(self, "size", len(graphs[0]))
        object.__setattr__(self, "_shares", graph_shares(graphs, self.rule))

    @property
    def period(self) -> int:
        return len(self.graphs)

    def shares(self, sender: int, step: int) -> Mapping[int, float]:
        return dict(self._content[step % self.period][sender])

    @property
    def _content(self) -> GraphShares:
        return self.__dict__["_shares"]

    def __eq__(self, other: object) -> bool:
        return self._content == other._content if isinstance(other, GraphSchedule) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._content)


def frozen_graphs(what: str, graphs: Any) -> tuple[nx.Graph, ...]:
    """Frozen copies of one graph or several, or SpecificationError; `what` names their origin."""
    if isinstance(graphs, nx.Graph):
        graphs = (graphs,)
    elif not isinstance(graphs, Iterable) or isinstance(graphs, str | bytes):
        raise SpecificationError(
            f"{what} is {graphs!r}; it must be a networkx graph or a sequence of them. Give one such as nx.cycle_graph(8)."
        )
    checked = tuple(_checked(f"{what}, number {position},", graph) for position, graph in enumerate(graphs))
    if not checked:
        raise SpecificationError(f"{what} is empty; a schedule needs at least one graph. Give one such as nx.cycle_graph(8).")
    sizes = [len(graph) for graph in checked]
    if len(set(sizes)) > 1:
        raise SpecificationError(
            f"{what} have {sizes} nodes; all must have the same number. Add the missing nodes with graph.add_nodes_from."
        )
    return checked


def _checked(what: str, graph: Any) -> nx.Graph:
    if not isinstance(graph, nx.Graph):
        raise SpecificationError(f"{what} is a {type(graph).__name__}; it must be a networkx Graph or DiGraph. Build one from it first.")
    if graph.is_multigraph():
        raise SpecificationError(
            f"{what} is a {type(graph).__name__}; which of several edges between two nodes counts is not said."
            " Convert it with"
            f" nx.{'DiGraph' if graph.is_directed() else 'Graph'}(graph), which keeps one edge per pair."
        )
    if not len(graph) or set(graph) != set(range(len(graph))):
        first = next((node for node in graph if node not in range(len(graph))), None)
        raise SpecificationError(
            f"{what} has {len(graph)} nodes, among them {first!r}; nodes must be the numbers 0..n-1, n at least 1."
            " Renumber them with nx.convert_node_labels_to_integers(graph)."
        )
    return nx.freeze(graph.copy())


def graph_shares(graphs: tuple[nx.Graph, ...], rule: ShareRule) -> GraphShares:
    """All shares that `rule` gives on `graphs`."""
    found: list[tuple[tuple[tuple[int, float], ...], ...]] = []
    for graph in graphs:
        arcs = graph if isinstance(graph, nx.DiGraph) else graph.to_directed()
        rule.check(arcs)
        serving = rule.serving(arcs)
        found.append(tuple(tuple(serving.shares(arcs, sender).items()) for sender in range(len(graph))))
    return tuple(found)
