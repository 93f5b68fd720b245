"""Launch: an experiment on real processes of this machine, one per node, from Python or from a TOML file.

The rule: what `Backend.run` is elsewhere, `launch` is here, as a process can't be many: it gives back a Run, and raises
NodeFailure or MassLeak that carry the run so far.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from sgpsim.backends.backend import Progress
from sgpsim.backends.processes.torch_distributed import TorchDistributed, require_size
from sgpsim.backends.watch.monitor import MonitorPolicy
from sgpsim.clusters.cluster import Cluster
from sgpsim.errors import MassLeak, NodeFailure, NotSaved, note
from sgpsim.experiment import Experiment
from sgpsim.files.keys import key as key_of
from sgpsim.files.keys import originals
from sgpsim.files.store import Store, load
from sgpsim.files.toml_files import read
from sgpsim.interruption import name_of
from sgpsim.launching.launcher import Launcher
from sgpsim.launching.unfinished import Case, begin, discard, made, recover, tell
from sgpsim.results.run import Run, run_of, with_run
from sgpsim.specification.arguments import checked


@checked
def launch(
    experiment: Experiment,
    processes: int | None = None,
    timeout: float = 30.0,
    *,
    compute: Literal["real", "sleep"] = "real",
    cluster: Cluster | None = None,
    monitor: MonitorPolicy = "raise",
    trace: bool = True,
    keep_trajectory: bool = False,
    progress: Progress | None = None,
) -> Run:
    """Run `experiment` on `processes` processes (one per node); see TorchDistributed for the rest. Raises
    NodeFailure, with what was computed as `.run`, where a process died or hung, and MassLeak, likewise."""
    backend = TorchDistributed(timeout, compute, cluster, monitor, trace, keep_trajectory)
    return launch_all([(experiment, backend)], processes, progress)[0]


@checked
def launch_all(
    cases: Sequence[Case],
    processes: int | None = None,
    progress: Progress | None = None,
    folder: Path | None = None,
    name: str = "",
    key: str = "",
) -> list[Run]:
    """Several experiments one after the other on the same processes, which saves starting them anew; see `launch`.

    folder, name, key: where records lie meanwhile, and what to call the run if this process is killed (see
    sgpsim.launching.unfinished); else nothing outlives it. KeyboardInterrupt, too, carries what was computed as `.run`.
    """
    with Launcher(cases, processes, progress, folder, name, key) as launcher:
        try:
            launcher.watch()
            runs = launcher.runs()
        except KeyboardInterrupt as stop:
            with_run(stop, launcher.interrupted(stop))
            raise
    for run, (_, backend) in zip(runs, cases, strict=True):
        if run.outcome == "leaked" and backend.monitor == "raise":
            raise with_run(MassLeak(run.remarks[0]), run)
    return runs


@checked
def launch_file(
    path: Path | str,
    processes: int | None = None,
    timeout: float | None = None,
    out: Path | str | None = None,
    overrides: Sequence[str] = (),
    progress: Progress | None = None,
) -> tuple[Run, Path | None]:
    """Run what a TOML file says on real processes; the run, and its folder.

    timeout: instead of the file's. out: folder that the run is stored in, and taken from if it is there already; None
    stores nothing. overrides:
    `path.to.field=value`. Raises SpecificationError, and NodeFailure, MassLeak or KeyboardInterrupt, which carry what
    was computed as `.run` and its folder as `.folder`.
    """
    file = read(path, overrides)
    backend, _ = file.backend("TorchDistributed")
    assert isinstance(backend, TorchDistributed)
    if timeout is not None:
        backend = replace(backend, timeout=timeout)
    case = (file.experiment, backend)
    if out is None:
        return launch_all([case], processes, progress)[0], None
    store = Store(Path(out))
    store.require_writable()
    for sentence in recover(store.folder):
        tell(sentence)
    backend.check(file.experiment)
    require_size(file.experiment, file.experiment.nodes if processes is None else processes)
    there = store.find(file.experiment, backend)
    if there is not None:
        tell(f"found in {there}; nothing was computed anew. Delete that folder, or give another --out, to measure again")
        run = load(there)
        if run.outcome == "leaked" and backend.monitor == "raise":
            raise with_run(MassLeak(run.remarks[0]), run, there)
        return run, there
    files = originals(*case)
    known = key_of(*case)  # files may change while it runs
    folder, lock = begin(store.folder, file.name)  # locked until its run is saved: another launch takes what nobody holds
    place: Path | None = None
    try:
        try:
            run = launch_all([case], processes, progress, folder, file.name, known)[0]
            there = store.find(*case) if known == key_of(*case) else None
            place = there or _saved(store, file.name, run, backend, known, files)
        except (NodeFailure, MassLeak, KeyboardInterrupt) as ending:
            partial = run_of(ending)
            if partial is None and isinstance(ending, KeyboardInterrupt):  # it came while the launcher was ending
                partial = made(folder, *case, f"interrupted by {name_of(ending)}")
            place = getattr(ending, "folder", None)
            if place is None and partial is not None:
                place = _saved(store, file.name, partial, backend, known, files)
                with_run(ending, partial, place)
            discard(folder)
            raise
        except NotSaved:
            raise
        except Exception as error:  # of an objective that cannot be measured
            if (partial := run_of(error)) is not None:
                place = _saved(store, file.name, partial, backend, known, files)
                note(with_run(error, partial, place), f"what was measured lies in {place}")
                discard(folder)
            raise
        discard(folder)
    except NotSaved as error:
        if error.folder is not None:
            discard(folder)
        raise  # else the records are all there is: the next launch makes a run of them
    except KeyboardInterrupt as stop:
        stop.folder = place or getattr(stop, "folder", None)  # pyright: ignore[reportAttributeAccessIssue]
        raise
    finally:
        if not (folder / "job.json").exists():  # a disk that was full from the first
            discard(folder)
        os.close(lock)
    if there is not None:
        tell(f"found in {there}, where another launch has kept the same run meanwhile; that is the one that is shown")
        run = load(there)
    return run, place


def _saved(store: Store, name: str, run: Run, backend: TorchDistributed, known: str, files: Mapping[str, bytes]) -> Path:
    """The folder of `run`; a user who interrupts the saving gets it too, before KeyboardInterrupt goes on."""
    try:
        return store.save(name, run, backend, known, files=files)
    except KeyboardInterrupt as stop:
        raise with_run(stop, run, store.save(name, run, backend, known, files=files)) from None
