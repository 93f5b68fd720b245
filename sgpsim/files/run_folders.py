"""Run folders: the files that a run is written as, and back.

The rule: reading gives the run that was written, to the bit, or SpecificationError that names the file; it runs no code
of anybody's. Every file says its format. `provenance.json` holds the SHA-256 of each other file and of itself, which
finds damage and careless edits; whoever forges a folder can compute digests too.

    experiment.json   the experiment, and the backend with its cluster
    metrics.parquet   the tidy table of sgpsim.results.metrics
    trace.parquet     spans and messages of sgpsim.results.trace, told apart by the column `kind` (where the run kept a trace)
    final.npz         where the nodes ended; trajectory.npz, where the run kept one
    inputs/           files that the experiment names
    provenance.json   key, outcome, remarks, statistics, versions, machine, date, and the digests
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast, get_args

import numpy as np
import polars as pl

from sgpsim.backends.backend import Backend
from sgpsim.cost import memory
from sgpsim.errors import SpecificationError, shown
from sgpsim.experiment import Experiment
from sgpsim.files.keys import COPIED_BYTES, files_read, with_files
from sgpsim.files.plain_data import from_plain, to_plain
from sgpsim.objectives.objective import Objective
from sgpsim.objectives.unresolved import Unresolved
from sgpsim.results.metrics import SCHEMA
from sgpsim.results.run import Final, Outcome, Run, Trajectory
from sgpsim.results.trace import MESSAGE_SCHEMA, SPAN_SCHEMA, Trace
from sgpsim.specification.functions import FunctionName
from sgpsim.specification.input_files import MOST_BYTES, arrays_in, content_of, digest, opened, whole_number

FORMAT = 2
"""Of every file of a folder. 1: provenance had no digest of its own, and only experiment.json said the format."""
NO_FILES: Mapping[str, bytes] = MappingProxyType({})
OF_THE_RUN = ("backend", "outcome", "remarks", "statistics", "files", "digest")
"""Entries of provenance.json that are no part of `Run.provenance`."""
SMALL_TABLE = 100_000
"""Rows of a table that may take less than a byte each."""
TRACE_SCHEMA = {"kind": pl.String, **SPAN_SCHEMA, **MESSAGE_SCHEMA}


def write_run(
    folder: Path, run: Run, backend: Backend, about: Mapping[str, str], tables: bool = True, files: Mapping[str, bytes] = NO_FILES
) -> None:
    """Write `run` into the empty `folder`. about: entries of the provenance. tables: False leaves trace and trajectory
    out, which are the large ones. files: as in `write_task`."""
    write_task(folder, run.experiment, backend, files)
    if tables and run.trajectory is not None:
        _write_arrays(folder / "trajectory.npz", run.trajectory._asdict())
    if tables and run.trace is not None:
        kinds = (("span", run.trace.spans), ("message", run.trace.messages))
        parts = [table.with_columns(kind=pl.lit(kind)) for kind, table in kinds]
        _write_table(folder / "trace.parquet", pl.concat(parts, how="diagonal").select(*TRACE_SCHEMA))
    ending = {
        "backend": run.backend,
        "outcome": run.outcome,
        "remarks": list(run.remarks),
        "statistics": to_plain(run.statistics),
    }
    write_results(folder, run.metrics, run.final, {**about, **ending, **to_plain(run.provenance)})


def write_task(folder: Path, experiment: Experiment, backend: Backend, files: Mapping[str, bytes] = NO_FILES) -> None:
    """Write what is to be run, with copies of the files that it names, as they were when they were read. files: their
    content by path (see keys.originals), where it is known; a file that has changed and is not known gets its name in
    the folder and no copy, so that the run cannot be read until somebody puts the old one there."""
    read = files_read(experiment, backend)

    def kept(path: str) -> str:
        content = files.get(path)
        if content is None and os.path.isfile(path):
            if os.path.getsize(path) > COPIED_BYTES:
                return str(Path(path).resolve())
            content = content_of("a file that the experiment names", path)
        there = "" if content is None else hashlib.sha256(content).hexdigest()
        if not (used := read.get(path, there)):
            return path
        copy = Path("inputs") / f"{used[:12]}-{Path(path).name}"
        if content is not None and used == there:
            (folder / "inputs").mkdir(exist_ok=True)
            (folder / copy).write_bytes(content)
        return copy.as_posix()

    content = {"format": FORMAT, "experiment": to_plain(experiment), "backend": to_plain(backend)}
    _write_json(folder / "experiment.json", with_files(content, kept))


def write_results(folder: Path, metrics: pl.DataFrame, final: Final, ending: Mapping[str, Any]) -> None:
    """Write what came out beside what was run; the digests of all files come last. ending: all else that
    provenance.json says."""
    _write_table(folder / "metrics.parquet", metrics)
    _write_arrays(folder / "final.npz", final._asdict())
    files = {file.relative_to(folder).as_posix(): digest(file) for file in sorted(folder.rglob("*")) if file.is_file()}
    provenance = {"format": FORMAT, **ending, "files": files}
    _write_json(folder / "provenance.json", {**provenance, "digest": seal(provenance)})


def seal(provenance: Mapping[str, Any]) -> str:
    """The SHA-256 of everything in provenance.json but the digest itself, as canonical JSON."""
    content = {name: value for name, value in provenance.items() if name != "digest"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def read_run(folder: Path, trust: bool = False) -> Run:
    """The run in `folder`. trust: import the functions that its experiment names; otherwise they stay names, and an
    objective that holds one is described and cannot be run. Raises SpecificationError that names the file where one is
    missing, damaged, or of another format."""
    if not os.path.isfile(folder / "provenance.json"):  # unlike Path.is_file, false for whatever cannot be a path
        raise SpecificationError(
            f"{str(folder / 'provenance.json')!r} is missing; a run folder has one."
            " Give a folder that `sgpsim run` has written."
        )
    provenance = _read_json(folder / "provenance.json")
    _require_format(folder / "provenance.json", provenance.get("format", 1))
    try:
        whole = provenance.get("digest") == seal(provenance)
    except ValueError:  # numbers that JSON does not have
        whole = False
    if not whole:
        raise damaged(folder, "provenance.json", "its content is not what was written")
    files = _files(folder, provenance)
    content = _read_json(folder / "experiment.json")
    _require_format(folder / "experiment.json", content.get("format"))
    final = _final(folder)
    nodes, seeds, dimension = final.values.shape
    require_sizes(folder, content, final.values.shape)

    def described(kind: type, content: Mapping[str, Any], names: tuple[FunctionName, ...]) -> Unresolved | None:
        return Unresolved(kind.__name__, content, names, nodes, dimension) if issubclass(kind, Objective) else None

    experiment = from_plain(
        content.get("experiment"),
        Experiment,
        folder,
        source=str(folder / "experiment.json"),
        consent="import" if trust else "name",
        stand_in=None if trust else described,
    )
    if (experiment.nodes, len(experiment.seeds), experiment.objective.dimension) != (nodes, seeds, dimension):
        raise damaged(folder, "final.npz", "its shapes are not those of the experiment")
    outcome, remarks, statistics = _ending(folder, provenance)
    return Run(
        experiment,
        str(provenance.get("backend")),
        _read_table(folder / "metrics.parquet", SCHEMA),
        final,
        _trace(folder) if "trace.parquet" in files else None,
        _trajectory(folder, final) if "trajectory.npz" in files else None,
        outcome,
        remarks,
        statistics,
        {name: value for name, value in provenance.items() if name not in OF_THE_RUN},
    )


def read_task(folder: Path, trust: bool = False) -> tuple[str, Experiment, Backend]:
    """Name, experiment and backend of the run in `folder`, to run it again. Raises SpecificationError as `read_run`,
    and where it names functions and `trust` is not set."""
    run = read_run(folder)
    content, source = _read_json(folder / "experiment.json"), str(folder / "experiment.json")
    consent = "import" if trust else "refuse"
    experiment = from_plain(content.get("experiment"), Experiment, folder, source=source, consent=consent)
    name = run.provenance.get("name")
    return name if isinstance(name, str) else folder.name, experiment, read_backend(folder, trust)


def read_backend(folder: Path, trust: bool = False) -> Backend:
    """What the run in `folder`, which was read and found whole, ran on. Raises SpecificationError where that names functions
    and `trust` is not set."""
    content, source = _read_json(folder / "experiment.json"), str(folder / "experiment.json")
    consent = "import" if trust else "refuse"
    return from_plain(without_drop(content.get("backend")), Backend, folder, source=source, path="backend", consent=consent)  # pyright: ignore[reportAbstractUsage]


def without_drop(backend: Any) -> Any:
    """Plain data of a backend without `drop`, which versions wrote before faults were the cluster's, where it is None."""
    if isinstance(backend, dict) and backend.get("drop", "") is None:
        return {name: value for name, value in backend.items() if name != "drop"}
    return backend


