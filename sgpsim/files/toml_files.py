"""TOML files: one experiment with its machines, as a person writes it.

The rule: the top level holds the fields of Experiment (`algorithm`, `objective`, `schedule`, `budget`, `seeds`, ...)
beside `name`, `nodes`, `cluster` and `backend`. The number of nodes is said once, anywhere: `nodes`, a schedule's
`size`, or what a matrix file holds; wherever else it is needed it is filled in. A cluster is spelled out, or a `preset`
with a `job`, whose message size then is the experiment's unless that says another. Paths start at the file's folder.
Overrides `path.to.field=value` act on the file before anything is built. A file is trusted: functions that it names are
imported.
"""

from __future__ import annotations

import dataclasses
import io
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import networkx as nx

from sgpsim.backends.backend import Backend
from sgpsim.backends.choice import best_for
from sgpsim.budget import most_steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.faults import Fault
from sgpsim.clusters.jobs import job
from sgpsim.clusters.presets import DEFAULT_JOB, preset
from sgpsim.clusters.straggler import Straggler
from sgpsim.errors import SpecificationError, nearest, require_folder_name, shown
from sgpsim.experiment import Experiment
from sgpsim.files.plain_data import from_plain, located
from sgpsim.schedules.graph_file import one_graphml
from sgpsim.schedules.schedule import Schedule
from sgpsim.specification.arguments import checked
from sgpsim.specification.catalogue import implementations
from sgpsim.specification.input_files import MOST_GRAPH, MOST_TEXT, content_of, understood, whole_number

FIELDS = tuple(field.name for field in dataclasses.fields(Experiment))
KNOWN = ("name", "nodes", "cluster", "backend", *FIELDS)
PRESET_FIELDS = ("preset", "nodes", "job", "noise", "stragglers", "faults")
MOST_TRACED = 100_000
"""Node-steps up to which the array program keeps a trace unless the file says otherwise; the event simulation always
does."""


@dataclass(frozen=True)
class TomlFile:
    """What a file says. source: its path. name: of the run's folder. options: the table `backend`."""

    source: str
    name: str
    experiment: Experiment
    cluster: Cluster
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def backend(self, wanted: str = "") -> tuple[Backend, str]:
        """The backend called `wanted` (the beginning of its name will do), else the one that the file names, else the
        best one; and why."""
        options = dict(self.options)
        asked = options.pop("type", "auto")
        name = wanted or str(asked)
        known = implementations(Backend)
        if name == "auto":
            best, reason = best_for(self.experiment, self.cluster)
            kind: Any = type(best)
        else:
            found = [one for one in known if one.lower().startswith(name.lower())]
            if not found:
                raise SpecificationError(
                    f"there is no backend {name!r}; {nearest(name, ['auto', *map(str.lower, known)])}"
                )
            kind, reason = known[found[0]], f"{found[0]}: asked for."
        fields = {one.name for one in dataclasses.fields(kind)}
        if "cluster" in fields:
            options["cluster"] = self.cluster
        if "trace" in fields:
            steps = most_steps(self.experiment.budget, self.experiment.nodes)
            options.setdefault("trace", steps is None or steps * self.experiment.nodes <= MOST_TRACED)
        return from_plain(options, kind, source=self.source, path="backend"), reason


@checked
def read(path: Path | str, overrides: Iterable[str] = ()) -> TomlFile:
    """Read `path`, apply `overrides` and build everything; SpecificationError with file, path to the field, and
    cure."""
    file = Path(path)
    source, cure = file.name, "Give the path of a TOML file; examples/ has some."
    try:
        text = content_of("the experiment", file, MOST_TEXT, cure).decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise SpecificationError(f"{source}: this is not text in UTF-8 ({error}). Save it so.") from None
    found = _parsed(text, source)
    for override in overrides:
        _override(found, override)
    for name in found:
        if name not in KNOWN:
            raise SpecificationError(f"{source}: {name}: unknown field; {nearest(name, KNOWN)}")
    base = file.parent
    name = found.get("name", file.stem)
    if not isinstance(name, str) or not re.fullmatch(r"[\w.-]+", name):
        raise SpecificationError(
            f"{source}: name: {shown(name)} names a folder; it must be letters, digits, dots, dashes and"
            " underscores. Give such as name = 'ring-8'."
        )
    require_folder_name(f"{source}: name", name)
    nodes = _nodes(found, base, source)
    cluster, message_bytes = _cluster(found.get("cluster", {}), nodes, base, source)
    content = {name: value for name, value in found.items() if name in FIELDS}
    if message_bytes is not None:
        content.setdefault("message_bytes", message_bytes)
    experiment = from_plain(content, Experiment, base, nodes, source, consent="import")
    options = found.get("backend", {})
    options = {"type": options} if isinstance(options, str) else options
    if not isinstance(options, Mapping):
        raise SpecificationError(f"{source}: backend: {options!r} must be a table, or a name such as 'simulated'.")
    return TomlFile(source, name, experiment, cluster, options)


