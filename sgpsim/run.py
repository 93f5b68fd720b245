"""Run: what came out of an experiment on a backend, as one value that studies, theorems and reports read.

The rule: a run is complete in itself (it carries its experiment) and holds nothing of the machinery that made it. A run
that diverged or leaked still holds all that was computed before, and says in `outcome` and `remarks` what happened
where.
"""

from __future__ import annotations

import math
import os
import platform
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sgpsim.errors import SpecificationError
from sgpsim.experiment import Experiment
from sgpsim.metrics import from_below
from sgpsim.trace import Trace

Outcome = Literal["finished", "diverged", "leaked", "failed", "interrupted"]


class Trajectory(NamedTuple):
    """Everything a run went through, for checks of theory; kept on request.

    values: (cuts, nodes, seeds, dimension), cut k after k steps (one more after a drain). weights: (cuts, nodes).
    gradients, moves: (cuts - 1, nodes, seeds, dimension), as returned by `gradient` and reported by the method.
    flight_values: (cuts, seeds, dimension) and flight_weights: (cuts,), mass under way. clocks: (cuts, nodes, seeds),
    seconds.
    """

    values: NDArray[np.float64]
    weights: NDArray[np.float64]
    gradients: NDArray[np.float64]
    moves: NDArray[np.float64]
    flight_values: NDArray[np.float64]
    flight_weights: NDArray[np.float64]
    clocks: NDArray[np.float64]


class Final(NamedTuple):
    """Where a run ended. values: (nodes, seeds, dimension), weights: (nodes, seeds), clocks: (nodes, seeds) in
    seconds."""

    values: NDArray[np.float64]
    weights: NDArray[np.float64]
    clocks: NDArray[np.float64]

    @property
    def points(self) -> NDArray[np.float64]:
        """z = x / w, (nodes, seeds, dimension)."""
        return self.values / self.weights.astype(self.values.dtype)[..., None]

    def padded(self, seeds: int) -> Final:
        """With NaN for the last of `seeds` seeds, which never began."""
        missing = seeds - self.values.shape[1]
        if not missing:
            return self
        return Final(*(np.pad(part, [(0, 0), (0, missing), (0, 0)][: part.ndim], constant_values=np.nan) for part in self))


@dataclass(frozen=True, eq=False)
class Run:
    """experiment: what was computed. backend: on what, in words. metrics: tidy table (see sgpsim.metrics). final: where
    the nodes ended.

    outcome: finished, diverged (numbers left the floating-point range), leaked (the monitor found mass lost), failed
    (a real process died or hung), or interrupted (a person or the system ended it before its time; `final` is NaN for
    seeds that had not begun). remarks: what happened where. statistics: counts of the machinery (events, mean gradient batch). provenance:
    versions, machine, date.
    """

    experiment: Experiment
    backend: str
    metrics: pl.DataFrame
    final: Final
    trace: Trace | None = None
    trajectory: Trajectory | None = None
    outcome: Outcome = "finished"
    remarks: tuple[str, ...] = ()
    statistics: dict[str, float] = field(default_factory=dict[str, float])
    provenance: dict[str, Any] = field(default_factory=dict[str, Any])

    def __repr__(self) -> str:
        """Method, machine, outcome, size and last loss: what tells one run from another in a list."""
        losses = self.metrics.filter((pl.col("metric") == "loss") & (pl.col("node") == -1)).sort("step", "time")
        last = f", loss {losses['value'][-1]:.6g} at step {losses['step'][-1]}" if len(losses) else ""
        seeds = len(self.experiment.seeds)
        return (
            f"<Run of {type(self.experiment.algorithm).__name__} on {self.backend}: {self.outcome},"
            f" {self.experiment.nodes} nodes, {seeds} seed{'s' if seeds > 1 else ''}{last}>"
        )

    def curve(self, metric: str, cut: str | None = None) -> pl.DataFrame:
        """Columns (seed, step, time, value) of one fleet-wide metric, over the given cut, else over the cut that the
        run measured."""
        rows = self.metrics.filter((pl.col("metric") == metric) & (pl.col("node") == -1))
        if rows.is_empty():
            fleet = self.metrics.filter(pl.col("node") == -1)
            known = sorted(fleet["metric"].unique().to_list())
            whose = " of the whole fleet" if metric in self.metrics["metric"] else ""
            raise SpecificationError(f"the run holds no metric {metric!r}{whose}; it must be one of {', '.join(known)}.")
        if cut is None:
            cut = "step" if (rows["cut"] == "step").any() else "time"
        return rows.filter(pl.col("cut") == cut).select("seed", "step", "time", "value").sort("seed", "step", "time")

    def time_to(self, target: float, metric: str = "loss", at_least: bool | None = None) -> pl.DataFrame:
        """Per seed, the first time (s) and step at which `metric` had reached `target`; null where it never had.

        Loss, gradient norm, consensus and defects reach it at or below, accuracy and bytes at or above; for a metric of
        another name say which by `at_least`. Raises SpecificationError for a target that is not finite.
        """
        if not math.isfinite(target):
            raise SpecificationError(f"the target is {target!r}; it must be a finite number. Give one such as 0.5.")
        rows = self.curve(metric).filter(pl.col("value").is_not_nan())  # to polars NaN is above every number
        enough = pl.col("value") >= target if from_below(metric, at_least) else pl.col("value") <= target
        seeds = pl.DataFrame({"seed": list(self.experiment.seeds)}, schema={"seed": pl.Int64})
        reached = rows.filter(enough).group_by("seed").agg(pl.col("time").min(), pl.col("step").min())
        return seeds.join(reached, on="seed", how="left", maintain_order="left")

    @property
    def average(self) -> NDArray[np.float64]:
        """xbar at the end, (seeds, dimension)."""
        return self.final.values.mean(axis=0)


def not_begun(experiment: Experiment, begun: int) -> tuple[str, ...]:
    """A remark on the seeds that a run did not come to."""
    left = experiment.seeds[begun:]
    shown = ", ".join(map(str, left[:10])) + (f", ... {len(left)} in all" if len(left) > 10 else "")
    return (f"not begun, and NaN at the end: seed {shown}",) if left else ()


def provenance() -> dict[str, Any]:
    """Versions, commit, machine, threads and date: what one needs to make a run again."""
    return {**_machinery(), "date": datetime.now(UTC).isoformat(timespec="seconds")}


@cache
def _machinery() -> dict[str, Any]:
    """What does not change while a process lives; asking for the commit starts another process."""
    versions: dict[str, str] = {}
    for name in ("sgpsim", "numpy", "scipy", "networkx", "simpy", "polars", "torch"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "versions": versions,
        "python": sys.version.split()[0],
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "threads": os.environ.get("OMP_NUM_THREADS", "unset"),
        "commit": _commit(),
    }


def _commit() -> str:
    """The commit of the checkout that sgpsim is imported from; `unknown` outside one."""
    try:
        told = subprocess.run(
            ["git", "describe", "--always", "--dirty"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return told.stdout.strip()
