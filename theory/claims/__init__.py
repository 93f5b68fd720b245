"""Claims, one file each, found by walking this package.

The rule: a file here states one claim as a Theorem; adding a claim is adding a file. None imports an algorithm or a
backend.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil

from theory.theorem import Theorem


def claims() -> dict[str, Theorem]:
    """Every claim of this package by name, in order of name."""
    found: dict[str, Theorem] = {}
    for module in pkgutil.iter_modules(__path__):
        for _, kind in inspect.getmembers(importlib.import_module(f"{__name__}.{module.name}"), inspect.isclass):
            if issubclass(kind, Theorem) and kind.__module__ == f"{__name__}.{module.name}":
                claim = kind()
                if claim.name in found:
                    raise TypeError(f"two claims are named {claim.name!r}: {type(found[claim.name]).__name__} and {kind.__name__}")
                found[claim.name] = claim
    return dict(sorted(found.items()))
