"""Random matchings: at each step chance pairs the nodes, and each pair averages.

The rule: step k's pairing comes from the stream (seed, "matching", k) alone, so it depends on no other randomness of
the experiment, and a step can be asked for in any order.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from sgpsim.schedules.schedule import Schedule
from sgpsim.schedules.shares import equal_shares
from sgpsim.specification.ranges import Nodes, Seed
from sgpsim.specification.specification import specification
from sgpsim.streams import stream


@specification
class RandomMatching(Schedule):
    """A uniformly random perfect matching at every step; partners give each other half of their mass. If n is odd, one
    node keeps all.

    Symmetric, doubly stochastic, never repeats (period None). For even n, E[P'P] = E[P] shrinks deviations from the
    mean in mean square by 1/2 - 1/(2(n - 1)) per step.
    """

    size: Nodes
    seed: Seed = 0

    @property
    def period(self) -> None:
        return None

    def shares(self, sender: int, step: int) -> Mapping[int, float]:
        return equal_shares(sender, (_partners(self.size, self.seed, step)[sender],))


@lru_cache(maxsize=256)
def _partners(size: int, seed: int, step: int) -> tuple[int, ...]:
    """The partner of each node; itself where it has none."""
    order = stream(seed, "matching", step).permutation(size).tolist()
    partners = list(range(size))
    for one, other in zip(order[0::2], order[1::2], strict=False):  # of an odd number the last stays alone
        partners[one], partners[other] = other, one
    return tuple(partners)
