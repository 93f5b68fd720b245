"""Cost: the memory and time that a run will need, by an estimate from its sizes, so that it is said beforehand.

The rule: estimates are good to a factor of two or three. What needs more than 4 GB or an hour is said before it begins;
what needs more than twice the machine's memory from the beginning on is refused. What is measured per edge, step and row was measured on
a two-core virtual machine.
"""

from __future__ import annotations

import math
import os
import warnings
from contextlib import suppress
from pathlib import Path
from statistics import median

from sgpsim.errors import Notice, SpecificationError
from sgpsim.schedules.schedule import Schedule
from sgpsim.schedules.validation import probe

SAID_BYTES, SAID_SECONDS = 4e9, 3600.0
SMALL = 1000
"""Nodes below which no schedule is worth an estimate."""
EDGE_BYTES = 1350.0
"""Of one edge of one round: 200 while the schedule is checked, the rest once its rounds are compiled."""
EDGE_SECONDS = 8e-6
KEPT_ROUNDS = 64
ROW_BYTES, ROWS = 250.0, 8
"""Of one row of the metrics, and rows of one seed at one cut."""
SPAN_BYTES = 600.0
"""Of what a trace keeps of one node at one step."""


class CostWarning(Notice):
    """A run will need much memory or time."""


def say_edges(schedule: Schedule) -> None:
    """Warn of a schedule whose edges need much memory or time, before they are gone through. Raises SpecificationError
    where they do not fit the machine."""
    size = schedule.size
    if size < SMALL:
        return
    steps = probe(schedule)
    rounds = min(len(steps.before) + len(steps.window), KEPT_ROUNDS)
    senders = {0, size // 3, size // 2, 2 * size // 3, size - 1}
    edges = median(len(schedule.shares(sender, 0)) for sender in sorted(senders)) * size * rounds
    kind = f"{type(schedule).__name__} of {size:,} nodes has about {edges:.2g} edges in {rounds} rounds"
    _say(kind, edges * EDGE_BYTES, edges * EDGE_SECONDS, "Give fewer nodes, or a sparser schedule.")


def say_run(
    nodes: int,
    seeds: int,
    dimension: int,
    steps: int | None,
    itemsize: int,
    measure_every: int,
    *,
    events: bool,
    trajectory: bool,
    trace: bool,
) -> None:
    """Warn of a run that needs much memory or time for its numbers; steps: per node, None where only the clock knows.
    events: on an event clock, which takes longer. Raises SpecificationError where they do not fit the machine."""
    state = float(nodes * dimension * itemsize)
    known = 0 if steps is None else steps
    fixed = 6.0 * state * (1 if events else seeds)
    size = fixed + seeds * (known // measure_every + 1) * ROWS * ROW_BYTES
    size += 3.0 * known * state * seeds if trajectory else 0.0
    size += known * nodes * SPAN_BYTES if trace else 0.0
    seconds = float(known * nodes * seeds) * ((3e-5 if events else 2e-6) + 2e-9 * dimension)
    what = f"{nodes:,} nodes x {seeds:,} seeds x {dimension:,} coordinates" + (f" x {steps:,} steps" if steps else "")
    kept = " with their trajectory" if trajectory else " with their trace" if trace else ""
    _say(f"a run of {what}{kept}", size, seconds, "Give fewer nodes, seeds or coordinates.", fixed)


def memory() -> float:
    """Bytes of memory that this process may use; infinity where nobody says."""
    limits = [math.inf]
    with suppress(ValueError, OSError, AttributeError):
        limits.append(float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")))
    with suppress(ValueError, OSError):
        limits.append(float(Path("/sys/fs/cgroup/memory.max").read_text()))
    return min(limits)


def _say(what: str, size: float, seconds: float, cure: str, fixed: float | None = None) -> None:
    """fixed: what is needed from the beginning on; the rest grows, and a user may end the run before."""
    least = size if fixed is None else fixed
    if least > 2 * memory():
        raise SpecificationError(
            f"{what}, which needs about {least / 1e9:,.2g} GB of memory, and this machine has {memory() / 1e9:.2g}. {cure}"
        )
    if size > SAID_BYTES or seconds > SAID_SECONDS:
        needs = f"about {size / 1e9:,.2g} GB of memory and {seconds / 3600:,.2g} hours, by a rough estimate"
        warnings.warn(f"{what}, which needs {needs}; it begins now.", CostWarning, stacklevel=3)
