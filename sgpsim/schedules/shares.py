"""Share rules: how a node divides its mass among itself and those it sends to, given only a graph.

The rule: a sender's shares sum to 1 and it keeps one of them; it needs to know its own out-neighbours (Metropolis:
their degrees too), never the whole graph. Where a graph does not say in which order messages leave, they leave in
cyclic order, to the node numbered next first, so that not everybody sends to node 0 at the same time.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from fractions import Fraction
from numbers import Real

import networkx as nx

from sgpsim.errors import SpecificationError, shown
from sgpsim.specification.ranges import Between
from sgpsim.specification.specification import specification

NO_SHARES = 1e-3
"""How far weights may sum from 1 before they count as something else than shares; validation is far stricter."""


def equal_shares(sender: int, receivers: Iterable[int]) -> dict[int, float]:
    """1/(m+1) each for the sender and its m distinct receivers; the sender among `receivers` and repetitions count
    once."""
    everyone = dict.fromkeys((sender, *receivers))
    return dict.fromkeys(everyone, 1.0 / len(everyone))


def cyclic_receivers(graph: nx.DiGraph, sender: int) -> list[int]:
    """Out-neighbours of `sender` without itself, in the order sender + 1, sender + 2, ... modulo the number of
    nodes."""
    size = len(graph)
    return sorted(
        (receiver for receiver in graph.successors(sender) if receiver != sender),
        key=lambda receiver: (receiver - sender) % size,
    )


class ShareRule(ABC):
    """Turns the directed graph of a step (an undirected edge is two arcs) into shares."""

    @abstractmethod
    def shares(self, graph: nx.DiGraph, sender: int) -> dict[int, float]:
        """Receiver -> share, the own share first; sums to 1. Nodes of `graph` are 0..n-1."""

    def check(self, graph: nx.DiGraph) -> None:
        """Raise SpecificationError where the rule cannot serve `graph`. By default every graph will do."""
        return

    def serving(self, graph: nx.DiGraph) -> ShareRule:
        """The rule that divides mass on `graph`, chosen once for all its nodes. By default this one."""
        return self


@specification
class Uniform(ShareRule):
    """p_ji = 1/(d_i + 1) for the sender i itself and each of its d_i out-neighbours j (Assran et al. 2019, section 5,
    recalled)."""

    def shares(self, graph: nx.DiGraph, sender: int) -> dict[int, float]:
        return equal_shares(sender, cyclic_receivers(graph, sender))


@specification
class Lazy(ShareRule):
    """p_ii = own, and p_ji = (1 - own)/d_i for each of the d_i out-neighbours j; a node without any keeps everything.

    own: the share that stays, strictly between 0 and 1.
    """

    own: Between = 0.5

    def shares(self, graph: nx.DiGraph, sender: int) -> dict[int, float]:
        receivers = cyclic_receivers(graph, sender)
        if not receivers:
            return {sender: 1.0}
        return {sender: self.own} | dict.fromkeys(receivers, (1.0 - self.own) / len(receivers))


@specification
class Metropolis(ShareRule):
    """p_ji = p_ij = min(1/(1 + d_i), 1/(1 + d_j)) on an edge of an undirected graph; each node keeps the rest: doubly
    stochastic.

    Errors: SpecificationError where an arc has no arc back. Source: Metropolis-Hastings weights, Xiao, Boyd and Lall
    2005 (recalled).
    """

    def shares(self, graph: nx.DiGraph, sender: int) -> dict[int, float]:
        receivers = cyclic_receivers(graph, sender)
        larger = {receiver: max(len(receivers), _degree(graph, receiver)) for receiver in receivers}
        # Exact fractions: on a regular graph the own share is then 1/(d+1) to the last bit, not 1 minus a rounded sum.
        given = sum((Fraction(count, 1 + degree) for degree, count in Counter(larger.values()).items()), Fraction(0))
        return {sender: float(1 - given)} | {receiver: 1.0 / (1 + degree) for receiver, degree in larger.items()}

    def check(self, graph: nx.DiGraph) -> None:
        for sender, receiver in graph.edges:
            if not graph.has_edge(receiver, sender):
                raise SpecificationError(
                    f"Metropolis(): {sender} sends to {receiver}, but {receiver} not to {sender}; the rule needs an"
                    " undirected graph."
                    " Give one (graph.to_undirected()), or take Uniform(), which serves directed graphs."
                )


@specification
class GivenShares(ShareRule):
    """p_ji = the number that the edge i -> j carries as `attribute`; p_ii = that of the self-loop, or what is left of 1
    where there is none.

    attribute: `share`, or `weight` as networkx and Bluefog write it. An edge whose share is 0 is no edge.
    Errors: SpecificationError where an edge has no finite number there; whether columns sum to 1 is asked by
    `require_valid` (validation.py).
    """

    attribute: str = "share"

    def shares(self, graph: nx.DiGraph, sender: int) -> dict[int, float]:
        given = {receiver: float(graph.edges[sender, receiver][self.attribute]) for receiver in cyclic_receivers(graph, sender)}
        if graph.has_edge(sender, sender):
            own = float(graph.edges[sender, sender][self.attribute])
        else:
            own = 1.0 - math.fsum(given.values())
            own = own if abs(own) > 1e-12 else 0.0  # shares that sum to 1 up to rounding leave nothing
        return {receiver: share for receiver, share in ({sender: own} | given).items() if share != 0.0}

    def check(self, graph: nx.DiGraph) -> None:
        for sender, receiver, share in graph.edges(data=self.attribute):
            try:
                finite = not isinstance(share, str | bytes) and math.isfinite(float(share))
            except (TypeError, ValueError, OverflowError):
                finite = False
            if not finite:
                text = isinstance(share, str | bytes)
                raise SpecificationError(
                    f"GivenShares(): the edge {sender} -> {receiver} carries {self.attribute}={shown(share)}{', a text' if text else ''};"
                    " every edge needs a finite number there."
                    f" {'Turn texts into numbers with float' if text else 'Set the attribute'}, or take a rule that computes"
                    " shares, such as Uniform()."
                )


@specification
class EdgeShares(ShareRule):
    """The shares that the edges carry, equal shares where they carry none: GivenShares("share") if any edge has
    `share`, else GivenShares("weight") if any has `weight`, else Uniform().

    P[j, i] is the number on the edge i -> j, as in Bluefog's topologies. A weight of 1 on every edge says nothing, as
    networkx writes it for any adjacency matrix: Uniform(). Errors: SpecificationError where weights cannot be shares
    (below 0, missing on some edge, or summing to other than 1 per sender): lengths and capacities are never taken for
    shares, and never passed over without a word.
    """

    def serving(self, graph: nx.DiGraph) -> ShareRule:
        edges = list(graph.edges(data=True))
        if any("share" in data for _, _, data in edges):
            return GivenShares()
        weights = [data["weight"] for _, _, data in edges if "weight" in data]
        if not weights or (len(weights) == len(edges) and all(isinstance(w, Real) and w == 1 for w in weights)):
            return Uniform()
        return GivenShares("weight")

    def shares(self, graph: nx.DiGraph, sender: int) -> dict[int, float]:
        return self.serving(graph).shares(graph, sender)

    def check(self, graph: nx.DiGraph) -> None:
        rule = self.serving(graph)
        rule.check(graph)
        if rule != GivenShares("weight"):
            return
        for sender in graph:
            shares = rule.shares(graph, sender)
            if min(shares.values(), default=0.0) < 0.0 or abs(math.fsum(shares.values()) - 1.0) > NO_SHARES:
                total = math.fsum(float(weight) for _, _, weight in graph.out_edges(sender, data="weight"))
                raise SpecificationError(
                    f"EdgeShares(): the edges out of node {sender} carry weights that sum to {total:.6g}; shares are"
                    " at least 0 and sum to 1, the self-loop's included (without a self-loop: to at most 1)."
                    " If they are lengths or capacities, name a rule: Uniform(). If they are shares, divide them by"
                    " their sum (turn the edges round if they sum to 1 per receiver)."
                )


def _degree(graph: nx.DiGraph, node: int) -> int:
    return graph.out_degree(node) - graph.has_edge(node, node)
