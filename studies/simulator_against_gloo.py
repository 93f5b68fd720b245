"""The simulator beside four real processes on this machine: the same numbers, and how near the simulated times come to the real ones.

The rule: the processes are made unequal by sleeping as long as a cluster with slow spells says, so the k-th gradient of a node sleeps
equally long under every method. The simulated cluster is calibrated on two runs only: how long gradients really took on the AllReduce run
(replayed node by node, sleeps, arithmetic and the machine's own delays included), and the median time of a message on the SGP run. All
other times are predicted. Messages carry what the numerics need, 5 kB; an all-reduce adds in gloo's order, so its numbers are equal to
rounding, all others to the bit. Where other work keeps the machine's cores busy, real times grow by waits for a core that the simulated
cluster does not contain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from rich.table import Table

from sgpsim.backends.events.simulated import Simulated
from sgpsim.backends.processes.torch_distributed import TorchDistributed
from sgpsim.budget import Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.distributions import LogNormalTime
from sgpsim.clusters.hockney import Hockney
from sgpsim.clusters.measured_times import MeasuredTimes
from sgpsim.clusters.stragglers import MarkovSlow
from sgpsim.experiment import Experiment
from sgpsim.launch import launch_all
from sgpsim.objectives.softmax import SoftmaxRegression
from sgpsim.results.run import Run
from studies import figure
from studies.entrants import ENTRANTS, Entrant, entrant
from studies.study import Progress, Study

NODES = 4
ASKED = Cluster(NODES, LogNormalTime(0.03, 0.2), stragglers=(MarkovSlow((), 3.0, enter=0.1, leave=0.5),))
"""What the processes are to be like: 30 ms a gradient, three times as much in spells that hold one gradient in six."""
REAL, SIMULATED = "gloo", "simulated"
SHOWN = "SGP"
"""The method whose timelines are drawn."""
COLUMNS = ("algorithm", "machine", "what", "node", "start", "end", "value")


@dataclass(frozen=True)
class Case:
    """One method for `steps` steps per node."""

    entrant: Entrant
    steps: int

    @property
    def experiment(self) -> Experiment:
        return Experiment(self.entrant.algorithm(1.0), SoftmaxRegression(NODES), self.entrant.schedule(NODES), Steps(self.steps))


def calibrated(runs: dict[str, Run], folder: Path) -> Cluster:
    """The simulated cluster: gradients as measured on the AllReduce run, messages as on the SGP run. Writes the measurements into
    `folder`."""
    trace, messages = runs["AllReduce"].trace, runs["SGP"].trace
    assert trace is not None and messages is not None
    spans = trace.spans.filter(pl.col("lane") == "compute").sort("node", "step")
    path = folder / "seconds.csv"
    spans.select("node", (pl.col("end") - pl.col("start")).alias("seconds")).write_csv(path)
    travelled = float(messages.messages.select((pl.col("arrival") - pl.col("begin")).median()).item())
    return Cluster(NODES, MeasuredTimes(str(path), replay=True), Hockney(latency=max(travelled, 0.0)))


def rows(name: str, machine: str, run: Run) -> list[tuple[str, str, str, int, float, float, float]]:
    """`loss` at the time when the last node had done a step, and what every node computed when."""
    curve = run.curve("loss")
    found = [(name, machine, "loss", -1, time, time, loss) for time, loss in curve.select("time", "value").iter_rows()]
    assert run.trace is not None
    if name == SHOWN:
        spans = run.trace.spans.filter(pl.col("lane") == "compute").select("node", "start", "end")
        found += [(name, machine, "compute", node, start, end, end - start) for node, start, end in spans.iter_rows()]
    return found


def same_numbers(one: Run, other: Run) -> tuple[bool, float]:
    """Whether x, w, gradient and move of every node after every step are equal to the bit, and by how much x differs at the most."""
    assert one.trajectory is not None and other.trajectory is not None
    equal = all(np.array_equal(mine, yours) for mine, yours in zip(one.trajectory[:4], other.trajectory[:4], strict=True))
    return equal, float(np.abs(one.trajectory.values - other.trajectory.values).max())


class SimulatorAgainstGloo(Study):
    """Are the numbers the same, and the times?"""

    question = "Do four real processes compute the simulator's numbers, and in the simulated time?"

    def cases(self, fast: bool) -> Sequence[Case]:
        return [Case(each, 15 if fast else 100) for each in ENTRANTS if each.keeps_step]

    def measure(self, cases: Sequence[Case], progress: Progress) -> pl.DataFrame:
        backend = TorchDistributed(compute="sleep", cluster=ASKED, keep_trajectory=True)
        warming = [replace(case, steps=2) for case in cases]  # connections are made and modules read when they are first used
        asked = [(case.experiment, backend) for case in (*warming, *cases)]
        real = launch_all(asked, NODES, lambda done, total: progress(done, total))[len(warming) :]
        runs = {case.entrant.name: run for case, run in zip(cases, real, strict=True)}
        found: list[tuple[str, str, str, int, float, float, float]] = []
        with TemporaryDirectory() as folder:
            machines = calibrated(runs, Path(folder))
            for case in cases:
                name, run = case.entrant.name, runs[case.entrant.name]
                simulated = Simulated(machines, keep_trajectory=True).run(case.experiment)
                found += rows(name, REAL, run) + rows(name, SIMULATED, simulated)
                equal, apart = same_numbers(run, simulated)
                found.append((name, SIMULATED, "equal to the bit" if equal else "not equal to the bit", -1, 0.0, 0.0, apart))
        return pl.DataFrame(found, schema=list(COLUMNS), orient="row")

    def draw(self, data: pl.DataFrame) -> Figure:
        drawn = figure.blank(figure.PAGE, 4.4)
        grid = drawn.add_gridspec(3, 3, height_ratios=[2.6, 1.0, 1.0])
        _losses(drawn.add_subplot(grid[0, :2]), data)
        _ratios(drawn.add_subplot(grid[0, 2]), compared(data))
        first = drawn.add_subplot(grid[1, :])
        second = drawn.add_subplot(grid[2, :], sharex=first)
        window = float(data.filter(pl.col("what") == "compute")["end"].max()) / 3  # pyright: ignore[reportArgumentType]
        for axis, machine, words in ((first, REAL, "four processes"), (second, SIMULATED, "simulated")):
            _timeline(axis, data.filter(pl.col("what") == "compute", pl.col("machine") == machine), min(window, 3.0))
            axis.set_title(f"{SHOWN}, {words}: bars compute, white waits", loc="left", fontsize=7, pad=2.5)
        first.tick_params(labelbottom=False)
        second.set_xlabel("seconds since the start")
        return drawn

    def answer(self, data: pl.DataFrame) -> str:
        comparison = compared(data)
        exact = comparison.filter(pl.col("equal"))["algorithm"].to_list()
        rest = comparison.filter(~pl.col("equal"))
        others = (
            f" ({', '.join(f'{name} to {apart:.0e}' for name, apart in rest.select('algorithm', 'apart').iter_rows())})"
            if len(rest)
            else ""
        )
        times = ", ".join(
            f"{row['algorithm']} {row['simulated']:.2f} s for {row['real']:.2f} s ({100 * (row['ratio'] - 1):+.1f} %)"
            for row in comparison.iter_rows(named=True)
        )
        return (
            f"The numbers of {', '.join(exact) or 'no method'} are equal to the bit on four gloo processes and in the simulation{others},"
            f" and the simulated times, with compute times measured on the AllReduce run and message times on the SGP run, are: {times}."
        )

    def tables(self, data: pl.DataFrame) -> Sequence[Table]:
        table = Table(title="seconds for all steps")
        for name in ("method", "four processes", "simulated", "ratio", "numbers"):
            table.add_column(name, justify="left" if name in ("method", "numbers") else "right")
        for row in compared(data).iter_rows(named=True):
            same = "equal to the bit" if row["equal"] else f"within {row['apart']:.0e}"
            table.add_row(row["algorithm"], f"{row['real']:.3f}", f"{row['simulated']:.3f}", f"{row['ratio']:.3f}", same)
        return (table,)


def compared(data: pl.DataFrame) -> pl.DataFrame:
    """Per method: seconds at the last step, real and simulated, their ratio, and whether all numbers are equal to the bit (apart: by how
    much not)."""
    found: list[dict[str, object]] = []
    for name in data["algorithm"].unique(maintain_order=True):
        own = data.filter(pl.col("algorithm") == name)
        real, simulated = (
            float(own.filter(pl.col("what") == "loss", pl.col("machine") == machine)["start"].max())  # pyright: ignore[reportArgumentType]
            for machine in (REAL, SIMULATED)
        )
        equality = own.filter(pl.col("what").str.ends_with("to the bit"))
        found.append({
            "algorithm": name, "real": real, "simulated": simulated, "ratio": simulated / real,
            "equal": equality["what"][0] == "equal to the bit", "apart": equality["value"][0],
        })  # fmt: skip
    return pl.DataFrame(found)


def _losses(axis: Axes, data: pl.DataFrame) -> None:
    for name in data["algorithm"].unique(maintain_order=True):
        colour = entrant(name).colour
        for machine in (REAL, SIMULATED):
            curve = data.filter(pl.col("algorithm") == name, pl.col("machine") == machine, pl.col("what") == "loss")
            if machine == REAL:
                axis.plot(curve["start"], curve["value"], color=colour)
            else:
                every = max(1, len(curve) // 12)
                axis.plot(
                    curve["start"],
                    curve["value"],
                    color=colour,
                    marker=entrant(name).marker,
                    linestyle="",
                    markevery=every,
                    markerfacecolor="white",
                )
    axis.set_yscale("log")
    ticks = [value for value in (0.3, 0.5, 1.0, 2.0) if data.filter(pl.col("what") == "loss")["value"].min() < value]  # pyright: ignore
    axis.set_yticks(ticks, [f"{value:g}" for value in ticks])
    axis.set_yticks([], minor=True)
    axis.set_xlabel("seconds since the start")
    axis.set_ylabel("loss of the average model")
    names = data["algorithm"].unique(maintain_order=True)
    handles = [
        Line2D([], [], color=entrant(name).colour, marker=entrant(name).marker, markerfacecolor="white", label=name) for name in names
    ]
    handles.append(Line2D([], [], color=figure.GREY, label="line: four processes"))
    handles.append(Line2D([], [], color=figure.GREY, marker="o", markerfacecolor="white", linestyle="", label="marks: simulated"))
    axis.legend(handles=handles)


def _ratios(axis: Axes, comparison: pl.DataFrame) -> None:
    for number, row in enumerate(comparison.iter_rows(named=True)):
        axis.plot(
            100 * (row["ratio"] - 1), number, marker=entrant(row["algorithm"]).marker, color=entrant(row["algorithm"]).colour, markersize=5
        )
    axis.axvline(0.0, color=figure.GREY, linewidth=0.8)
    reach = max(5.0, 1.3 * float((100 * (comparison["ratio"] - 1)).abs().max()))  # pyright: ignore[reportArgumentType]
    axis.set_xlim(-reach, reach)
    axis.set_ylim(len(comparison) - 0.5, -0.5)
    axis.set_yticks(range(len(comparison)), comparison["algorithm"].to_list())
    axis.set_xlabel("error of simulated time (%)")


def _timeline(axis: Axes, spans: pl.DataFrame, until: float) -> None:
    shown = spans.filter(pl.col("start") < until).select("node", "start", "end").iter_rows()
    boxes = [[(start, node - 0.35), (end, node - 0.35), (end, node + 0.35), (start, node + 0.35)] for node, start, end in shown]
    axis.add_collection(PolyCollection(boxes, facecolors=entrant(SHOWN).colour, edgecolors="white", linewidths=0.25, alpha=0.7))
    axis.grid(False)
    axis.set_xlim(0, until)
    axis.set_ylim(NODES - 0.4, -0.6)
    axis.set_yticks(range(NODES))
    axis.set_ylabel("node")
