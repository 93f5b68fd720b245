"""Structuring: how plain data become specifications, as hooks of one cattrs converter.

The rule: fields are strictly of the annotated types (a whole number may stand for a float, nothing else is converted).
`type` may be left out where only one class fits. A name alone stands for the class with its default values, a number
alone for the family's constant (`step_size = 0.1`, `compute = 0.3`), and for a list of one. What is not given and has
no default is missing; what is given and unknown is an error.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import importlib
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import networkx as nx
import numpy as np
from cattrs import Converter
from cattrs.errors import AttributeValidationNote, BaseValidationError, ClassValidationError
from cattrs.gen import make_dict_structure_fn

from sgpsim.catalogue import implementations, is_specification
from sgpsim.errors import SpecificationError, nearest

TAG = "type"
NOT_FINITE = ("inf", "-inf", "nan")
"""How floats are written that JSON has no words for."""
WORDS: dict[Any, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "a string"}


def converter(base: Path | None, nodes: int | None) -> Converter:
    """A converter that starts relative paths (fields called `path`) at `base`, and puts `nodes` where `size` or `nodes`
    must be given and is not."""
    made = Converter(detailed_validation=True)
    for basic in WORDS:
        made.register_structure_hook(basic, _strict)
    made.register_structure_hook_func(_has_origin(Literal), _literal)
    made.register_structure_hook_func(_has_origin(np.ndarray), _array)
    made.register_structure_hook_func(_has_origin(collections.abc.Callable), _function)
    made.register_structure_hook_func(_is_graph, _graph)
    made.register_structure_hook_func(_is_tuple, lambda found, kind: _tuple(made, found, kind))

    def table(kind: Any) -> Callable[[Any, Any], Any]:
        return _table(made, kind, base, nodes)

    made.register_structure_hook_factory(is_specification, table)
    made.register_structure_hook_func(inspect.isabstract, lambda found, kind: _of_family(made, found, kind))
    made.register_structure_hook_func(_is_union, lambda found, kind: _of_union(made, found, kind))
    return made


def _has_origin(origin: Any) -> Callable[[Any], bool]:
    return lambda kind: (typing.get_origin(kind) or kind) is origin  # pyright: ignore[reportUnknownLambdaType]


def _is_graph(kind: Any) -> bool:
    return inspect.isclass(kind) and issubclass(kind, nx.Graph)


def _is_union(kind: Any) -> bool:
    return typing.get_origin(kind) in (typing.Union, types.UnionType)


def _is_tuple(kind: Any) -> bool:
    return typing.get_origin(kind) is tuple


def _strict(found: Any, kind: Any) -> Any:
    """bool, int, float and str as they are; an int for a float; `inf`, `-inf` and `nan` as JSON has to write them."""
    if kind is float and (isinstance(found, int) or found in NOT_FINITE) and not isinstance(found, bool):
        return float(found)
    if isinstance(found, kind) and (kind is bool or not isinstance(found, bool)):
        return found
    raise SpecificationError(f"{_told(found)} is {_kind_of(found)}; it must be {WORDS[kind]}.")


def _literal(found: Any, kind: Any) -> Any:
    known = typing.get_args(kind)
    if found in known:
        return found
    raise SpecificationError(f"{_told(found)} is not known here; {nearest(str(found), map(str, known))}")


def _array(found: Any, kind: Any) -> Any:
    try:
        return np.array(found, dtype=np.float64)
    except (TypeError, ValueError):
        raise SpecificationError(f"{_told(found)} is no array of numbers. Give nested lists.") from None


def _graph(found: Any, kind: Any) -> nx.Graph:
    if isinstance(found, nx.Graph):
        return found
    try:
        graph = nx.node_link_graph(found, edges="edges")
    except Exception:  # whatever networkx stumbles over
        raise SpecificationError(
            f"{_told(found)} is no graph. Give node-link data, as networkx.node_link_data writes them."
        ) from None
    for *_, attributes in (*graph.nodes(data=True), *graph.edges(data=True)):
        attributes.update({name: float(value) for name, value in attributes.items() if value in NOT_FINITE})
    return graph


def imported(name: str) -> Any:
    """What `module:name` names, None if there is no such thing."""
    module, _, inside = name.partition(":")
    try:
        found = importlib.import_module(module)
        for part in inside.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError):
        return None
    return found


def _function(found: Any, kind: Any) -> Any:
    function = imported(found) if isinstance(found, str) else found
    if not callable(function):
        raise SpecificationError(
            f"{_told(found)} names no function; it must be such as 'my_models:perceptron', a function in a module that"
            " can be imported."
        )
    return function


def _tuple(made: Converter, found: Any, kind: Any) -> tuple[Any, ...]:
    """Lists only (a string is none); a number alone stands for a list of one."""
    inside = typing.get_args(kind)
    repeated = len(inside) == 2 and inside[1] is Ellipsis
    if repeated and isinstance(found, int | float) and not isinstance(found, bool) and not _is_tuple(inside[0]):
        found = [found]
    if not isinstance(found, list | tuple):
        raise SpecificationError(f"{_told(found)} is {_kind_of(found)}; it must be a list.")
    if repeated:
        return tuple(made.structure(found, list[inside[0]]))
    if len(found) != len(inside):
        raise SpecificationError(f"{_told(found)} has {len(found)} entries; it must have {len(inside)}.")
    return tuple(made.structure(one, wanted) for one, wanted in zip(found, inside, strict=True))


def _table(made: Converter, kind: Any, base: Path | None, nodes: int | None) -> Callable[[Any, Any], Any]:
    """A dataclass from a table: no field unknown, none missing that has no default."""
    fields = {field.name: field for field in dataclasses.fields(kind) if field.init}
    hints = typing.get_type_hints(kind)
    needed = [name for name, field in fields.items() if field.default is field.default_factory is dataclasses.MISSING]
    build = make_dict_structure_fn(kind, made, _cattrs_detailed_validation=True)

    def structure(found: Any, _: Any) -> Any:
        if isinstance(found, kind):
            return found
        if not isinstance(found, Mapping):
            raise SpecificationError(
                f"{_told(found)} is {_kind_of(found)}; it must be a table with the fields of {kind.__name__}:"
                f" {', '.join(fields)}."
            )
        if found.get(TAG, kind.__name__) != kind.__name__:
            raise _at(TAG, f"{_told(found[TAG])} is not the class that is wanted here; it must be {kind.__name__!r}.")
        given = {name: value for name, value in found.items() if name != TAG}
        for name in given:
            if name not in fields:
                cure = nearest(name, fields) if fields else "it has none."
                raise _at(name, f"unknown field of {kind.__name__}; {cure}")
        for name in ("size", "nodes"):
            if nodes is not None and name in needed and name not in given and hints[name] is int:
                given[name] = nodes
        for name in needed:
            if name not in given:
                raise _at(name, f"missing; {kind.__name__} needs it. Give {name} = ...")
        if base is not None and isinstance(given.get("path"), str):
            given["path"] = str(base / given["path"])
        return build(given, kind)

    return structure


def _of_family(made: Converter, found: Any, kind: type) -> Any:
    """A concrete class of an interface, told by `type`, by its name alone, or by being sgpsim's only one."""
    known = implementations(kind)
    if isinstance(found, kind):
        return found
    if isinstance(found, str):
        found = {TAG: found}
    elif isinstance(found, int | float) and not isinstance(found, bool):
        constant = next((name for name in known if name.startswith("Constant")), None)
        if constant is not None:
            found = {TAG: constant, dataclasses.fields(known[constant])[0].name: found}
    return _tagged(made, found, known, _articled(kind.__name__))


