"""Gradients in flight, evaluated together.

The rule: a gradient's input is fixed when it begins and its value is needed when its time has passed; so all gradients
begun by then are evaluated in one call when the first of them is needed. Kernels give the same bits alone or in a
batch, so only the speed depends on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgpsim.algorithms.algorithm import Algorithm
from sgpsim.errors import SpecificationError, kind_of
from sgpsim.experiment import Experiment
from sgpsim.objectives.objective import Objective, real
from sgpsim.objectives.reading import asked_at
from sgpsim.streams import Reader, endless, stream


def require_point(algorithm: Algorithm, at: Any, like: Any) -> None:
    """Raise SpecificationError where a text asks for a gradient at what is no point of its shape and type (of `like`): numpy
    would spread or round it without a word."""
    if getattr(at, "shape", None) != like.shape or at.dtype != like.dtype:
        raise SpecificationError(
            f"{type(algorithm).__name__} asks for a gradient at {kind_of(at)}; a point here is {kind_of(like)}. Multiply by"
            " Python's numbers, which change no type, and keep the shape."
        )


def draws_of(objective: Objective, node: int, seed: int) -> Iterator[NDArray[Any]]:
    """The blocks of draws of a node's gradients; SpecificationError where they end, or one is no block."""
    return _blocks(f"{type(objective).__name__}.draws for node {node}", objective.draws(node, stream(seed, "gradient", node)))


def _blocks(what: str, drawn: Any) -> Iterator[NDArray[Any]]:
    for block in endless(what, drawn):
        if not isinstance(block, np.ndarray) or not block.shape or not len(block):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise SpecificationError(
                f"{what} gave {kind_of(block)}; a block is an array whose first axis counts gradients. Give such as"
                " generator.standard_normal((64, dimension))."
            )
        yield block


def gradients_at(objective: Objective, nodes: NDArray[Any], points: Any, draws: Any) -> Any:
    """The objective's gradients at `points`, which it may only read, apart from these in memory; SpecificationError where
    it writes into them, for another shape, or for what are no real numbers."""
    gradients = asked_at(objective.gradients, nodes, points, draws)
    if getattr(gradients, "shape", None) != points.shape or not real(gradients):
        raise SpecificationError(
            f"{type(objective).__name__}.gradients gave {kind_of(gradients)} at points of shape {tuple(points.shape)} and"
            f" type {points.dtype}; both must have one shape, and be real numbers. Give one gradient a point."
        )
    if isinstance(gradients, np.ndarray) and np.may_share_memory(gradients, points):
        return gradients.copy()  # f = |x|^2 / 2 has its points for gradients, and points are written over
    return gradients


class GradientBatch:
    """One slot per node; a node has one gradient in flight at the most."""

    def __init__(self, experiment: Experiment, seed: int, look_ahead: bool) -> None:
        objective = experiment.objective
        self.objective, self.algorithm = objective, experiment.algorithm
        self.look_ahead = look_ahead
        self.readers = [Reader(draws_of(objective, rank, seed)) for rank in range(experiment.nodes)]
        self.points: NDArray[Any] = np.zeros((experiment.nodes, objective.dimension), experiment.dtype)
        self.draws: list[Any] = [None] * experiment.nodes
        self.pending: list[int] = []
        self.busy = [False] * experiment.nodes
        self.results: list[Any] = [None] * experiment.nodes
        self.everyone = np.arange(experiment.nodes)
        self.batches = self.evaluated = 0

    def submit(self, rank: int, at: NDArray[Any]) -> None:
        """Node `rank` begins a gradient at `at`, with its next draw. RuntimeError where it has one in flight."""
        if self.busy[rank]:
            raise RuntimeError(
                f"node {rank} begins a gradient while another is in flight; a machine computes one at a time. Await the first one."
            )
        require_point(self.algorithm, at, self.points[rank])
        self.busy[rank] = True
        self.points[rank] = at
        self.draws[rank] = self.readers[rank].take()
        self.results[rank] = None
        self.pending.append(rank)
        if not self.look_ahead:
            self._evaluate()

    def result(self, rank: int) -> NDArray[Any]:
        """The gradient that node `rank` began last."""
        self.busy[rank] = False
        if self.results[rank] is None:
            self._evaluate()
        return self.results[rank]

    def release(self) -> None:
        """Let go of blocks and draws, which are large where many seeds follow one another."""
        self.readers, self.draws = [], []

    def _evaluate(self) -> None:
        pending = self.pending
        self.batches += 1
        self.evaluated += len(pending)
        if len(pending) == len(self.results):
            order, points, draws = self.everyone, self.points, np.array(self.draws)
            pending = range(len(pending))
        else:
            order = np.array(pending)
            points, draws = self.points[order], np.array([self.draws[rank] for rank in pending])
        found = gradients_at(self.objective, order, points, draws)
        found = found.astype(points.dtype, copy=False)
        for rank, gradient in zip(pending, found, strict=True):
            self.results[rank] = gradient
        self.pending = []
