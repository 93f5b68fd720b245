"""Sigmoid loss: smooth and not convex, with bounded gradients, so that every constant of the theorems is certified."""

from __future__ import annotations

import math

import numpy as np

from sgpsim.mass import Array
from sgpsim.objectives.arrays import namespace
from sgpsim.objectives.datasets import Dataset, SyntheticClassification
from sgpsim.objectives.finite_sum import Batch, Sampling
from sgpsim.objectives.margin import MarginLoss, signed_shards
from sgpsim.objectives.objective import Constant, Constants
from sgpsim.objectives.split import ByGroup, Split
from sgpsim.specification.ranges import Nodes, Quantity
from sgpsim.specification.specification import specification

CURVATURE = 1 / (6 * math.sqrt(3))
"""max |s''| of the logistic function s: s'' = s (1 - s) (1 - 2 s) is largest in size at s = (1 +- 1/sqrt(3)) / 2."""


@specification
class SigmoidLoss(MarginLoss):
    """f_i(x) = mean_j 1 / (1 + exp(y_j a_j.x)), y in {-1, +1}: in (0, 1), not convex, |grad| <= max|a| / 4.

    nodes: how many. data: samples of two classes; the default has 16 groups of unlike data, a whole number of which
    goes to each node, so that 2, 4, 8 and 16 nodes minimize the same f. split: who holds which. batch: samples per
    gradient. scale: features are multiplied so that the longest a has this length (L, sigma, zeta scale with its powers
    2, 1, 1); None: as they are. bias: whether a column of ones is appended before that. sampling: draws with
    replacement, or shuffled epochs.
    """

    nodes: Nodes
    data: Dataset = SyntheticClassification(samples=1024, features=10, groups=16, unlikeness=1.0)
    split: Split = ByGroup()
    batch: Batch = 4
    scale: Quantity | None = 3.0
    bias: bool = False
    sampling: Sampling = "replacement"  # pyright: ignore[reportIncompatibleMethodOverride]

    regularization = 0.0  # no field: a squared norm would unbound the gradients

    def __post_init__(self) -> None:
        shards = signed_shards("SigmoidLoss", self.data, self.split, self.nodes, self.bias)
        longest = float(np.linalg.norm(shards.features, axis=1).max())
        if self.scale is not None and longest > 0:
            np.multiply(shards.features, self.scale / longest, out=shards.features)
        object.__setattr__(self, "shards", shards)  # made from the fields: no part of the value
        object.__setattr__(self, "dimension", shards.features.shape[1])

    def losses(self, margins: Array) -> Array:
        return 0.5 - 0.5 * namespace(margins).tanh(0.5 * margins)

    def slopes(self, margins: Array) -> Array:
        half = namespace(margins).tanh(0.5 * margins)
        return 0.25 * (half * half) - 0.25  # -s (1 - s)

    def constants(self) -> Constants:
        smoothness, variance, heterogeneity = self.margin_constants(
            0.25, CURVATURE, "phi' in [-1/4, 0), |phi''| <= 1/(6 sqrt 3)"
        )
        return Constants(
            smoothness=smoothness,
            convexity=Constant.unknown("the sigmoid loss is not convex"),
            variance=variance,
            heterogeneity=heterogeneity,
            lowest=Constant(0.0, "certified", "phi > 0: a lower bound, not the infimum"),
        )
