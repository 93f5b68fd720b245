"""Spectrum: eigenvalues and singular values of rounds and of their products, and the exponential graphs as formulae.

The rule: the second singular value and its square are both given. Figures in the literature mean now one, now the
other: eigenvalues of P'P are squares. The graphs here are written down apart from sgpsim.schedules, so that agreement
is evidence.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from theory.chain import Chain
from theory.setting import Setting
from theory.theorem import Hypothesis


def second_modulus(matrix: NDArray[np.float64]) -> float:
    """|lambda_2|: the second largest modulus of the eigenvalues; 0 for one node."""
    moduli = np.sort(np.abs(np.linalg.eigvals(matrix)))[::-1]
    return float(moduli[1]) if len(moduli) > 1 else 0.0


def gap(chain: Chain) -> float | None:
    """Spectral gap per round: 1 - |lambda_2(P^{p-1} ... P^0)|^{1/p}; None where the rounds never repeat."""
    if not chain.periodic:
        return None
    period = len(chain.rounds)
    return 1.0 - second_modulus(chain.product(0, period)) ** (1.0 / period)


def second_singular_values(chain: Chain, longest: int) -> NDArray[np.float64]:
    """The second largest singular value of products over m = 1..longest rounds, the largest over all starts that can
    differ."""
    if chain.real < 2:
        return np.zeros(longest)
    found = [np.linalg.svd(products, compute_uv=False)[:, 1].max() for products in chain.products(longest)]
    return np.array(found[1:])


def levels(nodes: int) -> int:
    """ceil(log2 n), at least 1."""
    return max(1, math.ceil(math.log2(nodes)))


def circulant(nodes: int, hops: list[int]) -> NDArray[np.float64]:
    """Everyone shares equally among itself and the nodes `hops` ahead (distinct, modulo n)."""
    ahead = sorted({0, *(hop % nodes for hop in hops)})
    found = np.zeros((nodes, nodes))
    for sender in range(nodes):
        found[[(sender + hop) % nodes for hop in ahead], sender] = 1.0 / len(ahead)
    return found


def static_exponential(setting: Setting) -> Hypothesis:
    """That every round is the static exponential graph with equal shares."""
    known = circulant(setting.nodes, [2**level for level in range(levels(setting.nodes))])
    same = np.abs(setting.chain.rounds - known).max() < 1e-12
    return Hypothesis("every round is the static exponential graph", "holds" if same else "fails", "compared entry by entry")


def one_peer_exponential(setting: Setting) -> Hypothesis:
    """That round k is the one-peer directed exponential graph: half to the node 2^(k mod l) ahead."""
    count = levels(setting.nodes)
    known = np.stack([circulant(setting.nodes, [2**level]) for level in range(count)])
    chain = setting.chain
    same = len(chain.rounds) == count and np.abs(chain.rounds - known).max() < 1e-12
    return Hypothesis("round k sends half to the node 2^(k mod l) ahead", "holds" if same else "fails", "compared entry by entry")
