"""Stragglers: nodes that are slow for good, from an instant on, or by spells.

The rule: a cause names its nodes and a factor (5.0: five times slower). Spells are counted in gradients, not seconds,
so that a factor has an address (seed, node, k) whatever the algorithm; a slow spell then hits the same gradients of the
same node in every algorithm compared.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sgpsim.clusters.compute_time import BLOCK
from sgpsim.clusters.straggler import Straggler
from sgpsim.errors import SpecificationError, require_positive


def node_numbers(what: str, nodes: Iterable[int]) -> tuple[int, ...]:
    """`nodes` as a tuple of plain ints; raises unless they are distinct whole numbers of at least 0."""
    try:
        found = tuple(operator.index(node) for node in nodes)
    except TypeError:
        found = (-1,)
    if len(set(found)) < len(found) or min(found, default=0) < 0:
        raise SpecificationError(f"{what} is {nodes!r}; it must list distinct node numbers from 0 on, such as (3,).")
    return found


def require_nodes_below(what: str, named: tuple[int, ...], nodes: int) -> None:
    """Raise unless all `named` nodes exist in a cluster of `nodes` nodes."""
    if max(named, default=-1) >= nodes:
        raise SpecificationError(
            f"{what} names node {max(named)} and the cluster has nodes 0..{nodes - 1}. Name one of these, or add nodes."
        )


def _some(what: str, nodes: Iterable[int]) -> tuple[int, ...]:
    found = node_numbers(what, nodes)
    if not found:
        raise SpecificationError(f"{what} is (); it must name at least one node, such as (0,). Or leave the cause out.")
    return found


@dataclass(frozen=True)
class PersistentSlow(Straggler):
    """`nodes` take `factor` times as long at every gradient.

    Such a node paces every method in which somebody waits for it, SGP included: the cycle time of a deterministic
    directed ring is max(max_i c_i, mean_i c_i + D).
    """

    nodes: tuple[int, ...]
    factor: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", _some("PersistentSlow(nodes)", self.nodes))
        require_positive("PersistentSlow(factor)", self.factor)

    def touches(self, node: int) -> bool:
        return node in self.nodes

    def factors(self, node: int, generator: np.random.Generator) -> Iterator[NDArray[np.float64]]:
        while True:
            yield np.full(BLOCK, float(self.factor))

    def check(self, nodes: int) -> None:
        require_nodes_below("PersistentSlow(nodes)", self.nodes, nodes)


@dataclass(frozen=True)
class SlowFrom(Straggler):
    """`nodes` take `factor` times as long at every gradient that begins at or after `instant` (simulated seconds)."""

    nodes: tuple[int, ...]
    factor: float
    instant: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", _some("SlowFrom(nodes)", self.nodes))
        require_positive("SlowFrom(factor)", self.factor)
        if self.instant != 0:
            require_positive("SlowFrom(instant)", self.instant)

    @property
    def since(self) -> float:
        return float(self.instant)

    def touches(self, node: int) -> bool:
        return node in self.nodes

    def factors(self, node: int, generator: np.random.Generator) -> Iterator[NDArray[np.float64]]:
        while True:
            yield np.full(BLOCK, float(self.factor))

    def check(self, nodes: int) -> None:
        require_nodes_below("SlowFrom(nodes)", self.nodes, nodes)


@dataclass(frozen=True)
class MarkovSlow(Straggler):
    """Slow spells: a chain with two states, moved once per gradient, begun in its stationary law.

    P(quick -> slow) = enter, P(slow -> quick) = leave. A share enter / (enter + leave) of the gradients is slow, in
    spells of 1 / leave gradients on average. leave = 1 - enter gives independent gradients, slow with probability enter.

    nodes: who has spells, each node its own; () means all. factor: how many times slower within a spell. The defaults
    are an illustration (one gradient in six, spells of four), not taken from a measurement.
    """

    nodes: tuple[int, ...] = ()
    factor: float = 5.0
    enter: float = 0.05
    leave: float = 0.25

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", node_numbers("MarkovSlow(nodes)", self.nodes))
        require_positive("MarkovSlow(factor)", self.factor)
        for name, value in (("enter", self.enter), ("leave", self.leave)):
            require_positive(f"MarkovSlow({name})", value)
            if value > 1:
                raise SpecificationError(
                    f"MarkovSlow({name}) is {value!r}; it is a probability and must lie in (0, 1]. Give one such as 0.05."
                )

    @property
    def slow_share(self) -> float:
        """Stationary probability of the slow state."""
        return self.enter / (self.enter + self.leave)

    @property
    def mean_factor(self) -> float:
        """Expected factor of a gradient: 1 + (factor - 1) * slow_share."""
        return 1.0 + (self.factor - 1.0) * self.slow_share

    def touches(self, node: int) -> bool:
        return not self.nodes or node in self.nodes

    def factors(self, node: int, generator: np.random.Generator) -> Iterator[NDArray[np.float64]]:
        slow = bool(generator.random() < self.slow_share)
        while True:
            states = self._states(slow, generator.random(BLOCK))
            slow = bool(states[-1])
            yield np.where(states, float(self.factor), 1.0)

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


