"""Timeline: a Gantt chart of what every node did when.

The rule: one row per node. Its upper part shows computing, waiting and collectives; the thin lane below shows when the
node's port was busy sending. Only what lies between `start` and `end` is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from sgpsim.errors import SpecificationError
from sgpsim.reports.plots import DOUBLE, figure, style
from sgpsim.results.trace import Trace
from sgpsim.specification.arguments import checked
from sgpsim.specification.ranges import Seed

LANES = {
    "wait": ("waiting", "#D55E00"),
    "receive": ("all-reduce", "#CC79A7"),
    "compute": ("computing", "#56B4E9"),
    "send": ("sending", "#009E73"),
}
"""Lane -> (its name in the legend, its colour), in the order of drawing: a node that computes while a second activity of
its own waits for a message is computing."""
HATCHES = {"receive": "/////"}
"""Lane -> hatching, where a colour is as bright as another: they are told apart in grey too."""


@checked
def draw_timeline(
    axes: Axes,
    trace: Trace,
    start: float = 0.0,
    end: float | None = None,
    nodes: Iterable[int] | None = None,
    mark: float | None = None,
    note: str = "",
    seed: Seed | None = None,
) -> list[Patch]:
    """Draw one seed (the first by default) from `start` to `end` seconds; patches for a legend.

    nodes: which ones, from top to bottom (all by default). mark: an instant to draw a line at, with `note` above it.
    """
    if trace.spans.is_empty():
        raise SpecificationError(
            "the trace holds no spans; a run keeps them with trace=true in its backend. Run it so."
        )
    chosen = int(trace.spans["seed"].min() if seed is None else seed)  # pyright: ignore[reportArgumentType]
    spans = trace.spans.filter(pl.col("seed") == chosen)
    if spans.is_empty():
        known = ", ".join(map(str, trace.spans["seed"].unique().sort().to_list()))
        raise SpecificationError(f"the trace holds no seed {chosen}; it must be one of {known}. Give that.")
    last = float(spans["end"].max())  # pyright: ignore[reportArgumentType]
    stop = last if end is None else end
    if not (start < min(stop, last) and math.isfinite(stop - start)):
        raise SpecificationError(
            f"a timeline from {start:g} s to {stop:g} s shows nothing; both must be finite, and it must begin before its"
            f" end and that of the trace, {last:g} s. Give such as --start 0 --end {last:g}."
        )
    rows = sorted(spans["node"].unique().to_list()) if nodes is None else list(nodes)
    sent = trace.messages.filter(pl.col("seed") == chosen).select(
        node="sender", lane=pl.lit("send"), start="begin", end="end"
    )
    single = (pl.col("lane") == "receive") & (pl.col("name") != "all-reduce")  # a wait for one message
    lanes = spans.with_columns(lane=pl.when(single).then(pl.lit("wait")).otherwise(pl.col("lane")))
    bars = pl.concat([lanes.filter(pl.col("lane") != "send").select("node", "lane", "start", "end"), sent])
    bars = bars.filter((pl.col("end") > start) & (pl.col("start") < stop) & (pl.col("end") > pl.col("start")))
    bars = bars.with_columns(pl.col("start").clip(start, stop), pl.col("end").clip(start, stop))
    used: list[str] = []
    for lane, (_, colour) in LANES.items():
        for row, node in enumerate(rows):
            inside = bars.filter((pl.col("lane") == lane) & (pl.col("node") == node)).sort("start")
            if inside.is_empty():
                continue
            used.append(lane)
            widths = list(zip(inside["start"], inside["end"] - inside["start"], strict=True))
            place = (row + 0.22, 0.14) if lane == "send" else (row - 0.38, 0.56)
            axes.broken_barh(
                widths,
                place,
                facecolor=colour,
                edgecolor="white",
                linewidth=0.25 if lane == "compute" else 0.0,
                hatch=HATCHES.get(lane),
            )
    if mark is not None:
        axes.axvline(mark, color="black", linewidth=0.9, linestyle=(0, (4, 2)), zorder=5)
        if note:
            axes.annotate(
                note,
                (mark, 1.0),
                (2, 2),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                fontsize=7,
                va="bottom",
            )
    axes.set_xlim(start, stop)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    every = max(1, -(-len(rows) // 16))
    axes.set_yticks(range(0, len(rows), every), [str(rows[row]) for row in range(0, len(rows), every)])
    axes.set_xlabel("time (s)")
    axes.set_ylabel("node")
    axes.grid(False)
    axes.tick_params(axis="y", length=0)
    return [
        Patch(facecolor=colour, edgecolor="white", linewidth=0.0, hatch=HATCHES.get(lane), label=name)
        for lane, (name, colour) in LANES.items()
        if lane in used
    ]


@checked
def gantt(
    trace: Trace,
    start: float = 0.0,
    end: float | None = None,
    nodes: Sequence[int] | None = None,
    mark: float | None = None,
    note: str = "",
    seed: Seed | None = None,
) -> Figure:
    """`draw_timeline` as a figure of page width, with its legend above."""
    with style():
        count = len(nodes) if nodes is not None else trace.spans["node"].n_unique()
        drawn = figure(DOUBLE, 0.9 + 0.15 * min(max(count, 4), 40))
        axes = drawn.subplots()
        patches = draw_timeline(axes, trace, start, end, nodes, mark, note, seed)
        drawn.legend(handles=patches, loc="outside upper center", ncols=len(patches))
    return drawn
