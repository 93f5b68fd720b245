"""`sgpsim show`: what a run holds, as tables and figures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

if TYPE_CHECKING:
    from sgpsim.results.run import Run


def main(
    runs: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="RUN [RUN ...]")],
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None,
    start: float = 0.0,
    end: Annotated[float | None, tyro.conf.arg(metavar="SECONDS")] = None,
) -> int:
    """Print the tables of runs, and draw each against steps, seconds and bytes, with a timeline of those that kept a trace.

    Args:
        runs: run folders
        out: where PNG and PDF go, in a folder per run, numbered where names are equal; default: `figures` inside the run's folder
        start: seconds at which the timeline begins
        end: seconds at which it ends; default: after about 20 gradients per node
    """
    from sgpsim.files.store import load_all, require_folder
    from sgpsim.reports.plots import save, three_axes
    from sgpsim.reports.report import opening
    from sgpsim.reports.timeline import gantt

    loaded = load_all(runs)
    timelines = [
        None
        if run.trace is None or run.trace.spans.is_empty()
        else gantt(run.trace, start, start + opening(run) if end is None else end)
        for run in loaded.values()
    ]  # what refuses the seconds that are asked for does so before anything is printed
    for number, (folder, (name, run)) in enumerate(zip(runs, loaded.items(), strict=True), start=1):
        inside = name if Path(name).name == name else f"{number}-{Path(os.path.realpath(folder)).name}"  # of several so called
        place = require_folder(out / inside if out is not None else folder / "figures")
        tell(run)
        files = save(three_axes({name: run}), place / "curves")
        if (timeline := timelines[number - 1]) is not None:
            files += save(timeline, place / "timeline")
        print("\n" + "\n".join(f"drawn: {file}" for file in files) + "\n")
    return 0


def tell(run: Run) -> None:
    """Print what was run, and what it ended with."""
    from sgpsim.reports.summary import QUARTILES, about, aligned, ending

    print(f"{aligned(about(run))}\n\nat the end, over seeds:\n{aligned(ending(run).rename(QUARTILES))}")
