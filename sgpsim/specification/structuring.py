"""Structuring: how a field's value becomes what its annotation says, as hooks of one cattrs converter; those of values
that hold no others are in `single_values`.

The rule: an object built in Python and a table from a file pass through the same hooks (`fields`), so both accept the
same values and refuse with the same sentence; so do the arguments of functions (`parameters`). Values are strictly of
the annotated type (a whole number may stand for a float, numpy's scalars for Python's, a list for a tuple; nothing else
is converted) and within its range. `type` may be left out where only one class fits. A name alone stands for the class
with its default values, a number alone for the family's constant (`step_size = 0.1`, `compute = 0.3`), and for a list
of one. What is not given and has no default is missing; what is given and unknown is an error.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal

import numpy as np
from cattrs import Converter, StructureHandlerNotFoundError

from sgpsim.errors import SpecificationError, Unfit, nearest, shown
from sgpsim.specification.catalogue import implementations, is_specification
from sgpsim.specification.functions import Consent, FunctionName, named_function
from sgpsim.specification.ranges import Own, Range, Several
from sgpsim.specification.single_values import (
    WORDS,
    articled,
    as_array,
    as_bool,
    as_callable,
    as_float,
    as_function,
    as_graph,
    as_instance,
    as_int,
    as_literal,
    as_path,
    as_str,
    entries_of,
    is_number,
    or_instance,
)

TAG = "type"
SEVERAL: dict[Any, Callable[[list[Any]], Any]] = {
    list: list,
    frozenset: frozenset,
    collections.abc.Iterable: tuple,
    collections.abc.Collection: tuple,
    collections.abc.Sequence: tuple,
}
"""What the entries of an annotation of many are kept as."""
Hook = Callable[[Any], Any]
"""From a value as given to the field's value; raises Unfit, or SpecificationError from further inside."""
StandIn = Callable[[type, Mapping[str, Any], tuple[FunctionName, ...]], Any]
"""What to build instead of a class whose table holds names of functions; None for the class."""


def converter(
    base: PurePath | None = None,
    nodes: int | None = None,
    consent: Consent = "import",
    stand_in: StandIn | None = None,
    whole: bool = False,
) -> Converter:
    """A converter that starts relative paths (fields called `path`) at `base`, and puts `nodes` where `size` or `nodes`
    must be given and is not. consent: what becomes of names of functions. stand_in: asked what to build where a table
    holds such names, as (class, table, names); None for an object of that class. whole: objects must be given as they
    are, and no table, name or number stands for one."""
    made = Converter(detailed_validation=False)
    made.register_structure_hook_factory(inspect.isclass, _of_class)
    made.register_structure_hook_func(lambda kind: kind is Any, lambda value, _: value)
    for basic, hook in ((bool, as_bool), (int, as_int), (float, as_float), (str, as_str), (Path, as_path)):
        made.register_structure_hook(basic, hook)
    made.register_structure_hook_func(_has_origin(Literal), as_literal)
    made.register_structure_hook_func(_has_origin(np.ndarray), as_array)
    made.register_structure_hook_func(_has_origin(collections.abc.Callable), lambda value, _: as_function(value, consent, base))
    made.register_structure_hook_factory(_is_mapping, _with(made, _mapping))
    made.register_structure_hook_factory(_is_several, _with(made, _several))
    made.register_structure_hook_factory(_is_tuple, _with(made, _tuple))
    if whole:
        made.register_structure_hook_func(_has_origin(collections.abc.Callable), as_callable)
        made.register_structure_hook_func(inspect.isabstract, _whole)
    else:
        made.register_structure_hook_func(_is_graph, as_graph)
        made.register_structure_hook_factory(is_specification, _with(made, _table, base, nodes, stand_in))
        made.register_structure_hook_func(inspect.isabstract, lambda value, kind: _of_family(made, value, kind))
    made.register_structure_hook_func(_is_union, lambda value, kind: _of_union(made, value, kind))
    made.register_structure_hook_factory(_has_origin(Annotated), _with(made, _annotated))
    return made


def _with(made: Converter, factory: Callable[..., Any], *more: Any) -> Callable[[Any], Any]:
    return lambda kind: factory(made, kind, *more)  # pyright: ignore[reportUnknownLambdaType]


@cache
def plain() -> Converter:
    """The converter of objects that are built in Python."""
    return converter()


@cache
def strict() -> Converter:
    """The converter of what functions are given in Python."""
    return converter(whole=True)


def fields(kind: Any, made: Converter) -> dict[str, Hook]:
    """The hook of every field that `kind` is built from, by name. They raise errors that name class and field."""
    hints = hints_of(kind)
    names = [field.name for field in dataclasses.fields(kind) if field.init]
    return {name: _named(made, kind.__name__, name, hints[name]) for name in names}


