"""What the rate study concludes from its table: exponents with intervals, the share of the bound, the collapse on nK.

The rule: functions of the table alone. Whole seeds are resampled, the same ones at every K; a curve follows the rate if
the interval of its exponent lies within TOLERANCE of -1/2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from theory.statistics import Slope, bootstrap_slope

TOLERANCE = 0.05
FITTED = 16
"""K runs over the last factor of 16: the first steps, before f has fallen, follow no power."""
LEVEL = 0.05


@dataclass(frozen=True)
class Fit:
    """One curve. first, last: the range of K fitted."""

    problem: str
    method: str
    nodes: int
    first: int
    last: int
    slope: Slope

    @property
    def communicating(self) -> bool:
        return self.method == "SGP"

    @property
    def follows(self) -> bool:
        """Whether the exponent is -1/2, up to TOLERANCE."""
        return max(abs(self.slope.lower + 0.5), abs(self.slope.upper + 0.5)) <= TOLERANCE


def curve(data: pl.DataFrame, problem: str, method: str, nodes: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """K, ascending, and the averages (K, seeds) of one curve."""
    rows = data.filter(problem=problem, method=method, nodes=nodes).sort("steps", "seed")
    steps = rows["steps"].unique().sort().to_numpy().astype(np.float64)
    return steps, rows["average"].to_numpy().reshape(len(steps), -1)


def fits(data: pl.DataFrame) -> list[Fit]:
    """The exponent of each curve over the last FITTED of K, in the table's order."""
    found: list[Fit] = []
    for problem, method, nodes in data.select("problem", "method", "nodes").unique(maintain_order=True).iter_rows():
        steps, values = curve(data, problem, method, nodes)
        late = steps * FITTED >= steps[-1]
        slope = bootstrap_slope(steps[late], values[late], LEVEL)
        found.append(Fit(problem, method, nodes, int(steps[late][0]), int(steps[-1]), slope))
    return found


def least_steps_of(data: pl.DataFrame) -> dict[int, float]:
    """K_min of D2 per number of nodes: the largest of its three conditions."""
    rows = data.filter(pl.col("least_steps").is_not_null()).select("nodes", "least_steps").unique().sort("nodes")
    return {int(nodes): float(least) for nodes, least in rows.iter_rows()}


def share_of_bound(data: pl.DataFrame) -> tuple[float, int]:
    """(largest mean average / bound, number of points) where D2 applies."""
    rows = data.filter(pl.col("steps") >= pl.col("least_steps"))
    ratios = rows.group_by("nodes", "steps").agg((pl.col("average").mean() / pl.col("bound").first()).alias("ratio"))["ratio"]
    return float(ratios.to_numpy().max()), len(ratios)


def collapse(data: pl.DataFrame) -> dict[str, float]:
    """Per problem, how far averages differ among n at equal nK, over the range fitted: largest / smallest - 1, at its
    largest."""
    found: dict[str, float] = {}
    for problem in data["problem"].unique(maintain_order=True):
        rows = data.filter(pl.col("problem") == problem, pl.col("method") == "SGP", pl.col("steps") * FITTED >= data["steps"].max())
        product = pl.col("nodes") * pl.col("steps")
        means = rows.group_by(product.alias("product"), "nodes").agg(pl.col("average").mean())
        spread = means.group_by("product").agg((pl.col("average").max() / pl.col("average").min() - 1).alias("spread"), pl.len())
        found[problem] = float(spread.filter(pl.col("len") > 1)["spread"].to_numpy().max())
    return found
