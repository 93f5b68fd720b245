"""Letters: single messages that have arrived at a simulated node, by channel and sender.

The rule: first in, first out per sender; of several senders the earliest arrival is taken first, then the smaller
number. Whoever waits on a channel is woken after everything else of the instant, so that what is taken does not depend
on which of two events of one instant came first.
"""

from __future__ import annotations

import types
from collections import deque
from collections.abc import Generator
from typing import Any

import simpy

from sgpsim.backends.events.instant import AFTER_ALL_ELSE, wake_at
from sgpsim.backends.events.waits import Wait, Waits
from sgpsim.mass import Mass

FAREWELL = Mass(None, 0.0)
"""The last letter of a sender on a channel."""


class Letters:
    """The letters of one node. waits: the node's own, which each waiting is written into."""

    def __init__(self, environment: simpy.Environment, waits: Waits) -> None:
        self._environment, self._waits = environment, waits
        self._boxes: dict[str, dict[int, deque[tuple[float, Mass]]]] = {}
        self._called: dict[str, simpy.Event] = {}

    def deliver(self, sender: int, channel: str, arrival: float, mass: Mass) -> None:
        """A letter has arrived."""
        self._boxes.setdefault(channel, {}).setdefault(sender, deque()).append((arrival, mass))
        event = self._called.pop(channel, None)
        if event is not None:
            wake_at(self._environment, event, self._environment.now, priority=AFTER_ALL_ELSE)

    @types.coroutine
    def take(self, channel: str, senders: tuple[int, ...]) -> Generator[simpy.Event, Any, tuple[int, Mass]]:
        """The earliest letter on the channel from any of `senders`, by (arrival, sender); waits for one."""
        while True:
            boxes = self._boxes.get(channel, {})
            ready = [(boxes[sender][0][0], sender) for sender in senders if boxes.get(sender)]
            if ready:
                sender = min(ready)[1]
                return sender, boxes[sender].popleft()[1]
            event = self._called[channel] = simpy.Event(self._environment)
            yield from self._waits.until(event, Wait("channel", channel, senders))

    def left_over(self) -> tuple[int, str] | None:
        """A letter that was never received: (sender, what), if there is one."""
        for channel, boxes in self._boxes.items():
            for sender, box in boxes.items():
                if any(mass is not FAREWELL for _, mass in box):
                    return sender, f"a message on channel {channel!r}"
        return None