def _nodes(found: Mapping[str, Any], base: Path, source: str) -> int | None:
    """The number of nodes: as said, or that of the schedule, which may know it from a file."""
    for place, name in (
        (found, "nodes"),
        (found.get("schedule"), "size"),
        (found.get("objective"), "nodes"),
        (found.get("cluster"), "nodes"),
    ):
        if isinstance(place, Mapping) and name in place:
            told = place[name]
            if isinstance(told, bool) or not isinstance(told, int) or told < 1:
                where = (
                    "nodes" if place is found else f"{'schedule' if name == 'size' else 'objective or cluster'}.{name}"
                )
                raise SpecificationError(f"{source}: {where}: {told!r} must be a whole number of at least 1.")
            return told
    if "schedule" in found:
        try:
            return from_plain(found["schedule"], Schedule, base, None, source, "schedule").size
        except SpecificationError as error:
            if ".size: missing" not in str(error):
                raise
    raise SpecificationError(
        f"{source}: nodes: missing; the number of nodes must be said once. Give nodes = 16 at the top."
    )


def _cluster(found: Any, nodes: int | None, base: Path, source: str) -> tuple[Cluster, float | None]:
    """The cluster, and the message size of its job where it is a preset."""
    if isinstance(found, str):
        found = {"preset": found}
    if not isinstance(found, Mapping) or not ("preset" in found or "graph_file" in found):
        return from_plain(found, Cluster, base, nodes, source, "cluster"), None  # pyright: ignore[reportUnknownArgumentType]
    if "preset" not in found:
        content = {name: value for name, value in found.items() if name != "graph_file"}
        graph = _graph(base / str(found["graph_file"]), f"{source}: cluster.graph_file")
        return from_plain({**content, "graph": graph}, Cluster, base, nodes, source, "cluster"), None
    for name in found:
        if name not in PRESET_FIELDS:
            raise SpecificationError(
                f"{source}: cluster.{name}: unknown beside `preset`; {nearest(name, PRESET_FIELDS)}"
            )
    causes = from_plain(found.get("stragglers", []), tuple[Straggler, ...], base, nodes, source, "cluster.stragglers")
    faults = from_plain(found.get("faults", []), tuple[Fault, ...], base, nodes, source, "cluster.faults")
    work = found.get("job", DEFAULT_JOB)
    try:
        cluster = preset(str(found["preset"]), found.get("nodes", nodes), work, found.get("noise", 0.0), causes, faults)
    except SpecificationError as error:
        raise located(error, source, "cluster") from None
    return cluster, job(work).message_bytes


def _graph(file: Path, where: str) -> nx.Graph:
    """A physical graph with its attributes, from GraphML or GML; names that are whole numbers become numbers."""
    readers = {".graphml": partial(one_graphml, node_type=str), ".gml": _gml}
    if file.suffix not in readers:
        raise SpecificationError(
            f"{where}: {str(file)!r} must end in {' or '.join(readers)}. Write it with networkx.write_graphml."
        )
    content = content_of(where, file, MOST_GRAPH)
    read = partial(readers[file.suffix], content)
    graph = understood(where, file, file.suffix, "Write it anew with networkx.", read)
    numbers = {name: number for name in graph if isinstance(name, str) and (number := whole_number(name)) is not None}
    if len(set(numbers.values())) < len(numbers):
        raise SpecificationError(f"{where}: {str(file)!r} has nodes of one number, such as 1 and 01. Rename them.")
    return nx.relabel_nodes(graph, numbers)


def _gml(content: bytes) -> nx.Graph:
    return nx.read_gml(io.BytesIO(content))


def _override(found: dict[str, Any], override: str) -> None:
    """Put `path.to.field=value` into the table; the value is TOML, or a string where it is none, or `none`."""
    path, equals, text = override.partition("=")
    names = path.strip().split(".")
    if not equals or not all(names):
        raise SpecificationError(
            f"override {shown(override)}: it must be path=value, such as budget.count=50 or algorithm.descent.step_size=0.1."
        )
    place: Any = found
    for depth, name in enumerate(names[:-1]):
        inside = _entry(place, name, override)
        if isinstance(inside, str):
            inside = {"type": inside}
        elif inside is None:
            inside = {}
        elif not isinstance(inside, dict | list):
            where = ".".join(names[: depth + 1])
            raise SpecificationError(
                f"override {shown(override)}: {where} is {inside!r}, which has no fields. Set it as a whole."
            )
        place[int(name) if isinstance(place, list) else name] = inside
        place = inside
    _entry(place, names[-1], override)
    place[int(names[-1]) if isinstance(place, list) else names[-1]] = _value(text.strip(), override)


def _entry(place: Any, name: str, override: str) -> Any:
    """What stands at `name` of a table (None: nothing) or list."""
    if isinstance(place, dict):
        return place.get(name)
    number = whole_number(name)
    if number is None or number >= len(place):
        raise SpecificationError(
            f"override {shown(override)}: {name!r} is no entry of a list of {len(place)}. Count from 0."
        )
    return place[number]


def _value(text: str, override: str) -> Any:
    """The value that `text` says: none, TOML, or where it is no TOML a string."""
    if text.lower() == "none":
        return None
    try:
        return _parsed(f"value = {text}", f"override {shown(override)}")["value"]
    except SpecificationError as error:
        if isinstance(error.__cause__, tomllib.TOMLDecodeError):
            return text
        raise


def _parsed(text: str, source: str) -> dict[str, Any]:
    """A TOML text as a table. Raises SpecificationError; of one that is no TOML the cause is a TOMLDecodeError."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SpecificationError(f"{source}: this is not TOML: {error}. Correct that line.") from error
    except RecursionError:
        reason = "its brackets are nested too deeply. Give fewer levels."
    except ValueError:  # Python reads no number of thousands of digits
        reason = "a number has too many digits. Give fewer."
    raise SpecificationError(f"{source}: {reason}")
