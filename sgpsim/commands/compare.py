"""`sgpsim compare`: how long several runs took to a target."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro


def main(
    runs: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="RUN [RUN ...]")],
    target: Annotated[float, tyro.conf.arg(aliases=("--loss",))],
    metric: str = "loss",
    out: Path = Path("comparison"),
) -> int:
    """Print and draw the time that runs took to a target: medians over seeds, with quartiles.

    Args:
        runs: run folders
        target: what the metric must reach: accuracy at least, loss and the others at most
        metric: what has to reach the target: loss, accuracy, consensus_max, ...
        out: where the table (CSV) and the figures (PNG, PDF) go
    """
    from sgpsim.files.store import load_all, require_folder
    from sgpsim.reports.comparison import cautions, explained, goal, target_figure, time_to_target
    from sgpsim.reports.labels import labels, machine_differences
    from sgpsim.reports.plots import label_of, save, three_axes
    from sgpsim.reports.summary import aligned, printable, shown_remarks

    found = labels(load_all(runs))
    place = require_folder(out)
    table = time_to_target({label_of(name, run): run for name, run in found.items()}, target, metric)
    known = "in seconds of the runs' clocks (low, high: quartiles over seeds; inf: never)"
    print(f"time to {goal(target, metric)}, {known}:\n{aligned(table)}\n")
    print("\n".join(explained(table)))
    differing = machine_differences(list(found.values())).values()
    for name, *phrases in zip(found, *differing, strict=True) if differing else ():
        print(f"machines, where they differ, of {name}: {printable('; '.join(phrases))}")
    for name, run in found.items():
        for remark in shown_remarks(run):
            print(f"remark on {name}: {printable(remark)}")
    for caution in cautions(found, target, metric):
        print(f"mind: {printable(caution)}")
    (place / "time_to_target.csv").write_text(table.write_csv(), encoding="utf-8", errors="replace")
    files = [
        *save(target_figure(found, target, metric), place / "time_to_target"),
        *save(three_axes(found, metric), place / "curves"),
    ]
    print("\n".join(f"drawn: {file}" for file in files))
    return 0
