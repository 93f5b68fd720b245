"""Due rounds: of which messages a node that catches up still has to wait for.

The rule: every message is received once, in its turn or, where it has come before its round is due, early; a round is over
once all of it was received.
"""

from __future__ import annotations

from collections.abc import Iterator

from sgpsim.schedules.schedule import Schedule


class DueRounds:
    """The rounds of `schedule` that node `rank` has not received in full."""

    def __init__(self, schedule: Schedule, rank: int) -> None:
        self._schedule, self._rank = schedule, rank
        self._next = 0
        self._early: dict[int, set[int]] = {}  # by round: the senders

    def up_to(self, step: int) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Each round up to `step` that is not over, with the senders whose message is missing; takes it for over then."""
        for due in range(self._next, step + 1):
            early = self._early.pop(due, ())
            yield due, tuple(sender for sender in self._schedule.round(due).senders[self._rank] if sender not in early)
        self._next = max(self._next, step + 1)

    def received_early(self, due: int, sender: int) -> None:
        """The message of `sender` was received before its round was due."""
        self._early.setdefault(due, set()).add(sender)
