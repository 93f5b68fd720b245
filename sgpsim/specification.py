"""`@specification`: the frozen dataclass that everything a user configures is.

    @specification
    class Momentum(Descent):
        step_size: StepSize = Constant(0.1)
        momentum: Share = 0.9

The rule: fields pass through the hooks of `structuring` when the object is built, so that Python accepts what a file
accepts (`Momentum(0.1)`, lists for tuples, names for classes) and refuses with the same sentence; `ranges` has the words
for numbers. What lies between several fields a class checks in its own `__post_init__`, which finds them settled. A
plain `@dataclass(frozen=True)` works everywhere too; only the check in Python is missing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar, dataclass_transform, overload

from sgpsim.errors import SpecificationError
from sgpsim.structuring import Hook, fields, plain

Class = TypeVar("Class", bound=type[Any])
LONGEST_TUPLE = 12
"""Entries of a tuple that `repr` writes out."""


@overload
def specification(kind: Class, /) -> Class: ...
@overload
def specification(*, eq: bool = True) -> Callable[[Class], Class]: ...
@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
def specification(kind: Class | None = None, /, *, eq: bool = True) -> Class | Callable[[Class], Class]:
    """Make `kind` a frozen dataclass whose fields are settled when it is built. eq: as for dataclasses."""

    def decorate(given: Class) -> Class:
        own = given.__dict__.get("__post_init__")

        def settle_and_check(self: Any) -> None:
            _settle(self, given)
            if own is not None:
                own(self)
            else:
                inherited = getattr(super(given, self), "__post_init__", None)
                if inherited is not None:
                    inherited()

        given.__post_init__ = settle_and_check
        if "__repr__" not in given.__dict__:
            type.__setattr__(given, "__repr__", _short)
        return dataclasses.dataclass(frozen=True, repr=False, eq=eq)(given)

    return decorate if kind is None else decorate(kind)


def _settle(self: Any, kind: type) -> None:
    """Put what the hooks of `kind` make of its fields in their places."""
    hooks: tuple[tuple[str, Hook], ...] | None = kind.__dict__.get("_hooks")
    if hooks is None:
        hooks = tuple(fields(kind, plain()).items())
        type.__setattr__(kind, "_hooks", hooks)  # kept with the class, and made when it is first built
    values = self.__dict__
    for name, hook in hooks:
        value = values[name]
        try:
            settled = hook(value)
        except SpecificationError as error:
            if not error.bare:
                raise
            place = error.place if error.place.startswith("[") else f".{error.place}"
            raise SpecificationError(f"{kind.__name__}({name}){place}: {error}") from None
        if settled is not value:
            object.__setattr__(self, name, settled)


def _short(self: Any) -> str:
    """The usual repr, with arrays, graphs and long tuples told by their size."""
    told = (f"{field.name}={_brief(getattr(self, field.name))}" for field in dataclasses.fields(self) if field.repr)
    return f"{type(self).__qualname__}({', '.join(told)})"


def _brief(value: Any) -> str:
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"<{type(value).__name__} of shape {tuple(value.shape)}>"
    if hasattr(value, "number_of_edges"):
        return f"<{type(value).__name__} of {len(value)} nodes and {value.number_of_edges()} edges>"
    if isinstance(value, tuple):
        entries = [_brief(entry) for entry in value[:LONGEST_TUPLE]]
        if len(value) > LONGEST_TUPLE:
            return f"({', '.join(entries[:3])}, ... {len(value)} entries)"
        return f"({entries[0]},)" if len(entries) == 1 else f"({', '.join(entries)})"
    return repr(value)
