"""The figure of `one_slow_node`: loss over simulated seconds, and below it what every node does around the instant.

The rule: a bar is time spent computing (or in the all-reduce), white is waiting; all panels below share one window of time, which is
shaded above.
"""

from __future__ import annotations

import math

import polars as pl
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

from studies import figure
from studies.entrants import ENTRANTS

BUSY, SLOW, COLLECTIVE = "#A9C1D9", "#A33B00", figure.ORANGE
"""Light, dark, and hatched, so that they are told apart in grey too."""
HATCH = "//////"
WINDOW = (-2.0, 8.0)
"""Seconds around the instant that the timelines show."""


def drawn(data: pl.DataFrame, losses: pl.DataFrame) -> Figure:
    """data: as `one_slow_node` measures it. losses: what each method loses, for the captions."""
    by_method = {row["algorithm"]: row for row in losses.iter_rows(named=True)}
    whole = figure.blank(figure.PAGE, 7.6)
    axes = whole.subplots(1 + len(ENTRANTS), 1, height_ratios=[2.9] + [1.0] * len(ENTRANTS))
    _curves(axes[0], data)
    for axis, entrant in zip(axes[1:], ENTRANTS, strict=True):
        _timeline(axis, data.filter(pl.col("algorithm") == entrant.name))
        axis.set_title(_caption(by_method[entrant.name]), loc="left", fontsize=7, pad=2.5)
        axis.set_title(entrant.name, loc="right", pad=2.5, color=entrant.colour, fontweight="bold")
        axis.tick_params(labelbottom=entrant is ENTRANTS[-1])
    axes[-1].set_xlabel("simulated time (s)")
    whole.legend(handles=_patches(), loc="outside lower center", ncols=4, fontsize=7)
    return whole


def _caption(row: dict[str, float]) -> str:
    spread = (
        f"first wait after {row['first']:.1f} s, all wait after {row['last']:.1f} s"
        if math.isfinite(row["last"])
        else "not all wait for it"
    )
    if not math.isfinite(row["first"]):
        spread = "nobody waits for it"
    return f"{row['before']:.2f} s a step, then {row['after']:.2f} s; {spread}; the others then {100 * row['busy']:.0f} % busy"


def _curves(axis: Axes, data: pl.DataFrame) -> None:
    instant, horizon = float(data["instant"][0]), float(data["horizon"][0])
    for entrant in ENTRANTS:
        curve = data.filter(pl.col("algorithm") == entrant.name, pl.col("what") == "loss")
        wide = 3.2 if entrant.name == "overlap SGP" else 1.1  # D-PSGD hides its messages as well and lies on top of it
        axis.plot(
            curve["start"],
            curve["value"],
            color=entrant.colour,
            marker=entrant.marker,
            markersize=wide + 1.9,
            linewidth=wide,
            label=entrant.name,
        )
    axis.axvline(instant, color=SLOW, linewidth=1.0, linestyle="--")
    axis.axvspan(instant + WINDOW[0], instant + WINDOW[1], color="0.94", zorder=0)
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(FixedLocator([0.3, 0.5, 1.0, 2.0]))
    axis.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.yaxis.set_minor_locator(NullLocator())
    axis.set_xlim(0, horizon)
    axis.set_ylabel("loss of the average model")
    axis.set_xlabel("simulated time (s)")
    words = f"node {data['slow'][0]} turns\n{data['factor'][0]:g}x slow"
    axis.text(instant + horizon / 130, 2.2, words, color=SLOW, fontsize=8, va="top")
    below = axis.get_xaxis_transform()
    axis.text(instant + WINDOW[1] - 0.2, 0.02, "timelines below", transform=below, color="0.45", fontsize=7, ha="right", va="bottom")
    axis.legend(fontsize=7.5, ncols=2, loc="upper right")


def _timeline(axis: Axes, data: pl.DataFrame) -> None:
    instant, slow, nodes = float(data["instant"][0]), int(data["slow"][0]), int(data["nodes"][0])
    window = instant + WINDOW[0], instant + WINDOW[1]
    spans = data.filter(pl.col("what") != "loss", pl.col("end") > window[0], pl.col("start") < window[1])
    boxes: dict[str, list[list[tuple[float, float]]]] = {BUSY: [], SLOW: [], COLLECTIVE: []}
    for what, node, start, end in spans.select("what", "node", "start", "end").iter_rows():
        colour = COLLECTIVE if what == "all-reduce" else SLOW if node == slow and start >= instant else BUSY
        boxes[colour].append([(start, node - 0.4), (end, node - 0.4), (end, node + 0.4), (start, node + 0.4)])
    for colour, those in boxes.items():
        hatch = HATCH if colour == COLLECTIVE else None
        axis.add_collection(PolyCollection(those, facecolors=colour, edgecolors="white", linewidths=0.25, hatch=hatch))
    axis.axvline(instant, color=SLOW, linewidth=1.0, linestyle="--")
    axis.grid(False)
    axis.set_xlim(*window)
    axis.set_ylim(nodes - 0.4, -0.6)
    axis.set_yticks([0, slow, nodes - 1])
    axis.set_ylabel("node")


def _patches() -> list[Patch]:
    return [
        Patch(color=BUSY, label="computing"),
        Patch(color=SLOW, label="computing slowly"),
        Patch(facecolor=COLLECTIVE, edgecolor="white", hatch=HATCH, label="all-reduce"),
        Patch(facecolor="white", edgecolor="0.7", label="waiting (messages travel meanwhile)"),
    ]
