"""The benchmark: how many CPU seconds the fastest bare loop needs for what sgpsim computes, over sgpsim's own.

The rule: a ratio is bare / ours of the same job on the same machine in turn, per round without set-up, the median of
pairs with its 95 % interval, mass monitor on: 1 is as fast as the bare loop, 0.5 takes twice its time. Targets stand
where one means something, and the exit code is 1 where one is missed. Nothing in the tests is timed. What other
software reaches stands apart, marked as measured elsewhere.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import threadpoolctl
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from sgpsim.__main__ import written
from sgpsim.errors import SpecificationError
from studies import bench_jobs as jobs
from studies import bench_processes as processes
from studies.bench_pairs import LEAST_PAIRS, Ratio, in_turn

PAIRS = 20
MARK = "<!-- bench -->"
"""Where the table stands in the README: from here to the next empty line."""


@dataclass(frozen=True)
class Figure:
    """One line of the table. value: what was measured, low to high its 95 % interval (nan: none); target: what it must
    reach, or stay under where `at_most`; None: no target. note: the speeds themselves."""

    job: str
    what: str
    value: float
    low: float
    high: float
    target: float | None = None
    at_most: bool = False
    note: str = ""

    @property
    def met(self) -> bool:
        if self.target is None:
            return True
        return self.value <= self.target if self.at_most else self.value >= self.target

    @property
    def shown(self) -> tuple[str, ...]:
        """As the cells of a table."""
        digits = 0 if self.value >= 100 else 2
        value = f"{self.value:,.{digits}f}"
        spread = "" if np.isnan(self.low) else f"{self.low:,.{digits}f} to {self.high:,.{digits}f}"
        target = "" if self.target is None else f"{'<=' if self.at_most else '>='} {self.target:,g}"
        verdict = "" if self.target is None else "met" if self.met else "MISSED"
        return self.job, self.what, value, spread, self.note, f"{target} {verdict}".strip()


COLUMNS = ("job", "ours against the bare loop", "bare / ours", "95 % interval", "a round of ours, bare", "target")

ELSEWHERE = (
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


def figure(job: str, what: str, ratio: Ratio, target: float | None = None) -> Figure:
    """A ratio as a line."""
    note = f"{_seconds(ratio.ours)}, {_seconds(ratio.bare)}"
    return Figure(job, what, ratio.median, ratio.low, ratio.high, target, note=note)


def _seconds(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"


def compared(row: jobs.Row, pairs: int, brief: bool) -> list[Figure]:
    """The line of one row. brief: a few rounds, to see that it runs."""
    short, long = (2, 4 if row.long else None) if brief else (row.short, row.long)
    asked = pairs if row.pairs is None else min(pairs, row.pairs)
    return [figure(row.job, row.what, in_turn(row.ours, row.bare, short, long, asked), row.target)]


def gloo(pairs: int, brief: bool) -> list[Figure]:
    """Real processes: what they all compute, and how long it takes on the wall."""
    short, long = (2, 4) if brief else (20, 20 + jobs.BLOCK)
    cpu, wall = processes.measured(short, long, min(pairs, 10))
    job = f"SGP on {processes.PROCESSES} gloo processes, d = {processes.JOB.dimension}"
    return [
        figure(job, "TorchDistributed against isend and irecv, CPU of all", cpu),
        figure(job, "the same, wall clock", wall),
    ]


def memory(what: str) -> list[Figure]:
    """Peak memory of a process of its own that runs `what`: MB, or its ratio to state and data."""
    command = [sys.executable, "-m", "studies.bench_memory", what]
    said = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
    value, nan = float(said.stdout.split()[-1]), float("nan")
    if what == "simulated":
        return [Figure("common job, n = 256", "Simulated, peak memory, MB", value, nan, nan, 150.0, at_most=True)]
    name = "Vectorized, peak memory / (state + data)"
    return [Figure("SGP, n = 256, d = 100,000", name, value, nan, nan, 3.0, at_most=True)]


def measure(pairs: int, only: str, brief: bool) -> Iterable[Figure]:
    """The figures of all rows whose names contain `only`, one after the other."""
    tasks: list[tuple[str, Callable[[], list[Figure]]]] = [
        (f"{row.job}: {row.what}", lambda row=row: compared(row, pairs, brief)) for row in jobs.rows(brief)
    ]
    tasks.append(("gloo processes", lambda: gloo(pairs, brief)))
    if not brief:
        tasks += [(f"peak memory, {what}", lambda what=what: memory(what)) for what in ("simulated", "vectorized")]
    tasks = [task for task in tasks if only in task[0]]
    if not tasks:
        raise SpecificationError(
            f"--only {only!r} names no row of the benchmark. Give a part of a name, such as 'SGP'."
        )
    columns = (
        TextColumn("{task.completed}/{task.total}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("", total=len(tasks))
        while tasks:
            name, task = tasks.pop(0)  # a row that is done lets go of its data
            progress.update(bar, description=name)
            figures = task()
            for each in figures:  # on a terminal that shows no bar these lines are the progress
                progress.console.print(
                    " | ".join(part for part in each.shown if part), markup=False, highlight=False, soft_wrap=True
                )
            yield from figures
            progress.advance(bar)


def machine(load_before: float) -> str:
    """What the figures were measured on, in a sentence. load_before: the load average when the benchmark began."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    threads = max((pool["num_threads"] for pool in threadpoolctl.threadpool_info()), default=1)
    return (
        f"{model}, {os.cpu_count()} cores, {threads} BLAS thread{'s' * (threads > 1)}, Python {platform.python_version()},"
        f" numpy {np.__version__}, load average {load_before:.2g} at the start, {load():.2g} at the end"
    )


