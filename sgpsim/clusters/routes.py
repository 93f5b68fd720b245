"""Routes: which way messages take through a physical graph, what the way offers, and what each link then carries.

The rule: a message takes the path of least total latency, and among those the one whose narrowest link is widest. Both
figures are then unique, whatever the order in which nodes and edges were added; latencies are summed as the decimal
numbers that they are written as, so 0.1 and 0.2 s are as long a way as 0.3 s. Of the paths that are still equal those
of fewest links count, each with an equal part of the bytes; these rules hold for every node on the way as for the last,
so a path never leaves the best way to a node before it, though behind a narrow link a shorter one would be as good.
One search per sender finds the ways to all receivers; it is done when the sender is first asked about, and kept.
"""

from __future__ import annotations

import heapq
import math
from array import array
from collections.abc import Hashable, Iterable, Mapping
from decimal import Decimal
from functools import cached_property
from typing import Any, NamedTuple

import networkx as nx

from sgpsim.errors import SpecificationError


class Route(NamedTuple):
    """What a path offers. latency: seconds, summed over its links. bandwidth: bytes per second of its narrowest link."""

    latency: float
    bandwidth: float


class _Reach(NamedTuple):
    """The best way from one node to every node, by index: latency in parts of `_unit` (inf: no way), bytes per second, number of links."""

    latency: array[float]
    bandwidth: array[float]
    links: array[int]


def _unit(latencies: Iterable[float], links: int) -> float:
    """The power of ten that makes whole numbers of all `latencies`, where float64 then adds `links` of them exactly; else
    1."""
    written = [Decimal(repr(latency)).normalize() for latency in latencies]
    digits = max((-int(number.as_tuple().exponent) for number in written), default=0)
    exact = 0 <= digits <= 22 and all(number * 10**digits * links < 2**53 for number in written)
    return 10.0**digits if exact else 1.0


def _units(latency: float, unit: float) -> float:
    return float(round(latency * unit)) if unit > 1.0 else latency


class Routes:
    """All routes of one graph.

    graph: directed or not; edge attributes `latency` and `bandwidth` where an edge has its own. latency, bandwidth: for
    edges that have none.
    """

    def __init__(self, graph: nx.Graph, latency: float, bandwidth: float) -> None:
        latencies = {float(edge.get("latency", latency)) for *_, edge in graph.edges(data=True)}
        self._unit = _unit(latencies, max(len(graph), 1))
        self._names: list[Any] = list(graph)
        self._index: dict[Any, int] = {node: index for index, node in enumerate(graph)}
        self._edges: list[list[tuple[int, float, float]]] = [
            [
                (
                    self._index[other],
                    _units(float(edge.get("latency", latency)), self._unit),
                    -float(edge.get("bandwidth", bandwidth)),
                )
                for other, edge in graph.adj[node].items()
            ]
            for node in graph
        ]
        self._known: dict[int, _Reach] = {}

    def route(self, sender: int, receiver: int) -> Route:
        """The route from `sender` to `receiver`; SpecificationError where there is none."""
        begin, end = self._index.get(sender), self._index.get(receiver)
        if begin is not None and end is not None:
            reach = self._reach(begin)
            if reach.latency[end] < math.inf:
                return Route(reach.latency[end] / self._unit, reach.bandwidth[end])
        raise SpecificationError(
            f"the cluster's graph has no path from node {sender} to node {receiver}, and they must talk."
            " Add a link, or use a schedule that follows the graph: GraphSchedule(graph)."
        )

    def width(self, begin: Hashable, end: Hashable) -> float:
        """Bytes per second of the link from `begin` to `end`, nodes of the graph that it joins."""
        other = self._index[end]
        return next(-width for index, _, width in self._edges[self._index[begin]] if index == other)

    def loads(self, sent: Mapping[tuple[int, int], float]) -> dict[tuple[Hashable, Hashable], float]:
        """Bytes over each link and direction, (from, to) in the graph's names, where `sent` bytes went between pairs."""
        by_sender: dict[int, dict[int, float]] = {}
        for (sender, receiver), size in sent.items():
            if size > 0 and sender != receiver:
                self.route(sender, receiver)
                by_sender.setdefault(self._index[sender], {})[self._index[receiver]] = size
        carried: dict[tuple[int, int], float] = {}
        for begin, sizes in by_sender.items():
            self._carry(begin, sizes, carried)
        return {(self._names[one], self._names[other]): size for (one, other), size in carried.items()}

    def _carry(self, begin: int, sizes: dict[int, float], carried: dict[tuple[int, int], float]) -> None:
        """Add to `carried` what the links carry where `begin` sends `sizes`, bytes by receiver (which is used up)."""
        reach = self._reach(begin)
        nearest: list[tuple[float, float, int, int]] = []  # from the receivers back: all nodes that messages pass
        before: dict[int, list[int]] = {}
        waiting = list(sizes)
        while waiting:
            at = waiting.pop()
            if at not in before:
                before[at] = self._before(reach, at)
                nearest.append((reach.latency[at], -reach.bandwidth[at], reach.links[at], at))
                waiting += before[at]
        nearest.sort()
        paths: dict[int, int] = {begin: 1}
        for *_, at in nearest:
            if at != begin:
                paths[at] = sum(paths[earlier] for earlier in before[at])
        for *_, at in reversed(nearest):  # the farthest first: what passes a node is complete when its turn comes
            size = sizes.pop(at, 0.0)
            for earlier in before[at]:
                part = size * (paths[earlier] / paths[at])
                carried[earlier, at] = carried.get((earlier, at), 0.0) + part
                sizes[earlier] = sizes.get(earlier, 0.0) + part

    def _before(self, reach: _Reach, at: int) -> list[int]:
        """The nodes from which the best ways come to `at`; none where they begin there."""
        label = (reach.latency[at], reach.bandwidth[at], reach.links[at])
        return [
            one
            for one, further, width in self._incoming[at]
            if (reach.latency[one] + further, min(reach.bandwidth[one], -width), reach.links[one] + 1) == label
        ]

    @cached_property
    def _incoming(self) -> list[list[tuple[int, float, float]]]:
        """The links that end at each node, as (where they begin, latency, -bandwidth)."""
        incoming: list[list[tuple[int, float, float]]] = [[] for _ in self._edges]
        for one, edges in enumerate(self._edges):
            for other, latency, width in edges:
                incoming[other].append((one, latency, width))
        return incoming

    def _reach(self, begin: int) -> _Reach:
        if begin not in self._known:
            self._known[begin] = self._search(begin)
        return self._known[begin]

    def _search(self, begin: int) -> _Reach:
        """Dijkstra's algorithm on labels (latency, -bandwidth, links), compared in that order.

        Lengthening two paths by the same edge never changes which of them is better by the first two, which is what the
        algorithm needs; the third makes every label worse than the one before it, links of no latency included.
        """
        unreached = (math.inf, math.inf, 0)
        best: list[tuple[float, float, int]] = [unreached] * len(self._edges)
        best[begin] = (0.0, -math.inf, 0)
        waiting = [(0.0, -math.inf, 0, begin)]
        while waiting:
            latency, narrowest, links, at = heapq.heappop(waiting)
            if best[at] != (latency, narrowest, links):
                continue
            for other, further, width in self._edges[at]:
                label = (latency + further, width if width > narrowest else narrowest, links + 1)
                if label < best[other]:
                    best[other] = label
                    heapq.heappush(waiting, (*label, other))
        return _Reach(
            array("d", [label[0] for label in best]),
            array("d", [-label[1] for label in best]),
            array("q", [label[2] for label in best]),
        )
