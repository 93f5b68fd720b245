"""Cases, by subject: which claims are judged in which settings, on which runs. Found by walking this package.

The rule: a module here has a function `cases()`; adding rows is adding them to a module, or adding a module. Only
here and in the controls are runs made.
"""

from __future__ import annotations

import importlib
import pkgutil

from theory.case import Case


def all_cases() -> list[Case]:
    """The rows of all modules, in order of module."""
    found: list[Case] = []
    for module in pkgutil.iter_modules(__path__):
        loaded = importlib.import_module(f"{__name__}.{module.name}")
        found += loaded.cases() if hasattr(loaded, "cases") else []
    return found
