"""Keys: what makes two runs the same run, as one hash.

The rule: the key is the SHA-256 of the experiment, the backend with its cluster, and the versions that determine bits
(sgpsim with a digest of the source that computes, numpy, scipy, torch if there is one), as canonical JSON. Files count
by content, not by name or place.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from sgpsim.backends.backend import Backend
from sgpsim.catalogue import ROOMS
from sgpsim.errors import LONGEST_PATH, SpecificationError, shown
from sgpsim.experiment import Experiment
from sgpsim.plain_data import to_plain

COMPUTING = (*ROOMS, "mass", "streams", "threads", "node", "experiment", "metrics", "run", "trace")
"""Packages and modules of sgpsim whose text determines what a run holds."""


def key(experiment: Experiment, backend: Backend) -> str:
    """The run's key: 64 hexadecimal digits."""
    told = {"experiment": to_plain(experiment), "backend": to_plain(backend)}
    text = json.dumps(with_files(told, digest), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(f"{text}{json.dumps(versions(), sort_keys=True)}".encode()).hexdigest()


def require_unchanged(value: Any) -> None:
    """Raise SpecificationError where a file that `value` was built from is not what it was then: the numbers would be
    those of the old file, and the key that of the new one."""
    if isinstance(value, tuple):
        for inside in value:
            require_unchanged(inside)
    if not dataclasses.is_dataclass(value):
        return
    path, content = getattr(value, "path", None), vars(value)
    read = next((content[name] for name in ("sha256", "digest", "_sha256") if content.get(name)), None)
    if isinstance(path, str) and read and not (Path(path).is_file() and digest(Path(path)) == read):
        raise SpecificationError(
            f"{type(value).__name__}(path) is {shown(path, LONGEST_PATH)}, which is not the file any more that it was when"
            " the experiment was built. Bring back the old file, or build the experiment anew."
        )
    for field in dataclasses.fields(value):
        require_unchanged(getattr(value, field.name, None))


def versions() -> dict[str, str]:
    """The versions that determine bits."""
    return {"source": source_digest(), **{name: _version(name) for name in ("sgpsim", "numpy", "scipy", "torch")}}


def with_files(plain: Any, replace: Callable[[Path], str]) -> Any:
    """Plain data with the value of every field called `path` that names a file replaced."""
    if isinstance(plain, dict):
        told = {name: with_files(inside, replace) for name, inside in plain.items()}
        path = told.get("path")
        if "type" in told and isinstance(path, str) and Path(path).is_file():
            told["path"] = replace(Path(path))
        return told
    return [with_files(inside, replace) for inside in plain] if isinstance(plain, list) else plain


def digest(file: Path) -> str:
    """The SHA-256 of a file."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


@cache
def source_digest() -> str:
    """The SHA-256 of the source text that computes, so that a changed program does not reuse what the old one made."""
    home = Path(__file__).parent
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
