"""Splits: which samples each node holds.

The rule: a split is a partition. Every sample goes to exactly one node and every node gets at least one; what would
leave a node with nothing is refused (more nodes than samples) or repaired as documented. Randomness comes from the
stream "split" of the split's own seed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from sgpsim.errors import SpecificationError
from sgpsim.objectives.datasets import Samples
from sgpsim.specification.ranges import Count, Range, Seed
from sgpsim.specification.specification import specification
from sgpsim.streams import stream

Parts = tuple[NDArray[np.int64], ...]
"""Per node, the numbers of its samples, ascending."""


class Split(ABC):
    """How samples are dealt out to nodes."""

    @abstractmethod
    def deal(self, samples: Samples, nodes: int) -> list[NDArray[np.int64]]:
        """One array of sample numbers per node, in any order."""

    def parts(self, samples: Samples, nodes: int) -> Parts:
        """The samples of each node, ascending. Raises SpecificationError where there are more nodes than samples."""
        count = len(samples.labels)
        if nodes > count:
            raise SpecificationError(
                f"{nodes} nodes for {count} samples; every node needs at least one sample. Give at most {count}"
                " nodes, or a larger data set."
            )
        return tuple(np.sort(part) for part in self.deal(samples, nodes))


@specification
class EvenSplit(Split):
    """Samples shuffled and dealt out evenly: sizes differ by one at the most."""

    seed: Seed = 0

    def deal(self, samples: Samples, nodes: int) -> list[NDArray[np.int64]]:
        return np.array_split(stream(self.seed, "split").permutation(len(samples.labels)), nodes)


@specification
class ByLabel(Split):
    """Samples sorted by label (shuffled within a label) and cut into even runs: a node sees as few labels as it can."""

    seed: Seed = 0

    def deal(self, samples: Samples, nodes: int) -> list[NDArray[np.int64]]:
        shuffled = stream(self.seed, "split").permutation(len(samples.labels))
        return np.array_split(shuffled[np.argsort(samples.labels[shuffled], kind="stable")], nodes)


@specification
class DirichletSplit(Split):
    """Label skew: each class is dealt out by proportions drawn from Dirichlet(alpha, ..., alpha) over the nodes (Hsu,
    Qi and Brown 2019, recalled).

    Small alpha: most of a class lies on few nodes; large alpha: all nodes alike. Sizes differ. A node left with fewer
    than `least` samples takes them, one at a time, from the node that then has most.
    """

    alpha: Annotated[float, Range("a finite number above 0", "0.1", 1e-6, 1e6)] = 0.1
    seed: Seed = 0
    least: Count = 1

    def deal(self, samples: Samples, nodes: int) -> list[NDArray[np.int64]]:
        count = len(samples.labels)
        if self.least * nodes > count:
            raise SpecificationError(
                f"DirichletSplit(least={self.least}) for {nodes} nodes and {count} samples; that takes"
                f" {self.least * nodes} samples."
                f" Give least={count // nodes} or fewer nodes."
            )
        generator = stream(self.seed, "split")
        owners = np.empty(count, dtype=np.int64)
        for label in range(samples.classes):
            of_class = generator.permutation(np.flatnonzero(samples.labels == label))
            proportions = generator.dirichlet(np.full(nodes, self.alpha))
            cuts = np.rint(np.cumsum(proportions)[:-1] * len(of_class)).astype(np.int64)
            for node, part in enumerate(np.split(of_class, cuts)):
                owners[part] = node
        sizes = np.bincount(owners, minlength=nodes)
        while sizes.min() < self.least:
            poor, rich = int(sizes.argmin()), int(sizes.argmax())
            owners[generator.choice(np.flatnonzero(owners == rich))] = poor
            sizes[poor] += 1
            sizes[rich] -= 1
        return [np.flatnonzero(owners == node) for node in range(nodes)]


@specification
class ByGroup(Split):
    """Whole groups, as the data set names them, in even runs: group g of G goes to node floor(g nodes / G). No
    randomness.

    With the same data, runs with more or fewer nodes minimize the same f as long as nodes divides G and groups are of
    equal size.
    """

    def deal(self, samples: Samples, nodes: int) -> list[NDArray[np.int64]]:
        numbers = np.unique(samples.groups, return_inverse=True)[1]
        groups = int(numbers.max()) + 1
        if nodes > groups:
            raise SpecificationError(
                f"ByGroup() for {nodes} nodes and data of {groups} groups; every node needs a group of its own."
                f" Give at most {groups} nodes, or data with groups={nodes}."
            )
        owners = numbers * nodes // groups
        return [np.flatnonzero(owners == node) for node in range(nodes)]
