"""The store: runs as folders on disk, `<name>-<first 12 digits of the key>`.

The rule: a folder is whole or not there. It is written beside its place and then renamed; it carries its experiment,
the files that the experiment names, and a digest of each file, so that damage is found when it is read. The same
experiment on the same backend is not computed twice.

    experiment.json   the experiment, and the backend with its cluster
    metrics.parquet   the tidy table of sgpsim.metrics
    trace.parquet     spans and messages of sgpsim.trace, told apart by the column `kind` (where the run kept a trace)
    final.npz         where the nodes ended; trajectory.npz, where the run kept one
    inputs/           files that the experiment names
    provenance.json   key, outcome, remarks, statistics, versions, machine, date, and the digests
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from sgpsim.backends.backend import Backend, Progress
from sgpsim.errors import MassLeak, SpecificationError
from sgpsim.experiment import Experiment
from sgpsim.keys import digest, key, with_files
from sgpsim.plain_data import from_plain, to_plain
from sgpsim.run import Final, Run, Trajectory
from sgpsim.trace import MESSAGE_SCHEMA, SPAN_SCHEMA, Trace

FORMAT = 1
COPIED_BYTES = 1 << 26
"""Files that an experiment names are copied into its folder up to this size; larger ones are referred to where they
are."""


@dataclass(frozen=True)
class Store:
    """A folder of run folders."""

    folder: Path

    def require_writable(self) -> None:
        """Raise SpecificationError unless files can be written here; makes the folder."""
        require_folder(self.folder)

    def find(self, experiment: Experiment, backend: Backend) -> Path | None:
        """The folder of this experiment on this backend, under whatever name, if it is there."""
        return next(iter(sorted(self.folder.glob(f"*-{key(experiment, backend)[:12]}"))), None)

    def run(
        self, name: str, experiment: Experiment, backend: Backend, progress: Progress | None = None
    ) -> tuple[Run, Path, bool]:
        """(run, its folder, whether it was there already). Raises MassLeak where the monitor found one and is set to
        raise; the run is saved."""
        backend.check(experiment)
        self.require_writable()
        there = self.find(experiment, backend)
        if there is not None:
            return load(there), there, True
        try:
            run = backend.run(experiment, progress)
        except MassLeak as leak:
            run = getattr(leak, "run", None)
            if isinstance(run, Run):
                leak.folder = self.save(name, run, backend)  # pyright: ignore[reportAttributeAccessIssue]
            raise
        return run, self.save(name, run, backend), False

    def save(self, name: str, run: Run, backend: Backend) -> Path:
        """Write `run`; its folder. If the same run was written meanwhile, that one stays."""
        told = key(run.experiment, backend)
        place = self.folder / f"{name}-{told[:12]}"
        self.require_writable()
        with _beside(place) as folder:
            _write(folder, run, backend, {"name": name, "key": told})
            try:
                os.replace(folder, place)
            except OSError:
                if not (place / "provenance.json").is_file():
                    raise
        return place


def require_folder(folder: Path) -> Path:
    """`folder`, made if need be; SpecificationError unless files can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise SpecificationError(
            f"nothing can be written to {str(folder)!r} ({error.strerror}); results need a place, so nothing was done."
            " Give a folder that you may write to, as in --out runs."
        ) from None