def damaged(folder: Path, name: str, why: str) -> SpecificationError:
    reason = " ".join(why.split())
    return SpecificationError(f"{str(folder / name)!r} is damaged: {reason[:200]}. {_anew(folder)}")


def _anew(folder: Path) -> str:
    return f"Delete the folder {str(folder)!r} and run the experiment again."


# -- provenance


def _files(folder: Path, provenance: Mapping[str, Any]) -> Iterable[str]:
    """The names of the folder's files, all there and as they were written."""
    files = provenance.get("files")
    if not isinstance(files, dict) or not {"experiment.json", "metrics.parquet", "final.npz"} <= set(files):
        raise damaged(folder, "provenance.json", "it does not list the run's files")
    for name, expected in files.items():
        if os.path.isabs(name) or ".." in Path(name).parts:
            raise damaged(folder, "provenance.json", f"it lists {shown(name)}, which is no file of the folder")
        if not os.path.isfile(folder / name):
            raise damaged(folder, name, "it is missing")
        _attempt(folder, name, partial(_require_plausible, folder / name))
        if _attempt(folder, name, partial(digest, folder / name)) != expected:
            raise damaged(folder, name, "its content is not what was written")
    return files


def _require_plausible(file: Path) -> None:
    """Raise ValueError where a file is longer than any that is written here and read again, or ends as none of its kind:
    going through all of it could take forever."""
    most = {".npz": memory(), ".parquet": memory(), ".json": MOST_BYTES}.get(file.suffix, COPIED_BYTES)
    if file.parent.name == "inputs":
        most = COPIED_BYTES
    with opened("a file", file) as content:
        size = os.fstat(content.fileno()).st_size
        if size > most:
            raise ValueError(f"it has {size:,} bytes, and at most {most:,.0f} are read")
        content.seek(max(size - 4, 0))
        if file.suffix == ".parquet" and content.read() != b"PAR1":
            raise ValueError("it is no parquet file")
        if file.suffix == ".npz" and not zipfile.is_zipfile(content):
            raise ValueError("it is no archive of arrays")


