"""Precision: whether shares that sum to almost 1 look as if they had been rounded, and to what.

The rule: recognised only where it explains the deviation; whatever is further off is an error of another kind.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MOST_DECIMALS = 15
"""More digits are not told apart from float64 itself."""


def rounded_to(entries: NDArray[np.float64], deviation: float, count: int) -> str | None:
    """"float32" or "6 decimals", say: what all `entries` fit into, where so many roundings explain `deviation`.

    deviation: the largest |sum - 1| of a column. count: the most entries that a column has.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        single = entries.astype(np.float32)
        half = entries.astype(np.float16)
    floats = (
        ("float16", np.array_equal(half.astype(np.float64), entries), 2.0**-11),
        ("bfloat16", np.array_equal(single, entries) and not (single.view(np.uint32) & 0xFFFF).any(), 2.0**-8),
        ("float32", np.array_equal(single, entries), 2.0**-24),
    )
    for decimals in range(2, MOST_DECIMALS + 1):
        if np.allclose(np.round(entries, decimals), entries, rtol=4e-16, atol=0.0):
            if deviation <= count * 0.51 * 10.0**-decimals:
                return f"{decimals} decimals"
            break
    for name, fits, epsilon in floats:  # the coarsest that explains it; each entry is off by epsilon times itself at most
        if fits and deviation <= 2.0 * epsilon * max(1.0, float(np.abs(entries).max(initial=0.0))):
            return name
    return None