def _tagged(made: Converter, found: Any, known: Mapping[str, type], wanted: str) -> Any:
    if not isinstance(found, Mapping):
        raise SpecificationError(
            f"{_told(found)} is {_kind_of(found)}; it must be {wanted}, one of {', '.join(known)}."
        )
    ours = [name for name, kind in known.items() if kind.__module__.startswith("sgpsim.")] or [*known]
    name = found.get(TAG, ours[0] if len(ours) == 1 else None)  # a user's own class takes no short form away
    if name is None:
        raise _at(TAG, f"missing; it must name {wanted}, one of {', '.join(known)}.")
    if name not in known:
        raise _at(TAG, f"{name!r} is unknown; {nearest(str(name), known)}")
    return made.structure(found, known[name])


def _of_union(made: Converter, found: Any, kind: Any) -> Any:
    """None, one of several dataclasses told by `type`, or the first other member that takes the value."""
    members = typing.get_args(kind)
    if found is None and type(None) in members:
        return None
    tables = {member.__name__: member for member in members if is_specification(member)}
    if isinstance(found, tuple(tables.values())):
        return found
    others = [member for member in members if member is not type(None) and member not in tables.values()]
    if tables and (isinstance(found, Mapping) or (isinstance(found, str) and not others)):
        return _tagged(made, {TAG: found} if isinstance(found, str) else found, tables, "a table")
    reasons: list[Exception] = []
    for member in others:
        try:
            return made.structure(found, member)
        except (SpecificationError, BaseValidationError) as error:
            reasons.append(error)
    if len(reasons) == 1 and not tables:
        raise reasons[0]
    wanted = [*(["a table, one of " + ", ".join(tables)] if tables else []), *(_name_of(member) for member in others)]
    raise SpecificationError(f"{_told(found)} is {_kind_of(found)}; it must be {', or '.join(wanted)}.")


def _at(name: str, told: str) -> Exception:
    """An error with the sentence `told` that happened at the field `name`."""
    reason = SpecificationError(told)
    reason.add_note(AttributeValidationNote(f"field {name}", name, object))
    return ClassValidationError("invalid", [reason], object)  # pyright: ignore[reportCallIssue]


def _told(found: Any) -> str:
    told = repr(found)
    return told if len(told) <= 60 else f"{told[:57]}..."


def _kind_of(found: Any) -> str:
    kinds = {**WORDS, list: "a list", tuple: "a list", Mapping: "a table"}
    return next((words for kind, words in kinds.items() if isinstance(found, kind)), f"a {type(found).__name__}")


def _name_of(kind: Any) -> str:
    if _is_tuple(kind):
        return "a list of lists" if _is_tuple(typing.get_args(kind)[0]) else "a list"
    return WORDS.get(kind, getattr(kind, "__name__", str(kind)))


def _articled(name: str) -> str:
    return f"{'an' if name[0] in 'AEIOU' else 'a'} {name}"
