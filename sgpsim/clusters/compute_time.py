"""Compute times: how many seconds the k-th gradient of a node takes on an undisturbed machine.

The rule: a duration has an address (seed, node, k) and depends on neither clock nor algorithm, so algorithms are
compared under common random numbers. A specification is frozen; its endless blocks are the run-time state. Slow nodes
are a matter of `stragglers`, random durations of `distributions`, durations from a file of `measured_times`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sgpsim.specification.ranges import Quantity
from sgpsim.specification.specification import specification

BLOCK = 256
"""Durations drawn at a time, the same for every node and model."""


class ComputeTime(ABC):
    """Seconds per gradient."""

    @abstractmethod
    def durations(self, node: int, generator: np.random.Generator) -> Iterator[NDArray[np.float64]]:
        """Endless blocks (BLOCK,) of the seconds that `node`'s gradients take, one after the other; all >= 0."""

    @property
    @abstractmethod
    def mean(self) -> float:
        """Expected seconds of one gradient (inf where the mean does not exist)."""

    def check(self, nodes: int) -> None:
        """Raise SpecificationError where the model has no durations for some node of a cluster of `nodes` nodes."""
        return


@specification
class ConstantTime(ComputeTime):
    """Every gradient takes `seconds`."""

    seconds: Quantity

    def durations(self, node: int, generator: np.random.Generator) -> Iterator[NDArray[np.float64]]:
        while True:
            yield np.full(BLOCK, self.seconds)

    @property
    def mean(self) -> float:
        return self.seconds
