"""Cases, by subject: which claims are judged in which settings, on which runs. Found by walking this package.

The rule: a module here has a function `cases()`; adding rows is adding them to a module, or adding a module. A claim that no
module judges gets one row in the standard setting, so that a new claim is in the table as soon as its file is there. Only
here and in the controls are runs made.
"""

from __future__ import annotations

import importlib
import pkgutil

from theory.case import Case
from theory.claims import claims


def all_cases() -> list[Case]:
    """The rows of all modules, in order of module, then those of claims that none of them judges."""
    found: list[Case] = []
    for module in pkgutil.iter_modules(__path__):
        loaded = importlib.import_module(f"{__name__}.{module.name}")
        found += loaded.cases() if hasattr(loaded, "cases") else []
    return found


def unjudged(judged: list[Case]) -> list[Case]:
    """A row in the standard setting for every claim that `judged` leaves out."""
    from theory.cases.standard import standard

    names = {case.claim.name for case in judged}
    return [standard(claim) for name, claim in claims().items() if name not in names]
