"""Softmax regression (multinomial logistic regression) on data shared among nodes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sgpsim.errors import SpecificationError
from sgpsim.mass import Array
from sgpsim.objectives.arrays import chunk_length, in_float64, namespace, rows
from sgpsim.objectives.datasets import Dataset, Digits
from sgpsim.objectives.finite_sum import Batch, FiniteSum, Sampling, Shards
from sgpsim.objectives.objective import Constant, Constants
from sgpsim.objectives.split import EvenSplit, Split
from sgpsim.objectives.spread import PROOF, RAISED, largest_curvatures, spread_bounds
from sgpsim.specification.ranges import Nodes, NotNegative, require_room
from sgpsim.specification.specification import specification


@specification
class SoftmaxRegression(FiniteSum):
    """f_i(W) = mean_j (log sum_c exp(W_c.a_j) - W_{y_j}.a_j) + (regularization / 2) |W|^2: cross-entropy of a linear
    model, convex and smooth.

    A point is W row by row: dimension = classes * (features + 1) with a bias, classes * features without. nodes: how
    many. data: labelled samples. split: who holds which. batch: samples per gradient. bias: whether a column of ones is
    appended to the features (regularized like the rest). sampling: draws with replacement, or shuffled epochs.
    """

    nodes: Nodes
    data: Dataset = Digits()
    split: Split = EvenSplit()
    batch: Batch = 16
    regularization: NotNegative = 0.0
    bias: bool = True
    sampling: Sampling = "replacement"  # pyright: ignore[reportIncompatibleMethodOverride]

    def __post_init__(self) -> None:
        shards = Shards.of(self.data, self.split, self.nodes, self.bias)
        if shards.classes < 2:
            raise SpecificationError(
                "SoftmaxRegression(data) has one class; there must be at least two. Give data with two labels."
            )
        require_room("SoftmaxRegression(data): samples and classes", len(shards.labels) * shards.classes)
        object.__setattr__(self, "shards", shards)  # made from the fields: no part of the value
        object.__setattr__(self, "dimension", shards.classes * shards.features.shape[1])

    @cached_property
    def targets(self) -> NDArray[np.float64]:
        """e_y of every sample: (samples, classes)."""
        return np.eye(self.shards.classes)[self.shards.labels]

    def gradients(self, nodes: NDArray[np.int64], points: Array, draws: NDArray[np.int32]) -> Array:
        """mean over the draw of (p - e_y) a^T with p = softmax(W a), plus r W."""
        features = self.placed("features", self.shards.features, points)
        targets = self.placed("targets", self.targets, points)
        count, batch = draws.shape
        width = features.shape[1]
        step = chunk_length(batch * width * points.itemsize, points)
        gathered = None
        if isinstance(points, np.ndarray):
            points = np.ascontiguousarray(points)
            gathered = np.empty((min(step, count), batch, width), dtype=points.dtype)
        result = namespace(points).empty_like(points)
        for start in range(0, count, step):
            piece = slice(start, start + step)
            at = points[piece].reshape(-1, self.shards.classes, width)
            held = rows(features, draws[piece], gathered)
            wrong = (_probabilities(held @ at.swapaxes(1, 2)) - rows(targets, draws[piece])) / batch
            found = wrong.swapaxes(1, 2) @ held
            if self.regularization:
                found += self.regularization * at
            result[piece] = found.reshape(-1, self.dimension)
        return result

    def loss(self, at: Array) -> Array:
        at = in_float64(at)
        functions = namespace(at)
        weights, targets = self.placed("weights", self.shards.weights, at), self.placed("targets", self.targets, at)
        flat = at.reshape(-1, self.dimension)
        found: list[Array] = []
        for scores in self._scores(flat):
            highest = functions.amax(scores, axis=-1)
            logarithms = functions.log(functions.exp(scores - highest[..., None]).sum(-1)) + highest
            found.append(((logarithms - (scores * targets).sum(-1)) * weights).sum(-1))
        return (functions.concatenate(found) + 0.5 * self.regularization * (flat * flat).sum(-1)).reshape(at.shape[:-1])

    def full_gradient(self, at: Array) -> Array:
        at = in_float64(at)
        features, targets = self.placed("features", self.shards.features, at), self.placed("targets", self.targets, at)
        weights = self.placed("weights", self.shards.weights, at)
        flat = at.reshape(-1, self.dimension)
        wrong = ((_probabilities(scores) - targets) * weights[:, None] for scores in self._scores(flat))
        found = namespace(at).concatenate(
            [(each.swapaxes(1, 2) @ features).reshape(-1, self.dimension) for each in wrong]
        )
        return (found + self.regularization * flat).reshape(at.shape)

    def local_gradients(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        flat = np.ascontiguousarray(points, dtype=np.float64).reshape(-1, self.nodes, self.dimension)
        found = self.regularization * flat
        for node in range(self.nodes):
            owned = self.shards.of_node(node)
            held = self.shards.features[owned]
            at = flat[:, node].reshape(-1, self.shards.classes, held.shape[1])
            wrong = (_probabilities(held @ at.swapaxes(1, 2)) - self.targets[owned]) / len(held)
            found[:, node] += (wrong.swapaxes(1, 2) @ held).reshape(-1, self.dimension)
        return found.reshape(points.shape)

    def accuracy(self, at: Array) -> Array:
        at = in_float64(at)
        labels = self.placed("labels", self.shards.labels, at)
        found = [
            in_float64((scores.argmax(-1) == labels).sum(-1)) / len(labels)
            for scores in self._scores(at.reshape(-1, self.dimension))
        ]
        return namespace(at).concatenate(found).reshape(at.shape[:-1])

    def constants(self) -> Constants:
        shards, classes = self.shards, self.shards.classes
        curvatures = largest_curvatures(shards)
        squares = np.einsum("nd,nd->n", shards.features, shards.features)
        pulls = np.stack(
            [
                (1 / classes - self.targets[own]).T @ shards.features[own] / len(shards.labels[own])
                for own in self._owned
            ]
        )
        spread = 1 - 1 / classes  # |p - 1/C|^2 <= 1 - 1/C on the simplex, and |e_y - 1/C|^2 is that
        around = spread_bounds(shards, curvatures, spread * squares, pulls.reshape(self.nodes, -1), math.sqrt(spread))
        plain = spread_bounds(shards, curvatures, 0 * squares, np.zeros((self.nodes, 1)), math.sqrt(2))
        one, heterogeneity = min(around[0], plain[0]), min(around[1], plain[1])
        proof = (
            "g_j = (p - e_y) (x) a_j; the smaller of two bounds, s_j = p - 1/C about u_j = (1/C - e_y) (x) a_j and"
            " s_j = p - e_y about 0: " + PROOF.format(reach="sqrt(1 - 1/C) or sqrt 2")
        )
        return Constants(
            smoothness=Constant(
                (0.5 * float(curvatures.max()) + self.regularization) * RAISED,
                "certified",
                "the Hessian of the loss of a sample is (diag p - p p^T) (x) a a^T, and |diag p - p p^T| <= 1/2:"
                " L = max_i lambda_max(A_i^T A_i / M_i) / 2 + r",
            ),
            convexity=Constant(
                self.regularization, "certified", "cross-entropy is convex in W, and the squared norm adds its factor"
            ),
            variance=Constant(
                one / self.batch, "certified", f"{proof}; largest node, over {self.batch} samples {self.drawn}"
            ),
            heterogeneity=Constant(
                heterogeneity, "certified", f"{proof}; the squared norm is common to all nodes and cancels"
            ),
            lowest=Constant(
                0.0, "certified", "cross-entropy and squared norm are not negative: a lower bound, not the minimum"
            ),
        )

    @property
    def _owned(self) -> list[slice]:
        return [self.shards.of_node(node) for node in range(self.nodes)]

    def _scores(self, flat: Array) -> Iterator[Array]:
        """W a of every sample at points (count, dimension), in pieces (some, samples, classes); each point by
        itself."""
        features = self.placed("features", self.shards.features, flat)
        step = chunk_length(8 * len(self.shards.labels) * self.shards.classes, flat)
        weights = flat.reshape(-1, self.shards.classes, features.shape[1]).swapaxes(1, 2)
        for start in range(0, len(flat), step):
            yield features @ weights[start : start + step]


def _probabilities(scores: Array) -> Array:
    """softmax over the last axis."""
    functions = namespace(scores)
    powers = functions.exp(scores - functions.amax(scores, axis=-1)[..., None])
    return powers / powers.sum(-1)[..., None]