def parameters(function: Any) -> dict[str, Hook]:
    """The hook of every annotated parameter of `function`, by name. They raise errors that name function and
    parameter."""
    hints = hints_of(function)
    names = [name for name in inspect.signature(function).parameters if name in hints]
    return {name: _named(strict(), function.__qualname__, name, hints[name]) for name in names}


def hints_of(owner: Any) -> dict[str, Any]:
    """The annotations of a class or a function; SpecificationError where one cannot be looked up."""
    try:
        return typing.get_type_hints(owner, include_extras=True)
    except NameError as error:
        raise SpecificationError(
            f"{owner.__name__} has an annotation that cannot be looked up ({error}). Define what it names at the top"
            " level of the module."
        ) from None


def _named(made: Converter, owner: str, name: str, hint: Any) -> Hook:
    """The hook of `hint`, whose errors say `owner(name)`."""
    try:
        hook = made.get_structure_hook(hint, cache_result=False)
    except StructureHandlerNotFoundError:
        raise SpecificationError(
            f"{owner}({name}) is annotated as {shown(hint)}, for which there is no rule. Give a class, a range of"
            " sgpsim.specification.ranges, or Any."
        ) from None

    def settle(value: Any) -> Any:
        try:
            return hook(value, hint)
        except Unfit as error:
            reason = error.of(owner, name)
        except RecursionError:
            reason = Unfit(value, "nested less deeply", "Give fewer levels.").of(owner, name)
        except (SpecificationError, ImportError, MemoryError):  # a broken installation is not the value's fault
            raise
        except Exception as error:  # of a foreign class, which may fail at whatever it is asked
            rule = f"a value that can be looked at, and raises {type(error).__name__}"
            reason = Unfit(value, rule, "Give another.").of(owner, name)
        raise reason

    return settle


def _of_class(kind: type) -> Callable[[Any, Any], Any]:
    """The hook of a class that nothing else knows, such as one of a user's own."""
    try:
        isinstance(None, kind)
    except TypeError:  # protocols, typed dicts
        raise StructureHandlerNotFoundError("nothing can be seen to be of this type", kind) from None
    return as_instance


def _has_origin(origin: Any) -> Callable[[Any], bool]:
    return lambda kind: (typing.get_origin(kind) or kind) is origin  # pyright: ignore[reportUnknownLambdaType]


def _is_graph(kind: Any) -> bool:
    """Whether `kind` is networkx's Graph, which need not be imported where it is not."""
    return inspect.isclass(kind) and kind.__module__.startswith("networkx.")


def _is_union(kind: Any) -> bool:
    return typing.get_origin(kind) in (typing.Union, types.UnionType)


def _is_tuple(kind: Any) -> bool:
    return (typing.get_origin(kind) or kind) is tuple


def _is_mapping(kind: Any) -> bool:
    return (typing.get_origin(kind) or kind) in (dict, collections.abc.Mapping, collections.abc.MutableMapping)


def _is_several(kind: Any) -> bool:
    return (typing.get_origin(kind) or kind) in SEVERAL


def _is_function(kind: Any) -> bool:
    """Whether a field of this type may hold a function."""
    if typing.get_origin(kind) is Annotated:
        return _is_function(typing.get_args(kind)[0])
    if _is_union(kind):
        return any(map(_is_function, typing.get_args(kind)))
    return (typing.get_origin(kind) or kind) is collections.abc.Callable


def _annotated(made: Converter, kind: Any) -> Callable[[Any, Any], Any]:
    """What stands behind the annotation, and within its range."""
    wanted, *marks = typing.get_args(kind)
    if any(isinstance(mark, Own) for mark in marks):
        return lambda value, _: value
    hook = made.get_structure_hook(wanted, cache_result=False)
    limits = next((mark for mark in marks if isinstance(mark, Range)), None)
    several = next((mark for mark in marks if isinstance(mark, Several)), None)

    def structure(value: Any, _: Any) -> Any:
        if several is not None and is_number(value):
            raise Unfit(value, "a list", several.cure.replace("{}", shown(value)))
        if limits is None:
            return hook(value, wanted)
        try:
            number = hook(value, wanted)
        except Unfit:
            raise limits.unfit(value) from None
        return limits.check(number)

    return structure


