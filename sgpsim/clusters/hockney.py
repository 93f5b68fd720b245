"""Hockney's network: latency plus bytes over bandwidth, without contention at the receiver.

The rule: t = alpha + size / (efficiency * bandwidth) (Hockney 1994). The sender's port is held for the second term, so its messages leave one
after the other; since port times only grow and the latency of a pair never changes, messages of a pair cannot overtake one another.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import networkx as nx

from sgpsim.clusters.network import Network, Wire
from sgpsim.errors import SpecificationError, require_positive


@dataclass(frozen=True)
class Hockney(Network):
    """Point-to-point messages take latency + size / (efficiency * bandwidth).

    latency: seconds, end to end (0 allowed). bandwidth: bytes per second (inf: size costs nothing). efficiency: payload share of the line rate,
    in (0, 1]. On a graph, a message takes the path of least total latency (an edge's `latency`, else this latency); its bandwidth is the
    smallest on the path (an edge's `bandwidth`, else this one).
    """

    latency: float = 0.0
    bandwidth: float = math.inf
    efficiency: float = 1.0

    def __post_init__(self) -> None:
        if not (isinstance(self.latency, int | float) and math.isfinite(self.latency) and self.latency >= 0):
            raise SpecificationError(f"Hockney(latency) is {self.latency!r}; it must be finite and at least 0 seconds. Give one such as 25e-6.")
        if not (isinstance(self.bandwidth, int | float) and self.bandwidth > 0):
            raise SpecificationError(f"Hockney(bandwidth) is {self.bandwidth!r}; it must be above 0 bytes per second. Give one such as 1.25e9.")
        require_positive("Hockney(efficiency)", self.efficiency)
        if self.efficiency > 1:
            raise SpecificationError(f"Hockney(efficiency) is {self.efficiency!r}; it must lie in (0, 1]. Give the payload share, such as 0.94.")

    def wire(self, graph: nx.Graph | None, sender: int, receiver: int, size: float) -> Wire:
        if graph is None:
            return Wire(size / (self.efficiency * self.bandwidth), float(self.latency))

        def cost(_a: Any, _b: Any, edge: dict[str, Any]) -> float:
            return float(edge.get("latency", self.latency))

        try:
            path: list[Any] = nx.dijkstra_path(graph, sender, receiver, weight=cost)
        except (nx.NetworkXNoPath, nx.NodeNotFound):
            raise SpecificationError(
                f"the cluster's graph has no path from node {sender} to node {receiver}, and the schedule sends between them."
                " Add a link, or use a schedule that follows the graph: GraphSchedule(graph)."
            ) from None
        edges = [graph.edges[a, b] for a, b in zip(path, path[1:], strict=False)]
        latency = math.fsum(float(edge.get("latency", self.latency)) for edge in edges)
        bandwidth = min((float(edge.get("bandwidth", self.bandwidth)) for edge in edges), default=self.bandwidth)
        return Wire(size / (self.efficiency * bandwidth), latency)

    def link(self) -> Wire:
        return Wire(1.0 / (self.efficiency * self.bandwidth), float(self.latency))
