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
from theory.iteration import largest_modulus, product_map, singular_value
from theory.setting import Setting
from theory.theorem import Hypothesis

LARGEST = 1e150
"""Products with entries beyond this have no singular values that a number can hold the square of."""


def second_modulus(matrix: NDArray[np.float64]) -> float:
    """|lambda_2|: the second largest modulus of the eigenvalues; 0 for one node."""
    moduli = np.sort(np.abs(np.linalg.eigvals(matrix)))[::-1]
    return float(moduli[1]) if len(moduli) > 1 else 0.0


def gap(chain: Chain, exact: bool = False) -> float | None:
    """Spectral gap per round: 1 - |lambda_2(P^{p-1} ... P^0)|^{1/p}; None where the rounds never repeat, or where
    iteration finds no eigenvalue of a large product.

    lambda_2 is the largest eigenvalue, in modulus, of the product A less one 1 (that of the left eigenvector 1'): of
    A - (1/n) A 1 1', whose columns sum to 0. exact: that some product averages exactly is known, so all of these are 0;
    what a root would make of their rounding is no gap. Moduli within n p epsilon of 0 or of 1 count as 0 or 1.
    """
    if not chain.periodic:
        return None
    if exact or chain.states < 2:
        return 1.0
    period = len(chain.rounds)
    modulus = _largest_modulus(chain, period)
    if modulus is None:
        return None
    floor = rounding(chain, period)
    modulus = 0.0 if modulus <= floor else 1.0 if abs(modulus - 1.0) <= floor else modulus
    return 1.0 - modulus ** (1.0 / period)


def rounding(chain: Chain, rounds: int) -> float:
    """What rounding may leave of a zero in a product of that many rounds: n (rounds + 1) epsilon."""
    return chain.states * (rounds + 1) * float(np.finfo(np.float64).eps)


def _largest_modulus(chain: Chain, period: int) -> float | None:
    if not chain.large:
        product = chain.product(0, period)
        return float(np.abs(np.linalg.eigvals(product - product.mean(axis=1, keepdims=True))).max())
    ones = np.ones(chain.states)
    return largest_modulus(product_map(chain, 0, period, product_map(chain, 0, period, 0.0 * ones).forward(ones) / chain.states))


def second_singular_values(chain: Chain, longest: int, starts: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
    """The second largest singular value of products over m = 1..longest rounds, the largest over all starts that can
    differ, or over those given. Values that rounding alone explains, n (m+1) epsilon times the largest, are 0. Ends
    before `longest` where products leave the floating-point range, as those of rounds that make mass do."""
    if chain.real < 2:
        return np.zeros(longest)
    begin = np.arange(chain.starts) if starts is None else np.unique(chain.index(starts))
    found: list[float] = []
    if not chain.large:
        for length, products in enumerate(chain.products(longest, begin)):
            if not np.abs(products).max() < LARGEST:
                break
            values = np.linalg.svd(products, compute_uv=False)
            found.append(float(np.where(values[:, 1] <= rounding(chain, length) * values[:, 0], 0.0, values[:, 1]).max()))
        return np.array(found[1:])
    for length in range(1, longest + 1):
        if not np.abs(chain.rounds).sum(axis=1).max() ** length < LARGEST:
            break
        seen = begin if chain.periodic else begin[begin + length <= chain.horizon]
        values = [_second(chain, int(start), length) for start in seen]
        found.append(max((0.0 if value <= rounding(chain, length) else value for value in values), default=0.0))
    return np.array(found)


def _second(chain: Chain, start: int, length: int) -> float:
    """sigma_2 of A_{s+m:s}: of a doubly stochastic product the norm of A - (1/n) 1 1', else iterated with the first."""
    rounds = [chain.sparse[chain.index(step)] for step in range(start, start + length)]
    if all(np.abs(np.asarray(matrix.sum(axis=axis)) - 1.0).max() <= 1e-12 for matrix in rounds for axis in (0, 1)):
        return singular_value(product_map(chain, start, length, np.full(chain.states, 1.0 / chain.states)))
    return singular_value(product_map(chain, start, length, np.zeros(chain.states)), position=1)


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
    same = all(np.abs(matrix - known).max() < 1e-12 for matrix in setting.chain.rounds)
    return Hypothesis("every round is the static exponential graph", "holds" if same else "fails", "compared entry by entry")


def one_peer_exponential(setting: Setting) -> Hypothesis:
    """That round k is the one-peer directed exponential graph: half to the node 2^(k mod l) ahead."""
    count = levels(setting.nodes)
    rounds = setting.chain.rounds
    same = len(rounds) == count and all(
        np.abs(matrix - circulant(setting.nodes, [2**level])).max() < 1e-12 for level, matrix in enumerate(rounds)
    )
    return Hypothesis("round k sends half to the node 2^(k mod l) ahead", "holds" if same else "fails", "compared entry by entry")
