"""Precision: whether shares that sum to almost 1 look as if they had been rounded, to what, and how to mend them.

The rule: recognised only where it explains the deviation; whatever is further off is an error of another kind. A cure
keeps what the matrix had before it was rounded: rows that sum to 1, symmetry.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

MOST_DECIMALS = 15
"""More digits are not told apart from float64 itself."""

LARGEST = 1e100
"""No share is anywhere near this, and rounding it to decimals would leave the floating-point range."""


def rounded_to(entries: NDArray[np.float64], deviation: float, count: int) -> str | None:
    """"float32" or "6 decimals", say: what all `entries` fit into, where so many roundings explain `deviation`.

    deviation: the largest |sum - 1| of a column. count: the most entries that a column has.
    """
    if not np.isfinite(deviation) or np.abs(entries).max(initial=0.0) > LARGEST:
        return None
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


def mended(matrix: csr_array) -> str:
    """How to make the columns of a rounded matrix (n, n) sum to 1, as an instruction that ends with Python.

    Dividing columns alone is the cure of a matrix whose rows need not sum to 1. Else it would spoil the rows: a symmetric
    matrix gets what is missing on its diagonal (exact, if shares of their own are larger than what is missing), any other
    is divided by rows and columns in turn (Sinkhorn 1967), which tends to a doubly stochastic matrix.
    """
    columns, rows = np.asarray(matrix.sum(axis=0)), np.asarray(matrix.sum(axis=1))
    symmetric = not np.any((matrix - matrix.T).tocsr().data)
    if symmetric and matrix.diagonal().min() > np.abs(columns - 1.0).max():
        return "give each own share what is missing, in float64: P + np.diag(1 - P.sum(axis=0))"
    if rounded_to(matrix.data, float(np.abs(rows - 1.0).max()), int(np.diff(matrix.indptr).max())) is not None:
        return (
            "divide by row and column sums in turn, in float64, until both are 1:"
            " for _ in range(1000): P = P / P.sum(axis=1, keepdims=True); P = P / P.sum(axis=0)"
        )
    return "divide by the column sums, in float64: P / P.sum(axis=0)"