def _tuple(made: Converter, kind: Any) -> Callable[[Any, Any], Any]:
    """A tuple from any list (a string is none); where its length is free, a number or an object alone stands for a list
    of one."""
    inside = (Any, ...) if kind is tuple else typing.get_args(kind)
    repeated = len(inside) == 2 and inside[1] is Ellipsis
    wanted = inside[:1] if repeated else inside
    hooks = [made.get_structure_hook(one, cache_result=False) for one in wanted]
    nested = _is_tuple(wanted[0]) if wanted else False

    def structure(value: Any, _: Any) -> tuple[Any, ...]:
        alone = is_number(value) or is_specification(type(value)) or _is_graph(type(value))
        entries = [value] if repeated and alone and not nested else entries_of(value)
        if not repeated and len(entries) != len(hooks):
            raise Unfit(value, f"a list of {len(hooks)}", "Give as many entries.")
        return tuple(
            _at_place(f"[{index}]", hooks[0 if repeated else index], entry, wanted[0 if repeated else index])
            for index, entry in enumerate(entries)
        )

    return structure


def _several(made: Converter, kind: Any) -> Callable[[Any, Any], Any]:
    """Entries of one type, kept as SEVERAL says."""
    wanted = next(iter(typing.get_args(kind)), Any)
    hook = made.get_structure_hook(wanted, cache_result=False)
    collect = SEVERAL[typing.get_origin(kind) or kind]

    def structure(value: Any, _: Any) -> Any:
        return collect([_at_place(f"[{index}]", hook, entry, wanted) for index, entry in enumerate(entries_of(value))])

    return structure


def _mapping(made: Converter, kind: Any) -> Callable[[Any, Any], dict[Any, Any]]:
    """A dict, in the same order, whose keys and values are what the annotation says."""
    key, wanted = typing.get_args(kind) or (Any, Any)
    hooks = [made.get_structure_hook(one, cache_result=False) for one in (key, wanted)]

    def structure(value: Any, _: Any) -> dict[Any, Any]:
        if not isinstance(value, Mapping):
            raise Unfit(value, "a dict", "Give one such as {'name': ...}.")
        return {
            _at_place(f"[{shown(name)}]", hooks[0], name, key): _at_place(f"[{shown(name)}]", hooks[1], inside, wanted)
            for name, inside in value.items()  # pyright: ignore[reportUnknownVariableType]
        }

    return structure


def _at_place(place: str, hook: Callable[[Any, Any], Any], value: Any, kind: Any) -> Any:
    """What `hook` makes of `value`, whose errors say that it stands at `place`."""
    try:
        return hook(value, kind)
    except SpecificationError as error:
        error.within(place)
        raise


def _table(
    made: Converter, kind: Any, base: PurePath | None, nodes: int | None, stand_in: StandIn | None
) -> Callable[[Any, Any], Any]:
    """A dataclass from a table: no field unknown, none missing that has no default."""
    known = {field.name: field for field in dataclasses.fields(kind) if field.init}
    needed = [name for name, field in known.items() if field.default is field.default_factory is dataclasses.MISSING]
    kept: dict[str, Hook] = {}

    def structure(found: Any, _: Any) -> Any:
        if isinstance(found, kind):
            return found
        if not isinstance(found, Mapping):
            having = f"one with the fields {', '.join(known)}" if known else "one"
            raise Unfit(found, articled(kind.__name__), f"Give {having}{or_instance(found, kind)}.")
        tag = found.get(TAG, kind.__name__)
        if not isinstance(tag, str) or tag != kind.__name__:
            raise _at(TAG, f"{shown(tag)} is not the class that is wanted here; it must be {kind.__name__!r}.")
        given = {name: value for name, value in found.items() if name != TAG}
        for name in given:
            if name not in known:
                word = name if isinstance(name, str) else shown(name)
                cure = nearest(word, known) if known else "it has none."
                raise _at(word, f"unknown field of {kind.__name__}; {cure}")
        hooks = kept or fields(kind, made)
        kept.update(hooks)
        for name in ("size", "nodes"):
            if nodes is not None and name in needed and name not in given:
                given[name] = nodes
        for name in needed:
            if name not in given:
                raise _at(name, f"missing; {kind.__name__} needs it. Give {name} = ...")
        if base is not None and isinstance(given.get("path"), str):
            given["path"] = str(base / given["path"])
        if stand_in is not None and (names := _functions(kind, given)):
            stands = stand_in(kind, given, names)
            if stands is not None:
                return stands
        for name, value in given.items():
            try:
                given[name] = hooks[name](value)
            except SpecificationError as error:
                error.within(name)
                raise
        return _built(kind, given)

    return structure


def _functions(kind: Any, given: Mapping[str, Any]) -> tuple[FunctionName, ...]:
    """The names of functions among the fields of a table."""
    hints = typing.get_type_hints(kind, include_extras=True)
    names = [value for name, value in given.items() if isinstance(value, str) and _is_function(hints[name])]
    return tuple(named_function(name, "name") for name in names)


