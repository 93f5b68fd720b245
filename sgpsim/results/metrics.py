"""Metrics: what is measured of a run, as tidy rows (seed, cut, step, node, time, metric, value).

The rule: xbar is the mean of all mass, under way included: xbar = (1/n)(sum_i x_i + in flight), which is the w-weighted
mean of the z_i. A `step` cut looks at every node after the same number of steps, its time is when the last node got
there; a `time` cut looks at all nodes at one instant, its step is the number of gradients so far over n. Rows of a
node's own carry its number, rows of the whole fleet carry -1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sgpsim.errors import SpecificationError, shown
from sgpsim.mass import ordered_mean
from sgpsim.objectives.objective import Objective, evaluated
from sgpsim.objectives.reading import asked_at
from sgpsim.specification.single_values import is_number

SCHEMA = {
    "seed": pl.Int64,
    "cut": pl.String,
    "step": pl.Int64,
    "node": pl.Int32,
    "time": pl.Float64,
    "metric": pl.String,
    "value": pl.Float64,
}
METRICS = {
    "loss": "f(xbar)",
    "squared_gradient_norm": "|grad f(xbar)|^2",
    "accuracy": "share of samples classified rightly at xbar",
    "consensus_max": "max_i |z_i - xbar|",
    "consensus_mean": "(1/n) sum_i |z_i - xbar|",
    "consensus_squared": "(1/n) sum_i |z_i - xbar|^2",
    "mass_defect": "largest |sum of mass now - (start + all moves)| over coordinates and weight",
    "bytes_sent": "bytes sent by all nodes so far",
    "staleness": "averagings between a gradient's beginning and its use",
}
MEASURED = tuple(metric for metric in METRICS if metric != "staleness")
"""Those that are measured of the whole fleet."""
RISING = frozenset({"accuracy", "bytes_sent"})
"""Metrics that reach a target from below; all others of `METRICS` reach it from above."""


def from_below(metric: str, at_least: bool | None = None) -> bool:
    """Whether `metric` has reached a target where it is at or above it (else: at or below). at_least: the answer for a
    metric that is not one of `METRICS`, whose direction nobody knows; SpecificationError where it is missing."""
    if at_least is None:
        if metric not in METRICS:
            raise SpecificationError(
                f"metric {metric!r} has no known direction; a target is reached from above or from below. Give"
                " at_least=True or at_least=False."
            )
        return metric in RISING
    return at_least


def require_note(metric: str, value: float) -> float:
    """`value` as a float; SpecificationError where a node's own figure is no number, or is called as what sgpsim measures
    itself, for which targets would take it."""
    if metric in MEASURED or not isinstance(metric, str) or not metric:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise SpecificationError(
            f"a node notes the metric {shown(metric)}; a figure of its own has a name of its own, none of"
            f" {', '.join(MEASURED)}. Give such as 'clipped'."
        )
    if not is_number(value):
        raise SpecificationError(f"a node notes {metric} = {shown(value)}; it must be a number. Give one such as 0.5.")
    return float(value)


Row = tuple[int, str, int, int, float, str, float]
"""One row, in the order of SCHEMA."""
Keep = Callable[[Sequence[Row]], None]
"""Given the rows of each cut as soon as it is measured."""


@dataclass
class Measurements:
    """Collects rows while a run goes on; `table` makes the value. keep: told of them at once."""

    objective: Objective
    seeds: tuple[int, ...]
    keep: Keep | None = None
    rows: list[Row] = field(default_factory=list)

    def measure(
        self,
        cut: Literal["step", "time"],
        step: int,
        times: NDArray[np.float64],
        average: NDArray[np.float64],
        points: NDArray[np.float64],
        defects: NDArray[np.float64],
        sent: NDArray[np.float64],
    ) -> dict[int, str]:
        """One cut of all seeds. times, defects, sent: (seeds,); average: (seeds, dimension); points z: (nodes, seeds,
        dimension). Returns which loss or point is not finite, by place of the seed; nothing where all are."""
        average64 = np.asarray(average, dtype=np.float64)
        with np.errstate(all="ignore"):
            distances = np.linalg.norm(np.asarray(points, dtype=np.float64) - average64, axis=-1)
            objective, each = self.objective, average64.shape[:-1]
            gradient = asked_at(objective.full_gradient, average64)
            gradient = evaluated(objective, "full_gradient", gradient, average64, average64.shape)
            found: dict[str, Any] = {
                "loss": evaluated(objective, "loss", asked_at(objective.loss, average64), average64, each),
                "squared_gradient_norm": np.einsum("...d,...d->...", gradient, gradient),
                "consensus_max": distances.max(axis=0),
                "consensus_mean": ordered_mean(distances),
                "consensus_squared": ordered_mean(distances * distances),
                "mass_defect": defects,
                "bytes_sent": sent,
            }
            accuracy = asked_at(objective.accuracy, average64)
            if accuracy is not None:
                found["accuracy"] = evaluated(objective, "accuracy", accuracy, average64, each)
        rows: list[Row] = [
            (seed, cut, step, -1, time, metric, value)
            for metric, values in found.items()
            for seed, time, value in zip(
                self.seeds, times.tolist(), np.asarray(values, dtype=np.float64).tolist(), strict=True
            )
        ]
        self.rows += rows  # in one go, so that a run that is interrupted holds whole cuts
        if self.keep is not None:
            self.keep(rows)
        losses, apart = np.asarray(found["loss"]), found["consensus_max"]
        if np.isfinite(losses).all() and np.isfinite(apart).all():
            return {}
        unsound: dict[int, str] = {}
        for place in range(len(self.seeds)):
            where = np.argwhere(~np.isfinite(points[:, place]))
            if len(where):
                unsound[place] = f"z = x / w of node {where[0][0]} is {points[where[0][0], place, where[0][1]]}"
            elif not np.isfinite(losses[place]):
                farthest = int(np.abs(points[:, place]).max(axis=-1).argmax())
                size = np.abs(points[farthest, place]).max()
                unsound[place] = f"the loss is {losses[place]}, with node {farthest} farthest out, at {size:.6g}"
        return unsound

    def note(self, seed: int, step: int, node: int, time: float, metric: str, value: float) -> None:
        """One figure of a node's own."""
        row = (seed, "time", step, node, time, metric, value)
        self.rows.append(row)
        if self.keep is not None:
            self.keep((row,))

    @property
    def beyond_start(self) -> bool:
        """Whether anything was measured after the start."""
        return any(row[2] > 0 for row in reversed(self.rows))

    @property
    def last_loss(self) -> float:
        """The loss measured last (inf before the first)."""
        for row in reversed(self.rows):
            if row[5] == "loss":
                return row[6]
        return float("inf")

    def table(self) -> pl.DataFrame:
        return pl.DataFrame(self.rows, schema=SCHEMA, orient="row")
