"""Comparison: how long runs took to reach a target, as a table and a figure.

The rule: a seed that never got there counts as never (infinity), not as missing, so a median over seeds is what at
least half of them needed. Times are those of the run's own clock.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sgpsim.clusters.link_load import LINK_LOAD
from sgpsim.errors import SpecificationError
from sgpsim.reports.plots import COLOURS, SINGLE, figure, label_of, scaled_label, style
from sgpsim.reports.summary import quantile
from sgpsim.results.metrics import from_below
from sgpsim.results.run import Run
from sgpsim.specification.arguments import checked
from sgpsim.specification.wording import concise


@checked
def goal(target: float, metric: str, above: str = ">=", below: str = "<=") -> str:
    """The target in words, such as `loss <= 0.5`."""
    return f"{metric.replace('_', ' ')} {above if from_below(metric) else below} {target:g}"


@checked
def time_to_target(runs: Mapping[str, Run], target: float, metric: str = "loss") -> pl.DataFrame:
    """Per run: seeds, how many of them reached the target, median and quartiles of the seconds, medians of steps and bytes
    (inf: never).

    resolution: median seconds from the measurement before to the one that was at the target. at_least, where the links of
    some run were overloaded: median seconds that its busiest link needs for the bytes sent until then, if they spread
    over the links as those of the whole run.
    """
    if not runs:
        raise SpecificationError("no run is given; at least one is needed. Give such as {'ring': run}.")
    rows: list[dict[str, Any]] = []
    for name, run in runs.items():
        try:
            found = _reached(run, target, metric)
        except SpecificationError as error:  # of several runs, say which lacks the metric
            raise SpecificationError(f"{name}: {error}" if len(runs) > 1 else str(error)) from None
        low, median, high = (quantile(found["time"], share) for share in (0.25, 0.5, 0.75))
        rows.append(
            {
                "run": name,
                "seeds": len(run.experiment.seeds),
                "reached": int(np.isfinite(found["time"]).sum()),
                "seconds": median,
                "low": low,
                "high": high,
                "resolution": quantile(found["resolution"], 0.5),
                "at_least": quantile(found["at_least"], 0.5) if run.statistics.get(LINK_LOAD, 0.0) > 1 else None,
                "steps": quantile(found["step"], 0.5),
                "bytes": quantile(found["bytes"], 0.5),
            }
        )
    table = pl.DataFrame(rows, infer_schema_length=None)
    return table.drop("at_least") if table["at_least"].is_null().all() else table


def explained(table: pl.DataFrame) -> list[str]:
    """What to know of the columns of `time_to_target` that are no plain times."""
    said = ["resolution: a run is looked at every `measure_every` steps, so the target was reached up to so many seconds earlier"]
    if "at_least" in table.columns:
        said.append(
            "at least: what the busiest link needs for the bytes sent until then (links overloaded: the simulated seconds are"
            " too short), reckoned from its share of all bytes of the run"
        )
    return said


def _reached(run: Run, target: float, metric: str) -> dict[str, NDArray[np.float64]]:
    """Per seed, the first time, step and bytes at which the metric had reached the target, the seconds since the
    measurement before, and those that the links need at least; inf where it never had."""
    load = run.statistics.get(LINK_LOAD, 0.0)
    measured = run.curve("bytes_sent").unique(["seed", "step", "time"]).sort("seed", "step", "time")
    seconds_needed = pl.col("value") / pl.col("value").max() * pl.col("time").max() * load
    measured = measured.select(
        "seed", "step", "time", bytes="value",
        resolution=pl.col("time").diff().fill_null(0.0).over("seed"),
        at_least=seconds_needed.fill_nan(0.0).over("seed"),
    )  # fmt: skip
    first = run.time_to(target, metric).join(measured, on=["seed", "step", "time"], how="left", maintain_order="left")
    names = ("time", "step", "bytes", "resolution", "at_least")
    return {name: first[name].cast(pl.Float64).fill_null(np.inf).to_numpy() for name in names}


ANY_WAY = frozenset({"nodes", "split", "batch", "sampling"})
"""Fields of an objective that do not say what is learned."""


@checked
def cautions(runs: Mapping[str, Run], target: float, metric: str = "loss") -> list[str]:
    """What a reader of `time_to_target` would else not see: runs that learn unlike things, seeds that began at the target,
    and seeds whose end came before they could reach it."""
    said: list[str] = []
    if len({_learned(run) for run in runs.values()}) > 1:
        said.append(
            "the runs learn unlike things, so a target reached by one need not mean what it means for another: "
            + "; ".join(f"{name}: {concise(run.experiment.objective)}" for name, run in runs.items())
        )
    for name, run in runs.items():
        first, seeds = run.time_to(target, metric), len(run.experiment.seeds)
        at_start = int((first["step"] == 0).sum())
        if at_start:
            said.append(f"{name}: {at_start} of {seeds} seeds stood at the target before the first step")
        missing = int(first["time"].is_null().sum())
        if missing and run.outcome in ("interrupted", "failed"):
            said.append(f"{name}: {missing} of {seeds} seeds count as never although the run was {run.outcome} before its end")
    return said


def _learned(run: Run) -> tuple[str, ...]:
    objective: Any = run.experiment.objective
    if not dataclasses.is_dataclass(objective):  # described by a folder, or a plain class of the user's own
        return (repr(objective),)
    names = [field.name for field in dataclasses.fields(objective) if field.name not in ANY_WAY]
    return (type(objective).__name__, *(concise(getattr(objective, name)) for name in names))


@checked
def draw_time_to_target(axes: Axes, runs: Mapping[str, Run], target: float, metric: str = "loss") -> None:
    """A bar per run: the median, with quartiles as a whisker (an arrow where the upper one is never) and every seed that
    got there as a dot; `never` where the median is. The axis says what is drawn."""
    table = time_to_target(runs, target, metric)
    each = [_reached(run, target, metric)["time"] for run in runs.values()]
    ends = np.concatenate([table["seconds"].to_numpy(), table["high"].to_numpy(), *each]) if runs else np.zeros(0)
    most = float(ends[np.isfinite(ends)].max(initial=0.0)) or 1.0
    scale, label = scaled_label("time", most)
    for row, (told, seconds) in enumerate(zip(table.iter_rows(named=True), each, strict=True)):
        colour = COLOURS[row % len(COLOURS)]
        times = seconds / scale
        if np.isfinite(told["seconds"]):
            axes.barh(row, told["seconds"] / scale, height=0.6, color=colour, alpha=0.55, linewidth=0)
            bounded = np.isfinite(told["high"])
            high = told["high"] if bounded else 1.05 * most
            if told["seeds"] > 1:
                whisker = [told["low"] / scale, high / scale]
                axes.plot(whisker, [row, row], color="black", linewidth=0.8)
                axes.plot(whisker[:1], [row], color="black", marker="|", markersize=4)
                axes.plot(whisker[1:], [row], color="black", marker="|" if bounded else ">", markersize=4)
            text = f"  {told['seconds'] / scale:.3g}"
            end = max(told["seconds"], high) / scale
        else:
            text, end = "  never" if told["reached"] == 0 else "  median: never", 0.0
        if told["reached"] < told["seeds"]:
            text += f" ({told['reached']} of {told['seeds']} seeds)"
        dots = times[np.isfinite(times)]
        if told["seeds"] > 1:
            axes.plot(dots, np.full(len(dots), row), ".", color=colour, markersize=3)
        axes.text(max([end, *dots.tolist()]), row, text, va="center", fontsize=7)
    axes.set_yticks(range(len(table)), [label_of(name, run) for name, run in runs.items()])
    axes.set_ylim(len(table) - 0.5, -0.5)
    some_missing = bool((table["reached"] < table["seeds"]).any())
    axes.set_xlim(0, (1.7 if some_missing else 1.3) * most / scale)  # room for the words behind the bars
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(label.replace("time", f"time to {goal(target, metric, '≥', '≤')}", 1))
    if bool((table["seeds"] > 1).any()):
        arrow = "; arrow: a quartile that is never" if bool((table["high"].is_infinite() & table["seconds"].is_finite()).any()) else ""
        axes.set_title(f"bar: median; whisker: quartiles; dots: seeds{arrow}", fontsize=6, loc="right")


@checked
def target_figure(runs: Mapping[str, Run], target: float, metric: str = "loss") -> Figure:
    """`draw_time_to_target` as a figure of column width, wider where labels are long."""
    with style():
        longest = max((len(label_of(name, run)) for name, run in runs.items()), default=0)
        drawn = figure(SINGLE + 0.055 * max(0, longest - 20), 0.8 + 0.28 * max(len(runs), 2))
        draw_time_to_target(drawn.subplots(), runs, target, metric)
    return drawn
