"""Summary: a run in a few rows of words and numbers, the same for terminal, report and study.

The rule: tables are polars data frames, of strings where they are to be read only. Numbers are medians over seeds, with
quartiles beside them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sgpsim.budget import TargetLoss, pace
from sgpsim.results.metrics import METRICS
from sgpsim.results.run import Run
from sgpsim.specification.arguments import checked
from sgpsim.specification.ranges import Count
from sgpsim.specification.wording import bytes_told, concise


@checked
def shown_remarks(run: Run, most: Count = 5) -> tuple[str, ...]:
    """The first remarks of a run and its last, which is what was found at its end, at most `most`, with a count of those
    left out."""
    if len(run.remarks) <= most:
        return run.remarks
    left = len(run.remarks) - most
    return (*run.remarks[: most - 1], f"(and {left} more {'remark' if left == 1 else 'remarks'})", run.remarks[-1])


@checked
def about(run: Run) -> pl.DataFrame:
    """What was run on what, and how it ended: columns (item, value)."""
    experiment = run.experiment
    in_step = experiment.algorithm.in_step
    rows: list[tuple[str, str]] = [
        *((name, concise(getattr(experiment, name))) for name in ("algorithm", "objective", "schedule", "budget")),
        ("nodes", str(experiment.nodes)),
        (
            "seeds",
            ", ".join(map(str, experiment.seeds[:10]))
            + (f", ... {len(experiment.seeds)} in all" if len(experiment.seeds) > 10 else ""),
        ),
        ("message", f"{bytes_told(experiment.message_size)}, numerics in {experiment.dtype}"),
        ("backend", run.backend),
        *((item, phrase) for item, phrase in run.machines.items()),
        ("outcome", run.outcome),
        *_target(run),
        *(("remark", remark) for remark in shown_remarks(run)),
        *(("seconds a step", words) for words in ([] if in_step else pace(experiment.budget, experiment.nodes))),
        *((name.replace("_", " "), f"{value:.6g}") for name, value in run.statistics.items()),
    ]
    for name in ("key", "commit", "machine", "python", "date"):
        if name in run.provenance:
            rows.append((name, str(run.provenance[name])))
    return pl.DataFrame(rows, schema={"item": pl.String, "value": pl.String}, orient="row")


def _target(run: Run) -> list[tuple[str, str]]:
    """Under a TargetLoss budget, how many seeds reached the loss: one that did not finishes too, with its steps spent."""
    budget = run.experiment.budget
    if not isinstance(budget, TargetLoss):
        return []
    times = run.time_to(budget.loss)["time"]
    return [("target", f"loss <= {budget.loss:g} reached by {times.count()} of {len(times)} seeds")]


QUARTILES = {"low": "lower_quartile", "high": "upper_quartile"}
"""What the columns of `ending` are called where they are read."""


@checked
def ending(run: Run) -> pl.DataFrame:
    """Every fleet-wide metric at its last measurement: columns (metric, meaning, median, low, high), and time and step
    of that measurement."""
    rows: list[tuple[str, str, float, float, float]] = []
    for metric in METRICS:
        if (
            metric not in set(run.metrics["metric"])
            or run.metrics.filter((pl.col("metric") == metric) & (pl.col("node") == -1)).is_empty()
        ):
            continue
        last = (
            run.curve(metric)
            .sort("seed", "step", "time")
            .group_by("seed", maintain_order=True)
            .last()["value"]
            .to_numpy()
        )
        low, median, high = _quartiles(last)
        rows.append((metric, METRICS[metric], median, low, high))
    last = run.curve("loss").group_by("seed").agg(pl.col("time").max(), pl.col("step").max())
    for name, words in (("time", "seconds of the run's clock"), ("step", _steps_told(run, int(last["step"].sum())))):
        low, median, high = _quartiles(last[name].to_numpy())
        rows.append((name, words, median, low, high))
    schema = {"metric": pl.String, "meaning": pl.String, "median": pl.Float64, "low": pl.Float64, "high": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _steps_told(run: Run, steps: int) -> str:
    """What a step is. steps: number of the last one, of all seeds together; more than gradients were taken where the last
    one only takes in what was under way."""
    words = "steps (n gradients each)"
    drained = run.experiment.algorithm.in_step and steps * run.experiment.nodes > run.statistics.get("node_steps", math.inf)
    return f"{words}; the last takes no gradient, only what was under way" if drained else words


def quantile(values: NDArray[np.float64], share: float) -> float:
    """A quantile of values that may be infinite: interpolating towards infinity is infinity."""
    ordered = np.sort(values)
    place = share * (len(ordered) - 1)
    below, above = ordered[int(np.floor(place))], ordered[int(np.ceil(place))]
    return float(below if below == above else below + (place % 1.0) * (above - below))


def _quartiles(values: NDArray[Any]) -> tuple[float, float, float]:
    with np.errstate(invalid="ignore"):  # of a run that diverged
        low, median, high = (quantile(values, share) for share in (0.25, 0.5, 0.75))
    return low, median, high


def aligned(table: pl.DataFrame) -> str:
    """A data frame as lines of text, columns aligned, numbers to the right with four digits."""
    cells = [[name.replace("_", " ") for name in table.columns]]
    cells += [[_shown(value) for value in row] for row in table.iter_rows()]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    right = [dtype.is_numeric() for dtype in table.dtypes]

    def line(row: list[str]) -> str:
        return "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(row, widths, right, strict=True)
        ).rstrip()

    rules = "  ".join("-" * min(width, 80) for width in widths)  # a sentence needs no rule as long as itself
    return "\n".join([line(cells[0]), rules, *map(line, cells[1:])])


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else printable(str(value))


def printable(words: str) -> str:
    """`words` without what a terminal would obey: a run folder may be anybody's."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in words)
