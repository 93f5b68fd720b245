"""Directed exponential schedules: each node sends along hops that grow in powers, the same for all nodes.

The rule: every round is a circulant, doubly stochastic matrix, so push-sum weights stay 1; rounds commute, and after
one period the average is exact for the sizes named at each class, and for no others.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, cached_property

from sgpsim.errors import SpecificationError
from sgpsim.schedules.schedule import Schedule
from sgpsim.schedules.shares import equal_shares
from sgpsim.specification.ranges import Count, Nodes
from sgpsim.specification.specification import specification


@cache
def levels(size: int, base: int = 2) -> int:
    """How many powers of `base` lie below `size`, at least 1: ceil(log2 n) for base 2."""
    count, power = 1, base
    while power < size:
        count, power = count + 1, power * base
    return count


@specification
class OnePeerExponential(Schedule):
    """Node i sends half of its mass to node (i + 2^(k mod ceil(log2 n))) mod n at step k.

    Period ceil(log2 n). Any ceil(log2 n) consecutive rounds average exactly if n is a power of two, and never
    otherwise. Source: Assran et al. 2019, section 5 (recalled); exactness: Ying et al. 2021 (recalled).
    """

    size: Nodes

    @property
    def period(self) -> int:
        return levels(self.size)

    def shares(self, sender: int, step: int) -> Mapping[int, float]:
        return equal_shares(sender, ((sender + 2 ** (step % self.period)) % self.size,))


@specification
class PlusMinusExponential(Schedule):
    """Node i sends half of its mass along the hops +1, -1, +2, -2, +4, -4, ..., one after the other, up to 2^(ceil(log2
    n) - 1).

    What the authors' published code runs as its directed exponential graph, where the paper states forward hops only.
    Hops that are equal modulo n are taken once, as in the code of the paper's time (its later versions repeat them,
    which mixes worse). For n = 2^p the period is 2p - 1, as +2^(p-1) = -2^(p-1), and 2p - 1 consecutive rounds average
    exactly; OnePeerExponential needs p.
    Source: facebookresearch/stochastic_gradient_push, gossip/graph_manager.py, DynamicDirectedExponentialGraph
    (recalled).
    """

    size: Nodes

    @cached_property
    def hops(self) -> tuple[int, ...]:
        """Distances modulo n in the order of their steps."""
        signed = (sign * 2**level % self.size for level in range(levels(self.size)) for sign in (1, -1))
        return tuple(dict.fromkeys(signed))

    @property
    def period(self) -> int:
        return len(self.hops)

    def shares(self, sender: int, step: int) -> Mapping[int, float]:
        return equal_shares(sender, ((sender + self.hops[step % self.period]) % self.size,))


@specification
class MPeerExponential(Schedule):
    """Node i sends a share 1/(m+1) along each of the hops j (m+1)^(k mod l), j = 1..m, where l counts the powers of m+1
    below n.

    Hops that are 0 modulo n, or equal to another of the same step, are left out (the authors' code keeps both). With
    one peer it is OnePeerExponential. Any l consecutive rounds average exactly if n = (m+1)^l.
    peers: m, at most n - 1. Source: facebookresearch/stochastic_gradient_push, gossip/graph_manager.py,
    NPeerDynamicDirectedExponentialGraph (recalled).
    """

    size: Nodes
    peers: Count = 2

    def __post_init__(self) -> None:
        if self.peers > max(self.size - 1, 1):
            raise SpecificationError(
                f"MPeerExponential(size={self.size}, peers={self.peers}): a node has only {self.size - 1} others to"
                " send to."
                f" Give at most {max(self.size - 1, 1)} peers."
            )

    @property
    def period(self) -> int:
        return levels(self.size, self.peers + 1)

    def shares(self, sender: int, step: int) -> Mapping[int, float]:
        stride = (self.peers + 1) ** (step % self.period)
        return equal_shares(sender, ((sender + j * stride) % self.size for j in range(1, self.peers + 1)))
