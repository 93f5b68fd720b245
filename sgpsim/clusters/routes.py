"""Routes: which way messages take through a physical graph, and what the way offers.

The rule: a message takes the path of least total latency, and among those the one whose narrowest link is widest. Both
figures are then unique, whatever the order in which nodes and edges were added. One search per sender finds the ways to
all receivers; it is done when the sender is first asked about, and kept.
"""

from __future__ import annotations

import heapq
import math
from typing import Any, NamedTuple

import networkx as nx

from sgpsim.errors import SpecificationError


class Route(NamedTuple):
    """What a path offers. latency: seconds, summed over its links. bandwidth: bytes per second of its narrowest link."""

    latency: float
    bandwidth: float


class Routes:
    """All routes of one graph.

    graph: directed or not; edge attributes `latency` and `bandwidth` where an edge has its own. latency, bandwidth: for
    edges that have none.
    """

    def __init__(self, graph: nx.Graph, latency: float, bandwidth: float) -> None:
        self._index: dict[Any, int] = {node: index for index, node in enumerate(graph)}
        self._edges: list[list[tuple[int, float, float]]] = [
            [
                (self._index[other], float(edge.get("latency", latency)), -float(edge.get("bandwidth", bandwidth)))
                for other, edge in graph.adj[node].items()
            ]
            for node in graph
        ]
        self._known: dict[int, list[Route | None]] = {}

    def route(self, sender: int, receiver: int) -> Route:
        """The route from `sender` to `receiver`; SpecificationError where there is none."""
        begin, end = self._index.get(sender), self._index.get(receiver)
        found = None
        if begin is not None and end is not None:
            if begin not in self._known:
                self._known[begin] = self._search(begin)
            found = self._known[begin][end]
        if found is None:
            raise SpecificationError(
                f"the cluster's graph has no path from node {sender} to node {receiver}, and they must talk."
                " Add a link, or use a schedule that follows the graph: GraphSchedule(graph)."
            )
        return found

    def _search(self, begin: int) -> list[Route | None]:
        """Dijkstra's algorithm on labels (latency, -bandwidth), compared in that order.

        Lengthening two paths by the same edge never changes which of them is better, which is what the algorithm needs.
        """
        unreached = (math.inf, math.inf)
        best: list[tuple[float, float]] = [unreached] * len(self._edges)
        best[begin] = (0.0, -math.inf)
        waiting = [(0.0, -math.inf, begin)]
        while waiting:
            latency, narrowest, at = heapq.heappop(waiting)
            if best[at] != (latency, narrowest):
                continue
            for other, further, width in self._edges[at]:
                label = (latency + further, width if width > narrowest else narrowest)
                if label < best[other]:
                    best[other] = label
                    heapq.heappush(waiting, (*label, other))
        return [None if label == unreached else Route(label[0], -label[1]) for label in best]
