"""Printing: what the commands of the theory share: how wide their tables are, and a bar while claims are judged."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


def width() -> int | None:
    """The terminal's width, or enough for whole rows where the output is no terminal."""
    return None if sys.stdout.isatty() else 200


@contextmanager
def judging() -> Generator[Callable[[int, int, str], None]]:
    """A bar on the error stream, where that is a terminal; called with (claims judged, all of them, the next one)."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("judging", total=None)
        yield lambda done, total, name: bar.update(task, completed=done, total=total, description=f"{name:32.32}")
