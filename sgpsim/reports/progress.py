"""Progress: a bar with rate and time left, for what takes longer than two seconds.

The rule: it goes to stderr, and only where that is a terminal; what is quick shows nothing. It counts node-steps, and
where nobody knows how many there will be it shows the rate alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

PATIENCE = 2.0
"""Seconds that pass before a bar appears."""


class Rate(ProgressColumn):
    """Node-steps per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f} node-steps/s")


class Bar:
    """What a backend calls as its `progress`. console, clock: given in tests."""

    def __init__(self, label: str, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._label, self._clock, self._began = label, clock, clock()
        self._console = console or Console(stderr=True)
        self._shown: Progress | None = None
        self._task = None

    def __call__(self, done: int, expected: int) -> None:
        if not self._console.is_terminal:
            return
        if self._shown is None:
            if self._clock() - self._began < PATIENCE:
                return
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f}%"),
                Rate(),
                TimeRemainingColumn(),
            )
            self._shown = Progress(*columns, console=self._console, transient=True)
            self._shown.start()
            self._task = self._shown.add_task(self._label, total=expected or None)
        assert self._task is not None
        self._shown.update(self._task, completed=done, total=expected or None)

    def close(self) -> None:
        """Take the bar away."""
        if self._shown is not None:
            self._shown.stop()
            self._shown = None


@contextmanager
def bar(label: str) -> Generator[Bar]:
    """A bar while something runs."""
    shown = Bar(label)
    try:
        yield shown
    finally:
        shown.close()