def require_sizes(folder: Path, content: Any, shape: Sequence[int]) -> None:
    """Raise SpecificationError where a number of nodes, seeds or coordinates in experiment.json exceeds that of the run,
    `shape`: building what it says could take all memory."""
    nodes, _, dimension = shape
    most = {"nodes": nodes, "size": nodes, "dimension": dimension}
    waiting = [content]
    while waiting:
        inside = waiting.pop()
        if isinstance(inside, list):
            waiting += inside
        elif isinstance(inside, dict):
            waiting += inside.values()
            for name in most.keys() & inside.keys():
                if isinstance(inside[name], int | float) and inside[name] > most[name]:
                    raise damaged(folder, "experiment.json", f"{name} is {shown(inside[name])}, and the run has {most[name]}")


def _ending(folder: Path, provenance: Mapping[str, Any]) -> tuple[Outcome, tuple[str, ...], dict[str, float]]:
    """Outcome, remarks and statistics."""
    outcome, remarks, statistics = (cast("Any", provenance.get(name)) for name in ("outcome", "remarks", "statistics"))
    if outcome not in get_args(Outcome):
        raise damaged(folder, "provenance.json", f"the outcome {outcome!r} is none of {', '.join(get_args(Outcome))}")
    if not isinstance(remarks, list) or not all(isinstance(remark, str) for remark in remarks):
        raise damaged(folder, "provenance.json", "its remarks are no list of sentences")
    try:
        numbers = {str(name): float(value) for name, value in dict(statistics).items()}
    except (TypeError, ValueError):
        raise damaged(folder, "provenance.json", "its statistics are no table of numbers") from None
    return cast("Outcome", outcome), tuple(remarks), numbers


def _require_format(file: Path, format_: Any) -> None:
    if format_ == FORMAT and not isinstance(format_, bool):
        return
    if isinstance(format_, int) and format_ > FORMAT:
        raise SpecificationError(
            f"{str(file)!r} has format {format_}, which a newer sgpsim wrote; this one reads {FORMAT}. Update sgpsim, or"
            " run the experiment again."
        )
    raise SpecificationError(
        f"{str(file)!r} has format {format_!r}; this version of sgpsim reads {FORMAT}. Run the experiment again, or open"
        " it with the version that wrote it."
    )


# -- files of each kind


def _attempt(folder: Path, name: str, read: Callable[[], Any]) -> Any:
    """What `read` gives; whatever a reader stumbles over is damage of that file."""
    try:
        return read()
    except (KeyboardInterrupt, SystemExit, SpecificationError):
        raise
    except BaseException as error:  # among them polars' panics, which are no Exceptions
        raise damaged(folder, name, f"{type(error).__name__}: {error}") from None


def _write_json(file: Path, content: Any) -> None:
    file.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _read_json(file: Path) -> dict[str, Any]:
    content = _attempt(file.parent, file.name, lambda: json.loads(_content(file).decode()))
    if not isinstance(content, dict):
        raise damaged(file.parent, file.name, "it holds no table")
    return content


