"""Network: when a message that leaves now arrives.

The rule: a network is a frozen specification; `attach` makes the run-time wires of one graph from it. Every model keeps
messages between two nodes in order, and a sender puts one message at a time on its port. Models without contention at
the receiver know the arrival when the message is sent, which is what `Wire` says; a model with contention (links shared
by several flows) will answer later, through an event of its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple

import networkx as nx

from sgpsim.errors import SpecificationError, require_seconds, shown
from sgpsim.specification.single_values import is_number


class Load(NamedTuple):
    """What crosses one link in one direction. begin, end: its nodes in the graph. bytes: all of them. capacity: bytes
    per second that it carries."""

    begin: Hashable
    end: Hashable
    bytes: float
    capacity: float


class Wire(NamedTuple):
    """What one message from a given sender to a given receiver costs.

    occupancy: seconds during which it holds the sender's port. latency: seconds from leaving the port to arrival.
    So begin = max(now, port), port = begin + occupancy, arrival = port + latency.
    """

    occupancy: float
    latency: float


def require_wire(wire: Any, sender: int, receiver: int) -> Wire:
    """`wire`; SpecificationError unless it is a Wire of two numbers."""
    if isinstance(wire, Wire) and all(map(is_number, wire)):
        return wire
    raise SpecificationError(
        f"the network's wire from node {sender} to node {receiver} is {shown(wire)}; it must be a Wire of two numbers of"
        " seconds. Give sgpsim.clusters.network.Wire(occupancy, latency)."
    )


def require_sound(wire: Any, sender: int, receiver: int) -> Wire:
    """`wire` as one of Python's floats; SpecificationError unless it is a Wire of finite seconds of at least 0."""
    occupancy, latency = require_wire(wire, sender, receiver)
    try:
        return Wire(require_seconds("", occupancy), require_seconds("", latency))
    except SpecificationError:
        raise SpecificationError(
            f"the network's wire from node {sender} to node {receiver} is {shown(wire, 100)}; seconds must be finite and at"
            " least 0. `sgpsim.testing.check_network` looks at all pairs."
        ) from None


class Wires(ABC):
    """The wires of one graph, ready to be asked many times."""

    @abstractmethod
    def wire(self, sender: int, receiver: int, size: float) -> Wire:
        """The wire from `sender` to `receiver` for messages of `size` bytes.

        Raises SpecificationError where the graph has no path between them.
        """

    def loads(self, sent: Mapping[tuple[int, int], float]) -> list[Load]:
        """What every link carries where `sent` bytes went from sender to receiver, by pair; empty where there are no
        links, or where `wire` itself accounts for messages that share them."""
        return []


class Network(ABC):
    """How long messages take on the links of a cluster. `sgpsim.testing.check_network` holds one to its laws."""

    @property
    def uniform(self) -> bool:
        """Whether every pair of nodes has the same wire where there is no graph, so that one pair may be asked for all.
        False unless a network says otherwise: then every pair that talks is asked."""
        return False

    @abstractmethod
    def attach(self, graph: nx.Graph | None) -> Wires:
        """The wires of `graph`; None means that all nodes hang on one full switch that never blocks."""
