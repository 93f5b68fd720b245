"""Waits: what the activities of simulated nodes wait for, and what a deadlock says of them.

The rule: a wait is a value that says what it is for and from whom, and asks the live collection of those who have come who
is still missing; only the report of a deadlock makes words of it.
"""

from __future__ import annotations

from collections.abc import Container, Generator
from dataclasses import dataclass
from typing import Any, Literal

import networkx as nx
import simpy

WORDS = {
    "round": "messages of round {!r}",
    "channel": "a message on channel {!r}",
    "collective": "the collective mean",
    "activity": "the end of an activity of its own",
}
LISTED = 8
"""How many nodes the report of a deadlock lists."""


@dataclass(eq=False, slots=True)
class Wait:
    """What one activity waits for. name: of the round or channel. peers: from whom. here: who of them have come."""

    purpose: Literal["round", "channel", "collective", "activity"]
    name: int | str = ""
    peers: tuple[int, ...] = ()
    here: Container[int] = ()

    @property
    def missing(self) -> tuple[int, ...]:
        return tuple(peer for peer in self.peers if peer not in self.here)

    def __str__(self) -> str:
        origin = f" from {', '.join(map(str, self.missing))}" if self.peers else ""
        return WORDS[self.purpose].format(self.name) + origin


class Waits:
    """The waits of one node's activities, in the order in which they began."""

    def __init__(self) -> None:
        self._open: list[Wait] = []

    def until(self, event: simpy.Event, wait: Wait) -> Generator[simpy.Event, Any, Any]:
        """Wait for `event`; gives its value."""
        self._open.append(wait)
        value = yield event
        self._open.remove(wait)
        return value

    @property
    def first(self) -> Wait | None:
        """The first wait for other nodes, if there is one; else the first for an activity of the node's own."""
        return next((wait for wait in self._open if wait.peers), self._open[0] if self._open else None)


def deadlock(instant: float, waits: dict[int, tuple[int, Wait]]) -> str:
    """Who waits for whom at which step, and the cycle if there is one. waits: (step, what for), by node."""
    graph: nx.DiGraph = nx.DiGraph((rank, peer) for rank, (_, wait) in waits.items() for peer in wait.missing)
    clauses = [f"node {rank} waits at step {step} for {wait}" for rank, (step, wait) in waits.items()]
    more = f"; and {len(clauses) - LISTED} more" if len(clauses) > LISTED else ""
    try:
        cycle = [sender for sender, _ in nx.find_cycle(graph)]
        circle = f"; cycle: {' -> '.join(map(str, [*cycle, cycle[0]]))}"
    except nx.NetworkXNoCycle:
        circle = ""
    cure = "Every send needs a receive of the same round at the other end."
    return f"deadlock at {instant:.6g} s: {'; '.join(clauses[:LISTED])}{more}{circle}. {cure}"
