"""Definitions: where the user's own classes and functions come from, so that another process can have them too.

The rule: a process that is to build an experiment from plain data first imports the modules that define what it names.
The user's script is one of them: as with Python's own `multiprocessing`, the other process runs its file under another
name than `__main__`, so what the script does must stand under `if __name__ == "__main__":`.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sgpsim.errors import SpecificationError

MAIN = "__main__"
ALIAS = "__mp_main__"
"""What `multiprocessing` calls the script in another process."""
IMPORTING = "SGPSIM_IMPORTING"
"""In the environment of a process while it runs the user's script for its definitions."""


def sources(value: Any) -> list[str]:
    """What another process must import for the classes and functions of `value` to be known there: module names, and
    the script as a path. Raises SpecificationError where something can't be imported."""
    names = sorted({_source(home) for home in homes(value)})
    return [name for name in names if name.split(".")[0] != "sgpsim"]


def bring(names: list[str]) -> None:
    """Import what `sources` named. Raises SpecificationError where that fails."""
    for name in names:
        try:
            if name.endswith(".py") or os.sep in name:
                _run_script(Path(name))
            else:
                importlib.import_module(name)
        except Exception as error:
            raise SpecificationError(
                f"{name!r} defines what the experiment names, and a process of the launch cannot import it"
                f" ({type(error).__name__}: {error}). Put the definitions into a module that imports without errors."
            ) from None


def require_not_importing() -> None:
    """Raise where the user's script starts processes although it is only read for its definitions."""
    if IMPORTING in os.environ:
        raise SpecificationError(
            "the script launches processes while one of these reads it for its classes; what a script does must stand"
            ' under `if __name__ == "__main__":`. Put the launch there.'
        )


def homes(value: Any) -> Iterator[Any]:
    """Classes and functions in `value`."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield type(value)
        for field in dataclasses.fields(value):
            yield from homes(getattr(value, field.name))
    elif isinstance(value, Mapping):
        for inside in value.values():
            yield from homes(inside)
    elif isinstance(value, list | tuple):
        for inside in value:
            yield from homes(inside)
    elif callable(value) and hasattr(value, "__qualname__"):
        yield value


def _source(home: Any) -> str:
    module, name = str(home.__module__), str(home.__qualname__)
    if "<locals>" in name:
        raise SpecificationError(
            f"{name} is defined inside a function, where other processes cannot import it. Define it at the top of a"
            " module."
        )
    if module not in (MAIN, ALIAS):
        return module
    script = sys.modules[module]
    spec = getattr(script, "__spec__", None)
    if spec is not None and spec.name not in (MAIN, ALIAS):
        return str(spec.name)  # python -m package.module
    file = getattr(script, "__file__", None)
    if file is None or not Path(file).is_file():
        raise SpecificationError(
            f"{name} is defined in an interactive session, which other processes cannot import. Put it into a module."
        )
    return str(Path(file).resolve())


def _run_script(file: Path) -> None:
    spec = importlib.util.spec_from_file_location(ALIAS, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{str(file)!r} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[MAIN] = sys.modules[ALIAS] = module  # functions are written down as __main__:name
    os.environ[IMPORTING] = "1"
    try:
        spec.loader.exec_module(module)
    finally:
        del os.environ[IMPORTING]
