"""Binary logistic regression on data shared among nodes."""

from __future__ import annotations

from sgpsim.mass import Array
from sgpsim.objectives.arrays import namespace
from sgpsim.objectives.datasets import BreastCancer, Dataset
from sgpsim.objectives.finite_sum import Batch, Sampling
from sgpsim.objectives.margin import MarginLoss, signed_shards
from sgpsim.objectives.objective import Constant, Constants
from sgpsim.objectives.split import EvenSplit, Split
from sgpsim.specification.ranges import Nodes, NotNegative
from sgpsim.specification.specification import specification


@specification
class LogisticRegression(MarginLoss):
    """f_i(x) = mean_j log(1 + exp(-y_j a_j.x)) + (regularization / 2) |x|^2, y in {-1, +1}: convex, smooth, gradients
    bounded but for the last term.

    nodes: how many. data: samples of two classes. split: who holds which. batch: samples per gradient. bias: whether a
    column of ones is appended to the features (dimension = features + 1; it is regularized like the rest). sampling:
    draws with replacement, or shuffled epochs.
    """

    nodes: Nodes
    data: Dataset = BreastCancer()
    split: Split = EvenSplit()
    batch: Batch = 16
    regularization: NotNegative = 0.0
    bias: bool = True
    sampling: Sampling = "replacement"  # pyright: ignore[reportIncompatibleMethodOverride]

    def __post_init__(self) -> None:
        shards = signed_shards("LogisticRegression", self.data, self.split, self.nodes, self.bias)
        object.__setattr__(self, "shards", shards)  # made from the fields: no part of the value
        object.__setattr__(self, "dimension", shards.features.shape[1])

    def losses(self, margins: Array) -> Array:
        functions = namespace(margins)  # log(1 + exp(-m)) without overflow
        return functions.log1p(functions.exp(-abs(margins))) + functions.clip(-margins, min=0.0)

    def slopes(self, margins: Array) -> Array:
        found = 0.5 * margins  # 0.5 tanh(m / 2) - 0.5 is -1 / (1 + exp(m)), which would overflow
        namespace(margins).tanh(found, out=found)
        found *= 0.5
        found -= 0.5
        return found

    def constants(self) -> Constants:
        smoothness, variance, heterogeneity = self.margin_constants(1.0, 0.25, "phi' in (-1, 0), |phi''| <= 1/4")
        return Constants(
            smoothness=smoothness,
            convexity=Constant(
                self.regularization, "certified", "the logistic loss is convex, and the squared norm adds its factor"
            ),
            variance=variance,
            heterogeneity=heterogeneity,
            lowest=Constant(
                0.0, "certified", "phi > 0 and the squared norm is not negative: a lower bound, not the minimum"
            ),
        )
