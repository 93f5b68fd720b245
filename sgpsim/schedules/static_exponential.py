"""The static exponential graph: every power-of-two hop at every step.

The rule: one circulant matrix for all steps, doubly stochastic; denser than one peer at a time and, after log2 n steps,
less exact.
"""

from __future__ import annotations

from collections.abc import Mapping

from sgpsim.schedules.one_peer_exponential import levels
from sgpsim.schedules.schedule import Schedule
from sgpsim.schedules.shares import equal_shares
from sgpsim.specification.ranges import Nodes
from sgpsim.specification.specification import specification


@specification
class StaticExponential(Schedule):
    """Node i sends 1/(1+p) of its mass to each of (i + 2^j) mod n, j < p = ceil(log2 n), at every step.

    For even n the spectral gap 1 - |lambda_2| is 2/(1 + p), for odd n it is larger, and ||P - 11'/n||_2 = |lambda_2|.
    Source: Ying et al. 2021 (recalled; the tests check it).
    """

    size: Nodes

    @property
    def period(self) -> int:
        return 1

    def shares(self, sender: int, step: int) -> Mapping[int, float]:
        return equal_shares(sender, ((sender + 2**level) % self.size for level in range(levels(self.size))))
