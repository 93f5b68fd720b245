"""Hockney's network: latency plus bytes over bandwidth, without contention at the receiver.

The rule: t = alpha + size / (efficiency * bandwidth) (Hockney 1994, recalled). The sender's port is held for the second
term, so its messages leave one after the other; since port times only grow and the latency of a pair never changes,
messages of a pair cannot overtake one another.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import networkx as nx

from sgpsim.clusters.network import Load, Network, Wire, Wires
from sgpsim.clusters.routes import Routes
from sgpsim.specification.ranges import NotNegative, Part, PositiveOrInfinite
from sgpsim.specification.specification import specification


@specification
class Hockney(Network):
    """Point-to-point messages take latency + size / (efficiency * bandwidth).

    latency: seconds, end to end (0 allowed). bandwidth: bytes per second (inf: size costs nothing). efficiency: payload
    share of the line rate, in (0, 1]. On a graph, a message takes the path of least total latency (an edge's `latency`,
    else this latency); its bandwidth is the smallest on the path (an edge's `bandwidth`, else this one), in each
    direction of an undirected edge, and whatever else is on the way: messages do not share links. A run whose traffic
    the links could not have carried in its time says so at its end (see `link_load.py`).
    """

    latency: NotNegative = 0.0
    bandwidth: PositiveOrInfinite = math.inf
    efficiency: Part = 1.0

    @property
    def uniform(self) -> bool:
        return True

    def attach(self, graph: nx.Graph | None) -> Wires:
        return _HockneyWires(self, None if graph is None else Routes(graph, self.latency, self.bandwidth))


class _HockneyWires(Wires):
    def __init__(self, network: Hockney, routes: Routes | None) -> None:
        self._network = network
        self._routes = routes

    def wire(self, sender: int, receiver: int, size: float) -> Wire:
        if self._routes is None:
            latency, bandwidth = self._network.latency, self._network.bandwidth
        else:
            latency, bandwidth = self._routes.route(sender, receiver)
        return Wire(size / (self._network.efficiency * bandwidth), latency)

    def loads(self, sent: Mapping[tuple[int, int], float]) -> list[Load]:
        if self._routes is None:
            return []
        loads = self._routes.loads(sent)
        return [Load(*edge, size, self._network.efficiency * self._routes.width(*edge)) for edge, size in loads.items()]
