"""Connectivity: within how many rounds everything reaches everybody, from the supports of the matrices alone.

The rule: windows are aligned, l B .. (l+1) B - 1, as in assumption A3 (Assran et al. 2019, recalled); all windows
that can differ are looked at: a period's worth of them, or all whole windows of the horizon where the schedule never
repeats. Time to positivity is over all starting steps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, shortest_path

from sgpsim.schedules.primitivity import exponent_bound, primitive
from theory.chain import Chain

PACKED = 32
"""States beyond which supports are kept as bits."""


@dataclass(frozen=True)
class Windows:
    """length: B. diameters: of the union graph of each window that can differ. constant: whether all windows have the
    same union graph."""

    length: int
    diameters: tuple[int, ...]
    constant: bool


def positivity_bound(windows: Windows, nodes: int, delay: int = 0) -> int:
    """A time by which every product is positive, with messages at most tau = `delay` rounds late (derived):

    tau + (B-1) + (hops-1) B (1 + ceil(tau/B)) + B + tau, hops = n-1, or Delta where the union graph never changes;
    without delays hops B + B-1. A message under way needs tau rounds to land; each hop then waits for the next window
    and travels; the last needs no window after landing.
    """
    window = windows.length
    hops = max(1, max(windows.diameters) if windows.constant else nodes - 1)
    return delay + (window - 1) + (hops - 1) * window * (1 + math.ceil(delay / window)) + window + delay


def unions(chain: Chain, length: int) -> Iterator[NDArray[np.bool_]]:
    """The union support (n, n), self-loops included, of each aligned window of `length` rounds that can differ."""
    stored = len(chain.rounds)
    count = math.lcm(length, stored) // length if chain.periodic else chain.horizon // length
    for window in range(count):
        steps = np.arange(window * length, (window + 1) * length)
        yield np.asarray((chain.rounds[np.unique(chain.index(steps))] > 0).any(axis=0))


def strongly_connected(union: NDArray[np.bool_]) -> bool:
    return connected_components(csr_array(union.astype(np.float64)), directed=True, connection="strong", return_labels=False) == 1


def diameter(union: NDArray[np.bool_]) -> int:
    """The largest directed distance of a strongly connected graph."""
    return int(shortest_path(csr_array(union.astype(np.float64)), unweighted=True).max())


def windows(chain: Chain) -> Windows | None:
    """The smallest B for which every window's union graph is strongly connected; None where there is none.

    Of a periodic chain B is at most the period, else at most half the horizon, so that at least two windows were seen.
    """
    longest = len(chain.rounds) if chain.periodic else chain.horizon // 2
    for length in range(1, longest + 1):
        if all(strongly_connected(union) for union in unions(chain, length)):
            found = list(unions(chain, length))
            same = all((union == found[0]).all() for union in found)
            return Windows(length, tuple(diameter(union) for union in found), same)
    return None


def connected_at_all(chain: Chain) -> bool:
    """Whether the union of all rounds looked at is strongly connected."""
    return all(strongly_connected(union) for union in unions(chain, len(chain.rounds) if chain.periodic else chain.horizon))


def time_bound(chain: Chain, windows: Windows | None) -> int | None:
    """The number of rounds within which every product is proved to be positive; None where none is known.

    Where all nodes keep a share and windows exist it is `positivity_bound`; rounds that repeat and are primitive all the
    same have Wielandt's. chain: without late messages, with entries of at least 0.
    """
    if windows is not None and (np.diagonal(chain.rounds, axis1=1, axis2=2) > 0).all():
        return positivity_bound(windows, chain.real)
    if chain.periodic and primitive(chain.sparse):
        return exponent_bound(chain.real, len(chain.rounds))
    return None


def positivity_time(chain: Chain, longest: int) -> int | None:
    """The smallest T such that every product of T consecutive rounds is positive in all its real rows; None if none
    up to `longest` is.

    A longer product stays positive: with self-loops, and without them as no round can then have a row of zeros. Rounds
    that repeat are looked at beyond the horizon.
    """
    if chain.states > PACKED and chain.states == chain.real:
        return _packed_time(chain, longest)
    for length, found in enumerate(_supports(chain, longest), start=1):
        if found[:, : chain.real].all():
            return length
    return None


def _packed_time(chain: Chain, longest: int) -> int | None:
    """As above for many nodes, one start after the other: row i of a support is the union of the rows of i's senders, 64
    nodes a word."""
    if any((np.diff(matrix.indptr) == 0).any() for matrix in chain.sparse):
        return None
    words = np.packbits(np.eye(chain.states, dtype=bool), axis=1)
    full = np.packbits(np.ones(chain.states, dtype=bool))
    last = longest if chain.periodic else min(longest, chain.horizon)
    needed = np.full(chain.starts, last + 1)
    for start in range(chain.starts):
        reached = words
        for length in range(1, (last if chain.periodic else min(last, chain.horizon - start)) + 1):
            matrix = chain.sparse[chain.index(start + length - 1)]
            reached = np.bitwise_or.reduceat(reached[matrix.indices], matrix.indptr[:-1], axis=0)
            if (reached == full).all():
                needed[start] = length
                break
        if chain.periodic and needed[start] > last:
            return None
    for length in range(1, last + 1):
        if (needed[: None if chain.periodic else chain.horizon + 1 - length] <= length).all():
            return length
    return None


def affordable(chain: Chain) -> int:
    """How many rounds of supports can be looked at in some seconds, from every start."""
    work = chain.starts * max(1, *(matrix.nnz for matrix in chain.sparse)) * (chain.states // 64 + 16)
    return max(4, int(2e9 // work))


def zeros(chain: Chain, longest: int) -> list[int]:
    """The most zero entries that a product of m = 1..longest consecutive rounds has."""
    return [int((~found[:, : chain.real]).sum(axis=(1, 2)).max()) for found in _supports(chain, longest)]


def _supports(chain: Chain, longest: int) -> Iterator[NDArray[np.bool_]]:
    """For m = 1..longest the supports of all products over m rounds that can differ; kept apart from sizes, which may
    underflow."""
    stored = (chain.rounds > 0).astype(np.float32)
    found = stored[: None if chain.periodic else chain.horizon]
    for length in range(1, (longest if chain.periodic else min(longest, chain.horizon)) + 1):
        if length > 1:
            steps = np.arange(len(found) if chain.periodic else chain.horizon + 1 - length) + length - 1
            found = ((stored[chain.index(steps)] @ found[: len(steps)]) > 0).astype(np.float32)
        yield found > 0
