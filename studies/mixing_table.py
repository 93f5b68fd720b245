"""Mixing: how near to exact averaging are five rounds of schedules that send one message per node and round?

The rule: of the product of the first ROUNDS matrices of each schedule, the second largest singular value s2 and its
square are told, since the number that the paper's appendix lists (recalled) turns out to be the square. 0 is exact
averaging, 1 is none. Random schedules are drawn anew many times; every node chooses by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from matplotlib.figure import Figure
from rich.table import Table

from sgpsim.schedules.one_peer_exponential import OnePeerExponential, PlusMinusExponential
from sgpsim.schedules.random_peer import CyclingPeer, RandomExponentialPeer, RandomPeer
from sgpsim.schedules.schedule import Schedule
from studies import figure
from studies.study import Progress, Study
from theory.chain import Chain

ROUNDS = 5
SIZES = (4, 6, 8, 12, 16, 24, 32, 48, 64)
PRINTED = (4, 8, 16, 32, 64)


@dataclass(frozen=True)
class Scheme:
    """make: (size, seed) -> schedule. random: whether the seed matters. recalled: what the appendix of Assran et al.
    2019 lists for 32 nodes."""

    make: Callable[[int, int], Schedule]
    random: bool
    recalled: float | None
    colour: str
    marker: str


SCHEMES = {
    "deterministic exponential": Scheme(lambda size, seed: OnePeerExponential(size), False, 0.0, figure.BLUE, "o"),
    "plus-minus exponential": Scheme(lambda size, seed: PlusMinusExponential(size), False, None, figure.SKY, "D"),
    "cycling complete": Scheme(lambda size, seed: CyclingPeer(size), False, 0.6, figure.VERMILION, "s"),
    "random exponential": Scheme(RandomExponentialPeer, True, 0.4, figure.GREEN, "^"),
    "random complete": Scheme(RandomPeer, True, 0.2, figure.ORANGE, "v"),
}
"""The four of the appendix, and the exponential schedule as the authors' published code runs it."""


@dataclass(frozen=True)
class Case:
    """draws: how many times a random schedule is drawn."""

    scheme: str
    size: int
    draws: int


