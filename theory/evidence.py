"""Evidence: what came out of runs, in the form in which claims read it: paths, and the moments that claims about
expectations compare.

The rule: a path is one trajectory with seeds as an axis, copied from a run as it is; moments are per-step figures
made from a path (one column per seed), or computed without sampling (no axis of seeds, see theory.exact_moments).
Both count what is under way: xbar is the mean of all mass.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgpsim.objectives.objective import Objective
from theory.setting import Setting


@dataclass(frozen=True, eq=False)
class Path:
    """values: (steps + 1, nodes, seeds, dimension). weights: (steps + 1, nodes). gradients: (steps, nodes, seeds,
    dimension).

    flight_values: (steps + 1, seeds, dimension) and flight_weights: (steps + 1,), under way. clocks: (steps + 1,
    nodes, seeds), seconds. points: where gradients were taken, (steps, nodes, seeds, dimension), if that is known
    apart from x / w.
    """

    values: NDArray[np.float64]
    weights: NDArray[np.float64]
    gradients: NDArray[np.float64]
    flight_values: NDArray[np.float64]
    flight_weights: NDArray[np.float64]
    clocks: NDArray[np.float64]
    points: NDArray[np.float64] | None = None

    @classmethod
    def of(cls, trajectory: Any, steps: int, points: NDArray[np.float64] | None = None) -> Path:
        """The first `steps` steps of a run's trajectory, in float64."""
        cut = {name: np.asarray(getattr(trajectory, name), np.float64)[: steps + 1] for name in
               ("values", "weights", "flight_values", "flight_weights", "clocks")}  # fmt: skip
        return cls(gradients=np.asarray(trajectory.gradients, np.float64)[:steps], points=points, **cut)

    @property
    def steps(self) -> int:
        return len(self.gradients)

    @property
    def nodes(self) -> int:
        return self.values.shape[1]

    @cached_property
    def average(self) -> NDArray[np.float64]:
        """xbar^k = (1/n)(sum_i x_i + under way): (steps + 1, seeds, dimension)."""
        return (self.values.sum(axis=1) + self.flight_values) / self.nodes

    @cached_property
    def ratios(self) -> NDArray[np.float64]:
        """z = x / w: (steps + 1, nodes, seeds, dimension)."""
        return self.values / self.weights[:, :, None, None]

    @cached_property
    def deviations(self) -> NDArray[np.float64]:
        """R = Z - 1 xbar: (steps + 1, nodes, seeds, dimension)."""
        return self.ratios - self.average[:, None]

    def deviation_rounding(self, setting: Setting) -> NDArray[np.float64]:
        """Roundings of R after k steps, each step's mixing counted on everything that was ever added: (steps + 1,
        seeds)."""
        assert setting.step_size is not None
        pushed = setting.step_size * np.linalg.norm(self.gradients, axis=-1).sum(axis=1)
        terms = np.linalg.norm(self.values[0], axis=-1).sum(axis=0) + np.concatenate((np.zeros_like(pushed[:1]), np.cumsum(pushed, axis=0)))
        return (4 * np.arange(self.steps + 1) + 2 * self.nodes + 16)[:, None] / setting.mixing.least_weight * terms


@dataclass(frozen=True, eq=False)
class Moments:
    """Per step k = 0..K-1 (loss and distance also at K): (steps,) if exact, (steps, seeds) if sampled; then each
    column is one run's own figure.

    loss: f(xbar^k). squared_gradient: N, |grad f(xbar^k)|^2. deviation: M, (1/n) sum_i |z_i^k - xbar^k|^2.
    mean_gradient: |(1/n) sum_i grad f_i(z_i)|^2. drawn: (1/n) sum_i |g_i|^2. at_nodes: (1/n) sum_i |grad f(z_i)|^2.
    distance: |xbar^k - x*|^2, None where x* is not known.
    """

    loss: NDArray[np.float64]
    squared_gradient: NDArray[np.float64]
    deviation: NDArray[np.float64]
    mean_gradient: NDArray[np.float64]
    drawn: NDArray[np.float64]
    at_nodes: NDArray[np.float64]
    distance: NDArray[np.float64] | None = None

    @property
    def steps(self) -> int:
        return len(self.squared_gradient)


def moments_of(path: Path, objective: Objective, minimizer: NDArray[np.float64] | None = None) -> Moments:
    """The figures of each seed of a path; without an axis of seeds where the path has one seed only, which is exact
    if nothing is random."""
    average, last = path.average, path.steps
    points = np.moveaxis(path.ratios[:last], 1, 2)  # (steps, seeds, nodes, dimension)
    local = objective.local_gradients(points)
    distance = None if minimizer is None else _square(average - minimizer)
    figures = {
        "loss": np.asarray(objective.loss(average)),
        "squared_gradient": _square(np.asarray(objective.full_gradient(average[:last]))),
        "deviation": _square(path.deviations[:last]).mean(axis=1),
        "mean_gradient": _square(local.mean(axis=2)),
        "drawn": _square(path.gradients).mean(axis=1),
        "at_nodes": _square(np.asarray(objective.full_gradient(points))).mean(axis=2),
    }
    if path.values.shape[2] == 1:
        figures = {name: found[:, 0] for name, found in figures.items()}
        distance = None if distance is None else distance[:, 0]
    return Moments(**figures, distance=distance)


def _square(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """|v|^2 over the last axis."""
    return np.einsum("...d,...d->...", vectors, vectors)
