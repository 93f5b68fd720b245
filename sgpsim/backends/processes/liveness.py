"""Liveness: which of several real processes is dead or hung, told from what each last said about itself.

The rule: slow is not dead. A process is dead once it has shown no sign of life for the time-out: a heartbeat, a move,
or processor time where the watch can see that. One with a heartbeat may compute for as long as `hung_after`, and
whoever waits for somebody else is excused. If all beat and all wait, they wait for each other. Nothing here reads a
foreign clock: a pulse holds counters, and the watch notes by its own clock when it saw them change.
"""

from __future__ import annotations

import math
import struct
import time
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import NamedTuple

EVERYBODY = -1
"""The peer of a wait that ends when all others have come."""


class Activity(IntEnum):
    """What a process is at."""

    STARTING = 0
    COMPUTING = 1
    WAITING = 2
    DONE = 3
    JOINING = 4


BEFORE_STEPS = (Activity.STARTING, Activity.JOINING)


class Pulse(NamedTuple):
    """What a process says about itself. beats: of its heart, a thread. moves: changes of activity. step: of the run.
    peer: for whom it waits. steps: begun so far, in all runs."""

    beats: int = 0
    moves: int = 0
    step: int = 0
    activity: Activity = Activity.STARTING
    peer: int = EVERYBODY
    steps: int = 0

    @property
    def place(self) -> str:
        """Where it is, in words."""
        return "while starting" if self.activity in BEFORE_STEPS else f"at step {self.step}"

    @property
    def doing(self) -> str:
        """What it is at, in words."""
        match self.activity:
            case Activity.STARTING:
                return self.place
            case Activity.JOINING:
                return "while joining the others"
            case Activity.COMPUTING:
                return f"{self.place}, while computing"
            case Activity.WAITING:
                return (
                    f"{self.place}, while waiting for {'the others' if self.peer == EVERYBODY else f'node {self.peer}'}"
                )
            case Activity.DONE:
                return f"{self.place}, when done"


LAYOUT = struct.Struct("<6q")


def as_pulse(written: bytes | memoryview) -> Pulse:
    """A pulse read from its LAYOUT.size bytes."""
    beats, moves, step, activity, peer, steps = LAYOUT.unpack(written)
    return Pulse(beats, moves, step, Activity(activity), peer, steps)


class PulseWriter:
    """A process's own pulse, kept in LAYOUT.size bytes that others may read at any time; each number is written
    apart."""

    def __init__(self, buffer: memoryview) -> None:
        self._numbers = buffer.cast("q")
        self._numbers[4] = EVERYBODY

    @property
    def now(self) -> Pulse:
        """The pulse as it is."""
        return as_pulse(self._numbers.cast("B"))

    def beat(self) -> None:
        """The heart beats; called by the heart's thread only."""
        self._numbers[0] += 1

    def step(self, step: int) -> None:
        """The process begins a step."""
        self._numbers[2] = step
        self._numbers[5] += 1
        self._numbers[1] += 1

    def move(self, activity: Activity, peer: int = EVERYBODY) -> None:
        """The process turns to another activity."""
        self._numbers[4] = peer
        self._numbers[3] = int(activity)
        self._numbers[1] += 1


class Verdict(NamedTuple):
    """Who is to blame (None: nobody alone), and the sentence without its end."""

    rank: int | None
    sentence: str


class Watch:
    """Looks at all pulses now and then.

    timeout: seconds without a sign of life after which a process is dead, and seconds after which processes that all
    wait are held to wait for each other. start_timeout: seconds until the first sign of life, and until all have
    joined. hung_after: seconds that a process with a heartbeat may compute without a move.
    """

    def __init__(
        self,
        size: int,
        timeout: float,
        start_timeout: float,
        hung_after: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.timeout, self.start_timeout = timeout, max(start_timeout, timeout)
        self.hung_after = max(hung_after, timeout)
        self._clock = clock
        now = clock()
        self._looked = now
        self._pulses = [Pulse() for _ in range(size)]
        self._work: Sequence[float] | None = None
        self._alive = [now] * size
        self._moved = [now] * size

    def look(self, pulses: Sequence[Pulse], work: Sequence[float] | None = None) -> Verdict | None:
        """Take the pulses of all ranks as they are now. work: processor seconds of each, where they can be seen: a
        process that uses some lives, though its heart may not have begun to beat, or is kept from beating."""
        now = self._clock()
        if now - self._looked > self.timeout / 2:  # the watch itself was stopped for a while: nobody is judged by that
            self._alive, self._moved = [now] * len(pulses), [now] * len(pulses)
        self._looked = now
        for rank, (before, pulse) in enumerate(zip(self._pulses, pulses, strict=True)):
            if pulse.moves != before.moves:
                self._alive[rank] = self._moved[rank] = now
            worked = work is not None and (self._work is None or work[rank] != self._work[rank])
            if pulse.beats != before.beats or worked:
                self._alive[rank] = now
        self._pulses, self._work = list(pulses), work
        late = [(*self._late(rank, now), rank) for rank in range(len(pulses))]
        overdue, sentence, rank = max(late, key=lambda entry: (entry[0], -entry[2]), default=(-1.0, "", 0))
        return Verdict(rank, sentence) if overdue >= 0 else self._all_wait(now)

    def _late(self, rank: int, now: float) -> tuple[float, str]:
        """By how many seconds the process is overdue, negative while it is not or is excused; and the sentence."""
        pulse = self._pulses[rank]
        if pulse.activity == Activity.DONE:
            return -1.0, ""
        seen = pulse.beats > 0 or pulse.moves > 0 or self._work is not None
        allowed = self.timeout if seen else self.start_timeout
        where = f"(last seen {pulse.doing})"
        silent = now - self._alive[rank] - allowed
        if silent >= 0 or pulse.activity in (Activity.WAITING, Activity.JOINING):
            return silent, f"node {rank} has not moved for {allowed:g} s {where}"
        longest = self.start_timeout if pulse.activity == Activity.STARTING else self.hung_after
        return (
            now - self._moved[rank] - longest,
            f"node {rank} has not moved for {longest:g} s though its heartbeat goes on {where}",
        )

    def _all_wait(self, now: float) -> Verdict | None:
        waiting = [rank for rank, pulse in enumerate(self._pulses) if pulse.activity != Activity.DONE]
        joining = any(self._pulses[rank].activity == Activity.JOINING for rank in waiting)
        longest = self.start_timeout if joining else self.timeout
        if not waiting or any(
            self._pulses[rank].activity not in (Activity.WAITING, Activity.JOINING)
            or now - self._moved[rank] < longest
            for rank in waiting
        ):
            return None
        clauses = [f"node {rank} {self._pulses[rank].doing.replace('while waiting', 'waits')}" for rank in waiting]
        return Verdict(
            None, f"all nodes have been waiting for {longest:g} s: {'; '.join(clauses).replace(', waits', ' waits')}"
        )


def and_so_the_others(verdict: Verdict, size: int) -> str:
    """The verdict's whole sentence: what it says, and that the others were stopped."""
    others = [str(rank) for rank in range(size) if rank != verdict.rank]
    if not others:
        return f"{verdict.sentence}."
    others_were = f"nodes {', '.join(others)} were" if len(others) > 1 else f"node {others[0]} was"
    return f"{verdict.sentence}; {others_were} stopped."
