"""Instants: SimPy events that happen at a given time instead of after a delay.

The rule: simulated clocks equal the max-plus recursion to the bit, and now + (instant - now) need not be `instant` in
floating point; so events go onto SimPy's queue under the instant itself. This is the one file that knows SimPy's queue
and the fields of an untriggered event.
"""

from __future__ import annotations

from heapq import heappush
from typing import Any

from simpy import Environment, Event
from simpy.events import NORMAL

AFTER_ALL_ELSE = NORMAL + 1
"""Priority of an event that comes after all others of its instant."""


def wake_at(environment: Environment, event: Event, instant: float, value: Any = None, priority: int = NORMAL) -> Event:
    """Trigger `event` with `value` such that it happens at `instant` (seconds, not before now)."""
    event._ok, event._value = True, value  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
    heappush(environment._queue, (instant, priority, next(environment._eid), event))  # pyright: ignore[reportPrivateUsage, reportArgumentType]
    return event


def events_so_far(environment: Environment) -> int:
    """How many events the environment has scheduled."""
    return next(environment._eid)  # pyright: ignore[reportPrivateUsage]
