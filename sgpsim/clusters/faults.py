"""Faults: what goes wrong with messages on a cluster.

The rule: a fault is a frozen value of the cluster. Whether it empties a message follows from the message's address alone
(sender, receiver, round of the schedule), so that all backends that carry single messages lose the same ones. An emptied
message still takes its time and arrives, with nothing in it; the mass monitor says what was lost.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from sgpsim.clusters.stragglers import require_nodes_below
from sgpsim.errors import SpecificationError
from sgpsim.schedules.schedule import Schedule
from sgpsim.specification.ranges import Whole
from sgpsim.specification.specification import specification


class Fault(ABC):
    """Something that empties messages of the schedule's rounds."""

    @abstractmethod
    def loses(self, sender: int, receiver: int, step: int) -> bool:
        """Whether the message of the schedule's round `step` from `sender` to `receiver` arrives with nothing in it."""

    def check(self, nodes: int) -> None:
        """Raise SpecificationError where the fault names a node that a cluster of `nodes` nodes has not."""
        return

    def require_met(self, schedule: Schedule) -> None:
        """Raise SpecificationError where `schedule` has no message that the fault could empty."""
        return


@specification
class Drop(Fault):
    """The message of the schedule's round `step` from `sender` to `receiver` arrives with nothing in it."""

    sender: Whole
    receiver: Whole
    step: Whole

    def loses(self, sender: int, receiver: int, step: int) -> bool:
        return (self.sender, self.receiver, self.step) == (sender, receiver, step)

    def check(self, nodes: int) -> None:
        require_nodes_below("Drop(sender, receiver)", (self.sender, self.receiver), nodes)

    def require_met(self, schedule: Schedule) -> None:
        if self.sender not in schedule.round(self.step).senders[self.receiver]:
            raise SpecificationError(
                f"{self!r}: node {self.sender} sends nothing to node {self.receiver} in round {self.step}, so nothing would"
                " be lost. Name a message that the schedule has."
            )
