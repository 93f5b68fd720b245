"""Delays: messages that are late, as further states of a larger column-stochastic matrix.

The rule: state block 0 is what the nodes hold, block r = 1..tau is what arrives in r rounds. With (P_r)_{ij} = p_ij
where j's message to i takes r extra rounds, x' = P_0 x + f_1, f_r' = P_r x + f_{r+1}, f_tau' = P_tau x: the block
companion matrix [[P_0, I, 0], [P_1, 0, I], ..., [P_tau, 0, 0]]. Its columns sum to 1, so the mass of all states stays
n. The own share never travels, hence is never late.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from theory.chain import Chain


def augmented(chain: Chain, delays: int | NDArray[np.int64]) -> Chain:
    """`chain` with late messages. delays: extra rounds of every message, or (rounds stored, receiver, sender) if they
    differ."""
    nodes, stored = chain.real, len(chain.rounds)
    late = np.broadcast_to(np.asarray(delays), (stored, nodes, nodes)).copy()
    late[:, np.arange(nodes), np.arange(nodes)] = 0
    longest = int(late.max())
    rounds = np.zeros((stored, nodes * (longest + 1), nodes * (longest + 1)))
    for extra in range(longest + 1):
        block = slice(extra * nodes, (extra + 1) * nodes)
        rounds[:, block, :nodes] = np.where(late == extra, chain.rounds, 0.0)
        if extra < longest:
            rounds[:, block, (extra + 1) * nodes : (extra + 2) * nodes] = np.eye(nodes)
    return Chain(rounds, chain.horizon, chain.periodic, nodes)