def _built(kind: Any, given: dict[str, Any]) -> Any:
    """An object of the class `kind`; whatever a class of the user's own raises becomes a SpecificationError."""
    try:
        return kind(**given)
    except (SpecificationError, ImportError, RecursionError, MemoryError):
        raise  # an ImportError: a broken installation is not the file's fault
    except Exception as error:
        raise SpecificationError(f"{kind.__name__}: {type(error).__name__}: {error}") from error


def _of_family(made: Converter, value: Any, kind: type) -> Any:
    """A concrete class of an interface, told by `type`, by its name alone, or by being sgpsim's only one."""
    if isinstance(value, kind):
        return value
    wanted = articled(kind.__name__)
    known = implementations(kind)
    if is_number(value):
        constant = next((name for name in known if name.startswith("Constant")), None)
        if constant is not None:
            first = dataclasses.fields(known[constant])[0].name
            try:
                return made.structure({first: value}, known[constant])
            except SpecificationError as error:
                error.place = ""  # the number stands where the object would
                raise
    return _tagged(made, {TAG: value} if isinstance(value, str) else value, known, wanted)


def _whole(value: Any, kind: type) -> Any:
    """An object of an interface, as it is."""
    if isinstance(value, kind):
        return value
    ours = [name for name, known in implementations(kind).items() if known.__module__.startswith("sgpsim.")]
    examples = f", such as {', '.join(f'{name}(...)' for name in ours[:3])}" if ours else ""
    raise Unfit(value, articled(kind.__name__), f"Give an object of such a class{or_instance(value, kind) or examples}.")


def _tagged(made: Converter, value: Any, known: Mapping[str, type], wanted: str) -> Any:
    """One of the classes `known`, told by the table's `type`."""
    if not isinstance(value, Mapping):
        instance = or_instance(value, *known.values())
        raise Unfit(value, wanted, f"Give one of {', '.join(known)}{instance}.")
    ours = [name for name, kind in known.items() if kind.__module__.startswith("sgpsim.")] or [*known]
    name = value.get(TAG, ours[0] if len(ours) == 1 else None)  # a user's own class takes no short form away
    if name is None:
        raise _at(TAG, f"missing; it must name {wanted}, one of {', '.join(known)}.")
    if not isinstance(name, str) or name not in known:
        folder = known[ours[0]].__module__.rpartition(".")[0].replace(".", "/")
        near = nearest(name if isinstance(name, str) else "", known)
        own = f" A class of your own is a file in {folder}/, or imported first, in Python." if isinstance(name, str) else ""
        raise _at(TAG, f"{shown(name)} is unknown; {near}{'' if near.startswith('did') and ':' not in name else own}")
    return made.structure(value, known[name])


def _of_union(made: Converter, value: Any, kind: Any) -> Any:
    """None, one of several dataclasses told by `type`, or the first other member that takes the value."""
    members = typing.get_args(kind)
    if value is None and type(None) in members:
        return None
    members = [member for member in members if member is not type(None)]
    tables = {member.__name__: member for member in members if is_specification(member)}
    if isinstance(value, tuple(tables.values())):
        return value
    others = [member for member in members if member not in tables.values()]
    if len(members) == 1:
        return made.structure(value, members[0])
    if tables and (isinstance(value, Mapping) or not others):
        return _tagged(made, {TAG: value} if isinstance(value, str) else value, tables, f"one of {', '.join(tables)}")
    function = next(filter(_is_function, others), None)
    if isinstance(value, str) and function is not None:  # else a member that takes anything would take the name
        return made.structure(value, function)
    for member in others:
        try:
            return made.structure(value, member)
        except SpecificationError:
            continue
    wanted = [*(["a table, one of " + ", ".join(tables)] if tables else []), *(_name_of(member) for member in others)]
    raise Unfit(value, ", or ".join(wanted), "Give one of these.")


def _at(place: str, words: str) -> SpecificationError:
    """An error with the sentence `words` that happened at `place` of a table."""
    error = SpecificationError(words).within(place)
    error.bare = True
    return error


def _name_of(kind: Any) -> str:
    if typing.get_origin(kind) is Annotated:
        marks = [mark for mark in typing.get_args(kind)[1:] if isinstance(mark, Range)]
        return marks[0].rule if marks else _name_of(typing.get_args(kind)[0])
    if _is_tuple(kind):
        return "a list of lists" if _is_tuple(typing.get_args(kind)[0]) else "a list"
    return WORDS.get(kind, getattr(kind, "__name__", str(kind)))
