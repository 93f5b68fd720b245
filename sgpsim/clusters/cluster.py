"""Cluster: the machines an experiment is simulated on, as one frozen value.

The rule: the physical graph is a networkx graph whose nodes and edges carry the attributes; without one, all nodes hang on one switch that never
blocks. Node attribute `pace` multiplies a node's compute times (2.0: half as fast); edge attributes `latency` (s) and `bandwidth` (bytes/s) replace
the network's own. Nodes that compute are 0..nodes-1; other names are switches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from sgpsim.clusters.collective import Collective, Ring
from sgpsim.clusters.compute_time import ComputeTime, ConstantTime
from sgpsim.clusters.hockney import Hockney
from sgpsim.clusters.network import Network, Wire
from sgpsim.clusters.straggler import Straggler
from sgpsim.errors import SpecificationError, require_count, require_positive
from sgpsim.streams import stream


@dataclass(frozen=True)
class Cluster:
    """nodes: how many compute. compute: seconds per gradient. network: seconds per message. collective: how all-reduces are done.
    stragglers: causes of slowness, multiplied. graph: the physical graph, or None for one full switch."""

    nodes: int
    compute: ComputeTime = ConstantTime(1.0)
    network: Network = Hockney()
    collective: Collective = Ring()
    stragglers: tuple[Straggler, ...] = ()
    graph: nx.Graph | None = field(default=None)

    def __post_init__(self) -> None:
        require_count("Cluster(nodes)", self.nodes)
        for straggler in self.stragglers:
            straggler.check(self.nodes)
        if self.graph is None:
            return
        if self.graph.is_multigraph():
            raise SpecificationError(
                f"Cluster(graph) is a {type(self.graph).__name__}; parallel edges have no single latency. Give networkx.Graph(graph) or DiGraph(graph)."
            )
        missing = [node for node in range(self.nodes) if node not in self.graph]
        if missing:
            raise SpecificationError(
                f"Cluster(nodes={self.nodes}) with a graph that lacks node {missing[0]}; the machines must be named 0..{self.nodes - 1}."
                " Use networkx.convert_node_labels_to_integers(graph)."
            )
        for node in range(self.nodes):
            require_positive(f"Cluster(graph): attribute `pace` of node {node}", self.graph.nodes[node].get("pace", 1.0))

    def wire(self, sender: int, receiver: int, size: float) -> Wire:
        """The wire from `sender` to `receiver` for messages of `size` bytes."""
        return self.network.wire(self.graph, sender, receiver, size)

    def collective_seconds(self, size: float) -> float:
        """Seconds of one all-reduce of `size` bytes among all nodes, from the last arrival on."""
        per_byte, latency = self.network.link()
        return self.collective.seconds(self.nodes, size, latency, per_byte) if self.nodes > 1 else 0.0

    def durations(self, node: int, seed: int) -> Iterator[NDArray[np.float64]]:
        """Endless blocks of `node`'s compute times: base times pace times the factors of stragglers that hold from the start."""
        pace = float(self.graph.nodes[node].get("pace", 1.0)) if self.graph is not None else 1.0
        causes = [
            cause.factors(node, stream(seed, f"straggler {number}", node))
            for number, cause in enumerate(self.stragglers)
            if cause.since <= 0.0 and cause.touches(node)
        ]
        for block in self.compute.durations(node, stream(seed, "compute", node)):
            found = block * pace
            for cause in causes:
                found = found * next(cause)
            yield found

    def late_causes(self, node: int, seed: int) -> list[tuple[float, Iterator[NDArray[np.float64]]]]:
        """Stragglers of `node` that begin later: (instant, endless blocks of factors)."""
        return [
            (cause.since, cause.factors(node, stream(seed, f"straggler {number}", node)))
            for number, cause in enumerate(self.stragglers)
            if cause.since > 0.0 and cause.touches(node)
        ]
