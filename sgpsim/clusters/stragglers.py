"""Stragglers: nodes that are slow for good, from an instant on, or by spells.

The rule: a cause names its nodes and a factor (5.0: five times slower). Spells are counted in gradients, not seconds,
so that a factor has an address (seed, node, k) whatever the algorithm; a slow spell then hits the same gradients of the
same node in every algorithm compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from sgpsim.clusters.compute_time import BLOCK
from sgpsim.clusters.straggler import Straggler
from sgpsim.errors import SpecificationError, shown
from sgpsim.specification.ranges import NotNegative, Part, Quantity, Several, Whole
from sgpsim.specification.specification import specification

NodeNumbers = Annotated[
    tuple[Whole, ...], Several("Give such as ({},) for the one node {}, in a file [{}], or range({}) for the first {}.")
]


def require_distinct(what: str, nodes: tuple[int, ...]) -> None:
    """Raise where a node is named twice."""
    if len(set(nodes)) < len(nodes):
        raise SpecificationError(f"{what} is {shown(nodes)}; it must list distinct node numbers. Give each once.")


def require_nodes_below(what: str, named: tuple[int, ...], nodes: int) -> None:
    """Raise unless all `named` nodes exist in a cluster of `nodes` nodes."""
    if max(named, default=-1) >= nodes:
        raise SpecificationError(
            f"{what} names node {max(named)} and the cluster has nodes 0..{nodes - 1}. Name one of these, or add nodes."
        )


def _require_some(what: str, nodes: tuple[int, ...]) -> None:
    require_distinct(what, nodes)
    if not nodes:
        raise SpecificationError(f"{what} is (); it must name at least one node, such as (0,). Or leave the cause out.")


@specification
class PersistentSlow(Straggler):
    """`nodes` take `factor` times as long at every gradient.

    Such a node paces every method in which somebody waits for it, SGP included: the cycle time of a deterministic
    directed ring is max(max_i c_i, mean_i c_i + D).
    """

    nodes: NodeNumbers
    factor: Quantity

    def __post_init__(self) -> None:
        _require_some("PersistentSlow(nodes)", self.nodes)

    def touches(self, node: int) -> bool:
        return node in self.nodes

    def factors(self, node: int, generator: np.random.Generator) -> Iterator[NDArray[np.float64]]:
        while True:
            yield np.full(BLOCK, self.factor)

    def check(self, nodes: int) -> None:
        require_nodes_below("PersistentSlow(nodes)", self.nodes, nodes)


@specification
class SlowFrom(Straggler):
    """`nodes` take `factor` times as long at every gradient that begins at or after `instant` (simulated seconds)."""

    nodes: NodeNumbers
    factor: Quantity
    instant: NotNegative

    def __post_init__(self) -> None:
        _require_some("SlowFrom(nodes)", self.nodes)

    @property
    def since(self) -> float:
        return self.instant

    def touches(self, node: int) -> bool:
        return node in self.nodes

    def factors(self, node: int, generator: np.random.Generator) -> Iterator[NDArray[np.float64]]:
        while True:
            yield np.full(BLOCK, self.factor)

    def check(self, nodes: int) -> None:
        require_nodes_below("SlowFrom(nodes)", self.nodes, nodes)


@specification
class MarkovSlow(Straggler):
    """Slow spells: a chain with two states, moved once per gradient, begun in its stationary law.

    P(quick -> slow) = enter, P(slow -> quick) = leave. A share enter / (enter + leave) of the gradients is slow, in
    spells of 1 / leave gradients on average. leave = 1 - enter gives independent gradients, slow with probability enter.

    nodes: who has spells, each node its own; () means all. factor: how many times slower within a spell. The defaults
    are an illustration (one gradient in six, spells of four), not taken from a measurement.
    """

    nodes: NodeNumbers = ()
    factor: Quantity = 5.0
    enter: Part = 0.05
    leave: Part = 0.25

    def __post_init__(self) -> None:
        require_distinct("MarkovSlow(nodes)", self.nodes)

    @property
    def slow_share(self) -> float:
        """Stationary probability of the slow state."""
        return self.enter / (self.enter + self.leave)

    def touches(self, node: int) -> bool:
        return not self.nodes or node in self.nodes

    def factors(self, node: int, generator: np.random.Generator) -> Iterator[NDArray[np.float64]]:
        slow = bool(generator.random() < self.slow_share)
        while True:
            states = self._states(slow, generator.random(BLOCK))
            slow = bool(states[-1])
            yield np.where(states, self.factor, 1.0)

    def _states(self, slow: bool, uniforms: NDArray[np.float64]) -> NDArray[np.bool_]:
        """The states after each uniform, from state `slow` on: next = u < (1 - leave if slow else enter).

        A uniform outside [least, most) of the two thresholds forgets the past; inside, it keeps the state (enter <
        1 - leave) or flips it. So a state is that of the last forgetful uniform, flipped as often as flips followed.
        """
        least, most = min(self.enter, 1.0 - self.leave), max(self.enter, 1.0 - self.leave)
        forgets = (uniforms < least) | (uniforms >= most)
        last = np.maximum.accumulate(np.where(forgets, np.arange(len(uniforms)), -1))
        base = np.where(last >= 0, uniforms[last] < least, slow)
        if self.enter <= 1.0 - self.leave:
            return base
        return base ^ (((np.arange(len(uniforms)) - last) % 2) == 1)

    def check(self, nodes: int) -> None:
        require_nodes_below("MarkovSlow(nodes)", self.nodes, nodes)


