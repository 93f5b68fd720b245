"""Interruption: a user who ends a command gets what was computed until then.

The rule: the first SIGINT or SIGTERM becomes KeyboardInterrupt, which backends and the store answer by keeping what
there is; the second ends the process at once.
"""

from __future__ import annotations

import signal
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interruptible() -> Generator[None]:
    """Signals act as the rule says meanwhile; nothing changes in a thread that is not the main one."""
    try:
        before = {number: signal.signal(number, _first) for number in SIGNALS}
    except ValueError:
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Interrupted(KeyboardInterrupt):
    """The first signal. A class of its own because `python -m`, once a bare KeyboardInterrupt has passed through the `exec`
    of a string (as while a dataclass is defined), ends by SIGINT whatever the exit code was to be."""


def _first(number: int, frame: FrameType | None) -> None:
    for each in SIGNALS:
        signal.signal(each, signal.SIG_DFL)
    raise Interrupted(number)


def _signal_of(stop: KeyboardInterrupt) -> signal.Signals:
    return signal.Signals(stop.args[0]) if stop.args and stop.args[0] in SIGNALS else signal.SIGINT


def name_of(stop: KeyboardInterrupt) -> str:
    """SIGINT or SIGTERM."""
    return _signal_of(stop).name


def code_of(stop: KeyboardInterrupt) -> int:
    """The exit code that shells give: 130 or 143."""
    return 128 + _signal_of(stop)
