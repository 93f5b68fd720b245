"""Quadratics with additive Gaussian noise: the iteration is linear in them, so its moments are known exactly.

The rule: f_i(x) = (1/2) (x - b_i)^T H_i (x - b_i), and a draw is the noise itself, so all constants follow from H and b
in closed form. Curvature is kept in the smallest form that holds it: one number, a diagonal, or a matrix; once for all
nodes where they share it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgpsim.mass import Array
from sgpsim.objectives.arrays import as_kind, chunk_length, in_float64, namespace, rows
from sgpsim.objectives.objective import Constant, Constants, Objective
from sgpsim.streams import block_length
from sgpsim.threads import limited

RAISED = 1 + 1e-12
"""More than the rounding of an eigenvalue."""


class QuadraticForm(Objective):
    """Any choice of H_i and b_i. noise: sigma; E|g - grad f_i|^2 = sigma^2, alike in every coordinate.

    centers: b_i, (nodes, dimension). unequal: whether nodes have Hessians of their own (then A2 fails). curvature: H,
    shared (), (dimension,) or (dimension, dimension); unequal (nodes, 1), (nodes, dimension) or (nodes, dimension,
    dimension). hessians: H_i all written out, (nodes, dimension, dimension).
    """

    noise: float
    centers: NDArray[np.float64]
    curvature: NDArray[np.float64]
    unequal: bool
    hessians: NDArray[np.float64]

    @property
    def dense(self) -> bool:
        """Whether Hessians are matrices, not diagonals."""
        return self.curvature.ndim == 2 + self.unequal

    @cached_property
    def mean_curvature(self) -> NDArray[np.float64]:
        """(1/n) sum_i H_i, in the form of `curvature` less its nodes."""
        return self.curvature.mean(axis=0) if self.unequal else self.curvature

    @cached_property
    @limited(1)
    def minimizer(self) -> NDArray[np.float64]:
        """x* = (sum_i H_i)^{-1} sum_i H_i b_i: (dimension,)."""
        if not self.unequal:
            return self.centers.mean(axis=0)
        pulls = self._times(self.curvature, self.centers).mean(axis=0)
        return np.linalg.solve(self.mean_curvature, pulls) if self.dense else pulls / self.mean_curvature

    @cached_property
    @limited(1)
    def minimum(self) -> float:
        """f* = f(x*)."""
        apart = self.minimizer - self.centers
        return 0.5 * float(np.einsum("nd,nd->", apart, self._times(self.curvature, apart))) / self.nodes

    def draws(self, node: int, generator: np.random.Generator) -> Iterator[NDArray[np.float64]]:
        """Blocks (length, dimension) of noise; (length, 0) where there is none."""
        width = self.dimension if self.noise else 0
        length, deviation = block_length(8 * width), self.noise / np.sqrt(self.dimension)
        while True:
            block = generator.standard_normal((length, width))
            block *= deviation
            yield block

    def gradients(self, nodes: NDArray[np.int64], points: Array, draws: NDArray[Any]) -> Array:
        """H_i (x - b_i) + noise."""
        centers = self.placed("centers", self.centers, points)
        curvature = self.placed("curvature", self.curvature, points)
        matrices = self.unequal and self.dense
        step = chunk_length((self.dimension if matrices else 1) * self.dimension * points.itemsize, points)
        if isinstance(points, np.ndarray):
            points = np.ascontiguousarray(points)
        seeds = len(nodes) // self.nodes
        if matrices and seeds and np.array_equal(nodes, np.repeat(np.arange(self.nodes), seeds)):
            # The whole fleet, node after node: every matrix is used where it lies, not copied for each of its points.
            apart = (points - rows(centers, nodes)).reshape(self.nodes, seeds, self.dimension)
            found = self._times(curvature[:, None], apart).reshape(points.shape)
            return found + as_kind(draws, points) if self.noise else found
        result = namespace(points).empty_like(points)
        for start in range(0, len(points), step):
            piece = slice(start, start + step)
            own = rows(curvature, nodes[piece]) if self.unequal else curvature
            found = self._times(own, points[piece] - rows(centers, nodes[piece]))
            result[piece] = found + as_kind(draws[piece], points) if self.noise else found
        return result

    def loss(self, at: Array) -> Array:
        """f* + (1/2) (x - x*)^T Hbar (x - x*), Hbar the mean Hessian."""
        at = in_float64(at)
        apart = at - self.placed("minimizer", self.minimizer, at)
        curved = self._times(self.placed("mean curvature", self.mean_curvature, at), apart)
        return self.minimum + 0.5 * (apart * curved).sum(-1)

    def full_gradient(self, at: Array) -> Array:
        at = in_float64(at)
        apart = at - self.placed("minimizer", self.minimizer, at)
        return self._times(self.placed("mean curvature", self.mean_curvature, at), apart)

    def local_gradients(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        return self._times(self.curvature, points - self.centers)

    def constants(self) -> Constants:
        eigenvalues = np.linalg.eigvalsh(self.curvature) if self.dense else self.curvature
        rounding = RAISED if self.dense else 1.0
        if self.unequal:
            heterogeneity = Constant.unknown(
                "Hessians differ, so |grad f_i - grad f| grows without bound with |x|: no finite zeta^2 holds at every"
                " point, and A2 fails globally"
            )
        else:
            pulls = self._times(self.curvature, self.centers - self.centers.mean(axis=0))
            heterogeneity = Constant(
                float(np.einsum("nd,nd->", pulls, pulls)) / self.nodes,
                "certified",
                "the nodes share H: grad f_i - grad f = -H (b_i - mean b) at every point, so this is its exact value",
            )
        return Constants(
            smoothness=Constant(float(eigenvalues.max()) * rounding, "certified", "largest eigenvalue of any H_i"),
            convexity=Constant(float(eigenvalues.min()) / rounding, "certified", "smallest eigenvalue of any H_i"),
            variance=Constant(float(self.noise) ** 2, "certified", "the noise is additive: its exact value"),
            heterogeneity=heterogeneity,
            lowest=Constant(self.minimum, "certified", "f* itself, in closed form at the minimizer"),
        )

    def _times(self, curvature: Array, vectors: Array) -> Array:
        """H v for vectors (..., dimension), each with the bits it has alone."""
        return (curvature @ vectors[..., None])[..., 0] if self.dense else curvature * vectors
