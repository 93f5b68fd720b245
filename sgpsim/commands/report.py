"""`sgpsim report`: runs as one HTML file that can be sent to somebody."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro


def main(
    runs: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="RUN [RUN ...]")],
    out: Path = Path("report.html"),
    title: str = "Runs",
) -> int:
    """Write figures and tables of runs into one self-contained HTML file.

    Args:
        runs: run folders
        out: the file
        title: its heading
    """
    from sgpsim.files.store import load_all
    from sgpsim.reports.labels import labels
    from sgpsim.reports.report import of_runs, write

    print(f"written: {write(out, title, of_runs(labels(load_all(runs))))}")
    return 0
