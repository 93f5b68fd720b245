"""Data sets: labelled samples, from scikit-learn or synthetic. (`table.py` reads the user's own.)

The rule: a data set is a frozen specification; `load` makes the arrays, the same ones every time, and keeps them with
the specification where they are small. Features are float64 and of order one, labels are 0, 1, ..., classes - 1. A bias
is the model's matter, not the data's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cache
from typing import Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sgpsim.errors import SpecificationError
from sgpsim.specification.ranges import MOST_COUNT, Count, NotNegative, Quantity, Range, Seed, Share, require_room
from sgpsim.specification.specification import specification
from sgpsim.streams import stream

KEPT_BYTES = 1 << 26
"""Larger samples are made anew by each `load`: an objective holds its own copy anyway."""


class Samples(NamedTuple):
    """features: (samples, features) float64. labels: (samples,) int64, 0..classes-1. groups: (samples,) int64, where
    each sample comes from."""

    features: NDArray[np.float64]
    labels: NDArray[np.int64]
    groups: NDArray[np.int64]

    @property
    def classes(self) -> int:
        return int(self.labels.max()) + 1


class Dataset(ABC):
    """Labelled samples."""

    @abstractmethod
    def read(self) -> Samples:
        """Make or read the samples. Raises SpecificationError where they are missing or broken."""

    def label_names(self) -> str | None:
        """The numbers that labels 0, 1, ... stand for, where the data's own labels are other numbers; else None."""
        return None

    def load(self) -> Samples:
        """The samples, read once per specification (each time, where they exceed KEPT_BYTES). Not to be written to."""
        found: Samples | None = self.__dict__.get("_samples")
        if found is None:
            found = self.read()
            for array in found:
                array.flags.writeable = False
            if found.features.nbytes <= KEPT_BYTES:
                object.__setattr__(self, "_samples", found)  # a memo beside the frozen fields: no part of the value
        return found


@specification
class Digits(Dataset):
    """1,797 images of handwritten digits, 8 x 8 pixels in [0, 1], 10 classes (UCI; sklearn.datasets.load_digits)."""

    def read(self) -> Samples:
        features, labels = _shipped("load_digits")
        return Samples(features / 16.0, labels, np.zeros_like(labels))


@specification
class BreastCancer(Dataset):
    """569 tumours, 30 features scaled to mean 0 and standard deviation 1, 2 classes (UCI, Wisconsin;
    sklearn.datasets.load_breast_cancer)."""

    def read(self) -> Samples:
        features, labels = _shipped("load_breast_cancer")
        return Samples((features - features.mean(axis=0)) / features.std(axis=0), labels, np.zeros_like(labels))


@cache
def _shipped(loader: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """A data set that ships inside scikit-learn; parsed once per process."""
    from sklearn import datasets  # slow to import, and needed only here

    found: Any = getattr(datasets, loader)()
    return np.asarray(found.data, dtype=np.float64), np.asarray(found.target, dtype=np.int64)


@specification
class SyntheticClassification(Dataset):
    """Gaussian clouds, one per class and group: a = separation (u_y + unlikeness v_{y,g}) + N(0, I / features), labels
    in equal numbers.

    u and v are random unit vectors that sum to 0 over the classes (u, -u for two), so that classes are told apart by a
    hyperplane through 0. samples: how many. features: length of a. classes: how many labels. groups: sources of unlike
    data, of equal size where samples is a multiple of classes * groups (split by `ByGroup`). separation: distance of a
    cloud from 0; its radius is about 1. unlikeness: how far groups differ; 0: not at all. flipped: share of labels
    replaced by the next one. seed: of the stream "synthetic data".
    """

    samples: Count = 1024
    features: Count = 10
    classes: Annotated[int, Range("a whole number of at least 2", "2", 2, MOST_COUNT)] = 2
    groups: Count = 1
    separation: Quantity = 1.0
    unlikeness: NotNegative = 0.0
    flipped: Share = 0.0
    seed: Seed = 0

    def __post_init__(self) -> None:
        require_room("SyntheticClassification(samples, features)", self.samples * self.features)
        if self.samples < self.classes * self.groups:
            raise SpecificationError(
                f"SyntheticClassification(samples={self.samples}) of {self.classes} classes and {self.groups} groups;"
                " each class needs a sample in each"
                f" group. Give samples of at least {self.classes * self.groups}."
            )

    def read(self) -> Samples:
        generator = stream(self.seed, "synthetic data")
        number = np.arange(self.samples)
        labels = number % self.classes
        groups = (number // self.classes) % self.groups
        centers = _directions(generator, 1, self.classes, self.features)
        centers = centers + self.unlikeness * _directions(generator, self.groups, self.classes, self.features)
        features = generator.standard_normal((self.samples, self.features))
        features /= np.sqrt(self.features)
        features += self.separation * centers[groups, labels]
        wrong = generator.random(self.samples) < self.flipped
        return Samples(features, np.where(wrong, (labels + 1) % self.classes, labels), groups)


def _directions(generator: np.random.Generator, groups: int, classes: int, features: int) -> NDArray[np.float64]:
    """Random unit vectors, one per group and class, made from vectors that sum to 0 over the classes: (groups, classes,
    features)."""
    found = generator.standard_normal((groups, classes, features))
    found -= found.mean(axis=1, keepdims=True)
    return found / np.linalg.norm(found, axis=2, keepdims=True)
