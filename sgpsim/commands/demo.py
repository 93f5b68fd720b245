"""`sgpsim demo`: the demonstration, which lives among the studies."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType


def main(out: Path = Path("out/demo")) -> int:
    """Train on a simulated cluster, check the theory beside it, and write one HTML report.

    Args:
        out: where everything goes
    """
    return int(demonstration().demo(out) or 0)


def demonstration() -> ModuleType:
    """The module `studies.demo` that was installed with sgpsim, also where the working folder has a `studies` or a
    `theory` of its own, which `python -m` would put first.

    By name, since sgpsim lies below studies and imports nothing of them; the demonstration is made of studies.
    """
    import importlib
    import sys

    import sgpsim
    from sgpsim.errors import SpecificationError

    home = Path(sgpsim.__file__).resolve().parents[1]
    sys.path.insert(0, str(home))
    for name in ("studies", "theory"):
        origin = Path(str(importlib.import_module(name).__file__)).resolve()
        if home not in origin.parents:
            raise SpecificationError(
                f"{str(origin.parent)!r} stands in for the package {name!r} that belongs to sgpsim. Run the"
                " demonstration in another folder."
            )
    return importlib.import_module("studies.demo")
