"""The random regular graph: undirected, every node with equally many neighbours, drawn once.

The rule: the graph is networkx's random_regular_graph(degree, size, seed), so that jobs stated in those words can be
repeated; the seed is its whole address, independent of every stream of the experiment.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import networkx as nx

from sgpsim.errors import SpecificationError
from sgpsim.schedules.schedule import Schedule
from sgpsim.schedules.shares import cyclic_receivers, equal_shares
from sgpsim.specification.ranges import Count, Nodes, Seed
from sgpsim.specification.specification import specification


@specification
class RandomRegular(Schedule):
    """Node i exchanges a share 1/(degree + 1) with each of its neighbours at every step: Metropolis shares of a regular
    graph.

    degree: below size, and degree times size even. Symmetric, period 1.
    Errors: SpecificationError where no such graph exists, or the drawn one is not connected.
    """

    size: Nodes
    degree: Count
    seed: Seed = 0

    def __post_init__(self) -> None:
        what = f"RandomRegular(size={self.size}, degree={self.degree}, seed={self.seed})"
        if self.degree >= self.size:
            raise SpecificationError(
                f"{what}: a node has only {self.size - 1} others as neighbours. Give a degree of at most"
                f" {self.size - 1}."
            )
        if self.degree * self.size % 2:
            raise SpecificationError(
                f"{what}: degree times size must be even, as every edge has two ends. Take size {self.size + 1}."
            )
        if not nx.is_connected(nx.Graph(dict(enumerate(self.receivers)))):
            raise SpecificationError(
                f"{what}: the graph drawn falls into parts that never exchange. Take another seed or a higher degree."
            )

    @cached_property
    def receivers(self) -> tuple[tuple[int, ...], ...]:
        """Of each sender, in cyclic order from the next node on."""
        graph = nx.random_regular_graph(self.degree, self.size, seed=self.seed).to_directed(as_view=True)
        return tuple(tuple(cyclic_receivers(graph, sender)) for sender in range(self.size))

    @property
    def period(self) -> int:
        return 1

    def shares(self, sender: int, step: int) -> Mapping[int, float]:
        return equal_shares(sender, self.receivers[sender])