class MixingTable(Study):
    """s2 and s2^2 of five rounds, n = 4 to 64."""

    question = "How near to exact averaging do five rounds of one message per node come, and what does the paper list?"

    def cases(self, fast: bool) -> list[Case]:
        draws = 30 if fast else 200
        return [Case(name, size, draws if scheme.random else 1) for name, scheme in SCHEMES.items() for size in SIZES]

    def measure(self, cases: Sequence[Case], progress: Progress) -> pl.DataFrame:
        """Columns scheme, nodes, draw, s2, s2_squared."""
        rows: list[tuple[str, int, int, float, float]] = []
        for number, case in enumerate(cases, start=1):
            for draw in range(case.draws):
                second = second_singular_value(SCHEMES[case.scheme].make(case.size, draw))
                rows.append((case.scheme, case.size, draw, second, second**2))
            progress(number, len(cases))
        return pl.DataFrame(rows, schema=["scheme", "nodes", "draw", "s2", "s2_squared"], orient="row")

    def draw(self, data: pl.DataFrame) -> Figure:
        drawn = figure.blank(figure.PAGE, 2.9)
        panels = drawn.subplots(1, 2, sharey=True)
        for axes, column, title in zip(panels, ("s2", "s2_squared"), ("(a) $s_2$", "(b) $s_2^2$"), strict=True):
            for name, scheme in SCHEMES.items():
                found = summary(data, name)
                line = {"color": scheme.colour, "marker": scheme.marker}
                axes.plot(found["nodes"], found[column], label=name + (" (mean, 10 to 90 %)" if scheme.random else ""), **line)
                if scheme.random:
                    axes.fill_between(
                        found["nodes"], found[f"{column}_low"], found[f"{column}_high"], color=scheme.colour, alpha=0.2, linewidth=0
                    )
            listed = [scheme.recalled for scheme in SCHEMES.values() if scheme.recalled is not None]
            axes.plot([32] * len(listed), listed, linestyle="none", marker="*", markersize=10, markerfacecolor="none", color=figure.BLACK,
                      label="appendix of Assran et al. 2019 (recalled)", zorder=5)  # fmt: skip
            axes.set_xscale("log", base=2)
            axes.set_xticks(PRINTED, [str(size) for size in PRINTED])
            axes.set(xlabel="nodes $n$", ylim=(-0.03, 1.03), title=f"{title} of the first {ROUNDS} rounds")
        panels[0].set_ylabel("second singular value")
        panels[1].set_ylabel("its square")
        handles, labels = panels[0].get_legend_handles_labels()
        drawn.legend(handles, labels, loc="outside lower center", ncols=3)
        return drawn

    def answer(self, data: pl.DataFrame) -> str:
        at = {name: summary(data, name).filter(nodes=32) for name in SCHEMES}
        told = ", ".join(f"{name} {found['s2'].item():.3f} ({found['s2_squared'].item():.3f})" for name, found in at.items())
        listed = {name: scheme.recalled for name, scheme in SCHEMES.items() if scheme.recalled is not None}
        apart = {column: max(abs(at[name][column].item() - value) for name, value in listed.items()) for column in ("s2", "s2_squared")}
        sizes = {name: exact_sizes(data, name) for name in SCHEMES}
        exact = ", at n = ".join(f"{', '.join(map(str, found))} for {name}" for name, found in sizes.items() if found)
        which = "squares" if apart["s2_squared"] < apart["s2"] else "singular values"
        return (
            f"After {ROUNDS} rounds of 32 nodes s2 (and s2^2) are: {told}; the numbers recalled from the appendix are {which}, to"
            f" {min(apart.values()):.2f}, and five rounds average exactly at n = {exact}."
        )

    def tables(self, data: pl.DataFrame) -> tuple[Table, ...]:
        table = Table(title=f"second largest singular value of the first {ROUNDS} rounds: s2 / s2^2 (means over draws)")
        table.add_column("schedule")
        for size in PRINTED:
            table.add_column(f"n = {size}", justify="right")
        table.add_column("appendix, n = 32 (recalled)", justify="right")
        for name, scheme in SCHEMES.items():
            found = summary(data, name)
            cells = [found.filter(nodes=size) for size in PRINTED]
            listed = "-" if scheme.recalled is None else f"{scheme.recalled:g}"
            table.add_row(name, *(f"{cell['s2'].item():.3f} / {cell['s2_squared'].item():.3f}" for cell in cells), listed)
        return (table,)


def second_singular_value(schedule: Schedule) -> float:
    """Of P^{ROUNDS-1} ... P^0; a value that is rounding of 0 is told as 0."""
    found = float(np.linalg.svd(Chain.of(schedule, ROUNDS).product(0, ROUNDS), compute_uv=False)[1])
    return found if found > 1e-12 else 0.0


def exact_sizes(data: pl.DataFrame, scheme: str) -> list[int]:
    """The sizes at which every draw averages exactly."""
    found = data.filter(scheme=scheme).group_by("nodes").agg(pl.col("s2").max()).filter(pl.col("s2") == 0)
    return found["nodes"].sort().to_list()


def summary(data: pl.DataFrame, scheme: str) -> pl.DataFrame:
    """Per size, ascending: mean, 10 % and 90 % quantiles over draws of s2 and of its square."""
    columns = [pl.col(column) for column in ("s2", "s2_squared")]
    low, high = (
        [column.quantile(level, "linear").name.suffix(suffix) for column in columns] for level, suffix in ((0.1, "_low"), (0.9, "_high"))
    )
    return data.filter(scheme=scheme).group_by("nodes").agg(*(column.mean() for column in columns), *low, *high).sort("nodes")
