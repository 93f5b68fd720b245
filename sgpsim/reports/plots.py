"""Plots: what a run measured, against steps, simulated seconds and bytes.

The rule: a function that begins with `draw` draws into given axes, the others return a new matplotlib Figure; none has
side effects. Lines are medians over seeds, bands the quartiles. Figures are made at the width of a column (SINGLE) or
page (DOUBLE), legends stand outside the data, and colours are Okabe and Ito's, which colour-blind readers can tell
apart.
"""

from __future__ import annotations

import io
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import matplotlib
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from sgpsim.clusters.link_load import OVERLOADED
from sgpsim.errors import SpecificationError, shown
from sgpsim.results.metrics import METRICS
from sgpsim.results.run import Run
from sgpsim.specification.arguments import checked
from sgpsim.specification.ranges import Quantity

Axis = Literal["step", "time", "bytes"]
SINGLE, DOUBLE = 3.5, 7.0
"""Widths in inches of a figure in one column, and across the page."""

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)))
"""Lines differ in both, so that they are told apart in grey too."""

DIVERGING = 1e4
"""How many times its first value a curve may reach before it is cut off."""

STYLE: dict[str, Any] = {
    "font.size": 8.0,
    "axes.titlesize": 8.0,
    "axes.labelsize": 8.0,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "legend.fontsize": 7.0,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.linewidth": 0.4,
    "grid.color": "#dddddd",
    "axes.axisbelow": True,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 200,
    "pdf.fonttype": 42,
    "svg.hashsalt": "sgpsim",
}


@contextmanager
def style() -> Generator[None]:
    """The look of all figures here; studies draw within it too."""
    with matplotlib.rc_context(STYLE):  # pyright: ignore[reportArgumentType]
        yield


@checked
def figure(width: Quantity, height: Quantity) -> Figure:
    """An empty figure in inches, bound to no window."""
    with style():
        return Figure(figsize=(width, height), dpi=200)


@checked
def save(drawn: Figure, place: Path) -> list[Path]:
    """Write PNG (200 dpi) and PDF beside one another; `place` has no ending. The files carry no date, so equal figures
    are equal files."""
    if not place.name:
        raise SpecificationError(f"save(place) is {shown(str(place))}; it must name a file. Give such as 'figures/loss'.")
    place.parent.mkdir(parents=True, exist_ok=True)
    files = [place.parent / f"{place.name}.{ending}" for ending in ("png", "pdf")]
    with style():
        for file, metadata in zip(files, ({}, {"CreationDate": None}), strict=True):
            content = io.BytesIO()  # so that who ends the drawing keeps the old file, and no half of the new one
            drawn.savefig(content, format=file.suffix[1:], metadata=metadata)
            file.write_bytes(content.getbuffer())
    return files


@checked
def points(run: Run, metric: str, axis: Axis) -> pl.DataFrame:
    """Columns (at, low, value, high): median and quartiles over seeds of `metric` against the axis, one row per
    measurement that all seeds have."""
    rows = run.curve(metric)
    if axis == "bytes":
        sent = run.curve("bytes_sent").select("seed", "step", "time", sent="value")
        rows = rows.join(sent.unique(["seed", "step", "time"]), on=["seed", "step", "time"])
    rows = rows.sort("seed", "step", "time").with_columns(number=pl.int_range(pl.len()).over("seed"))
    at = pl.col({"step": "step", "time": "time", "bytes": "sent"}[axis]).median().alias("at")
    found = rows.group_by("number").agg(
        at,
        low=pl.col("value").quantile(0.25, "linear"),
        median=pl.col("value").median(),
        high=pl.col("value").quantile(0.75, "linear"),
        seeds=pl.len(),
    )
    return (
        found.filter(pl.col("seeds") == pl.col("seeds").max()).sort("number").select("at", "low", pl.col("median").alias("value"), "high")
    )


