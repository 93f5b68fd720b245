"""`sgpsim show`: what a run holds, as tables and figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

if TYPE_CHECKING:
    from sgpsim.run import Run


def main(
    runs: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="RUN [RUN ...]")],
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None,
    start: float = 0.0,
    end: Annotated[float | None, tyro.conf.arg(metavar="SECONDS")] = None,
) -> int:
    """Print the tables of runs, and draw each against steps, seconds and bytes, with a timeline where it kept a trace.

    Args:
        runs: run folders
        out: where PNG and PDF go, in a folder per run; default: the folder `figures` inside the run's
        start: seconds at which the timeline begins
        end: seconds at which it ends; default: after about 20 gradients per node
    """
    from sgpsim.plots import save, three_axes
    from sgpsim.report import opening
    from sgpsim.store import load_all, require_folder
    from sgpsim.timeline import gantt

    for folder, (name, run) in zip(runs, load_all(runs).items(), strict=True):
        place = require_folder(out / name if out is not None else folder / "figures")
        tell(run)
        files = save(three_axes({name: run}), place / "curves")
        if run.trace is not None and not run.trace.spans.is_empty():
            files += save(gantt(run.trace, start, start + opening(run) if end is None else end), place / "timeline")
        print("\n" + "\n".join(f"drawn: {file}" for file in files) + "\n")
    return 0


def tell(run: Run) -> None:
    """Print what was run, and what it ended with."""
    from sgpsim.summary import QUARTILES, about, aligned, ending

    print(f"{aligned(about(run))}\n\nat the end, over seeds:\n{aligned(ending(run).rename(QUARTILES))}")
