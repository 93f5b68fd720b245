"""Consensus: how far do nodes drift from their average, and what do Lemma A and the contraction profile promise?

The rule: deviation is max_i |z_i^k - xbar^k|, and both bounds are the theory's own claims, evaluated on the moves that
a run really made, so they also hold where the step size changes: |z_i^k - xbar^k| <= C_k + sum_{s<k} c_{k-s} sum_j
|gamma_s g_j^s|, with c_m = lambda^{floor(m/T)} / delta and C_k the same of the starts (Lemma A), and |Z^k - 1 xbar^k|_F
<= sum_{s<k} eps_{k-s} |gamma_s G^s|_F (profile). Both must hold at every node, step and seed. All nodes start at 0, so
the starts contribute nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.table import Table

from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.budget import Steps
from sgpsim.descents.descent import StepSize
from sgpsim.descents.sgd import SGD
from sgpsim.descents.step_sizes import Constant, StepDecay
from sgpsim.experiment import Experiment
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.schedules.erdos_renyi import ErdosRenyiDigraph
from sgpsim.schedules.one_peer_exponential import OnePeerExponential
from sgpsim.schedules.ring import DirectedRing
from sgpsim.schedules.schedule import Schedule
from sgpsim.schedules.static_exponential import StaticExponential
from studies import figure
from studies.study import Progress, Study
from theory.claims.consensus_bound import ConsensusBound
from theory.claims.consensus_profile import ConsensusProfile
from theory.evidence import Path
from theory.setting import Setting
from theory.statistics import fitted_slope

NODES = 16
SEEDS = 4
DECAY = 0.3
"""The step size that falls to a tenth twice."""
SCHEDULES: dict[str, tuple[Schedule, str, str, str]] = {
    "directed ring": (DirectedRing(NODES), figure.VERMILION, "s", "ring"),
    "irregular digraph": (ErdosRenyiDigraph(NODES, 0.2, seed=0), figure.ORANGE, "v", "irregular"),
    "one-peer exponential": (OnePeerExponential(NODES), figure.BLUE, "o", "one-peer\nexp."),
    "static exponential": (StaticExponential(NODES), figure.GREEN, "^", "static\nexp."),
}
"""Per name: the schedule, its colour, its marker, and its name where room is scarce."""


HOLLOW: dict[str, Any] = {"markerfacecolor": "white", "markersize": 3.0, "markeredgewidth": 0.7}
"""The markers of bounds, which stand on thin lines."""


@dataclass(frozen=True)
class Case:
    """step_size: as a number; with `decays` it falls to a tenth at a third and at two thirds of the steps."""

    schedule: str
    step_size: float
    decays: bool
    steps: int


class ConsensusDeviation(Study):
    """Deviation over steps and step sizes, for four schedules."""

    question = "How far do nodes drift from their average, and how near to it are the proved bounds?"

    def cases(self, fast: bool) -> list[Case]:
        steps = 300 if fast else 900
        sizes = (0.01, 0.03, 0.1, 0.3) if fast else (0.003, 0.01, 0.03, 0.1, 0.3)
        return [Case(name, size, False, steps) for name in SCHEDULES for size in sizes] + [
            Case(name, DECAY, True, steps) for name in SCHEDULES
        ]

    def measure(self, cases: Sequence[Case], progress: Progress) -> pl.DataFrame:
        """Columns schedule, step_size, decays, step; deviation, lemma_a, profile: means over seeds; lemma_a_share =
        max_i |z_i - xbar| / lemma_a and profile_share = |Z - 1 xbar|_F / profile: the largest over seeds."""
        tables: list[pl.DataFrame] = []
        for case in cases:
            tables.append(measured(case))
            progress(len(tables), len(cases))
        return pl.concat(tables)

    def draw(self, data: pl.DataFrame) -> Figure:
        drawn = figure.blank(figure.PAGE, 2.75)
        left, middle, right = drawn.subplots(1, 3, width_ratios=(1.15, 1, 1))
        _over_steps(left, data)
        _over_step_sizes(middle, data)
        _looseness(right, data)
        handles, labels = middle.get_legend_handles_labels()
        drawn.legend(handles, labels, loc="outside lower center", ncols=7, columnspacing=1.2)
        return drawn

    def answer(self, data: pl.DataFrame) -> str:
        by_a, by_profile = largest_shares(data)
        slopes = exponents(data).values()
        falls = [fall for found in drops(data).values() for fall in found]
        largest = levels(data).filter(step_size=DECAY)
        distances = ", ".join(f"{largest.filter(schedule=name)['deviation'].item():.2g} ({name})" for name in SCHEDULES)
        return (
            f"At step size {DECAY} nodes stay within {distances} of their average; the distance grows like the step size to the"
            f" power {min(slopes):.2f} to {max(slopes):.2f} and falls {min(falls):.1f} to {max(falls):.1f} times at each"
            f" tenfold decay; both bounds {'hold' if max(by_a, by_profile) <= 1 else 'FAIL'} at every node, step and seed,"
            f" the measured value reaching {by_profile:.0%} of the profile bound and {by_a:.0%} of Lemma A's."
        )

    def tables(self, data: pl.DataFrame) -> tuple[Table, ...]:
        table = Table(title=f"n = {NODES}, step size {DECAY}: mean over the second half of the run")
        for column in ("schedule", "max |z - xbar|", "profile bound", "Lemma A", "exponent in step size"):
            table.add_column(column, justify="left" if column == "schedule" else "right")
        slopes = exponents(data)
        for row in levels(data).filter(step_size=DECAY).iter_rows(named=True):
            cells = (f"{row[name]:.3g}" for name in ("deviation", "profile", "lemma_a"))
            table.add_row(row["schedule"], *cells, f"{slopes[row['schedule']]:.3f}")
        return (table,)


def measured(case: Case) -> pl.DataFrame:
    """One row per step."""
    objective = Quadratic(NODES, 10, noise=1.0, spread=1.0, structure="diagonal")
    schedule = SCHEDULES[case.schedule][0]
    step_size: StepSize = Constant(case.step_size)
    if case.decays:
        step_size = StepDecay(case.step_size, (case.steps // 3, 2 * case.steps // 3))
    experiment = Experiment(SGP(SGD(step_size)), objective, schedule, Steps(case.steps), tuple(range(SEEDS)), measure_every=case.steps)
    trajectory = Vectorized(keep_trajectory=True).run(experiment).trajectory
    assert trajectory is not None
    path = Path.of(trajectory, case.steps)
    setting = Setting.of(case.schedule, schedule, case.steps, objective)
    profile = ConsensusProfile()
    deviation = np.linalg.norm(path.deviations, axis=-1).max(axis=1)
    bound_a = ConsensusBound().predicted(setting, path).values[:, 0]
    bound = profile.predicted(setting, path).values
    with np.errstate(invalid="ignore"):  # 0 / 0 at the common start, and after exact averaging
        share_a = np.nan_to_num(deviation / bound_a).max(axis=1)
        share = np.nan_to_num(profile.measured(setting, path).values / bound).max(axis=1)
    return pl.DataFrame(
        {
            "schedule": case.schedule,
            "step_size": case.step_size,
            "decays": case.decays,
            "step": np.arange(case.steps + 1),
            "deviation": deviation.mean(axis=1),
            "lemma_a": bound_a.mean(axis=1),
            "profile": bound.mean(axis=1),
            "lemma_a_share": share_a,
            "profile_share": share,
        }
    )


def levels(data: pl.DataFrame) -> pl.DataFrame:
    """Means over seeds and the second half of the steps, per schedule and constant step size, in this order."""
    late = data.filter(~pl.col("decays"), pl.col("step") * 2 > data["step"].max())
    return late.group_by("schedule", "step_size", maintain_order=True).agg(pl.col("deviation", "lemma_a", "profile").mean())


def exponents(data: pl.DataFrame) -> dict[str, float]:
    """Per schedule, the exponent with which the level grows with the step size."""
    found = {name: levels(data).filter(schedule=name).sort("step_size") for name in SCHEDULES}
    return {name: float(fitted_slope(rows["step_size"].to_numpy(), rows["deviation"].to_numpy())) for name, rows in found.items()}


def drops(data: pl.DataFrame) -> dict[str, tuple[float, float]]:
    """Per schedule, how many times smaller the deviation is at the end of a stretch of constant step size than at the
    end of the one before."""
    steps = int(data["step"].to_numpy().max())
    found: dict[str, tuple[float, float]] = {}
    for name in SCHEDULES:
        rows = data.filter(pl.col("decays"), schedule=name)
        lasts = [(part * steps // 3 - steps // 10, part * steps // 3 - 1) for part in (1, 2, 3)]
        ends = [rows.filter(pl.col("step").is_between(*last))["deviation"].to_numpy().mean() for last in lasts]
        found[name] = (float(ends[0] / ends[1]), float(ends[1] / ends[2]))
    return found


def largest_shares(data: pl.DataFrame) -> tuple[float, float]:
    """Largest measured / bound over all nodes, steps and seeds: of Lemma A, of the profile."""
    return float(data["lemma_a_share"].to_numpy().max()), float(data["profile_share"].to_numpy().max())


def _over_steps(axes: Axes, data: pl.DataFrame) -> None:
    rows = data.filter(pl.col("decays"), pl.col("step") > 0)
    apart = max(1, int(data["step"].to_numpy().max()) // 9)
    for number, (name, (_, colour, marker, _)) in enumerate(SCHEDULES.items()):
        found = rows.filter(schedule=name).sort("step")
        every = (apart // 2 + number * apart // 8, apart)
        marks: dict[str, Any] = {"marker": marker, "markevery": every, "color": colour, "linewidth": 0.9}
        axes.plot(found["step"], found["deviation"], **marks)
        axes.plot(found["step"], found["profile"], **marks, linestyle=":", **HOLLOW)
    axes.set(yscale="log", xlabel="step $k$", ylabel=r"$\max_i \|z_i^k - \bar x^k\|$")
    axes.set_title(f"(a) Over steps: $\\gamma$ = {DECAY:g},\nthen {DECAY / 10:g}, then {DECAY / 100:g}")


def _over_step_sizes(axes: Axes, data: pl.DataFrame) -> None:
    for name, (_, colour, marker, _) in SCHEDULES.items():
        found = levels(data).filter(schedule=name)
        axes.plot(found["step_size"], found["deviation"], color=colour, marker=marker, label=name)
        for bound, dashes in (("profile", ":"), ("lemma_a", "--")):
            axes.plot(found["step_size"], found[bound], color=colour, marker=marker, linestyle=dashes, linewidth=0.9, **HOLLOW)
    axes.plot([], [], color=figure.GREY, label="measured")
    axes.plot([], [], color=figure.GREY, linestyle=":", label="profile bound")
    axes.plot([], [], color=figure.GREY, linestyle="--", label="Lemma A")
    axes.set(xscale="log", yscale="log", xlabel=r"step size $\gamma$", title="(b) Mean over the second half,\nconstant step size")


def _looseness(axes: Axes, data: pl.DataFrame) -> None:
    rows = levels(data)
    for place, (name, (_, colour, marker, _)) in enumerate(SCHEDULES.items()):
        found = rows.filter(schedule=name)
        for bound, face in (("profile", colour), ("lemma_a", "white")):
            ratio = (found[bound] / found["deviation"]).to_numpy()
            axes.plot([place, place], [ratio.min(), ratio.max()], color=colour, linewidth=0.8)
            axes.plot([place], [np.median(ratio)], linestyle="none", marker=marker, color=colour, markerfacecolor=face)
    axes.axhline(1.0, color=figure.BLACK, linewidth=0.8)
    axes.set_xticks(range(len(SCHEDULES)), [short for *_, short in SCHEDULES.values()], fontsize=6.5)
    axes.set(
        yscale="log", ylabel="bound / measured", title="(c) Looseness: profile (full),\nLemma A (hollow)", xlim=(-0.5, len(SCHEDULES) - 0.5)
    )
