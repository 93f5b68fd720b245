"""Hockney's network: latency plus bytes over bandwidth, without contention at the receiver.

The rule: t = alpha + size / (efficiency * bandwidth) (Hockney 1994, recalled). The sender's port is held for the second
term, so its messages leave one after the other; since port times only grow and the latency of a pair never changes,
messages of a pair cannot overtake one another.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import networkx as nx

from sgpsim.clusters.network import Network, Wire, Wires
from sgpsim.clusters.routes import Routes
from sgpsim.errors import SpecificationError, require_positive


@dataclass(frozen=True)
class Hockney(Network):
    """Point-to-point messages take latency + size / (efficiency * bandwidth).

    latency: seconds, end to end (0 allowed). bandwidth: bytes per second (inf: size costs nothing). efficiency: payload
    share of the line rate, in (0, 1]. On a graph, a message takes the path of least total latency (an edge's `latency`,
    else this latency); its bandwidth is the smallest on the path (an edge's `bandwidth`, else this one).
    """

    latency: float = 0.0
    bandwidth: float = math.inf
    efficiency: float = 1.0

    def __post_init__(self) -> None:
        if self.latency != 0:
            require_positive("Hockney(latency)", self.latency)
        if self.bandwidth != math.inf:
            require_positive("Hockney(bandwidth)", self.bandwidth)
        require_positive("Hockney(efficiency)", self.efficiency)
        if self.efficiency > 1:
            raise SpecificationError(
                f"Hockney(efficiency) is {self.efficiency!r}; it must lie in (0, 1]. Give the payload share, such as 0.94."
            )

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
            latency, bandwidth = float(self._network.latency), self._network.bandwidth
        else:
            latency, bandwidth = self._routes.route(sender, receiver)
        return Wire(size / (self._network.efficiency * bandwidth), latency)
