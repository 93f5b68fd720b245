"""Pairs: the (start, stop) pairs at which identities between kernels are looked at, and what rounding may do there.

The rule: all starts of a few rounds after the beginning, all lengths up to LONGEST; an identity that holds there and
is wrong elsewhere would have to depend on the step, which none does.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from theory.chain import Chain

STARTS, LONGEST = 8, 16


def pairs(chain: Chain) -> Iterator[tuple[int, int, NDArray[np.float64]]]:
    """(s, k, A_{k:s}) for s = 0..STARTS-1 and k - s = 0..LONGEST, within the horizon."""
    for start in range(min(STARTS, chain.horizon)):
        for stop in range(start, min(start + LONGEST, chain.horizon) + 1):
            yield start, stop, chain.product(start, stop)


def names(chain: Chain) -> list[str]:
    """The pairs in words, in the same order."""
    return [f"{stop}, {start}" for start, stop, _ in pairs(chain)]


def rounding(chain: Chain) -> float:
    """Roundings in one entry of a kernel over a pair, times the size of its terms."""
    return (LONGEST + 8) * (chain.states + 4) / chain.least_weight