def _write_table(file: Path, table: pl.DataFrame) -> None:
    content = io.BytesIO()  # so that a full disk is Python's OSError, as everywhere
    table.write_parquet(content, metadata={"format": str(FORMAT)})
    file.write_bytes(content.getbuffer())


def _read_table(file: Path, schema: Mapping[str, Any]) -> pl.DataFrame:
    def read() -> tuple[dict[str, str], pl.DataFrame]:
        content = _content(file, memory())
        rows = pl.scan_parquet(io.BytesIO(content)).select(pl.len()).collect().item()
        if rows > max(len(content), SMALL_TABLE):
            raise ValueError(f"it promises {rows:,} rows in {len(content):,} bytes")
        return pl.read_parquet_metadata(io.BytesIO(content)), pl.read_parquet(io.BytesIO(content))

    metadata, table = _attempt(file.parent, file.name, lambda: _quietly(read))
    _require_format(file, whole_number(metadata["format"]) if "format" in metadata else 1)
    if dict(table.schema) != dict(schema):
        raise damaged(file.parent, file.name, f"its columns are not {', '.join(schema)}")
    return table


def _content(file: Path, most: float = MOST_BYTES) -> bytes:
    """The bytes of a file of the folder."""
    return content_of("a run's file", file, most, _anew(file.parent))


def _quietly(read: Callable[[], Any]) -> Any:
    """What `read` gives, with Rust's own report of a panic kept off the terminal; what went wrong is said as damage of the
    file. (No context manager: a signal between its beginning and its body would leave the program without stderr.)"""
    try:
        kept = os.dup(2)
    except OSError:  # no stderr at all
        return read()
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        return read()
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _write_arrays(file: Path, arrays: Mapping[str, Any]) -> None:
    np.savez(file, format=np.array(FORMAT), **arrays)


def _read_arrays(file: Path, names: Iterable[str], dimensions: Mapping[str, int]) -> dict[str, Any]:
    """The arrays called `names`, of numbers, with so many axes each."""

    def read() -> dict[str, Any]:
        with opened("a file", file) as content:  # written uncompressed, so that no archive holds more than its size
            return arrays_in(content, most=os.fstat(content.fileno()).st_size)

    arrays = _attempt(file.parent, file.name, read)
    format_ = arrays.pop("format", np.array(1))
    _require_format(file, int(format_) if format_.ndim == 0 and format_.dtype.kind == "i" else str(format_))
    if set(arrays) != set(names):
        raise damaged(file.parent, file.name, f"its arrays are not {', '.join(names)}")
    for name, array in arrays.items():
        if array.dtype.kind != "f" or array.ndim != dimensions[name]:
            raise damaged(file.parent, file.name, f"{name} is {array.dtype} of shape {array.shape}")
    return arrays


def _final(folder: Path) -> Final:
    final = Final(**_read_arrays(folder / "final.npz", Final._fields, {"values": 3, "weights": 2, "clocks": 2}))
    fleet = final.values.shape[:2]
    if {final.weights.shape, final.clocks.shape} != {fleet}:
        raise damaged(folder, "final.npz", f"its shapes differ: {', '.join(str(part.shape) for part in final)}")
    return final


def _trajectory(folder: Path, final: Final) -> Trajectory:
    axes = {"values": 4, "weights": 2, "gradients": 4, "moves": 4, "flight_values": 3, "flight_weights": 1, "clocks": 3}
    trajectory = Trajectory(**_read_arrays(folder / "trajectory.npz", Trajectory._fields, axes))
    (nodes, seeds, dimension), cuts = final.values.shape, len(trajectory.values)
    expected = {
        "values": (cuts, nodes, seeds, dimension),
        "weights": (cuts, nodes),
        "gradients": (cuts - 1, nodes, seeds, dimension),
        "moves": (cuts - 1, nodes, seeds, dimension),
        "flight_values": (cuts, seeds, dimension),
        "flight_weights": (cuts,),
        "clocks": (cuts, nodes, seeds),
    }
    for name, shape in expected.items():
        if getattr(trajectory, name).shape != shape:
            raise damaged(folder, "trajectory.npz", f"{name} has shape {getattr(trajectory, name).shape}, not {shape}")
    return trajectory


def _trace(folder: Path) -> Trace:
    table = _read_table(folder / "trace.parquet", TRACE_SCHEMA)
    spans, messages = (table.filter(pl.col("kind") == kind) for kind in ("span", "message"))
    return Trace(spans.select(*SPAN_SCHEMA), messages.select(*MESSAGE_SCHEMA))
