"""`sgpsim run`: one experiment from a TOML file, simulated or on real processes that torchrun has started."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import tyro

DIVERGED = 5
"""Exit code of a run whose numbers left the floating-point range; it is saved all the same."""


def main(
    file: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE.toml")],
    overrides: Annotated[
        tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="[path.to.field=value ...]")
    ] = (),
    out: Path = Path("runs"),
    backend: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None,
) -> int:
    """Run the experiment of a TOML file, and keep the run in a folder.

    Args:
        file: the experiment; examples/ has some
        overrides: changes to the file, such as budget.count=50 or algorithm.descent.step_size=0.1
        out: where run folders are kept; a run that is there already is not computed again
        backend: auto, simulated, vectorized, or torch (under torchrun); default: what the file says, else auto
    """
    from sgpsim.backends.torch_distributed import TorchDistributed
    from sgpsim.commands.show import tell
    from sgpsim.errors import NotSaved
    from sgpsim.progress import bar
    from sgpsim.store import Store
    from sgpsim.toml_files import read

    found = read(file, overrides)
    chosen, reason = found.backend(backend or "")
    if isinstance(chosen, TorchDistributed) and os.environ.get("RANK", "0") != "0":
        # one of several processes: the first one tells and keeps the run
        if Store(out).find(found.experiment, chosen) is None:  # else the first one takes the run from there
            chosen.run(found.experiment)
        return 0
    print(reason)
    try:
        with bar(found.name) as progress:
            run, folder, old = Store(out).run(found.name, found.experiment, chosen, progress)
    except NotSaved as error:
        tell(error.run)
        raise
    tell(run)
    print(f"\nfound in {folder}; nothing was computed anew" if old else f"\nsaved in {folder}")
    if run.outcome == "leaked":
        from sgpsim.errors import MassLeak

        raise MassLeak(run.remarks[0])
    return DIVERGED if run.outcome == "diverged" else 0
