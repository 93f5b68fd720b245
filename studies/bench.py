"""The benchmark: ratios between sgpsim and bare loops of the same mathematics, measured in turn in one run on one
machine.

The rule: a figure here is a ratio of two times taken one after the other, the median over repeats, with the mass
monitor on; absolute speeds are printed beside it for orientation. Peers' figures stand beside ours, marked as measured
elsewhere. Nothing in the tests is timed; `make bench` is where speed is looked at, and its exit code is 1 where a ratio
misses its target.
"""

from __future__ import annotations

import argparse
import cProfile
import csv
import os
import platform
import pstats
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from sgpsim.backends.backend import Backend
from sgpsim.backends.simulated import Simulated
from sgpsim.backends.vectorized import Vectorized
from sgpsim.experiment import Experiment
from studies import bench_jobs as jobs


@dataclass(frozen=True)
class Figure:
    """One line of the table. value: what was measured; target: what it must reach (or stay under); None: no target."""

    job: str
    what: str
    value: float
    target: float | None
    at_most: bool = False
    note: str = ""

    @property
    def met(self) -> bool:
        if self.target is None:
            return True
        return self.value <= self.target if self.at_most else self.value >= self.target


ELSEWHERE = (
    ("bare numpy, vectorized", "179-301 k", "290-568 k", "305-480 k", "no"),
    ("bare Python loop over nodes", "17-34 k", "19-39 k", "21-28 k", "no"),
    ("tvopt 0.2.7 (full gradients)", "14-42 k", "16-25 k", "19-27 k", "no"),
    ("decent-bench 0.3.0", "4.5-7.1 k", "4.8-8.6 k", "3.8-4.9 k", "no"),
    ("dasklearn, events only, no training", "3.2-4.4 k", "1.9-4.9 k", "1.7-4.5 k", "yes"),
    ("dasklearn, with training", "0.13-0.16 k", "0.14 k", "-", "yes"),
    ("disropt 0.1.9, MPI processes", "0.52-0.55 k", "0.49 k", "-", "no"),
    ("decentralizepy, TCP processes", "0.38-0.44 k", "0.17 k", "-", "no"),
    ("gossipy", "0.28-0.33 k", "0.26-0.31 k", "0.32 k", "in steps"),
)
"""Node-steps per second of other software on the common job at n = 16, 64, 256, and whether it has a time model.
Measured elsewhere, in 2026, on another shared two-core machine with up to 50 % noise: for orientation, not for
ratios."""


def paired(first: Callable[[], Any], second: Callable[[], Any], repeats: int) -> tuple[float, float, float]:
    """(median ratio second / first, median seconds of first, of second), the two taken in turn after one warm-up
    each."""
    first()
    second()
    times = [(jobs.seconds(first), jobs.seconds(second)) for _ in range(repeats)]
    return (
        statistics.median(b / a for a, b in times),
        statistics.median(a for a, _ in times),
        statistics.median(b for _, b in times),
    )


