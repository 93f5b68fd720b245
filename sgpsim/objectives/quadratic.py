"""Quadratic objectives: made from a few numbers, or from given arrays."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sgpsim.errors import SpecificationError
from sgpsim.objectives.quadratic_form import QuadraticForm
from sgpsim.specification.ranges import LARGEST, MOST_ENTRIES, Count, Nodes, NotNegative, Quantity, Seed, require_room
from sgpsim.specification.specification import specification
from sgpsim.streams import stream
from sgpsim.threads import limited


@specification
class Quadratic(QuadraticForm):
    """f_i(x) = (1/2) (x - b_i)^T H_i (x - b_i), g_i = H_i (x - b_i) + N(0, noise^2 / dimension I), made from a seed.

    nodes, dimension: how many, how long. noise: sigma, E|g_i - grad f_i|^2 = sigma^2 (0: none). spread: root mean
    square of |b_i - mean b|, exactly. distance: |mean b|, the way from the origin to the minimizer of a shared Hessian.
    least_curvature, most_curvature: range of the eigenvalues of H. structure: "scalar" (H = h I), "diagonal", or
    "dense" (a random rotation of a diagonal); the first two take memory nodes * dimension at the most. unequal: every
    node has a Hessian of its own, eigenvalues log-uniform in the range (then A2 fails globally); else all share one
    whose eigenvalues run from least to most in equal ratios (scalar: most). With a shared scalar Hessian zeta =
    most_curvature * spread.
    """

    nodes: Nodes
    dimension: Count = 10
    noise: NotNegative = 1.0
    spread: NotNegative = 1.0
    distance: NotNegative = 1.0
    least_curvature: Quantity = 0.1
    most_curvature: Quantity = 1.0
    structure: Literal["scalar", "diagonal", "dense"] = "dense"
    unequal: bool = False
    seed: Seed = 0

    def __post_init__(self) -> None:
        if self.least_curvature > self.most_curvature:
            raise SpecificationError(
                f"Quadratic(least_curvature={self.least_curvature!r}, most_curvature={self.most_curvature!r}); the"
                " first must"
                " not exceed the second. Exchange them."
            )
        require_room("Quadratic(nodes, dimension)", self.nodes * self.dimension)
        entries = (self.nodes if self.unequal else 1) * self.dimension**2
        if self.structure == "dense" and entries > MOST_ENTRIES:
            raise SpecificationError(
                f"Quadratic(nodes={self.nodes}, dimension={self.dimension}) has dense Hessians of {entries} entries;"
                " at most"
                f" {MOST_ENTRIES} are held. Give structure='diagonal'."
            )
        object.__setattr__(self, "centers", self._centers())  # made from the fields: no part of the value
        object.__setattr__(self, "curvature", self._curvature())

    def _centers(self) -> NDArray[np.float64]:
        generator = stream(self.seed, "quadratic centers")
        middle = generator.standard_normal(self.dimension)
        middle *= self.distance / np.linalg.norm(middle)
        apart = generator.standard_normal((self.nodes, self.dimension))
        apart -= apart.mean(axis=0)
        size = np.linalg.norm(apart)  # 0 for one node, which has nothing to differ from
        if self.nodes > 1:
            apart *= self.spread * math.sqrt(self.nodes) / size
        apart += middle
        return apart

    def _curvature(self) -> NDArray[np.float64]:
        generator = stream(self.seed, "quadratic curvature")
        count = 1 if self.structure == "scalar" else self.dimension
        low, high = math.log(self.least_curvature), math.log(self.most_curvature)
        if self.unequal:
            eigenvalues = np.exp(generator.uniform(low, high, (self.nodes, count)))
        else:
            eigenvalues = np.exp(np.linspace(high, low, count))
        eigenvalues = np.clip(eigenvalues, self.least_curvature, self.most_curvature)
        if self.structure == "scalar":
            return eigenvalues if self.unequal else eigenvalues[0].reshape(())
        if self.structure == "diagonal":
            return eigenvalues
        with limited(1):
            rotations = np.linalg.qr(generator.standard_normal((*eigenvalues.shape, self.dimension)))[0]
            found = (rotations * eigenvalues[..., None, :]) @ rotations.swapaxes(-1, -2)
        return (found + found.swapaxes(-1, -2)) / 2

    @property
    def hessians(self) -> NDArray[np.float64]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """H_i, all written out: (nodes, dimension, dimension). Raises SpecificationError above MOST_ENTRIES."""
        shape = (self.nodes, self.dimension, self.dimension)
        if math.prod(shape) > MOST_ENTRIES:
            raise SpecificationError(
                f"Hessians of {self.nodes} nodes in dimension {self.dimension} have {math.prod(shape)} entries; at most"
                f" {MOST_ENTRIES} are written out. Use `curvature`, or a smaller dimension."
            )
        if self.dense:
            return np.broadcast_to(self.curvature, shape)
        return np.broadcast_to(self.curvature, shape[:2])[:, :, None] * np.eye(self.dimension)


@specification(eq=False)
class QuadraticArrays(QuadraticForm):
    """f_i(x) = (1/2) (x - b_i)^T H_i (x - b_i), g_i = H_i (x - b_i) + N(0, noise^2 / dimension I), from given arrays.

    hessians: H_i, symmetric and positive definite, (nodes, dimension, dimension), or one (dimension, dimension) that
    all share. centers: b_i, (nodes, dimension). noise: sigma. Arrays are copied; two of these are equal if their arrays
    are.
    """

    hessians: NDArray[np.float64]
    centers: NDArray[np.float64]
    noise: NotNegative = 0.0

    def __post_init__(self) -> None:
        centers, given = self.centers, self.hessians
        if centers.ndim != 2 or not centers.size:
            raise SpecificationError(
                f"QuadraticArrays(centers) has shape {centers.shape}; it must be (nodes, dimension). Reshape it."
            )
        nodes, dimension = centers.shape
        if given.shape not in ((dimension, dimension), (nodes, dimension, dimension)):
            raise SpecificationError(
                f"QuadraticArrays(hessians) has shape {given.shape} and centers {centers.shape}; it must be"
                f" {(nodes, dimension, dimension)}, or {(dimension, dimension)} for one that all share. Reshape it."
            )
        if not (np.abs(given).max() <= LARGEST and np.abs(centers).max() <= LARGEST):
            raise SpecificationError(
                f"QuadraticArrays has entries that are not finite, or above {LARGEST:g}; all must be numbers of which"
                " squares exist. Give such."
            )
        if not np.allclose(given, given.swapaxes(-1, -2), rtol=1e-12, atol=0) or np.linalg.eigvalsh(given).min() <= 0:
            raise SpecificationError(
                "QuadraticArrays(hessians) are not all symmetric with eigenvalues above 0; only then is there one"
                " minimizer."
                " Give such matrices, for example (H + H.T) / 2 + 0.1 I."
            )
        unequal = given.ndim == 3 and bool((given != given[0]).any())
        written = np.broadcast_to(given, (nodes, dimension, dimension))
        for name, value in (
            ("hessians", written),
            ("centers", centers),
            ("nodes", nodes),
            ("dimension", dimension),
            ("unequal", unequal),
            ("curvature", given if unequal else given.reshape(-1, dimension, dimension)[0]),
        ):
            object.__setattr__(self, name, value)

    def _content(self) -> tuple[bytes, bytes, tuple[int, ...], float]:
        return self.curvature.tobytes(), self.centers.tobytes(), self.centers.shape, self.noise

    def __eq__(self, other: object) -> bool:
        return isinstance(other, QuadraticArrays) and self._content() == other._content()

    def __hash__(self) -> int:
        return hash(self._content())
