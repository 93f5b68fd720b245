"""One schedule first, another from a given step on.

The rule: the second schedule starts at its own step 0. The whole never repeats, but from the switch on it is as
periodic as its second part, so `phase` maps each step to an equal earlier one and its rounds are compiled once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from sgpsim.schedules.periodic import common_size
from sgpsim.schedules.schedule import Schedule
from sgpsim.specification.ranges import Count
from sgpsim.specification.specification import specification


@specification
class Switched(Schedule):
    """`first` at the steps before `at`, then `then`: dense while the nodes disagree most, sparse later.

    The hybrids of Assran et al. 2019 (recalled: the first 30 of 90 epochs are dense; 32 nodes take 156 steps per
    epoch):
        AR/1P: Switched(first=Complete(32), then=OnePeerExponential(32), at=30 * 156)
        2P/1P: Switched(first=MPeerExponential(32, peers=2), then=OnePeerExponential(32), at=30 * 156)
    AR there is an all-reduce; Complete(32) is the same mathematics by direct messages, so its simulated time differs.
    at: the first step of `then`, at least 1.
    """

    size: int = field(init=False)
    first: Schedule
    then: Schedule
    at: Count

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", common_size("Switched(first, then)", (self.first, self.then)))

    @property
    def period(self) -> None:
        return None

    @property
    def checked(self) -> bool:
        return self.first.checked and self.then.checked

    def phase(self, step: int) -> int:
        """The first step of the same part whose round is the same."""
        return self.first.phase(step) if step < self.at else self.at + self.then.phase(step - self.at)

    def shares(self, sender: int, step: int) -> Mapping[int, float]:
        return self.first.shares(sender, step) if step < self.at else self.then.shares(sender, step - self.at)
