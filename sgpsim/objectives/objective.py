"""Objective: the functions f_i that the nodes minimize together, f = (1/n) sum_i f_i, with their stochastic gradients
and constants.

The rule: `gradients` is the only stochastic kernel. It takes any number of (node, point, draw) triples and gives each
the same bits alone or in a batch (stacked matmul, einsum and reductions over the last axis do; `points @ matrix` does
not), so that all backends agree. What is random is drawn apart from it, by `draws`, from a stream of the node's own.
Each constant says how it is known.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sgpsim.errors import SpecificationError, kind_of
from sgpsim.mass import Array

Evidence = Literal["certified", "observed", "estimated", "unknown"]
"""certified: proved for all points. observed: holds at the points a run visited. estimated: from samples. unknown:
nothing is claimed."""


@dataclass(frozen=True)
class Constant:
    """One constant of an objective: its value (None where unknown), what supports it, and how it was obtained, in a
    sentence."""

    value: float | None
    evidence: Evidence
    how: str

    @classmethod
    def unknown(cls, why: str) -> Constant:
        return cls(None, "unknown", why)


@dataclass(frozen=True)
class Constants:
    """The constants of assumptions A1 and A2 (Assran et al. 2019), and more.

    smoothness: L of every f_i. convexity: mu of strong convexity of every f_i (0: convex only; unknown: not claimed).
    variance: sigma^2, bound of E|g_i - grad f_i|^2 for one draw as taken in a step. heterogeneity: zeta^2, bound of
    (1/n) sum_i |grad f_i - grad f|^2 at every point. lowest: a lower bound of f (f* itself where `how` says so).
    """

    smoothness: Constant
    convexity: Constant
    variance: Constant
    heterogeneity: Constant
    lowest: Constant


def real(numbers: Any) -> bool:
    """Whether an array or a tensor holds real numbers."""
    dtype: Any = getattr(numbers, "dtype", None)
    kind = getattr(dtype, "kind", None)  # torch's types have none
    return kind in "fiu" if kind is not None else not getattr(dtype, "is_complex", True)


def evaluated(objective: Objective, method: str, value: Any, at: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """What a method of `objective` gave at the points `at`, in float64; SpecificationError unless it has this shape, and
    is real numbers."""
    array: NDArray[Any] = np.asarray(value)
    if array.shape != shape or not real(array):
        gave = kind_of(array if hasattr(value, "__len__") or array.dtype.kind in "fiuc" else value)
        raise SpecificationError(
            f"{type(objective).__name__}.{method} gave {gave} at points of shape {at.shape}; it must be real numbers of shape"
            f" {shape}. Points count along all axes but the last."
        )
    return array.astype(np.float64, copy=False)


class Objective(ABC):
    """What the nodes minimize. nodes: how many there are. dimension: length of a point. Points are arrays whose last
    axis is `dimension`."""

    nodes: int
    dimension: int

    @property
    def sampling(self) -> Literal["replacement", "epochs"]:
        """How draws are made: with replacement and independent (the theorems' hypothesis), or by shuffled epochs (the
        practice)."""
        return "replacement"

    def start(self) -> NDArray[np.float64]:
        """Where a run starts unless the experiment says otherwise: the origin, or what the model initializes to. Shape
        (dimension,)."""
        return np.zeros(self.dimension)

    @abstractmethod
    def draws(self, node: int, generator: np.random.Generator) -> Iterator[NDArray[Any]]:
        """Endless blocks of the randomness of `node`'s gradients, first axis counting gradients. Blocks have one length
        for all nodes."""

    @abstractmethod
    def gradients(self, nodes: NDArray[np.int64], points: Array, draws: NDArray[Any]) -> Array:
        """Stochastic gradients: entry m is that of node nodes[m] at points[m] with draws[m]. points: (count,
        dimension); so is the result, in the points' type and on their device. Bits do not depend on what else is in the
        batch."""

    @abstractmethod
    def loss(self, at: Array) -> Array:
        """f at points (..., dimension) -> (...), in float64."""

    @abstractmethod
    def full_gradient(self, at: Array) -> Array:
        """grad f at points (..., dimension) -> the same shape, in float64."""

    @abstractmethod
    def local_gradients(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """grad f_i at points[..., i, :] for every node i: (..., nodes, dimension) -> the same shape. For checks of
        theory."""

    def accuracy(self, at: Array) -> Array | None:
        """Share of samples classified rightly at points (..., dimension) -> (...); None where the objective has no such
        notion."""
        return None

    @abstractmethod
    def constants(self) -> Constants:
        """L, mu, sigma^2, zeta^2 and a lower bound of f, each with its evidence."""

    def placed(self, name: str, array: NDArray[Any], like: Array) -> Array:
        """`array`, float data cast to the type of `like` and put on its device (a torch tensor where `like` is one);
        made once per kind."""
        if isinstance(like, np.ndarray) and array.dtype == like.dtype:
            return array  # the common case, and asked for on every gradient
        kind = (name, like.dtype, getattr(like, "device", None), type(like))
        memo: dict[Any, Any] | None = self.__dict__.get("_placed")
        if memo is None:
            memo = {}
            object.__setattr__(self, "_placed", memo)  # a memo beside the frozen fields: no part of the value
        if kind not in memo:
            floats = np.issubdtype(array.dtype, np.floating)
            if isinstance(like, np.ndarray):
                memo[kind] = array.astype(like.dtype, copy=False) if floats else array
            else:
                import torch  # only where a tensor came in

                memo[kind] = torch.as_tensor(array, dtype=like.dtype if floats else None, device=like.device)
        return memo[kind]
