"""Launch: an experiment on real processes of this machine, one per node, from Python or from a TOML file.

The rule: what `Backend.run` is elsewhere, `launch` is here, as a process can't be many: it gives back a Run, and raises
NodeFailure or MassLeak that carry the run so far.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from sgpsim.backends.backend import MonitorPolicy, Progress
from sgpsim.backends.membership import FAILED
from sgpsim.backends.torch_distributed import TorchDistributed
from sgpsim.clusters.cluster import Cluster
from sgpsim.errors import MassLeak, NodeFailure
from sgpsim.experiment import Experiment
from sgpsim.launcher import Case, Launcher, with_run
from sgpsim.run import Run
from sgpsim.store import Store
from sgpsim.toml_files import read


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


def launch_all(cases: Sequence[Case], processes: int | None = None, progress: Progress | None = None) -> list[Run]:
    """Several experiments one after the other on the same processes, which saves starting them anew; see `launch`."""
    with Launcher(cases, processes, progress) as launcher:
        launcher.watch()
        runs = launcher.runs()
    for run, (_, backend) in zip(runs, cases, strict=True):
        if run.outcome == "leaked" and backend.monitor == "raise":
            raise with_run(MassLeak(run.remarks[0]), run)
    return runs


def launch_file(
    path: Path | str,
    processes: int | None = None,
    timeout: float | None = None,
    out: Path | str | None = None,
    overrides: Sequence[str] = (),
    progress: Progress | None = None,
) -> int:
    """Run what a TOML file says on real processes; the exit code, 0, or 4 (FAILED) with one sentence on stderr.

    timeout: instead of the file's. out: folder that the run is stored in; of a run that failed the metrics are kept, as
    .failed/NAME.parquet in it. overrides: `path.to.field=value`. SpecificationError and MassLeak are the caller's to tell.
    """
    file = read(path, overrides)
    backend, _ = file.backend("TorchDistributed")
    assert isinstance(backend, TorchDistributed)
    if timeout is not None:
        backend = replace(backend, timeout=timeout)
    store = Store(Path(out)) if out is not None else None
    if store is not None:
        store.require_writable()
    try:
        run = launch_all([(file.experiment, backend)], processes, progress)[0]
    except NodeFailure as failure:
        print(failure, file=sys.stderr)
        partial: Run | None = getattr(failure, "run", None)
        if out is not None and partial is not None:
            kept = Path(out) / ".failed" / f"{file.name}.parquet"  # out of sight of `runs/*`: it is no run folder
            kept.parent.mkdir(exist_ok=True)
            partial.metrics.write_parquet(kept)
            print(f"what was measured until then: {kept}", file=sys.stderr)
        return FAILED
    if store is not None:
        print(store.save(file.name, run, backend))
    return 0
