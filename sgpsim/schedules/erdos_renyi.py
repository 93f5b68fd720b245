"""The Erdos-Renyi digraph: every arc is there by chance, so nodes send to differing numbers of others and hear from
differing numbers.

The rule: drawn once from its own stream, again until it is strongly connected, then fixed. Its rows do not sum to 1:
push-sum weights differ from 1, the case push-sum exists for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from sgpsim.errors import SpecificationError
from sgpsim.schedules.schedule import Schedule
from sgpsim.schedules.shares import equal_shares
from sgpsim.specification.ranges import Nodes, Part, Seed
from sgpsim.specification.specification import specification
from sgpsim.streams import stream

TRIES = 100
"""Digraphs drawn before giving up."""


@specification
class ErdosRenyiDigraph(Schedule):
    """Each of the n(n-1) arcs is there with `probability`; node i divides its mass equally among itself and its d_i
    receivers, 1/(d_i + 1) each.

    probability: in (0, 1]; strong connectivity becomes likely above ln(n)/n. seed: of the stream (seed, "erdos_renyi",
    0). Period 1. Errors: SpecificationError when TRIES digraphs were all not strongly connected.
    """

    size: Nodes
    probability: Part
    seed: Seed = 0

    def __post_init__(self) -> None:
        _ = self.receivers  # drawn now, so that a probability too small is an error here and not in the middle of a run

    @cached_property
    def receivers(self) -> tuple[tuple[int, ...], ...]:
        """Of each sender, in cyclic order from the next node on."""
        generator = stream(self.seed, "erdos_renyi")
        for _ in range(TRIES):
            # Row i, column h: whether i sends to i + 1 + h modulo n.
            there = generator.random((self.size, self.size - 1)) < self.probability
            senders, hops = np.nonzero(there)
            found = (senders + 1 + hops) % self.size
            arcs = csr_array((np.ones(len(found)), (senders, found)), shape=(self.size, self.size))
            parts, _ = connected_components(arcs, directed=True, connection="strong")
            if parts == 1:
                return tuple(tuple(part.tolist()) for part in np.split(found, np.cumsum(there.sum(axis=1))[:-1]))
        raise SpecificationError(
            f"ErdosRenyiDigraph(size={self.size}, probability={self.probability}, seed={self.seed}): {TRIES} digraphs"
            " drawn, none strongly"
            f" connected. Give a probability above ln(n)/n = {math.log(self.size) / self.size:.3g}, or another seed."
        )

    @property
    def period(self) -> int:
        return 1

    def shares(self, sender: int, step: int) -> Mapping[int, float]:
        return equal_shares(sender, self.receivers[sender])
