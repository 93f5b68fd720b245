"""Matchings between even and odd nodes at exponential distances.

The rule: in each round every node exchanges with exactly one other, of the other colour, half for half; rounds are
symmetric, so methods without push-sum weights can use them, and the two colours give asynchronous pairwise averaging
its active and passive side.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from sgpsim.errors import SpecificationError
from sgpsim.schedules.one_peer_exponential import levels
from sgpsim.schedules.schedule import Schedule
from sgpsim.schedules.shares import equal_shares
from sgpsim.specification.ranges import Nodes
from sgpsim.specification.specification import specification


@specification
class BipartiteExponential(Schedule):
    """Even node i and odd node (i + d) mod n give each other half of their mass; d runs through +1, -1, +3, -3, +5, -5,
    +9, -9, ..., 1 + 2^j.

    Distances equal modulo n are taken once. size: even.
    Source: facebookresearch/stochastic_gradient_push, gossip_module/graph_manager.py, DynamicBipartiteExponentialGraph
    of the code's first release (33c362c, May 2019; tag sgp_pytorch0.5), mirrored: there an odd node goes forward first,
    so even node i meets i - d where here it meets i + d, which is the same schedule under the renumbering i -> -i. It is
    NOT what the code does since 1230036 (June 2019, to its last state e682064): there even and odd nodes both go
    forward first, so every node sends to i + d and receives from i - d, a directed shift and no matching.
    """

    size: Nodes

    def __post_init__(self) -> None:
        if self.size % 2:
            raise SpecificationError(
                f"BipartiteExponential(size={self.size}): even and odd nodes are matched, so the size must be even."
                f" Take {self.size - 1} or {self.size + 1}."
            )

    @cached_property
    def distances(self) -> tuple[int, ...]:
        """From an even node to its partner, modulo n, in the order of their steps."""
        lengths = [1] + [1 + 2**level for level in range(1, levels(self.size))]
        return tuple(dict.fromkeys(sign * length % self.size for length in lengths for sign in (1, -1)))

    @property
    def period(self) -> int:
        return len(self.distances)

    def shares(self, sender: int, step: int) -> Mapping[int, float]:
        distance = self.distances[step % self.period]
        return equal_shares(sender, ((sender + (distance if sender % 2 == 0 else -distance)) % self.size,))
