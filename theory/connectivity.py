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

from theory.chain import Chain


@dataclass(frozen=True)
class Windows:
    """length: B. diameters: of the union graph of each window that can differ. constant: whether all windows have the
    same union graph."""

    length: int
    diameters: tuple[int, ...]
    constant: bool


def positivity_bound(found: Windows, nodes: int, delay: int = 0) -> int:
    """A time by which every product is positive, with messages at most tau = `delay` rounds late (derived):

    tau + (B-1) + (hops-1) B (1 + ceil(tau/B)) + B + tau, hops = n-1, or Delta where the union graph never changes;
    without delays hops B + B-1. A message under way needs tau rounds to land; each hop then waits for the next window
    and travels; the last needs no window after landing.
    """
    window = found.length
    hops = max(1, max(found.diameters) if found.constant else nodes - 1)
    return delay + (window - 1) + (hops - 1) * window * (1 + math.ceil(delay / window)) + window + delay


def unions(chain: Chain, length: int) -> Iterator[NDArray[np.bool_]]:
    """The union support (n, n), self-loops included, of each aligned window of `length` rounds that can differ."""
    stored = len(chain.rounds)
    count = math.lcm(length, stored) // length if chain.periodic else chain.horizon // length
    for window in range(count):
        steps = np.arange(window * length, (window + 1) * length)
        yield np.asarray((chain.rounds[steps % stored if chain.periodic else steps] > 0).any(axis=0))


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


def positivity_time(chain: Chain, longest: int) -> int | None:
    """The smallest T such that every product of T consecutive rounds is positive in all its real rows; None if none
    up to `longest` is.

    A longer product of matrices with self-loops stays positive, so the first T found is the time from which on it
    holds.
    """
    for length, found in enumerate(_supports(chain, longest), start=1):
        if found[:, : chain.real].all():
            return length
    return None


def zeros(chain: Chain, longest: int) -> list[int]:
    """The most zero entries that a product of m = 1..longest consecutive rounds has."""
    return [int((~found[:, : chain.real]).sum(axis=(1, 2)).max()) for found in _supports(chain, longest)]


def _supports(chain: Chain, longest: int) -> Iterator[NDArray[np.bool_]]:
    """For m = 1..longest the supports of all products over m rounds that can differ; kept apart from sizes, which may
    underflow."""
    stored = (chain.rounds > 0).astype(np.float32)
    found = stored[: chain.horizon]
    for length in range(1, min(longest, chain.horizon) + 1):
        if length > 1:
            starts = min(len(found), chain.horizon + 1 - length)
            steps = np.arange(starts) + length - 1
            found = ((stored[steps % len(stored) if chain.periodic else steps] @ found[:starts]) > 0).astype(np.float32)
        yield found > 0
