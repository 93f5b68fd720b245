"""Straggler: what makes a node slower than its compute times say, and since when.

The rule: a duration is c_k = base_k times the factors of all stragglers in force when the gradient begins. A factor
has an address (seed, node, k) like the duration itself; only `since` looks at the clock, so the event clock and the
array clock agree to the bit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray


class Straggler(ABC):
    """A cause of slowness for some nodes."""

    @property
    def since(self) -> float:
        """Seconds from which on the factors hold; gradients that begin earlier are not touched."""
        return 0.0

    @abstractmethod
    def touches(self, node: int) -> bool:
        """Whether `node` is ever slowed by this cause."""

    @abstractmethod
    def factors(self, node: int, generator: np.random.Generator) -> Iterator[NDArray[np.float64]]:
        """Endless blocks (compute_time.BLOCK,) of the factors of `node`'s gradients; all > 0, usually >= 1."""

    def check(self, nodes: int) -> None:
        """Raise SpecificationError where the cause names a node that a cluster of `nodes` nodes has not."""
        return
