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
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any, TypeVar, dataclass_transform, overload

from sgpsim.errors import SpecificationError, shown
from sgpsim.specification.ranges import OWN
from sgpsim.specification.structuring import Hook, fields, plain

Class = TypeVar("Class", bound=type[Any])
LONGEST_TUPLE = 12
"""Entries of a tuple that `repr` writes out."""


@overload
def specification(kind: Class, /) -> Class: ...
@overload
def specification(*, eq: bool = True, kw_only: bool = False) -> Callable[[Class], Class]: ...
@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
def specification(
    kind: Class | None = None, /, *, eq: bool = True, kw_only: bool = False
) -> Class | Callable[[Class], Class]:
    """Make `kind` a frozen dataclass whose fields are settled when it is built. eq, kw_only: as for dataclasses.

    Raises SpecificationError where it could not be a value that is compared, hashed, written down and read again.
    """

    def decorate(given: Class) -> Class:
        _require_class(given)
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
        try:
            made = dataclasses.dataclass(frozen=True, repr=False, eq=eq, kw_only=kw_only)(given)
        except (TypeError, ValueError) as error:  # a mutable default, a base that is not frozen
            raise SpecificationError(f"{given.__name__} can be no specification: {error}. Change that.") from None
        _look_at_fields(made, eq)
        return made

    return decorate if kind is None else decorate(kind)


def _require_class(given: Any) -> None:
    """Raise unless `given` can be made a specification, as far as can be seen before its fields are known."""
    if not isinstance(given, type):
        raise SpecificationError(f"@specification stands before {shown(given)}; it must stand before a class.")
    own = given.__dict__
    if "__dataclass_fields__" in own:
        reason, cure = "is a dataclass already", "Leave one of its decorators away: @specification makes it a dataclass"
    elif issubclass(given, tuple):
        reason, cure = "is a tuple", "Leave NamedTuple away"
    elif "__init__" in own:
        reason, cure = "has an __init__, which @specification writes", "Write __post_init__, which finds the fields settled"
    elif own.get("__slots__") or not given.__dictoffset__:
        reason, cure = "has __slots__, where memos beside the fields have no room", "Leave them away"
    else:
        return
    raise SpecificationError(f"{given.__name__} {reason}, so it can be no specification. {cure}.")


def _look_at_fields(kind: Any, eq: bool) -> None:
    """Make the hooks of the fields, and refuse fields that cannot be hashed or written down; where an annotation names
    what is defined later, hooks are made when the class is first built."""
    try:
        hints = typing.get_type_hints(kind, include_extras=True)
    except NameError:
        return
    for name, hint in hints.items():
        if isinstance(hint, dataclasses.InitVar):
            raise SpecificationError(
                f"{kind.__name__}({name}) is an InitVar, which is not kept, so what is built from it could not be written"
                " down and built again. Make it a field."
            )
    for field in dataclasses.fields(kind):
        unhashable = _unhashable(hints[field.name])
        if eq and field.compare and field.hash is not False and unhashable is not None:
            raise SpecificationError(
                f"{kind.__name__}({field.name}) is annotated as {shown(hints[field.name])}, and {unhashable.__name__} has no"
                " hash, which equal specifications share. Give tuple[..., ...] or another specification, or leave the"
                " field out of comparisons: field(compare=False)."
            )
    type.__setattr__(kind, "_hooks", tuple(fields(kind, plain()).items()))


def _unhashable(hint: Any) -> Any:
    """The class in an annotation whose objects have no hash; None where all have one, or the class settles the field."""
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return None if OWN in inside[1:] else _unhashable(inside[0])
    if origin in (tuple, typing.Union, types.UnionType):
        return next((found for found in map(_unhashable, inside) if found is not None), None)
    kind = origin or hint
    return kind if isinstance(kind, type) and kind.__hash__ is None else None


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
    fields = (f"{field.name}={_brief(getattr(self, field.name))}" for field in dataclasses.fields(self) if field.repr)
    return f"{type(self).__qualname__}({', '.join(fields)})"


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
