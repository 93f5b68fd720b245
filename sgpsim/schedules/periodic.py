"""Several schedules in turn, over and over.

The rule: each schedule keeps a clock of its own, which stands still while the others run, so a schedule goes on where
it stopped.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import field

from sgpsim.errors import SpecificationError
from sgpsim.schedules.schedule import Schedule
from sgpsim.specification.ranges import Count
from sgpsim.specification.specification import specification


@specification
class Periodic(Schedule):
    """`each` steps of the first schedule, `each` of the second, and so on; after the last the first again.

    With m schedules, step k is step (k // (m each)) each + k mod each of schedule (k // each) mod m.
    Periodic(schedules=(Complete(8), OnePeerExponential(8))) averages exactly at every second step.
    schedules: at least one, all of one size. The period is that of all clocks together; None if one of the schedules
    never repeats.
    """

    size: int = field(init=False)
    schedules: tuple[Schedule, ...]
    each: Count = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", common_size("Periodic(schedules)", self.schedules))

    @property
    def period(self) -> int | None:
        cycles = 1
        for schedule in self.schedules:
            if schedule.period is None:
                return None
            # After this many turns of `each` steps the schedule is back at its own step 0.
            cycles = math.lcm(cycles, schedule.period // math.gcd(schedule.period, self.each))
        return cycles * len(self.schedules) * self.each

    @property
    def checked(self) -> bool:
        return all(schedule.checked for schedule in self.schedules)

    def phase(self, step: int) -> int:
        """The first step at which the same schedule stands at the same phase of its own: fewer rounds to keep than the
        whole period has."""
        which, own = self._turn(step)
        cycle, rest = divmod(self.schedules[which].phase(own), self.each)
        return (cycle * len(self.schedules) + which) * self.each + rest

    def shares(self, sender: int, step: int) -> Mapping[int, float]:
        which, own = self._turn(step)
        return self.schedules[which].shares(sender, own)

    def _turn(self, step: int) -> tuple[int, int]:
        """Which schedule runs at `step`, and its own step."""
        turn, rest = divmod(step, self.each)
        cycle, which = divmod(turn, len(self.schedules))
        return which, cycle * self.each + rest


def common_size(what: str, schedules: tuple[Schedule, ...]) -> int:
    """The number of nodes of all `schedules`, or SpecificationError; `what` names the field."""
    sizes = [schedule.size for schedule in schedules]
    if len(set(sizes)) != 1:
        raise SpecificationError(
            f"{what} have the sizes {sizes}; all must be of one size, and at least one schedule is needed. Make them"
            " equal."
        )
    return sizes[0]
