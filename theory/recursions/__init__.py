"""Recursions: what each of sgpsim's methods must go through, written apart from its text, one file per method.

The rule: `theory/recursions/NAME.py` belongs to `sgpsim/algorithms/NAME.py` because of its name, and its function
`recursion(experiment, seed, steps)` says values, weights and mass in flight after each step; where timing decides, a
fourth argument is the trace of the run, whose order it replays. Nothing comes from algorithms, backends, compiled
rounds or the arithmetic of descents, so that agreement with a run is evidence. A method's fields are read, its class is
not imported.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import Any

from sgpsim.references import Reference


@cache
def recursions() -> dict[str, Reference]:
    """Every recursion of this room, by the name of the method's module."""
    modules = {entry.name: importlib.import_module(f"{__name__}.{entry.name}") for entry in pkgutil.iter_modules(__path__)}
    return {name: module.recursion for name, module in modules.items() if hasattr(module, "recursion")}


def recursion_of(method: Any) -> Reference | None:
    """The recursion that belongs to one of sgpsim's own methods; None for any other."""
    room, _, name = type(method).__module__.rpartition(".")
    return recursions().get(name) if room == "sgpsim.algorithms" else None
