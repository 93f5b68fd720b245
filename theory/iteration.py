"""Iteration: norms and eigenvalues of products of many sparse rounds, which are never formed.

The rule: a map is given by itself and its transpose; iterations always begin at the same vector, so the same question
has the same answer; where one does not converge the caller is told, or the matrix is formed after all.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackError, LinearOperator, eigs, eigsh

from theory.chain import Chain

FORMED = 1024
"""Rows up to which a matrix may be formed where an iteration fails."""

Vector: TypeAlias = NDArray[np.float64]


class Map(NamedTuple):
    """A linear map of vectors (size,) to vectors (size,), and its transpose."""

    size: int
    forward: Callable[[Vector], Vector]
    backward: Callable[[Vector], Vector]


def product_map(chain: Chain, start: int, length: int, mass: Vector, scale: Vector | float = 1.0) -> Map:
    """v -> scale * (A v - mass 1'v) with A = A_{s+m:s}. mass 0: the product itself; mass w^k/n: F of Chain.remainders,
    and with scale 1/w^k the kernel."""
    rounds = [chain.sparse[chain.index(step)] for step in range(start, start + length)]
    turned = [matrix.T.tocsr() for matrix in reversed(rounds)]

    def forward(vector: Vector) -> Vector:
        found = given = vector.reshape(-1)
        for matrix in rounds:
            found = matrix @ found
        return scale * (found - mass * given.sum())

    def backward(vector: Vector) -> Vector:
        found = given = scale * vector.reshape(-1)
        for matrix in turned:
            found = matrix @ found
        return found - mass @ given

    return Map(chain.states, forward, backward)


def singular_value(of: Map, position: int = 0) -> float:
    """The largest singular value, or the one at `position` 1, to some ten digits."""
    first = _first(of.size)
    if position == 0 and np.linalg.norm(of.forward(first)) <= of.size * np.finfo(np.float64).eps * np.linalg.norm(first):
        return 0.0
    square = LinearOperator((of.size, of.size), matvec=lambda v: of.backward(of.forward(v)), dtype=np.float64)  # pyright: ignore[reportCallIssue]
    try:
        values = eigsh(square, position + 1, which="LA", v0=first, ncv=60, tol=1e-12, maxiter=500, return_eigenvectors=False)
        return math.sqrt(max(0.0, float(np.sort(values)[0])))
    except ArpackError:
        return float(np.linalg.svd(_formed(of), compute_uv=False)[position])


def largest_modulus(of: Map) -> float | None:
    """The largest modulus of an eigenvalue. Where the iteration does not converge (several are of nearly that size) the
    matrix is formed if it has at most FORMED rows, else None."""
    operator = LinearOperator((of.size, of.size), matvec=of.forward, dtype=np.float64)  # pyright: ignore[reportCallIssue]
    try:
        values = eigs(operator, 4, v0=_first(of.size), ncv=80, maxiter=200, return_eigenvectors=False)
    except ArpackError:
        if of.size > FORMED:
            return None
        values = np.linalg.eigvals(_formed(of))
    return float(np.abs(values).max())


def _formed(of: Map) -> NDArray[np.float64]:
    return np.column_stack([of.forward(column) for column in np.eye(of.size)])


def _first(size: int) -> Vector:
    return np.random.default_rng(0).standard_normal(size)