@checked
def draw_curves(axes: Axes, runs: Mapping[str, Run], axis: Axis, metric: str = "loss") -> None:
    """One line per run, with its label; logarithmic where values are above 0 and span more than a decade."""
    if metric not in METRICS:
        raise SpecificationError(f"there is no metric {shown(metric)}; it must be one of {', '.join(METRICS)}.")
    tables = {label: points(run, metric, axis) for label, run in runs.items()}
    most = max((float(table["at"].max() or 0.0) for table in tables.values() if len(table)), default=0.0)  # pyright: ignore[reportArgumentType]
    scale, label = scaled_label(axis, most)
    for number, (name, table) in enumerate(tables.items()):
        turn, place = divmod(number, len(COLOURS))  # the colours come again with other dashes
        colour, dashes = COLOURS[place], DASHES[(place + turn) % len(DASHES)]
        at = table["at"].to_numpy() / scale
        axes.plot(at, table["value"], color=colour, linestyle=dashes, label=label_of(name, runs[name]))
        if len(runs[name].experiment.seeds) > 1:
            axes.fill_between(at, table["low"], table["high"], color=colour, alpha=0.2, linewidth=0)
    values = np.concatenate([table["value"].to_numpy() for table in tables.values()] or [np.zeros(0)])
    values = values[np.isfinite(values)]
    begun = max((table["value"][0] for table in tables.values() if len(table)), default=0.0)
    if len(values) and values.min() > 0 and values.max() > DIVERGING * begun > 0:  # what diverges leaves the picture at the top
        top = DIVERGING * begun
        axes.set_ylim(values.min() / 2, top)
        inside = [table.filter(pl.col("value") <= top)["at"].to_numpy() for table in tables.values()]
        last = float(np.concatenate(inside).max(initial=0.0))
        if last == 0:  # all have left at once: up to the first that was measured outside
            outside = [table.filter(~(pl.col("value") <= top))["at"].to_numpy() for table in tables.values()]
            last = float(np.concatenate(outside).min())
        axes.set_xlim(-0.02 * last / scale, 1.05 * last / scale)
    if len(values) and values.min() > 0 and values.max() > 10 * values.min():
        axes.set_yscale("log")
        if values.max() < 300 * values.min():  # too few powers of ten to read the axis by
            axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(label)
    axes.set_ylabel(METRIC_LABELS.get(metric, metric.replace("_", " ")))
    axes.margins(x=0.02)


METRIC_LABELS = {
    "loss": r"loss $f(\bar{x})$",
    "squared_gradient_norm": r"$\|\nabla f(\bar{x})\|^2$",
    "accuracy": r"accuracy at $\bar{x}$",
    "consensus_max": r"$\max_i \|z_i - \bar{x}\|$",
    "consensus_mean": r"mean $\|z_i - \bar{x}\|$",
    "consensus_squared": r"mean $\|z_i - \bar{x}\|^2$",
}


@checked
def scaled_label(axis: Axis, most: float) -> tuple[float, str]:
    """What to divide by, and what then to write at an axis that reaches `most` steps, seconds or bytes."""
    if axis == "step":
        return 1.0, "steps (n gradients each)"
    if axis == "time":
        units = ((86400.0 * 3, 86400.0, "days"), (3600.0 * 3, 3600.0, "hours"), (0.5, 1.0, "s"), (5e-4, 1e-3, "ms"))
        words = "time"
    else:
        units = tuple((one, one, name) for one, name in ((1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "bytes")))
        words = "sent by all nodes"
    scale, unit = next(((scale, unit) for least, scale, unit in units if most >= least), (units[-1][1], units[-1][2]))
    return scale, f"{words} ({unit})"


@checked
def label_of(name: str, run: Run) -> str:
    """What a curve is called; of a run that did not finish, or whose links were overloaded, that too."""
    ends = [*([] if run.outcome == "finished" else [run.outcome]), *(["links overloaded"] if _overloaded(run) else [])]
    return f"{name} ({', '.join(ends)})" if ends else name


def _overloaded(run: Run) -> bool:
    return any(remark.startswith(OVERLOADED) for remark in run.remarks)


def _least(runs: Mapping[str, Run]) -> int:
    """From how many lines on a figure has a legend: a single one needs none, unless it says what is to know of its run."""
    return 2 if all(label_of(name, run) == name for name, run in runs.items()) else 1


@checked
def legend_above(drawn: Figure, axes: Axes, least: int = 2) -> None:
    """A legend of the labelled lines of `axes`, above all panels, where it covers nothing. least: lines from which on
    there is one."""
    handles, labels = axes.get_legend_handles_labels()
    if len(labels) >= least:
        drawn.legend(handles, labels, loc="outside upper center", ncols=min(3, len(labels)), handlelength=2.6)


@checked
def three_axes(runs: Mapping[str, Run], metric: str = "loss") -> Figure:
    """Several runs against steps of n gradients, seconds of the run's clock and bytes sent, side by side."""
    with style():
        least = _least(runs)
        drawn = figure(DOUBLE, 2.2 + 0.14 * ((len(runs) + 2) // 3 if len(runs) >= least else 0))
        panels = drawn.subplots(1, 3, sharey=True)
        for axes, axis in zip(panels, ("step", "time", "bytes"), strict=True):
            draw_curves(axes, runs, axis, metric)
        for axes in panels[1:]:
            axes.set_ylabel("")
        legend_above(drawn, panels[0], least=least)
    return drawn
