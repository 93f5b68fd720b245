"""Objectives that are means over samples: f_i is the mean over the samples that node i holds, and a draw is a batch of
them.

The rule: samples lie in one array, node after node, so a draw is a list of row numbers and says by itself which data it
means. A draw with replacement takes each sample of its node with equal chance, independently; epochs are the node's own
samples in shuffled passes that are always completed, cut into batches wherever they fall.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray

from sgpsim.mass import Array
from sgpsim.objectives.arrays import chunk_length
from sgpsim.objectives.datasets import Dataset
from sgpsim.objectives.objective import Objective
from sgpsim.objectives.split import Split
from sgpsim.specification.ranges import Range
from sgpsim.streams import block_length

Sampling = Literal["replacement", "epochs"]
Batch = Annotated[int, Range("a whole number of at least 1", "16", 1, 1 << 20)]
"""Samples of one draw; more would be more than the memory in which they are gathered."""


@dataclass(frozen=True, eq=False)
class Shards:
    """Samples ordered by node. features: (samples, features). labels: (samples,). starts: (nodes + 1,), node i holds
    rows starts[i]..starts[i+1]-1. numbers: (samples,), the row's number in the data set."""

    features: NDArray[np.float64]
    labels: NDArray[np.int64]
    starts: NDArray[np.int64]
    numbers: NDArray[np.int64]
    classes: int

    @classmethod
    def of(cls, data: Dataset, split: Split, nodes: int, bias: bool) -> Shards:
        """Load, split and order; `bias` appends a column of ones."""
        samples = data.load()
        parts = split.parts(samples, nodes)
        numbers = np.concatenate(parts)
        features = np.empty((len(numbers), samples.features.shape[1] + bias))
        np.take(samples.features, numbers, axis=0, out=features[:, : samples.features.shape[1]], mode="clip")
        if bias:
            features[:, -1] = 1.0
        starts = np.concatenate(([0], np.cumsum([len(part) for part in parts])))
        return cls(features, samples.labels[numbers], starts, numbers, samples.classes)

    @property
    def nodes(self) -> int:
        return len(self.starts) - 1

    def of_node(self, node: int) -> slice:
        """The rows of `node`."""
        return slice(int(self.starts[node]), int(self.starts[node + 1]))

    @cached_property
    def weights(self) -> NDArray[np.float64]:
        """(samples,): 1 / (nodes * size of the row's node), so that f is the weighted sum of the samples' losses."""
        sizes = np.diff(self.starts)
        return np.repeat(1.0 / (self.nodes * sizes), sizes)


class FiniteSum(Objective):
    """f_i(x) = mean over node i's samples of F(x; sample), plus what does not depend on the sample.

    batch: samples per draw. Draws are arrays of row numbers of `shards`; `gradients` takes batches of any length, so a
    draw of one sample is shaped (count, 1).
    """

    batch: int
    shards: Shards

    def draws(self, node: int, generator: np.random.Generator) -> Iterator[NDArray[np.int32]]:
        """Blocks (length, batch) of row numbers."""
        owned = self.shards.of_node(node)
        size, length = owned.stop - owned.start, block_length(4 * self.batch)
        if self.sampling == "epochs":
            yield from _epochs(owned.start, size, length, self.batch, generator)  # never ends
        while True:
            yield generator.integers(owned.start, owned.stop, (length, self.batch), dtype=np.int32)

    @property
    def drawn(self) -> str:
        """How the samples of a draw are taken, in words: its variance is that of one sample over `batch`, or less."""
        if self.sampling == "replacement":
            return "drawn independently"
        return "of shuffled passes (varying less; given the past they are biased, so A2 holds on average only)"

    def variances(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """E|g_i - grad f_i|^2 of a draw with replacement, exactly: points (nodes, dimension) -> (nodes,). Goes through
        every sample once."""
        found = np.empty(self.nodes)
        step = chunk_length(8 * self.dimension, points)
        for node in range(self.nodes):
            owned = self.shards.of_node(node)
            size, total, square = owned.stop - owned.start, np.zeros(self.dimension), 0.0
            center: Array = None  # differences from one of the gradients, lest the squares cancel
            for start in range(owned.start, owned.stop, step):
                draws = np.arange(start, min(start + step, owned.stop), dtype=np.int32)[:, None]
                at = np.broadcast_to(points[node], (len(draws), self.dimension))
                each = np.asarray(
                    self.gradients(np.full(len(draws), node), np.ascontiguousarray(at), draws), dtype=np.float64
                )
                center = each[0] if center is None else center
                each = each - center
                total += each.sum(axis=0)
                square += float(np.einsum("md,md->", each, each))
            found[node] = max(0.0, square / size - float(total @ total) / size**2) / self.batch
        return found


def _epochs(
    start: int, size: int, length: int, batch: int, generator: np.random.Generator
) -> Iterator[NDArray[np.int32]]:
    """Shuffled passes over rows start..start+size-1, end to end, cut into blocks (length, batch); what is left of a
    pass opens the next block."""
    needed, left = length * batch, np.empty(0, dtype=np.int32)
    own = np.arange(start, start + size, dtype=np.int32)
    while True:
        passes = -(-(needed - len(left)) // size)
        fresh = generator.permuted(np.tile(own, (passes, 1)), axis=1).reshape(-1)
        ready = np.concatenate((left, fresh))
        yield ready[:needed].reshape(length, batch)
        left = ready[needed:]
