"""Keys: what makes two runs the same run, as one hash.

The rule: the key is the SHA-256 of the experiment, the backend with its cluster, and the versions that determine bits
(sgpsim with a digest of the source that computes, numpy, scipy, torch if there is one), as canonical JSON. Files count
by content, not by name or place; so do the files that define the user's own classes and functions, but not what these
import.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import sys
from collections.abc import Callable
from functools import cache
from importlib import metadata
from pathlib import Path
from types import CodeType
from typing import Any

from sgpsim.backends.backend import Backend
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.physical_graph import contents
from sgpsim.errors import LONGEST_PATH, SpecificationError, shown
from sgpsim.experiment import Experiment
from sgpsim.files.plain_data import to_plain
from sgpsim.specification.arguments import checked
from sgpsim.specification.catalogue import ROOMS
from sgpsim.specification.definitions import homes
from sgpsim.specification.input_files import content_of, digest

COPIED_BYTES = 1 << 26
"""Files that an experiment names are kept with its run up to this size; larger ones are referred to where they are."""
COMPUTING = (*ROOMS, "mass", "streams", "threads", "node", "experiment", "results")
"""Packages and modules of sgpsim whose text determines what a run holds."""


@checked
def key(experiment: Experiment, backend: Backend) -> str:
    """The run's key: 64 hexadecimal digits."""
    told = {"experiment": to_plain(experiment), "backend": to_plain(backend)}
    cluster = getattr(backend, "cluster", None)
    if isinstance(cluster, Cluster) and cluster.graph is not None:  # the order of its links is no matter of the cluster's
        told["backend"]["cluster"]["graph"] = repr(contents(cluster.graph))
    if own := own_texts(experiment, backend):
        told["own"] = own
    known = files_read(experiment, backend)  # what was read, whatever lies there by now
    plain = with_files(told, lambda path: known.get(path) or (digest(path) if os.path.isfile(path) else path))
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(f"{text}{json.dumps(versions(), sort_keys=True)}".encode()).hexdigest()


def files_read(*values: Any) -> dict[str, str]:
    """The SHA-256 of the files that `values` were built from, as they were then, by the path that is said. Raises
    SpecificationError where one was read twice and had changed meanwhile."""
    found: dict[str, str] = {}
    waiting = list(values)
    while waiting:
        value = waiting.pop()
        if isinstance(value, tuple):
            waiting += value
        if not dataclasses.is_dataclass(value):
            continue
        path, content = getattr(value, "path", None), vars(value)
        read = next((content[name] for name in ("sha256", "digest", "_sha256") if content.get(name)), None)
        if isinstance(path, str) and read and found.setdefault(path, read) != read:
            raise changed(path)
        waiting += [getattr(value, field.name, None) for field in dataclasses.fields(value)]
    return found


def originals(*values: Any) -> dict[str, bytes]:
    """The content of the files that `values` were built from, of those up to COPIED_BYTES. Raises SpecificationError
    where one is not what it was then."""
    contents: dict[str, bytes] = {}
    for path, read in files_read(*values).items():
        try:
            content = None
            if os.path.getsize(path) <= COPIED_BYTES:
                content = content_of("a file that the experiment names", path)
            same = (digest(path) if content is None else hashlib.sha256(content).hexdigest()) == read
        except (OSError, SpecificationError):  # it is gone
            raise changed(path) from None
        if not same:
            raise changed(path)
        if content is not None:
            contents[path] = content
    return contents


def changed(path: str) -> SpecificationError:
    return SpecificationError(
        f"{shown(path, LONGEST_PATH)} is not the file any more that it was when the experiment was built. Bring back the"
        " old file, or build the experiment anew."
    )


def versions() -> dict[str, str]:
    """The versions that determine bits."""
    return {"source": source_digest(), **{name: _version(name) for name in ("sgpsim", "numpy", "scipy", "torch")}}


def with_files(plain: Any, replace: Callable[[str], str]) -> Any:
    """Plain data with the value of every field called `path` replaced."""
    if isinstance(plain, dict):
        told = {name: with_files(inside, replace) for name, inside in plain.items()}
        path = told.get("path")
        if "type" in told and isinstance(path, str):
            told["path"] = replace(path)
        return told
    return [with_files(inside, replace) for inside in plain] if isinstance(plain, list) else plain


def own_texts(*values: Any) -> dict[str, str]:
    """The digest of the text behind every class and function in `values` that is not sgpsim's, by name."""
    found: dict[str, str] = {}
    for home in (home for value in values for home in homes(value)):
        for definition in home.__mro__ if isinstance(home, type) else (home,):
            module = sys.modules.get(definition.__module__)
            if module is None or definition.__module__.split(".")[0] in ("sgpsim", "builtins", "abc", "typing"):
                continue
            file = getattr(module, "__file__", None)
            there = file is not None and Path(file).is_file()
            name = f"{definition.__module__ if there else ''}:{definition.__qualname__}"
            name = name.removeprefix("__main__").removeprefix("__mp_main__")
            found[name] = digest(Path(str(file))) if there else _code_digest(definition)
    return found


def _code_digest(definition: Any) -> str:
    """The digest of what a class or function of an interactive session, which has no file, does."""
    parts = vars(definition).values() if isinstance(definition, type) else (definition,)
    parts = [getattr(part, "fget", None) or getattr(part, "__func__", part) for part in parts]
    codes = [part.__code__ for part in parts if hasattr(part, "__code__")]
    text = hashlib.sha256()
    while codes:
        code = codes.pop()
        codes += [inside for inside in code.co_consts if isinstance(inside, CodeType)]
        values = [inside for inside in code.co_consts if not isinstance(inside, CodeType)]
        text.update(code.co_code + repr((code.co_names, values)).encode())
    return text.hexdigest()


@cache
def source_digest() -> str:
    """The SHA-256 of the source text that computes, so that a changed program does not reuse what the old one made."""
    home = Path(__file__).parents[1]
    found = hashlib.sha256()
    for name in COMPUTING:
        files = sorted((home / name).rglob("*.py")) if (home / name).is_dir() else [home / f"{name}.py"]
        for file in files:
            found.update(file.relative_to(home).as_posix().encode() + b"\0" + file.read_bytes())
    return found.hexdigest()[:16]


@cache
def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "none"
