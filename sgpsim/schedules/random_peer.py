"""Peers chosen by chance or in turn: the rivals of the deterministic exponential schedule in the paper's comparison of
mixing.

The rule: each node sends half of its mass to one other per step. Where chance chooses, the choices of step k come from
one stream at (seed, name, k), independent of every other randomness; several nodes may choose the same receiver, so
weights differ from 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from sgpsim.schedules.one_peer_exponential import levels
from sgpsim.schedules.schedule import Schedule
from sgpsim.schedules.shares import equal_shares
from sgpsim.specification.ranges import Nodes, Seed
from sgpsim.specification.specification import specification
from sgpsim.streams import stream


@specification
class RandomPeer(Schedule):
    """Node i sends half of its mass to one of the n - 1 others, each as likely, chosen anew by each node at each step.
    Period None."""

    size: Nodes
    seed: Seed = 0

    @property
    def period(self) -> None:
        return None

    def shares(self, sender: int, step: int) -> Mapping[int, float]:
        hop = _chosen(self.size, max(self.size - 1, 1), "random_peer", self.seed, step)[sender] + 1
        return equal_shares(sender, ((sender + hop) % self.size,))


@specification
class RandomExponentialPeer(Schedule):
    """Node i sends half of its mass to (i + 2^j) mod n, j < ceil(log2 n) chosen anew by each node at each step, each as
    likely. Period None."""

    size: Nodes
    seed: Seed = 0

    @property
    def period(self) -> None:
        return None

    def shares(self, sender: int, step: int) -> Mapping[int, float]:
        level = _chosen(self.size, levels(self.size), "random_exponential_peer", self.seed, step)[sender]
        return equal_shares(sender, ((sender + 2**level) % self.size,))


@specification
class CyclingPeer(Schedule):
    """Node i sends half of its mass to (i + 1 + k mod (n - 1)) mod n at step k: all others in turn.

    Doubly stochastic, period n - 1.
    """

    size: Nodes

    @property
    def period(self) -> int:
        return max(self.size - 1, 1)

    def shares(self, sender: int, step: int) -> Mapping[int, float]:
        return equal_shares(sender, ((sender + 1 + step % self.period) % self.size,))


@lru_cache(maxsize=256)
def _chosen(size: int, choices: int, purpose: str, seed: int, step: int) -> tuple[int, ...]:
    """A choice out of 0..choices-1 for each node."""
    return tuple(stream(seed, purpose, step).integers(choices, size=size).tolist())