@contextmanager
def _beside(place: Path) -> Generator[Path]:
    """A temporary folder on the same file system; removed if it is still there at the end."""
    folder = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write(folder: Path, run: Run, backend: Backend, about: dict[str, str]) -> None:
    def kept(file: Path) -> str:
        if file.stat().st_size > COPIED_BYTES:
            return str(file.resolve())
        copy = Path("inputs") / f"{digest(file)[:12]}-{file.name}"
        (folder / "inputs").mkdir(exist_ok=True)
        shutil.copyfile(file, folder / copy)
        return copy.as_posix()

    told = {"format": FORMAT, "experiment": to_plain(run.experiment), "backend": to_plain(backend)}
    _write_json(folder / "experiment.json", with_files(told, kept))
    run.metrics.write_parquet(folder / "metrics.parquet")
    np.savez(folder / "final.npz", **run.final._asdict())  # pyright: ignore[reportArgumentType]
    if run.trajectory is not None:
        np.savez(folder / "trajectory.npz", **run.trajectory._asdict())  # pyright: ignore[reportArgumentType]
    if run.trace is not None:
        tables = [
            table.with_columns(kind=pl.lit(kind))
            for kind, table in zip(("span", "message"), (run.trace.spans, run.trace.messages), strict=True)
        ]
        pl.concat(tables, how="diagonal").select("kind", pl.exclude("kind")).write_parquet(folder / "trace.parquet")
    files = {file.relative_to(folder).as_posix(): digest(file) for file in sorted(folder.rglob("*")) if file.is_file()}
    ended = {
        "backend": run.backend,
        "outcome": run.outcome,
        "remarks": list(run.remarks),
        "statistics": to_plain(run.statistics),
    }
    _write_json(folder / "provenance.json", {**about, **ended, **to_plain(run.provenance), "files": files})


def _write_json(file: Path, content: Any) -> None:
    file.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def load(path: Path | str) -> Run:
    """The run in the folder `path`. Raises SpecificationError that names the file where one is missing or damaged."""
    folder = Path(path)
    if not (folder / "provenance.json").is_file():
        raise SpecificationError(
            f"{str(folder / 'provenance.json')!r} is missing; a run folder has one."
            " Give a folder that `sgpsim run` has written."
        )
    told = _read_json(folder / "provenance.json")
    files = told.get("files")
    if not isinstance(files, dict) or not {"experiment.json", "metrics.parquet", "final.npz"} <= set(files):
        raise _damaged(folder, "provenance.json", "it does not list the run's files")
    for name, expected in files.items():
        if not (folder / name).is_file():
            raise _damaged(folder, name, "it is missing")
        if digest(folder / name) != expected:
            raise _damaged(folder, name, "its content is not what was written")
    content = _read_json(folder / "experiment.json")
    if content.get("format") != FORMAT:
        raise SpecificationError(
            f"{str(folder / 'experiment.json')!r} has format {content.get('format')!r}; this version of sgpsim reads"
            f" {FORMAT}. Run the experiment again."
        )
    experiment = from_plain(content["experiment"], Experiment, folder, source=str(folder / "experiment.json"))
    trajectory = Trajectory(**_arrays(folder / "trajectory.npz")) if "trajectory.npz" in files else None
    trace = _trace(pl.read_parquet(folder / "trace.parquet")) if "trace.parquet" in files else None
    return Run(
        experiment,
        told["backend"],
        pl.read_parquet(folder / "metrics.parquet"),
        Final(**_arrays(folder / "final.npz")),
        trace,
        trajectory,
        told["outcome"],
        tuple(told["remarks"]),
        {name: float(value) for name, value in told["statistics"].items()},
        {
            name: value
            for name, value in told.items()
            if name not in ("backend", "outcome", "remarks", "statistics", "files")
        },
    )


def load_all(paths: Iterable[Path]) -> dict[str, Run]:
    """Several runs by the names of their folders; at least one."""
    found = {str(path): load(path) for path in paths}
    if len({path.name for path in map(Path, found)}) == len(found):
        found = {Path(path).name: run for path, run in found.items()}
    if not found:
        raise SpecificationError(
            "no run folder is given; at least one is needed. Give folders that `sgpsim run` wrote."
        )
    return found


def _read_json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(file.parent, file.name, str(error)) from None
    if not isinstance(found, dict):
        raise _damaged(file.parent, file.name, "it holds no table")
    return found


def _arrays(file: Path) -> dict[str, Any]:
    with np.load(file, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _trace(table: pl.DataFrame) -> Trace:
    spans, messages = (table.filter(pl.col("kind") == kind) for kind in ("span", "message"))
    return Trace(spans.select(*SPAN_SCHEMA), messages.select(*MESSAGE_SCHEMA))


def _damaged(folder: Path, name: str, why: str) -> SpecificationError:
    return SpecificationError(
        f"{str(folder / name)!r} is damaged: {why}. Delete the folder {str(folder)!r} and run the experiment again."
    )
