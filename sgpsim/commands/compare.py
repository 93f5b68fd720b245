"""`sgpsim compare`: how long several runs took to a loss."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro


def main(
    runs: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="RUN [RUN ...]")],
    loss: float,
    metric: str = "loss",
    out: Path = Path("comparison"),
) -> int:
    """Print and draw the time that runs took to a target: medians over seeds, with quartiles.

    Args:
        runs: run folders
        loss: the target: at or below it counts as reached
        metric: what has to reach the target
        out: where the table (CSV) and the figures (PNG, PDF) go
    """
    from sgpsim.comparison import target_figure, time_to_target
    from sgpsim.plots import save, three_axes
    from sgpsim.store import load_all, require_folder
    from sgpsim.summary import aligned, labels

    found = labels(load_all(runs))
    place = require_folder(out)
    table = time_to_target(found, loss, metric)
    print(f"time to {metric} <= {loss:g}, in seconds of the runs' clocks (inf: never):\n{aligned(table)}\n")
    table.write_csv(place / "time_to_target.csv")
    files = [
        *save(target_figure(found, loss, metric), place / "time_to_target"),
        *save(three_axes(found, metric), place / "curves"),
    ]
    print("\n".join(f"drawn: {file}" for file in files))
    return 0
