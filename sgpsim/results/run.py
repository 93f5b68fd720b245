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
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import field, replace
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sgpsim.errors import SpecificationError, shown
from sgpsim.experiment import Experiment
from sgpsim.results.metrics import from_below
from sgpsim.results.trace import Trace, joined_traces
from sgpsim.specification.arguments import checked
from sgpsim.specification.specification import specification

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


SEEDS_AXES = {"values": 2, "gradients": 2, "moves": 2, "flight_values": 1, "clocks": 2}
"""Which axis of a trajectory's arrays counts seeds; the others have none."""


GREATEST = ("worst_monitor_ratio", "seconds_waiting_for_disk")
"""Statistics of which all seeds together have the largest; of all others they have the sum."""


def joined_trajectories(parts: Sequence[Trajectory | None]) -> Trajectory | None:
    """Trajectories of several seeds as one, with the weights of the first; None where one lacks or lengths differ."""
    whole = [part for part in parts if part is not None]
    if not whole or len(whole) < len(parts) or len({len(part.values) for part in whole}) != 1:
        return None
    columns = {
        name: np.concatenate([getattr(part, name) for part in whole], axis=axis) for name, axis in SEEDS_AXES.items()
    }
    return whole[0]._replace(**columns)


class Final(NamedTuple):
    """Where a run ended. values: (nodes, seeds, dimension), weights: (nodes, seeds), clocks: (nodes, seeds) in seconds,
    each node's own at its last report."""

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


@specification(eq=False)
class Run:
    """experiment: what was computed. backend: on what, in words. metrics: tidy table (see sgpsim.results.metrics). final: where
    the nodes ended.

    outcome: finished, diverged (numbers left the floating-point range), leaked (the monitor found mass lost), failed
    (a real process died or hung), or interrupted (a person or the system ended it before its time; `final` is NaN for
    seeds that had not begun). remarks: what happened where. statistics: counts of the machinery (events, mean gradient batch). provenance:
    versions, machine, what it ran on, date.
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

    @checked
    def curve(self, metric: str, cut: str | None = None) -> pl.DataFrame:
        """Columns (seed, step, time, value) of one fleet-wide metric, over the given cut, else over the cut that the
        run measured."""
        rows = self.metrics.filter((pl.col("metric") == metric) & (pl.col("node") == -1))
        if rows.is_empty():
            fleet = self.metrics.filter(pl.col("node") == -1)
            known = sorted(fleet["metric"].unique().to_list())
            whose = " of the whole fleet" if metric in self.metrics["metric"] else ""
            raise SpecificationError(f"the run holds no metric {shown(metric)}{whose}; it must be one of {', '.join(known)}.")
        if cut is None:
            cut = "step" if (rows["cut"] == "step").any() else "time"
        return rows.filter(pl.col("cut") == cut).select("seed", "step", "time", "value").sort("seed", "step", "time")

    @checked
    def time_to(self, target: float, metric: str = "loss", at_least: bool | None = None) -> pl.DataFrame:
        """Per seed, the first time (s) and step at which `metric` had reached `target`; null where it never had.

        Loss, gradient norm, consensus and defects reach it at or below, accuracy and bytes at or above; for a metric of
        another name say which by `at_least`. Raises SpecificationError for a target that is not finite, or no
        share where the metric is one.
        """
        if not math.isfinite(target):
            raise SpecificationError(f"the target is {target!r}; it must be a finite number. Give one such as 0.5.")
        if metric == "accuracy" and not 0 <= target <= 1:
            raise SpecificationError(f"the target is {target!r}; accuracy is a share. Give one in [0, 1], such as 0.9.")
        rows = self.curve(metric).filter(pl.col("value").is_not_nan())  # to polars NaN is above every number
        enough = pl.col("value") >= target if from_below(metric, at_least) else pl.col("value") <= target
        seeds = pl.DataFrame({"seed": list(self.experiment.seeds)}, schema={"seed": pl.Int64})
        reached = rows.filter(enough).group_by("seed").agg(pl.col("time").min(), pl.col("step").min())
        return seeds.join(reached, on="seed", how="left", maintain_order="left")

    @property
    def machines(self) -> dict[str, str]:
        """What it ran on, in words: a phrase by item, as gradient or network. Empty where nothing was written down."""
        words = self.provenance.get("machines")
        return {str(item): str(phrase) for item, phrase in words.items()} if isinstance(words, dict) else {}

    @property
    def average(self) -> NDArray[np.float64]:
        """xbar at the end, (seeds, dimension)."""
        return self.final.values.mean(axis=0)


Ending = TypeVar("Ending", bound=BaseException)


def with_run(ending: Ending, run: Run | None, folder: Path | None = None) -> Ending:
    """The exception, carrying as its `run` what was computed before it, and as its `folder`, where there is one, where
    that lies. A user's class that lets nobody set attributes goes without."""
    with suppress(AttributeError):
        ending.run = run  # pyright: ignore[reportAttributeAccessIssue]
        if folder is not None:
            ending.folder = folder  # pyright: ignore[reportAttributeAccessIssue]
    return ending


