"""Losses of the margin y a.x: the part that logistic regression and the sigmoid loss share.

The rule: f_i(x) = mean_j phi(b_j.x) + (r/2) |x|^2 with b_j = y_j a_j, y_j in {-1, +1} and phi falling, so data are
stored signed, and all that a concrete loss says is phi, its slope and the bounds of slope and curvature.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sgpsim.errors import SpecificationError
from sgpsim.mass import Array
from sgpsim.objectives.arrays import chunk_length, in_float64, namespace, rows
from sgpsim.objectives.datasets import Dataset
from sgpsim.objectives.finite_sum import FiniteSum, Shards
from sgpsim.objectives.objective import Constant
from sgpsim.objectives.split import Split
from sgpsim.objectives.spread import PROOF, RAISED, largest_curvatures, node_means, spread_bounds


def signed_shards(objective: str, data: Dataset, split: Split, nodes: int, bias: bool) -> Shards:
    """The samples of every node with features y a; label 0 is y = -1, label 1 is y = +1."""
    shards = Shards.of(data, split, nodes, bias)
    if shards.classes > 2:
        raise SpecificationError(
            f"{objective}(data) has {shards.classes} classes; it must have two. Give SoftmaxRegression(...) instead, or"
            " data of two classes."
        )
    np.negative(shards.features, out=shards.features, where=(shards.labels == 0)[:, None])
    return shards


class MarginLoss(FiniteSum):
    """Means of a falling function of the margin, plus a squared norm. regularization: r, its factor."""

    regularization: float

    @abstractmethod
    def losses(self, margins: Array) -> Array:
        """phi, elementwise."""

    @abstractmethod
    def slopes(self, margins: Array) -> Array:
        """phi', elementwise: in [-steepest, 0]."""

    def gradients(self, nodes: NDArray[np.int64], points: Array, draws: NDArray[np.int32]) -> Array:
        """mean over the draw of phi'(b.x) b, plus r x."""
        features = self.placed("features", self.shards.features, points)
        count, batch = draws.shape
        step = chunk_length(batch * self.dimension * points.itemsize, points)
        gathered = None
        if isinstance(points, np.ndarray):
            points = np.ascontiguousarray(points)
            gathered = np.empty((min(step, count), batch, self.dimension), dtype=points.dtype)
        if count <= step:
            return self._of_chunk(features, points, draws, gathered)
        result = namespace(points).empty_like(points)
        for start in range(0, count, step):
            piece = slice(start, start + step)
            result[piece] = self._of_chunk(features, points[piece], draws[piece], gathered)
        return result

    def _of_chunk(self, features: Array, points: Array, draws: NDArray[np.int32], gathered: Array) -> Array:
        """`gradients` of as many as are worked on at a time."""
        held = rows(features, draws, gathered)
        if isinstance(points, np.ndarray):  # the products of the other line without its views
            slopes = self.slopes(np.matvec(held, points))
            slopes /= draws.shape[1]
            found = np.vecmat(slopes, held)
        else:
            slopes = self.slopes((held @ points[:, :, None])[..., 0]) / draws.shape[1]
            found = (slopes[:, None, :] @ held)[:, 0]
        if self.regularization:
            found = found + self.regularization * points
        return found

    def loss(self, at: Array) -> Array:
        at = in_float64(at)
        weights = self.placed("weights", self.shards.weights, at)
        flat = at.reshape(-1, self.dimension)
        found = [(self.losses(margins) * weights).sum(-1) for margins in self._margins(flat)]
        penalty = 0.5 * self.regularization * (flat * flat).sum(-1)
        return (namespace(at).concatenate(found) + penalty).reshape(at.shape[:-1])

    def full_gradient(self, at: Array) -> Array:
        at = in_float64(at)
        features = self.placed("features", self.shards.features, at)
        weights = self.placed("weights", self.shards.weights, at)
        flat = at.reshape(-1, self.dimension)
        found = [((self.slopes(margins) * weights)[:, None, :] @ features)[:, 0] for margins in self._margins(flat)]
        return (namespace(at).concatenate(found) + self.regularization * flat).reshape(at.shape)

    def local_gradients(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        flat = np.ascontiguousarray(points, dtype=np.float64).reshape(-1, self.nodes, self.dimension)
        found = self.regularization * flat
        for node in range(self.nodes):
            held = self.shards.features[self.shards.of_node(node)]
            slopes = self.slopes((held @ flat[:, node, :, None])[..., 0]) / len(held)
            found[:, node] += (slopes[:, None, :] @ held)[:, 0]
        return found.reshape(points.shape)

    def accuracy(self, at: Array) -> Array:
        at = in_float64(at)
        flat = at.reshape(-1, self.dimension)
        found = [in_float64((margins > 0).sum(-1)) / len(self.shards.labels) for margins in self._margins(flat)]
        return namespace(at).concatenate(found).reshape(at.shape[:-1])

    def _margins(self, flat: Array) -> Iterator[Array]:
        """b.x of every sample at points (count, dimension), in pieces (some, samples); each point by itself, so that
        bits stay its own."""
        features = self.placed("features", self.shards.features, flat)
        step = chunk_length(8 * len(self.shards.labels), flat)
        for start in range(0, len(flat), step):
            yield (features @ flat[start : start + step, :, None])[..., 0]

    def margin_constants(self, steepest: float, curvature: float, why: str) -> tuple[Constant, Constant, Constant]:
        """(L, sigma^2, zeta^2) from phi' in [-steepest, 0] and |phi''| <= curvature; `why` names these facts."""
        shards, reach = self.shards, steepest / 2
        curvatures = largest_curvatures(shards)
        squares = np.einsum("nd,nd->n", shards.features, shards.features)
        one, heterogeneity = spread_bounds(
            shards, curvatures, reach**2 * squares, -reach * node_means(shards, shards.features), reach
        )
        proof = f"{why}; phi' = -{reach:g} + s with |s| <= {reach:g}: " + PROOF.format(reach=f"{reach:g}")
        smoothness = (curvature * float(curvatures.max()) + self.regularization) * RAISED
        return (
            Constant(smoothness, "certified", f"{why}: L = max|phi''| max_i lambda_max(A_i^T A_i / M_i) + r"),
            Constant(
                one / self.batch,
                "certified",
                f"{proof}; largest node, over {self.batch} samples {self.drawn}; the squared norm has no variance",
            ),
            Constant(heterogeneity, "certified", f"{proof}; the squared norm is common to all nodes and cancels"),
        )
