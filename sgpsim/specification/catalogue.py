"""The catalogue: every implementation of every interface, found by walking the rooms.

The rule: nothing is listed twice. A class that is a dataclass, concrete, public and derived from an interface is known
by its name as soon as its file lies in a room; classes of the user's own are known as soon as they are imported. The
walk imports neither torch nor scikit-learn, since no room does so at its top.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
from functools import cache
from typing import Any

ROOMS = ("algorithms", "descents", "schedules", "objectives", "clusters", "backends", "budget")
"""Packages and modules of sgpsim that hold implementations."""


@cache
def walk() -> tuple[str, ...]:
    """Import all modules of all rooms; their names."""
    found: list[str] = []
    for room in ROOMS:
        module = importlib.import_module(f"sgpsim.{room}")
        found.append(module.__name__)
        if hasattr(module, "__path__"):
            found += [inside.name for inside in pkgutil.walk_packages(module.__path__, f"{module.__name__}.")]
    for name in found:
        importlib.import_module(name)
    return tuple(found)


def implementations(kind: type) -> dict[str, type]:
    """Every concrete class of `kind` by name, in the order of names; empty where `kind` is no interface.

    A user's class does not hide one of sgpsim's that has the same name.
    """
    walk()
    found: dict[str, type] = {}
    for candidate in _descendants(kind):
        if not is_specification(candidate):
            continue
        holder = found.get(candidate.__name__)
        if holder is None or not _ours(holder):
            found[candidate.__name__] = candidate
    return {name: found[name] for name in sorted(found)}


def is_specification(candidate: Any) -> bool:
    """Whether `candidate` is a class that can be built from plain data: a public, concrete dataclass."""
    return (
        inspect.isclass(candidate)
        and dataclasses.is_dataclass(candidate)
        and not inspect.isabstract(candidate)
        and not candidate.__name__.startswith("_")
    )


def families() -> dict[str, dict[str, type]]:
    """All interfaces that have implementations, by name, with these: the widest ones. Budgets share none, and are put
    together as Budget."""
    found: dict[str, dict[str, type]] = {}
    for name in walk():
        for value in vars(importlib.import_module(name)).values():
            if inspect.isclass(value) and inspect.isabstract(value) and value.__module__ == name:
                inside = implementations(value)
                if inside and not any(inspect.isabstract(base) for base in value.__mro__[1:]):
                    found[value.__name__] = inside
    budget = importlib.import_module("sgpsim.budget")
    found["Budget"] = {kind.__name__: kind for kind in budget.Budget.__args__}
    return {name: found[name] for name in sorted(found)}


def summary(kind: Any) -> str:
    """The first paragraph of a docstring, on one line and not too long."""
    paragraph = " ".join((inspect.getdoc(kind) or "").split("\n\n")[0].split())
    return paragraph if len(paragraph) <= 160 else f"{paragraph[:157].rsplit(' ', 1)[0]} ..."


def _descendants(kind: type) -> list[type]:
    found: list[type] = []
    for child in type.__subclasses__(kind):
        found += [child, *_descendants(child)]
    return found


def _ours(kind: type) -> bool:
    return any(kind.__module__.startswith(f"sgpsim.{room}") for room in ROOMS)