def common(nodes: int, repeats: int) -> list[Figure]:
    """D-PSGD on the common job."""
    rounds = {16: 3000, 64: 1500, 256: 800}[nodes]
    experiment, machines = jobs.common_job(nodes, rounds), jobs.cluster(nodes)
    ours: Backend = Vectorized(machines)
    ratio, spent, bare = paired(lambda: ours.run(experiment), lambda: jobs.bare_common_job(experiment, rounds), repeats)
    short = jobs.common_job(nodes, 100)
    short_ratio, _, _ = paired(lambda: ours.run(short), lambda: jobs.bare_common_job(short, 100), repeats)
    event, _, simulated = paired(
        lambda: jobs.bare_ring(nodes, 100), lambda: Simulated(machines, trace=False).run(short), max(2, repeats // 2)
    )
    name = f"common job, n = {nodes}"
    speed = f"{nodes * rounds / spent / 1e3:.0f} k node-steps/s against {nodes * rounds / bare / 1e3:.0f} k"
    return [
        Figure(name, "Vectorized / bare numpy", ratio, 0.6 if nodes == 16 else 0.8, note=speed),
        Figure(name, "the same with 100 rounds, set-up included", short_ratio, None),
        Figure(
            name,
            "Simulated, node-steps/s",
            nodes * 100 / simulated,
            15000.0,
            note=f"bare SimPy ring / it = {event:.1f}",
        ),
    ]


def push(repeats: int) -> list[Figure]:
    """SGP, n = 256, batch 16, at d = 100 and d = 100,000, and n = 1,024 once."""
    machines = jobs.cluster(256)
    rounds = 600
    small = jobs.push_job(256, 100, 100, rounds)
    ratio, spent, _ = paired(
        lambda: Vectorized(machines).run(small), lambda: jobs.bare_push_job(small, 100, rounds), repeats
    )
    ring, simulated, _ = paired(
        lambda: Simulated(machines, trace=False).run(small), lambda: jobs.bare_ring(256, rounds), max(2, repeats // 2)
    )
    run = Simulated(machines, trace=False).run(small)
    large = jobs.push_job(256, 100_000, 4, 3)
    wide, wide_spent, _ = paired(lambda: Vectorized(machines).run(large), lambda: jobs.bare_push_job(large, 4, 3), 2)
    many = jobs.push_job(1024, 100, 20, 50)
    spent_many = jobs.seconds(lambda: Simulated(jobs.cluster(1024), trace=False).run(many))
    batch = run.statistics["mean_gradient_batch"]
    events = run.statistics["events"] / simulated
    return [
        Figure(
            "SGP, n = 256, d = 100", "Vectorized / bare numpy", ratio, 0.8, note=f"{0.256 * rounds / spent:.0f} k node-steps/s"
        ),
        Figure(
            "SGP, n = 256, d = 100,000", "Vectorized / bare numpy", wide, 0.9, note=f"{wide_spent / 3:.2f} s a round"
        ),
        Figure(
            "SGP, n = 256, d = 100",
            "Simulated / bare SimPy ring",
            ring,
            0.1,
            note=f"{0.256 * rounds / simulated:.0f} k node-steps/s, {events / 1e3:.0f} k events/s, mean batch {batch:.0f}",
        ),
        Figure("SGP, n = 1,024, d = 100", "Simulated, node-steps/s", 1024 * 50 / spent_many, None),
    ]


def clock(nodes: int, repeats: int) -> list[Figure]:
    """The max-plus clock against the event loop of the same rounds: sgpsim's own with the least numerics (one number
    per node, nobody watching), and a bare SimPy ring that does nothing but wait."""
    rounds, more = 40, 25
    experiment, machines = jobs.timing_job(nodes, rounds), jobs.cluster(nodes)
    events = Simulated(machines, monitor="off", trace=False)
    alone = lambda: jobs.clock_only(nodes, more * rounds)  # noqa: E731
    ratio, _, _ = paired(alone, lambda: events.run(experiment), repeats)
    bare, _, _ = paired(alone, lambda: jobs.bare_ring(nodes, rounds), repeats)
    name = f"timing alone, n = {nodes}"
    return [
        Figure(name, "max-plus clock / event loop of Simulated", more * ratio, 100.0),
        Figure(name, "max-plus clock / bare SimPy ring", more * bare, None),
    ]


def where_time_goes(experiment: Experiment, nodes: int) -> list[tuple[str, float]]:
    """Shares of a simulated run's time by part, from the profiler (which itself inflates small calls)."""
    profile = cProfile.Profile()
    profile.enable()
    Simulated(jobs.cluster(nodes), trace=False).run(experiment)
    profile.disable()
    parts = {
        "gradient kernel": 0.0,
        "SimPy": 0.0,
        "messages and mixing": 0.0,
        "monitor and cuts": 0.0,
        "draws": 0.0,
        "rest": 0.0,
    }
    where = {
        "objectives": "gradient kernel",
        "gradient_batch": "gradient kernel",
        "simpy": "SimPy",
        "instant": "SimPy",
        "simulated_node": "messages and mixing",
        "mass.py": "messages and mixing",
        "cuts": "monitor and cuts",
        "monitor": "monitor and cuts",
        "streams": "draws",
        "distributions": "draws",
        "sgpsim/algorithms": "the method's text",
        "sgpsim/descents": "the method's text",
        "sgpsim/schedules": "set-up",
        "random": "draws",
        "'append' of 'list'": "messages and mixing",
        "'heappush'": "SimPy",
        "'heappop'": "SimPy",
    }
    parts = dict.fromkeys([*where.values(), "rest"], 0.0)
    stats: dict[Any, Any] = pstats.Stats(profile).stats  # pyright: ignore[reportAttributeAccessIssue]
    for (file, _, name), (_, _, own, _, _) in stats.items():
        part = next((part for word, part in where.items() if word in file or word in name), "rest")
        parts[part] += own
    total = sum(parts.values())
    return sorted(((part, own / total) for part, own in parts.items()), key=lambda entry: -entry[1])


def memory(what: str) -> Figure:
    """Peak memory of a process of its own that runs `what`, MB (or its ratio to state and data)."""
    told = subprocess.run(
        [sys.executable, "-m", "studies.bench", "--memory", what],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ,
    )
    value = float(told.stdout.split()[-1])
    if what == "simulated":
        return Figure("common job, n = 256", "Simulated, peak memory, MB", value, 150.0, at_most=True)
    return Figure("SGP, n = 256, d = 100,000", "Vectorized, peak memory / (state + data)", value, 3.0, at_most=True)


def _memory_in_here(what: str) -> float:
    if what == "simulated":
        Simulated(jobs.cluster(256), trace=False).run(jobs.common_job(256, 100))
        return _peak() / 1e6
    experiment = jobs.push_job(256, 100_000, 4, 3)
    Vectorized(jobs.cluster(256)).run(experiment)
    needed = (256 * 100_000 + 256 * 4 * 100_000) * 8
    return _peak() / needed


def _peak() -> float:
    """Peak resident bytes of this process alone: getrusage would count the parent's, from before this program was
    loaded."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return float(line.split()[1]) * 1024


def measure(repeats: int) -> tuple[list[Figure], list[tuple[str, float]]]:
    """All figures, and where a simulated run's time goes."""
    tasks: list[Callable[[], list[Figure]]] = [
        lambda: common(16, repeats),
        lambda: common(64, repeats),
        lambda: common(256, repeats),
        lambda: push(repeats),
        lambda: clock(256, repeats),
        lambda: clock(1024, repeats),
        lambda: [memory("simulated"), memory("vectorized")],
    ]
    figures = [figure for task in track(tasks, "measuring", console=Console(stderr=True)) for figure in task()]
    return figures, where_time_goes(jobs.push_job(256, 100, 100, 100), 256)


def show(figures: list[Figure], parts: list[tuple[str, float]], console: Console) -> None:
    """Print the tables."""
    threads = os.environ.get("OMP_NUM_THREADS", "unset")
    versions = f"Python {platform.python_version()}, numpy {np.__version__}"
    machine = f"{platform.machine()}, {os.cpu_count()} cores, {threads} BLAS threads, {versions}"
    table = Table(title=f"medians of ratios in one run, monitor on ({machine})")
    for column in ("job", "figure", "value", "target", ""):
        table.add_column(column, justify="right" if column in ("value", "target") else "left")
    for figure in figures:
        sign = "" if figure.target is None else ("<= " if figure.at_most else ">= ") + f"{figure.target:,g}"
        shown = f"{figure.value:,.0f}" if figure.value >= 100 else f"{figure.value:.2f}"
        verdict = "" if figure.target is None else "met" if figure.met else "MISSED"
        table.add_row(figure.job, figure.what, shown, sign, f"{verdict} {figure.note}".strip())
    console.print(table)
    console.print("where a simulated SGP run's time goes: " + ", ".join(f"{part} {share:.0%}" for part, share in parts))
    others = Table(title="other software on the common job, node-steps/s (measured elsewhere, for orientation)")
    for column in ("software", "n = 16", "n = 64", "n = 256", "time model"):
        others.add_column(column)
    for row in ELSEWHERE:
        others.add_row(*row)
    console.print(others)


def main(arguments: list[str]) -> int:
    """`python -m studies bench [--repeats N] [--out DIR]`."""
    parser = argparse.ArgumentParser(prog="python -m studies bench", description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path("out/bench"))
    parser.add_argument("--fast", action="store_true", help="few repeats")
    parser.add_argument("--memory", choices=("simulated", "vectorized"), help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.memory:
        print(_memory_in_here(asked.memory))
        return 0
    figures, parts = measure(2 if asked.fast else asked.repeats)
    show(figures, parts, Console(width=160))
    asked.out.mkdir(parents=True, exist_ok=True)
    with (asked.out / "bench.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([field.name for field in fields(Figure)])
        writer.writerows(astuple(figure) for figure in figures)
    missed = [figure for figure in figures if not figure.met]
    print(f"{sum(figure.target is not None for figure in figures) - len(missed)} targets met, {len(missed)} missed.")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
