"""Rings: the sparsest strongly connected graphs.

The rule: node i knows its two neighbours on a circle, i + 1 and i - 1; equal shares make both rings doubly stochastic.
"""

from __future__ import annotations

from collections.abc import Mapping

from sgpsim.schedules.schedule import Schedule
from sgpsim.schedules.shares import equal_shares
from sgpsim.specification.ranges import Nodes
from sgpsim.specification.specification import specification


@specification
class DirectedRing(Schedule):
    """Node i sends half of its mass to (i + 1) mod n at every step. |lambda_2| = cos(pi/n)."""

    size: Nodes

    @property
    def period(self) -> int:
        return 1

    def shares(self, sender: int, step: int) -> Mapping[int, float]:
        return equal_shares(sender, ((sender + 1) % self.size,))


@specification
class UndirectedRing(Schedule):
    """Node i sends a third of its mass to each of (i + 1) mod n and (i - 1) mod n at every step (half to the one other
    if n = 2).

    Symmetric; lambda_2 = (1 + 2 cos(2 pi/n))/3 for n > 2.
    """

    size: Nodes

    @property
    def period(self) -> int:
        return 1

    def shares(self, sender: int, step: int) -> Mapping[int, float]:
        return equal_shares(sender, ((sender + 1) % self.size, (sender - 1) % self.size))
