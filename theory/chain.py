"""Chain: the matrices of a schedule's rounds, their products, and the kernel that says how far a product is from
exact averaging.

The rule: everything here is computed from the matrices alone, without any algorithm. With A_{k:s} = P^{k-1} ... P^s,
w^k = A_{k:0} w^0 and n real nodes, the kernel is E_{k:s} = diag(w^k)^{-1} A_{k:s} - (1/n) 1 1'. With delays
(theory.delays) the chain has further states for what is under way; then the rows of the kernel are the real nodes and
its columns all states. A product over m rounds that starts at step s is told by (s, m).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from sgpsim.schedules.schedule import Schedule
from sgpsim.schedules.validation import TOLERANCE

SETTLED = 1e-15
"""Relative change of every single weight over a period below which they count as periodic: kernels divide by the smallest one."""


LARGE = 128
"""States beyond which products are made of sparse rounds, and norms found by iteration."""


@dataclass(frozen=True, eq=False)
class Chain:
    """rounds: (stored, states, states), P^0, P^1, ...; the stored rounds repeat if `periodic`. horizon: how many
    rounds are asked about.

    real: how many states are nodes (the first ones); the others, if any, are messages under way and hold no weight at
    the start.
    """

    rounds: NDArray[np.float64]
    horizon: int
    periodic: bool
    real: int

    @classmethod
    def of(cls, schedule: Schedule, horizon: int) -> Chain:
        """The chain of a schedule's first `horizon` rounds."""
        stored = schedule.period if schedule.period is not None else horizon
        rounds = np.stack([schedule.matrix(step).toarray() for step in range(stored)])
        return cls(rounds, horizon, schedule.period is not None, schedule.size)

    @classmethod
    def of_matrices(cls, rounds: NDArray[np.float64], horizon: int) -> Chain:
        """The chain of one matrix (n, n), or of a stack (p, n, n) that repeats."""
        stacked = np.asarray(rounds, dtype=np.float64)
        stacked = stacked[None] if stacked.ndim == 2 else stacked
        return cls(stacked, horizon, True, stacked.shape[1])

    @property
    def states(self) -> int:
        return self.rounds.shape[1]

    @property
    def large(self) -> bool:
        return self.states > LARGE

    @cached_property
    def sparse(self) -> tuple[csr_array, ...]:
        """The stored rounds, sparse."""
        return tuple(csr_array(matrix) for matrix in self.rounds)

    @cached_property
    def leak(self) -> float:
        """The largest |column sum - 1|: the part of a node's mass that one round loses or makes."""
        return float(np.abs(self.rounds.sum(axis=1) - 1.0).max())

    @cached_property
    def conserves(self) -> bool:
        """Whether columns sum to 1 to the rounding that validation grants: TOLERANCE for each entry of the column."""
        granted = TOLERANCE * np.maximum(1, np.count_nonzero(self.rounds, axis=1))
        return bool((np.abs(self.rounds.sum(axis=1) - 1.0) <= granted).all())

    @property
    def starts(self) -> int:
        """Starting steps whose products may differ."""
        return len(self.rounds) if self.periodic else self.horizon + 1

    def phase(self, step: int) -> int:
        """The earliest step with the same round, the same weights (to rounding) and the same future as `step`."""
        if not self.periodic or step < self.distinct or self.distinct < len(self.rounds):
            return step
        return self.distinct - len(self.rounds) + (step - self.distinct) % len(self.rounds)

    def index(self, step: Any) -> Any:
        """Where the round of a step, or of an array of steps, is stored."""
        return step % len(self.rounds) if self.periodic else step

    def round(self, step: int) -> NDArray[np.float64]:
        """P of `step`."""
        return self.rounds[self.index(step)]

    @cached_property
    @np.errstate(over="ignore", invalid="ignore")  # rounds that make mass make more than any number
    def masses(self) -> NDArray[np.float64]:
        """A_{k:0} w^0 for k = 0..horizon: (horizon + 1, states)."""
        found = np.zeros((self.horizon + 1, self.states))
        found[0, : self.real] = 1.0
        for step in range(self.horizon):
            found[step + 1] = (self.sparse[self.index(step)] if self.large else self.round(step)) @ found[step]
        return found

    @property
    def weights(self) -> NDArray[np.float64]:
        """w^k of the real nodes: (horizon + 1, real)."""
        return self.masses[:, : self.real]

    @property
    def least_weight(self) -> float:
        """delta: the smallest weight of any node at any step of the horizon."""
        return float(self.weights.min())

    @cached_property
    def distinct(self) -> int:
        """Starting steps whose kernels may differ: all of them, or those until the weights have become periodic and
        one period more."""
        if not self.periodic:
            return self.horizon + 1
        period = len(self.rounds)
        later, earlier = self.weights[period:], self.weights[:-period]
        moving = np.flatnonzero((np.abs(later - earlier) > SETTLED * later).any(axis=1))
        return min(self.horizon + 1, period + (int(moving[-1]) + 1 if len(moving) else 0))

    def product(self, start: int, stop: int) -> NDArray[np.float64]:
        """A_{stop:start}; the identity where both are equal."""
        found = np.eye(self.states)
        for step in range(start, stop):
            found = self.round(step) @ found
        return found

    def kernel(self, start: int, stop: int) -> NDArray[np.float64]:
        """E_{stop:start}: (real, states)."""
        return self.product(start, stop)[: self.real] / self.weights[stop][:, None] - 1.0 / self.real

    def products(self, longest: int, starts: NDArray[np.int64] | None = None) -> Iterator[NDArray[np.float64]]:
        """For m = 0, 1, ..., longest: A_{s+m:s} for all starts s that can differ, or for those given, ascending:
        (starts, states, states).

        A chain that repeats goes on beyond its horizon; of one that does not, those starts are left with s + m <= horizon.
        """
        begin = np.arange(self.starts) if starts is None else starts
        found = np.broadcast_to(np.eye(self.states), (len(begin), self.states, self.states))
        yield found
        for length in range(1, (longest if self.periodic else min(longest, self.horizon)) + 1):
            if not self.periodic:
                begin = begin[begin + length <= self.horizon]
            found = self._onward(begin + length - 1, found[: len(begin)])
            yield found

    def _onward(self, steps: NDArray[np.int64], products: NDArray[np.float64]) -> NDArray[np.float64]:
        """P^k A for each step k and the product A that it follows."""
        if not self.large:
            return self.rounds[self.index(steps)] @ products
        return np.stack([self.sparse[self.index(int(step))] @ product for step, product in zip(steps, products, strict=True)])

    def remainders(self, longest: int, starts: NDArray[np.int64] | None = None) -> Iterator[NDArray[np.float64]]:
        """For m = 0, 1, ..., longest: F_{s+m:s} = A_{s+m:s} - (1/n) A_{s+m:0} w^0 1' for all starts s that can differ, or
        for those given, as far as s + m <= horizon.

        Each (starts, states, states). They compose, F_{k:s} = F_{k:r} F_{r:s}, as columns of A sum to 1 and all mass
        to n; the kernel is F's rows of real nodes, divided by their weights.
        """
        wanted = np.arange(self.distinct) if starts is None else starts
        needed, place = np.unique(self.index(wanted), return_inverse=True)
        for length, found in enumerate(self.products(min(longest, self.horizon), needed)):
            here = wanted + length <= self.horizon
            yield found[place[here]] - self.masses[wanted[here] + length][:, :, None] / self.real

    def kernels(self, longest: int) -> Iterator[NDArray[np.float64]]:
        """For m = 0, 1, ..., longest: E_{s+m:s} for all starts s that can differ: (starts, real, states)."""
        for length, found in enumerate(self.remainders(longest)):
            yield found[:, : self.real] / self.weights[np.arange(len(found)) + length][:, :, None]
