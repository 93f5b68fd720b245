"""`sgpsim run`: one experiment from a TOML file, simulated or on real processes that torchrun has started."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

if TYPE_CHECKING:
    from sgpsim.backends.processes.torch_distributed import TorchDistributed
    from sgpsim.experiment import Experiment
    from sgpsim.results.run import Run

DIVERGED = 5
"""Exit code of a run whose numbers left the floating-point range; it is saved all the same."""


def main(
    file: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE.toml")],
    overrides: Annotated[
        tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="[path.to.field=value ...]")
    ] = (),
    out: Path = Path("runs"),
    backend: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None,
    trust: bool = False,
) -> int:
    """Run the experiment of a TOML file, or that of a run folder again, and keep the run in a folder.

    Args:
        file: the experiment; examples/ has some. Functions that it names are imported: a file named here is trusted
        overrides: changes to the file, such as budget.count=50 or algorithm.descent.step_size=0.1
        out: where run folders are kept; a run that is there already is not computed again
        backend: auto, simulated, vectorized, or torch (under torchrun); default: what the file says, else auto
        trust: import the functions that a run folder names, which may be anybody's code
    """
    from sgpsim.backends.events.simulated import Simulated
    from sgpsim.backends.processes.torch_distributed import TorchDistributed
    from sgpsim.budget import most_steps
    from sgpsim.commands.show import tell
    from sgpsim.cost import say_run
    from sgpsim.errors import NotSaved, SpecificationError
    from sgpsim.files.run_folders import read_task
    from sgpsim.files.store import Store
    from sgpsim.files.toml_files import read
    from sgpsim.reports.progress import bar

    if os.path.isdir(file):
        if overrides or backend:
            raise SpecificationError(
                f"{str(file)!r} is a run folder, which is run again as it was; overrides and --backend need a TOML file."
                " Leave them away, or give the file."
            )
        name, experiment, chosen = read_task(file, trust)
        reason = f"{type(chosen).__name__}: what the folder says."
    else:
        toml = read(file, overrides)
        name, experiment = toml.name, toml.experiment
        chosen, reason = toml.backend(backend or "")
    if isinstance(chosen, TorchDistributed):
        return _as_one_of_several(name, experiment, chosen, out)
    say_run(
        experiment.nodes,
        len(experiment.seeds),
        experiment.objective.dimension,
        most_steps(experiment.budget, experiment.nodes),
        4 if experiment.dtype == "float32" else 8,
        experiment.measure_every,
        events=isinstance(chosen, Simulated),
        trajectory=getattr(chosen, "keep_trajectory", False),
        trace=getattr(chosen, "trace", False),
    )
    print(reason)
    folder: Path | None = None
    try:
        with bar(name) as progress:
            run, folder, old = Store(out).run(name, experiment, chosen, progress)
        return _told(run, folder, old)
    except NotSaved as error:
        tell(error.run)
        raise
    except KeyboardInterrupt as stop:
        if folder is not None:  # the run was whole and saved already
            stop.folder = folder  # pyright: ignore[reportAttributeAccessIssue]
        raise


def _as_one_of_several(name: str, experiment: Experiment, backend: TorchDistributed, out: Path) -> int:
    """One process of several: the first one tells and keeps the run."""
    from sgpsim.launching.torchrun import take_part

    run, folder, old = take_part(name, experiment, backend, out)
    if run is not None and folder is not None:
        return _told(run, folder, old)
    return DIVERGED if run is not None and run.outcome == "diverged" else 0


def _told(run: Run, folder: Path, old: bool) -> int:
    from sgpsim.commands.show import tell

    tell(run)
    print(f"\nfound in {folder}; nothing was computed anew" if old else f"\nsaved in {folder}")
    if run.outcome == "leaked":
        from sgpsim.errors import MassLeak

        raise MassLeak(run.remarks[0])
    return DIVERGED if run.outcome == "diverged" else 0
