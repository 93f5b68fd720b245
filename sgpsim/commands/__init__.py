"""The commands of `sgpsim`: each module here is one, by its name, and so is each entry point of the group
`sgpsim.commands` in what is installed.

The rule: sgpsim imports nothing of theory and studies, whose commands (`judge`, `demo`) come by that group. A command's
`main` has its arguments as annotations and says in its docstring what `--help` shows; it returns the exit code, and
imports what is slow to import when it runs.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from sgpsim.errors import SpecificationError

GROUP = "sgpsim.commands"


def known() -> dict[str, Callable[..., int]]:
    """Every command by name."""
    own = {module.name: importlib.import_module(f"{__name__}.{module.name}").main for module in pkgutil.iter_modules(__path__)}
    return own | {point.name: _loaded(point) for point in entry_points(group=GROUP)}


def _loaded(point: EntryPoint) -> Callable[..., int]:
    """What the entry point names. Where that belongs to sgpsim's own house, it is what was installed with sgpsim, also where
    the working folder, which `python -m` puts first, has a `theory` or a `studies` of its own."""
    package = point.module.split(".")[0]
    home = Path(__file__).resolve().parents[2]
    if not (home / package).is_dir():
        return point.load()
    if str(home) not in sys.path[:1]:
        sys.path.insert(0, str(home))
    origin = Path(str(importlib.import_module(package).__file__)).resolve()
    if home not in origin.parents:
        raise SpecificationError(
            f"{str(origin.parent)!r} stands in for the package {package!r} that belongs to sgpsim. Run sgpsim in another folder."
        )
    return point.load()
