"""The figure of the rate study: measured curves beside bound D2, and both problems on the common axis nK.

The rule: full markers where D2 applies, hollow ones below its K_min; the problem without a bound says why it has none.
The right panel multiplies by sqrt(nK), so that the rate is a level line and what does not communicate rises.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from studies import figure
from studies.rate_fits import Fit, curve, fits, least_steps_of
from studies.rate_problems import NODES

COLOURS = {4: figure.ORANGE, 8: figure.BLUE, 16: figure.GREEN}
MARKERS = {4: "o", 8: "s", 16: "^"}
ALONE = figure.VERMILION


def draw(data: pl.DataFrame) -> Figure:
    """Three panels over two columns."""
    drawn = figure.blank(figure.PAGE, 3.55)
    left, middle, right = drawn.subplots(1, 3)
    found = fits(data)
    _panel(left, data, "sigmoid", [fit for fit in found if fit.problem == "sigmoid"])
    left.set_title("(a) Sigmoid loss, unlike data,\none-peer exponential")
    _panel(middle, data, "quadratics", [fit for fit in found if fit.problem == "quadratics"])
    middle.set_title("(b) Quadratics of unequal curvature,\nirregular digraph: A2 fails, no bound")
    left.set_ylabel(r"$\frac{1}{K}\sum_{k<K}\,\mathbf{E}\,\|\nabla f(\bar x^k)\|^2$")
    _collapse(right, data)
    right.set_title("(c) Collapse:\nboth problems on $nK$")
    return drawn


def _panel(axes: Axes, data: pl.DataFrame, problem: str, rates: list[Fit]) -> None:
    """Averages over K, with exponents in the legend below."""
    needed = least_steps_of(data) if problem == "sigmoid" else {}
    handles: list[Line2D] = []
    for fit in rates:
        steps, values = curve(data, problem, fit.method, fit.nodes)
        colour = COLOURS[fit.nodes] if fit.communicating else ALONE
        marker = MARKERS[fit.nodes] if fit.communicating else "x"
        means = values.mean(axis=1)
        line = {"color": colour, "marker": marker, "markeredgewidth": 0.9}
        axes.plot(steps, means, linestyle="-" if fit.communicating else "-.", linewidth=1.0, **line, markersize=0)
        full = steps >= needed.get(fit.nodes, 0) if fit.communicating else np.ones(len(steps), bool)
        axes.plot(steps[full], means[full], linestyle="none", **line)
        axes.plot(steps[~full], means[~full], linestyle="none", **line, markerfacecolor="white")
        who = f"$n$ = {fit.nodes}" if fit.communicating else f"$P = I$, $n$ = {fit.nodes}"
        slope = f"{fit.slope.slope:.3f} [{fit.slope.lower:.3f}, {fit.slope.upper:.3f}]".replace("-", "−")
        handles.append(Line2D([], [], **line, linestyle="-" if fit.communicating else "-.", label=f"{who}: {slope}"))
        bounds = (
            data.filter(problem=problem, method=fit.method, nodes=fit.nodes).select("steps", "bound").unique().sort("steps").drop_nulls()
        )
        if not fit.communicating:  # where it stands free: left between curves and bounds, or at the right end where there are none
            near, side = (0, "left") if needed else (-1, "right")
            place = {"xy": (steps[near], means[near]), "xytext": (0, 7), "textcoords": "offset points", "ha": side, "va": "bottom"}
            axes.annotate("no communication\n($P = I$)", **place, color=colour, fontsize=6.5)
        if len(bounds):
            bound: dict[str, Any] = {"linestyle": "--", "linewidth": 0.8, "marker": marker, "markersize": 2.5, "markevery": [0, -1]}
            axes.plot(bounds["steps"], bounds["bound"], color=colour, **bound)
    if needed:
        handles.append(Line2D([], [], color=figure.GREY, linestyle="--", linewidth=0.8, label=r"bound D2, $12A/\sqrt{nK}$"))
        least = ", ".join(f"{math.ceil(needed[nodes])}" for nodes in needed)
        handles.append(
            Line2D(
                [],
                [],
                color=figure.GREY,
                marker="o",
                markerfacecolor="white",
                linestyle="none",
                label=f"hollow: $K < K_{{\\min}}$ = {least}",
            )
        )
    else:
        steps = np.array([rates[0].first, rates[0].last])
        level = curve(data, problem, "SGP", NODES[-1])[1][-1].mean() / 2
        axes.plot(steps, level * (steps / steps[-1]) ** -0.5, color=figure.GREY, linewidth=0.8, linestyle=":")
        handles.append(Line2D([], [], color=figure.GREY, linestyle=":", linewidth=0.8, label="slope −1/2"))
    axes.set(xscale="log", yscale="log", xlabel="steps $K$")
    title = f"exponent of $K$ over {rates[0].first} .. {rates[0].last}, 95 %"
    below = {"loc": "upper left", "bbox_to_anchor": (-0.22, -0.2)}
    axes.legend(handles=handles, title=title, title_fontsize=6.5, alignment="left", **below)


def _collapse(axes: Axes, data: pl.DataFrame) -> None:
    """sqrt(nK) times the average over nK."""
    handles: list[Line2D] = []
    sizes = {4: 6.0, 8: 4.2, 16: 2.4}  # so that equal values show as rings
    for problem, dash in (("sigmoid", "-"), ("quadratics", ":")):
        for method, nodes in data.filter(problem=problem).select("method", "nodes").unique(maintain_order=True).iter_rows():
            steps, values = curve(data, problem, method, nodes)
            own = method == "SGP"
            colour, marker = (COLOURS[nodes], MARKERS[nodes]) if own else (ALONE, "x")
            product = nodes * steps
            axes.plot(product, np.sqrt(product) * values.mean(axis=1), color=colour, marker=marker, linestyle=dash, linewidth=0.9,
                      markersize=sizes[nodes] if own else 3.5)  # fmt: skip
    for nodes, colour in COLOURS.items():
        handles.append(Line2D([], [], color=colour, marker=MARKERS[nodes], linestyle="none", label=f"$n$ = {nodes}"))
    handles.append(Line2D([], [], color=ALONE, marker="x", linestyle="none", label="$P = I$"))
    handles.append(Line2D([], [], color=figure.GREY, linestyle="-", label="sigmoid"))
    handles.append(Line2D([], [], color=figure.GREY, linestyle=":", label="quadratics"))
    axes.set(xscale="log", yscale="log", xlabel="gradients $nK$", ylabel=r"$\sqrt{nK}\,\times$ average")
    axes.legend(handles=handles, ncols=2, loc="upper left", bbox_to_anchor=(-0.1, -0.2))
