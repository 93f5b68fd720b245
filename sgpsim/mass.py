"""Mass: what push-sum moves, a numerator with its weight.

The rule: mass is only ever split and added, so the sums of values and of weights over all nodes and messages stay what
they were; only a gradient step (`shifted`) changes the sum of values. One node holds a vector (dimension,) and a float;
a whole fleet holds arrays shaped (nodes, seeds, dimension) and (nodes, 1, 1), and the same expressions act on both.
Weights and shares are float64 always; they are rounded to the value's type only where they meet a value, so that a
float32 run is a float32 run.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np

Array: TypeAlias = Any
"""A numpy array, or a torch tensor. Algorithms use nothing of it but + - * / (and, for Adam, powers)."""


def typed_as(factor: Any, value: Array) -> Any:
    """`factor` (a float, or a float64 array or tensor) rounded to the type of `value`; Python floats are weak
    already."""
    if isinstance(factor, float):
        return factor
    return (
        factor.astype(value.dtype, copy=False)
        if isinstance(factor, np.ndarray | np.generic)
        else factor.to(value.dtype)
    )


class Mass(NamedTuple):
    """Push-sum numerator and weight, (x, w) in Assran et al. 2019, Algorithm 1.

    value: shape (dimension,) for one node, (nodes, seeds, dimension) for a fleet. weight: a float, or (nodes, 1, 1).
    """

    value: Array
    weight: Any

    @property
    def ratio(self) -> Array:
        """The de-biased point z = x / w."""
        return self.value / typed_as(self.weight, self.value)

    def shifted(self, by: Array) -> Mass:
        """(x + by, w): a step acts on the numerator."""
        return Mass(self.value + by, self.weight)

    def __rmul__(self, share: float) -> Mass:  # pyright: ignore[reportIncompatibleMethodOverride]
        """share * (x, w) = (share * x, share * w)."""
        return Mass(typed_as(share, self.value) * self.value, share * self.weight)

    def __add__(self, other: Mass) -> Mass:  # pyright: ignore[reportIncompatibleMethodOverride]
        """(x, w) + (x', w') = (x + x', w + w')."""
        return Mass(self.value + other.value, self.weight + other.weight)


def ordered_sum(stack: Array) -> Array:
    """Sum over the leading axis, added first to last, so that any shape of the other axes gives the same bits."""
    if isinstance(stack, np.ndarray) and stack.size == len(stack):  # one number each: numpy would add pairwise
        return np.add.accumulate(stack, axis=0)[-1]
    return np.add.reduce(stack, axis=0) if isinstance(stack, np.ndarray) else stack.sum(0)


def wide_sum(stack: Array) -> Array:
    """`ordered_sum` in float64, whatever the type: what meets a tolerance must not itself be rounded much."""
    if not isinstance(stack, np.ndarray):
        return stack.double().sum(0)
    if stack.dtype == np.float64 and stack.size > len(stack):
        return np.add.reduce(stack, axis=0)
    return ordered_sum(stack.astype(np.float64, copy=False))


def ordered_mean(stack: Array) -> Array:
    """Mean over the leading axis, added first to last."""
    return ordered_sum(stack) / len(stack)


def on_host(value: Any) -> Any:
    """A tensor as a numpy array; arrays and numbers as they are."""
    return value.detach().cpu().numpy() if hasattr(value, "detach") else value
