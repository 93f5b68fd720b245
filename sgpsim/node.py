"""Node: what an algorithm may ask of its machine.

The rule: `await` marks exactly the calls that may wait (they return an awaitable); a plain call never does. An
algorithm sees neither clock nor socket nor graph library, so one text runs on a simulated machine, on a real process,
and on the whole fleet at once, where every array has leading axes (nodes, seeds). What has no meaning for all nodes at
once (`rank`, `generator`, `note`, `catch_up`, single messages, a second activity, a reduction without axis=-1 and
keepdims=True, a decision or a number made of data) a fleet refuses. Between two awaits nothing else happens on the
node: such a piece of text is atomic.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Coroutine, Iterator
from typing import Any, NamedTuple

import numpy as np

from sgpsim.mass import Array, Mass
from sgpsim.schedules.schedule import Schedule


class Letter(NamedTuple):
    """A single message as its receiver sees it."""

    sender: int
    mass: Mass


class Node(ABC):
    """One machine of the fleet (or the fleet as one machine), as the algorithm's text sees it.

    rank: 0..size-1 (a fleet refuses to tell one). size: number of nodes. schedule: who pushes how much to whom. dimension:
    length of a point.
    """

    rank: int
    size: int
    schedule: Schedule
    dimension: int

    @property
    @abstractmethod
    def steps(self) -> Iterator[int]:
        """0, 1, 2, ... for as long as the budget lasts."""

    @abstractmethod
    def begin(self) -> Mass:
        """(x, w) = (start, 1); also tells the backend what this node holds at step 0."""

    @abstractmethod
    def gradient(self, at: Array) -> Awaitable[Array]:
        """A stochastic gradient of this node's own function at `at`, with the next draw of its stream. Takes the node's
        compute time."""

    @abstractmethod
    def scatter(self, step: int, mass: Mass) -> Mass:
        """Push every share of `mass` that the schedule's round `step` asks for, without waiting; the own share is
        returned, not sent."""

    @abstractmethod
    def gather(self, step: int, kept: Mass) -> Awaitable[Mass]:
        """`kept` plus the messages of round `step`, added by ascending sender; waits for all of them. `step` may lie
        back."""

    @abstractmethod
    def catch_up(self, step: int, kept: Mass) -> Awaitable[Mass]:
        """`kept` plus whatever has arrived strictly before now, ordered by (sender, sequence); waits only for messages
        of rounds up to `step`.

        What it receives depends on timing, so methods that use it have the same numbers only on the same clock.
        """

    @abstractmethod
    def mean(self, value: Array) -> Awaitable[Array]:
        """The mean of `value` over all nodes: a collective that starts when the last node has come."""

    @abstractmethod
    def report(self, step: int, mass: Mass, move: Array | None) -> None:
        """Tell what the node holds after `step` steps and what it added since its last report (None: nothing). Watched
        for lost mass."""

    @abstractmethod
    def note(self, metric: str, value: float) -> None:
        """Put a figure of this node's own (staleness, say) into the run's metrics."""

    @abstractmethod
    def generator(self, purpose: str) -> np.random.Generator:
        """This node's own random stream for `purpose`, at address (seed, purpose, rank)."""

    @abstractmethod
    def send(self, to: int, mass: Mass, channel: str = "push") -> None:
        """One message to node `to`, without waiting; first in, first out per pair of nodes and channel."""

    @abstractmethod
    def receive(self, sender: int, channel: str = "push") -> Awaitable[Letter]:
        """The next message of `sender` on `channel`; waits for it."""

    @abstractmethod
    def receive_any(self, channel: str, senders: tuple[int, ...]) -> AsyncIterator[Letter]:
        """Messages on `channel` as they arrive, from any of `senders`, by (arrival, sender); ends when all of these
        said farewell."""

    @abstractmethod
    def farewell(self, to: int, channel: str) -> None:
        """Tell node `to` that nothing more will come on `channel` from here."""

    @abstractmethod
    def spawn(self, activity: Coroutine[Any, Any, None]) -> Any:
        """Start a second activity of the same node; returns a ticket that `join` takes."""

    @abstractmethod
    def join(self, activity: Any) -> Awaitable[None]:
        """Wait until a spawned activity has ended."""
