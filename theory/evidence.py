"""Evidence: what came out of runs, in the form in which claims read it: paths, and the moments that claims about
expectations compare.

The rule: a path is one trajectory with seeds as an axis, copied from a run as it is; moments are per-step figures
made from a path (one column per seed), or exact (no axis of seeds): computed without sampling (theory.exact_moments),
or of a run in which nothing is random. One seed of a run with noise is a sample of one, not exact. Both count what is
under way: xbar is the mean of all mass; and both say from which run they come (`origin`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgpsim.objectives.objective import Constants, Objective
from theory.setting import Setting


@dataclass(frozen=True, eq=False)
class Path:
    """values: (steps + 1, nodes, seeds, dimension). weights: (steps + 1, nodes). gradients, moves: (steps, nodes, seeds,
    dimension), as drawn and as added to x.

    flight_values: (steps + 1, seeds, dimension) and flight_weights: (steps + 1,), under way. clocks: (steps + 1,
    nodes, seeds), seconds. points: where gradients were taken, (steps, nodes, seeds, dimension), if that is known
    apart from x / w. origin: the setting of the run itself, None where it is not known.
    """

    values: NDArray[np.float64]
    weights: NDArray[np.float64]
    gradients: NDArray[np.float64]
    moves: NDArray[np.float64]
    flight_values: NDArray[np.float64]
    flight_weights: NDArray[np.float64]
    clocks: NDArray[np.float64]
    points: NDArray[np.float64] | None = None
    origin: Setting | None = None

    @classmethod
    def of(cls, trajectory: Any, steps: int, points: NDArray[np.float64] | None = None, origin: Setting | None = None) -> Path:
        """The first `steps` steps of a run's trajectory, in float64."""
        cut = {name: np.asarray(getattr(trajectory, name), np.float64)[: steps + 1] for name in
               ("values", "weights", "flight_values", "flight_weights", "clocks")}  # fmt: skip
        added = {name: np.asarray(getattr(trajectory, name), np.float64)[:steps] for name in ("gradients", "moves")}
        return cls(points=points, origin=origin, **cut, **added)

    @property
    def steps(self) -> int:
        return len(self.gradients)

    @property
    def nodes(self) -> int:
        return self.values.shape[1]

    @cached_property
    def moderate(self) -> int:
        """How many steps were done with all numbers finite and below LARGE, so that sums of them are finite too. A weight that
        is not positive does not end a run here: a claim is to find it."""
        with np.errstate(invalid="ignore"):
            held = [np.abs(each).reshape(len(each), -1).max(axis=1, initial=0.0) < LARGE for each in (self.values, self.flight_values)]
            done = [np.abs(each).reshape(len(each), -1).max(axis=1, initial=0.0) < LARGE for each in (self.gradients, self.moves)]
            ratios = (np.isfinite(self.ratios).all(axis=(2, 3)) | (self.weights <= 0)).all(axis=1)
        good = held[0] & held[1] & ratios
        good[1:] &= done[0] & done[1]
        return len(good) - 1 if good.all() else max(0, int(np.argmin(good)) - 1)

    def first(self, steps: int) -> Path:
        """The same path, cut after `steps` steps."""
        held = {name: getattr(self, name)[: steps + 1] for name in ("values", "weights", "flight_values", "flight_weights", "clocks")}
        done = {name: getattr(self, name)[:steps] for name in ("gradients", "moves")}
        return replace(self, **held, **done, points=None if self.points is None else self.points[:steps])

    @cached_property
    def average(self) -> NDArray[np.float64]:
        """xbar^k = (1/n)(sum_i x_i + under way): (steps + 1, seeds, dimension)."""
        return (self.values.sum(axis=1) + self.flight_values) / self.nodes

    @cached_property
    def ratios(self) -> NDArray[np.float64]:
        """z = x / w: (steps + 1, nodes, seeds, dimension)."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # a run that lost a weight, or diverged
            return self.values / self.weights[:, :, None, None]

    @cached_property
    def deviations(self) -> NDArray[np.float64]:
        """R = Z - 1 xbar: (steps + 1, nodes, seeds, dimension)."""
        with np.errstate(invalid="ignore"):  # inf - inf, where a run has diverged
            return self.ratios - self.average[:, None]

    def deviation_rounding(self, setting: Setting) -> NDArray[np.float64]:
        """Roundings of R after k steps, each step's mixing counted on everything that was ever added: (steps + 1,
        seeds)."""
        pushed = np.linalg.norm(self.moves, axis=-1).sum(axis=1)
        terms = np.linalg.norm(self.values[0], axis=-1).sum(axis=0) + np.concatenate((np.zeros_like(pushed[:1]), np.cumsum(pushed, axis=0)))
        return (4 * np.arange(self.steps + 1) + 2 * self.nodes + 16)[:, None] / setting.mixing.least_weight * terms


LARGE = 1e100
"""Above this a run counts as diverged."""
FIGURES = ("loss", "squared_gradient", "deviation", "mean_gradient", "drawn", "at_nodes", "distance")
"""What moments are of, by name."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Per step k = 0..K-1 (loss and distance also at K): (steps,) if exact, (steps, seeds) if sampled; then each
    column is one run's own figure.

    loss: f(xbar^k). squared_gradient: N, |grad f(xbar^k)|^2. deviation: M, (1/n) sum_i |z_i^k - xbar^k|^2.
    mean_gradient: |(1/n) sum_i grad f_i(z_i)|^2. drawn: (1/n) sum_i |g_i|^2. at_nodes: (1/n) sum_i |grad f(z_i)|^2.
    distance: |xbar^k - x*|^2, None where x* is not known. noise: (1/n) sum_i |g_i - grad f_i(z_i)|^2.

    reach: (steps + 1,) or (steps + 1, seeds), how far rounding of one step may move a point, in units of the machine
    epsilon: roundings of a step times the size of what they act on (see theory.rounding); None where that is not known.
    covariance_rounding: (steps + 1,), of exact moments: what rounding of one step may leave of a variance of points that is
    0. Variances are carried along as numbers, so unlike squares of points they are off by epsilon, not by epsilon^2.
    origin: the setting of the run itself, None where it is not known.
    """

    loss: NDArray[np.float64]
    squared_gradient: NDArray[np.float64]
    deviation: NDArray[np.float64]
    mean_gradient: NDArray[np.float64]
    drawn: NDArray[np.float64]
    at_nodes: NDArray[np.float64]
    distance: NDArray[np.float64] | None = None
    noise: NDArray[np.float64] | None = None
    reach: NDArray[np.float64] | None = None
    covariance_rounding: NDArray[np.float64] | None = None
    origin: Setting | None = None

    @property
    def steps(self) -> int:
        return len(self.squared_gradient)


@np.errstate(over="ignore", invalid="ignore")  # a run that has diverged: the verdict says so
def moments_of(path: Path, objective: Objective, minimizer: NDArray[np.float64] | None = None) -> Moments:
    """The figures of each seed of a path. Without an axis of seeds where nothing is random (sigma^2 is certified to be 0),
    so that all seeds are the same run."""
    average, last = path.average, path.steps
    points = np.moveaxis(path.ratios[:last], 1, 2)  # (steps, seeds, nodes, dimension)
    local = objective.local_gradients(points)
    constants = objective.constants()
    figures = {
        "loss": np.asarray(objective.loss(average)),
        "squared_gradient": _square(np.asarray(objective.full_gradient(average[:last]))),
        "deviation": _square(path.deviations[:last]).mean(axis=1),
        "mean_gradient": _square(local.mean(axis=2)),
        "drawn": _square(path.gradients).mean(axis=1),
        "at_nodes": _square(np.asarray(objective.full_gradient(points))).mean(axis=2),
        "noise": _square(np.moveaxis(path.gradients, 1, 2) - local).mean(axis=2),
        "reach": _reach(path, constants),
    }
    if minimizer is not None:
        figures["distance"] = _square(average - minimizer)
    if constants.variance.value == 0 and constants.variance.evidence == "certified":
        figures = {name: found[:, 0] for name, found in figures.items()}
    return Moments(**figures, origin=path.origin)


def _reach(path: Path, constants: Constants) -> NDArray[np.float64]:
    """Roundings of one step times the largest size so far of what they act on: points, moves, and the centre that a
    gradient is measured from, which is |g| / mu away at the most (|g| / L where mu is not known).

    A step adds up to n shares, a gradient sums over `dimension` coordinates twice.
    """
    curved = [constant.value for constant in (constants.convexity, constants.smoothness) if constant.value]
    weights = path.weights[:-1, :, None]
    stepped = np.linalg.norm(path.moves, axis=-1) / weights + np.linalg.norm(path.gradients, axis=-1) / (curved or [np.inf])[0]
    sizes = np.linalg.norm(path.ratios, axis=-1)
    sizes[:-1] += stepped
    roundings = path.nodes + 2 * path.values.shape[-1] + 8
    return roundings * np.maximum.accumulate(sizes.max(axis=1), axis=0)


def _square(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """|v|^2 over the last axis."""
    return np.einsum("...d,...d->...", vectors, vectors)