def load() -> float:
    """The load average of the last minute: about 1 is the benchmark's own, more is other work; nan where none is kept."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")


def markdown(figures: Iterable[Figure]) -> str:
    """The table as it stands in the README."""
    lines = [" | ".join(row) for row in (COLUMNS, ["---"] * len(COLUMNS), *(figure.shown for figure in figures))]
    return "".join(f"| {line} |\n" for line in lines)


def written_into(readme: str, table: str) -> str:
    """The README with `table` in place of the one after MARK."""
    before, mark, after = readme.partition(MARK + "\n")
    if not mark:
        raise SpecificationError(f"--readme: the file has no line {MARK!r} after which the table could stand. Add one.")
    return before + mark + table + "\n" + after.partition("\n\n")[2]


def show(figures: list[Figure], measured_on: str, console: Console) -> None:
    """Print the tables."""
    table = Table(title=f"CPU seconds, bare loop / ours ({measured_on})")
    for column in COLUMNS:
        table.add_column(column)
    for each in figures:
        table.add_row(*each.shown)
    console.print(table)
    others = Table(title="other software on the common job, node-steps/s (measured elsewhere, for orientation)")
    for column in ("software", "n = 16", "n = 64", "n = 256", "time model"):
        others.add_column(column)
    for row in ELSEWHERE:
        others.add_row(*row)
    console.print(others)


def write(figures: list[Figure], measured_on: str, out: Path) -> None:
    """bench.csv and bench.md."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / "bench.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([field.name for field in fields(Figure)])
        writer.writerows(astuple(each) for each in figures)
    (out / "bench.md").write_text(markdown(figures) + f"\n{measured_on}\n", encoding="utf-8")


def main(arguments: list[str]) -> int:
    """`python -m studies bench [--fast] [--pairs N] [--only PART] [--out DIR] [--readme FILE]`."""
    parser = argparse.ArgumentParser(prog="python -m studies bench", description=__doc__)
    parser.add_argument("--pairs", type=int, default=PAIRS, help="pairs per row (default: %(default)s)")
    parser.add_argument("--only", default="", help="rows whose name contains this")
    parser.add_argument("--out", type=Path, default=Path("out/bench"), help="folder for bench.csv and bench.md")
    parser.add_argument("--readme", type=Path, help=f"a file whose table after {MARK} is written anew")
    parser.add_argument(
        "--fast", action="store_true", help="small jobs of a few rounds: shows that all runs, not how fast"
    )
    asked = parser.parse_args(arguments)
    readme: Any = asked.readme and asked.readme.read_text(encoding="utf-8")
    if readme is not None:
        written_into(readme, "")  # refuses a file without a place before anything is measured
        if asked.fast:
            raise SpecificationError(
                "--fast measures nothing that could stand in a README. Leave out --readme or --fast."
            )
    figures: list[Figure] = []
    load_before = load()
    try:
        with threadpoolctl.threadpool_limits(1):
            figures.extend(measure(LEAST_PAIRS if asked.fast else asked.pairs, asked.only, asked.fast))
    finally:  # whatever ended it, what was measured is kept
        measured_on = machine(load_before)
        if figures:
            write(figures, measured_on, asked.out)
    show(figures, measured_on, Console(width=160))
    if readme is not None:
        asked.readme.write_text(written_into(readme, markdown(figures)), encoding="utf-8")
    missed = [each for each in figures if not each.met]
    if asked.fast:
        print("--fast: a few rounds of small jobs, so the figures above mean nothing; that they stand there is all.")
        return 0
    print(f"{sum(each.target is not None for each in figures) - len(missed)} targets met, {len(missed)} missed.")
    return 1 if missed else 0


if __name__ == "__main__":
    from studies import __main__ as studies

    raise SystemExit(written(partial(studies.main, ["bench", *sys.argv[1:]]), "studies"))
