"""The rotating star: one node exchanges with all others, and at the next step another is the centre.

The rule: every round is strongly connected with diameter 2, yet the product of n - 2 rounds still has zeros, as the
union of edges changes: the case that shows why a bound on the diameter alone does not bound the time until everything
has reached everybody.
"""

from __future__ import annotations

from collections.abc import Mapping

from sgpsim.schedules.schedule import Schedule
from sgpsim.schedules.shares import equal_shares
from sgpsim.specification.ranges import Nodes
from sgpsim.specification.specification import specification


@specification
class RotatingStar(Schedule):
    """At step k the centre c = k mod n divides its mass equally among all n nodes; every other node gives c half of its
    own.

    Not doubly stochastic: weights differ from 1. Period n. For n = 6 the products of 2, 3, 4, 5 consecutive rounds have
    12, 6, 2, 0 zeros.
    """

    size: Nodes

    @property
    def period(self) -> int:
        return self.size

    def shares(self, sender: int, step: int) -> Mapping[int, float]:
        centre = step % self.size
        if sender == centre:
            return equal_shares(sender, [*range(sender + 1, self.size), *range(sender)])
        return equal_shares(sender, (centre,))
