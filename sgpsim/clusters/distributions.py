"""Random compute times: log-normal, gamma, exponential, shifted exponential, Pareto.

The rule: `seconds` is always the mean of one gradient, so exchanging one family for another leaves the average work
alone and changes only its spread; only Pareto, whose mean may be infinite, is given by its least value. Durations of a
node are independent draws. Parameters scale standard draws, so two settings of one family meet the same luck: the k-th
duration of a node comes from the same standard variate in both.

E[max of n], the cost of a barrier, grows with the tail: see each class. The formulas are textbook facts; `tests` hold
the draws to them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from sgpsim.clusters.compute_time import BLOCK, ComputeTime
from sgpsim.errors import SpecificationError
from sgpsim.specification.ranges import LARGEST, NotNegative, Quantity, Range
from sgpsim.specification.specification import specification


@specification
class LogNormalTime(ComputeTime):
    """seconds * exp(sigma g - sigma^2 / 2), g standard normal: the common model of jitter on a busy machine.

    seconds: the mean. sigma: standard deviation of the logarithm, 0 for none; the coefficient of variation is
    sqrt(exp(sigma^2) - 1), close to sigma while that is small. 0.02 to 0.1 is usual for a step on a GPU (recalled).
    E[max of n] grows as exp(sigma sqrt(2 ln n)).
    """

    seconds: Quantity
    sigma: Annotated[float, Range("a finite number of at least 0", "0.05", 0.0, 10.0)]

    def durations(self, node: int, generator: np.random.Generator) -> Iterator[NDArray[np.float64]]:
        while True:
            yield self.seconds * np.exp(self.sigma * generator.standard_normal(BLOCK) - 0.5 * self.sigma**2)

    @property
    def mean(self) -> float:
        return self.seconds


@specification
class GammaTime(ComputeTime):
    """Gamma with shape 1 / variation^2 and scale seconds * variation^2.

    seconds: the mean. variation: coefficient of variation, standard deviation over mean; 0.1 for machines of one kind
    and 0.6 for unlike ones are used for simulated asynchronous SGD (Barkai, Hakimi and Schuster 2020, recalled).
    """

    seconds: Quantity
    variation: Annotated[float, Range("a finite number above 0", "0.1", 1e-6, 100.0)]

    def durations(self, node: int, generator: np.random.Generator) -> Iterator[NDArray[np.float64]]:
        shape = 1.0 / self.variation**2
        while True:
            yield (self.seconds / shape) * generator.standard_gamma(shape, BLOCK)

    @property
    def mean(self) -> float:
        return self.seconds


@specification
class ExponentialTime(ComputeTime):
    """Exponential with mean `seconds`, the memoryless case with exact laws: E[max of n] = seconds * H_n, the n-th
    harmonic number; a directed ring of n nodes without delay takes seconds * (2 - 1/n) per step."""

    seconds: Quantity

    def durations(self, node: int, generator: np.random.Generator) -> Iterator[NDArray[np.float64]]:
        while True:
            yield self.seconds * generator.standard_exponential(BLOCK)

    @property
    def mean(self) -> float:
        return self.seconds


@specification
class ShiftedExponentialTime(ComputeTime):
    """shift + an exponential of mean seconds - shift: work that never takes less than `shift` (Lee et al. 2018, recalled).

    shift: the least duration, at least 0. seconds: the mean of the whole, above `shift`.
    E[max of n] = shift + (seconds - shift) H_n.
    """

    shift: NotNegative
    seconds: Quantity

    def __post_init__(self) -> None:
        if self.shift >= self.seconds:
            raise SpecificationError(
                f"ShiftedExponentialTime(shift={self.shift!r}, seconds={self.seconds!r}): `seconds` is the mean of the"
                f" whole and must be above `shift`. Give shift + the mean of the exponential part, or ConstantTime."
            )

    def durations(self, node: int, generator: np.random.Generator) -> Iterator[NDArray[np.float64]]:
        while True:
            yield self.shift + (self.seconds - self.shift) * generator.standard_exponential(BLOCK)

    @property
    def mean(self) -> float:
        return self.seconds


LEAST_SHAPE = 0.1
"""The least Pareto shape: a tail heavier still overflows float64 within the life of a run."""


@specification
class ParetoTime(ComputeTime):
    """Pareto: P(duration > t) = (least / t)^shape for t >= least, the heavy tail of shared data centres.

    least: the shortest duration in seconds. shape: tail exponent; the mean is least * shape / (shape - 1), and it is
    infinite for shape <= 1, which is allowed; the variance is infinite for shape <= 2.
    E[max of n] = least * Gamma(n + 1) Gamma(1 - 1/shape) / Gamma(n + 1 - 1/shape), which grows as n^(1/shape).
    """

    least: Quantity
    shape: Annotated[float, Range(f"a finite number of at least {LEAST_SHAPE}", "1.5", LEAST_SHAPE, LARGEST)]

    def durations(self, node: int, generator: np.random.Generator) -> Iterator[NDArray[np.float64]]:
        while True:
            yield self.least * np.exp(generator.standard_exponential(BLOCK) / self.shape)

    @property
    def mean(self) -> float:
        return self.least * self.shape / (self.shape - 1.0) if self.shape > 1.0 else math.inf