def run_of(ending: BaseException) -> Run | None:
    """What an exception carries that ended a run, if anything."""
    run = getattr(ending, "run", None)
    return run if isinstance(run, Run) else None


def not_begun(left: tuple[int, ...]) -> tuple[str, ...]:
    """A remark on the seeds that a run did not come to."""
    shown = ", ".join(map(str, left[:10])) + (f", ... {len(left)} in all" if len(left) > 10 else "")
    return (f"not begun, and NaN at the end: seed {shown}",) if left else ()


def without_rows(seeds: Iterable[int], metrics: pl.DataFrame) -> tuple[str, ...]:
    """The same remark, where the metrics are all that is known of the run."""
    measured = set(metrics["seed"].to_list())
    return not_begun(tuple(seed for seed in seeds if seed not in measured))


def _of_seeds(trajectory: Trajectory, places: list[int]) -> Trajectory:
    """The seeds at `places` of a trajectory."""
    return trajectory._replace(
        **{name: getattr(trajectory, name).take(places, axis=axis) for name, axis in SEEDS_AXES.items()}
    )


def part(run: Run, seeds: tuple[int, ...]) -> Run:
    """`run` as if it had been run with `seeds` only, some of its own."""
    places = [run.experiment.seeds.index(seed) for seed in seeds]
    share = len(seeds) / len(run.experiment.seeds)
    return replace(
        run,
        experiment=run.experiment.only(seeds),
        metrics=run.metrics.filter(pl.col("seed").is_in(list(seeds))),
        final=Final(*(column.take(places, axis=1) for column in run.final)),
        trace=run.trace if places[0] == 0 else None,
        trajectory=None if run.trajectory is None else _of_seeds(run.trajectory, places),
        statistics={**run.statistics, "node_steps": run.statistics["node_steps"] * share},
    )


def joined(experiment: Experiment, runs: Sequence[Run]) -> Run:
    """Runs of some seeds each, of the same experiment but for them, as one: the one place where seeds become a run.
    Seeds that none of them has never began, and are NaN at the end. The trace is that of the first seed."""
    if len(runs) == 1 and runs[0].experiment.seeds == experiment.seeds:
        return runs[0]
    seeds = [seed for run in runs for seed in run.experiment.seeds]
    order = [seeds.index(seed) if seed in seeds else len(seeds) for seed in experiment.seeds]
    parts = [np.concatenate([run.final[number] for run in runs], axis=1) for number in range(3)]
    final = Final(*parts).padded(len(seeds) + 1)  # one column of NaN, for seeds that none has
    trajectory = joined_trajectories([run.trajectory for run in runs])
    first = [run.trace for run in runs if run.experiment.seeds[0] == experiment.seeds[0]]
    statistics = {
        name: (max if name in GREATEST else sum)(run.statistics.get(name, 0.0) for run in runs) for name in runs[0].statistics
    }
    return replace(
        runs[0],
        experiment=experiment,
        metrics=pl.concat([run.metrics for run in runs]),
        final=Final(*(column.take(order, axis=1) for column in final)),
        trace=joined_traces([trace for trace in first if trace is not None]),
        trajectory=None if trajectory is None or len(seeds) in order else _of_seeds(trajectory, order),
        outcome=worst([run.outcome for run in runs]),
        remarks=tuple(remark for run in runs for remark in run.remarks)
        + not_begun(tuple(seed for seed in experiment.seeds if seed not in seeds)),
        statistics=statistics,
    )


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """How all seeds together ended: leaked where one did, else as the last that did not finish."""
    found: Outcome = "finished"
    for outcome in outcomes:
        if outcome != "finished" and found != "leaked":
            found = outcome
    return found


def provenance(machines: Mapping[str, str]) -> dict[str, Any]:
    """Versions, commit, machine and date: what one needs to make a run again. machines: what it ran on, in words (see
    `Backend.machines`)."""
    return {**_machinery(), "machines": dict(machines), "date": datetime.now(UTC).isoformat(timespec="seconds")}


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
        "commit": _commit(),
    }


def _commit() -> str:
    """The commit of the checkout that sgpsim is imported from; `unknown` outside one."""
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--dirty"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return answer.stdout.strip()
