"""`sgpsim launch`: an experiment on real processes of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro


def main(
    file: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE.toml")],
    overrides: Annotated[
        tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="[path.to.field=value ...]")
    ] = (),
    processes: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None,
    out: Path = Path("runs"),
    timeout: Annotated[float | None, tyro.conf.arg(metavar="SECONDS")] = None,
) -> int:
    """Run the experiment of a TOML file on real processes, one per node, that talk through torch.distributed (gloo).

    Args:
        file: the experiment
        overrides: changes to the file, such as nodes=4
        processes: how many; must be the experiment's number of nodes, which is the default
        out: where the run folder goes
        timeout: seconds without a sign of life after which a process is taken for dead
    """
    from sgpsim.commands.run import DIVERGED
    from sgpsim.commands.show import tell
    from sgpsim.launch import launch_file
    from sgpsim.reports.progress import bar

    with bar(file.stem) as progress:
        run, folder = launch_file(file, processes, timeout, out, overrides, progress)
    tell(run)
    print(f"\nsaved in {folder}")
    return DIVERGED if run.outcome == "diverged" else 0
