"""Single values: how a number, a string, an array, a graph or a function becomes what a field's annotation says.

The rule: a value is strictly of the annotated type, or refused by one sentence with the rule and the cure (Unfit); only
numpy's scalars stand for Python's, whole numbers for floats and paths for strings. What is made of several values is the
matter of `structuring`.
"""

from __future__ import annotations

import typing
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgpsim.errors import Unfit, nearest
from sgpsim.specification.functions import Consent, named_function

NOT_FINITE = ("inf", "-inf", "nan")
"""How floats are written that JSON has no words for."""
WORDS: dict[Any, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "a string", Path: "a path"}
CURES: dict[Any, str] = {
    bool: "Give True or False.",
    int: "Give one such as 3.",
    float: "Give one such as 0.5.",
    str: "Give one in quotes.",
}
MOST_ENTRIES = 1 << 20
"""The longest list: an iterable that goes on is taken for one that never ends."""


def is_number(value: Any) -> bool:
    """Whether `value` is a number, Python's or numpy's; true and false are none."""
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool | np.timedelta64)


def as_bool(value: Any, _: Any) -> bool:
    if isinstance(value, bool | np.bool_):
        return bool(value)
    raise Unfit(value, WORDS[bool], CURES[bool])


def as_int(value: Any, _: Any) -> int:
    if is_number(value) and isinstance(value, int | np.integer):
        return int(value)
    raise Unfit(value, WORDS[int], CURES[int])


def as_float(value: Any, _: Any) -> float:
    """A number as Python's float; `inf`, `-inf` and `nan` also as JSON has to write them."""
    if is_number(value) or (isinstance(value, str) and value in NOT_FINITE):
        try:
            return float(value) + 0.0  # -0.0 equals 0.0, and would have another key and other bits
        except OverflowError:
            raise Unfit(value, "a number that float64 holds", CURES[float]) from None
    raise Unfit(value, WORDS[float], CURES[float])


def as_str(value: Any, _: Any) -> str:
    if isinstance(value, str | PurePath):
        return str(value)
    raise Unfit(value, WORDS[str], CURES[str])


def as_path(value: Any, _: Any) -> Path:
    if isinstance(value, str | PurePath) and "\0" not in str(value):
        return Path(value)
    raise Unfit(value, "a path", "Give one such as 'runs', a string or a pathlib.Path.")


def as_instance(value: Any, kind: type) -> Any:
    """A value of a class that nothing above knows, such as one of a user's own: as it is."""
    if isinstance(value, kind):
        return value
    raise Unfit(value, articled(kind.__name__), f"Give one of this class{or_instance(value, kind)}.")


def as_literal(value: Any, kind: Any) -> Any:
    known = typing.get_args(kind)
    for one in known:
        if isinstance(value, type(one)) and isinstance(value, bool) == isinstance(one, bool) and value == one:
            return one
    words = [repr(one) for one in known]
    near = nearest(value, known) if isinstance(value, str) and all(isinstance(one, str) for one in known) else ""
    cure = f"Give one of these; {near}" if near.startswith("did") else "Give one of these."
    raise Unfit(value, f"{', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else words[0], cure)


def as_array(value: Any, _: Any) -> Any:
    array = array_of_numbers(value)
    if array is None:
        raise Unfit(value, "an array of numbers", "Give nested lists of numbers, with rows of equal length.")
    return array


def array_of_numbers(value: Any) -> NDArray[np.float64] | None:
    """A float64 copy of an array, of nested lists, or of a number; None where it holds anything but numbers, masked ones
    and true and false included, or rows of unequal length."""
    try:
        given = np.asarray(value)
        if given.dtype.kind not in "iuf" or is_masked(value) or _holds_truth(value):
            return None
        numbers = np.array(given, dtype=np.float64)
        numbers += 0.0  # no -0.0, as in `as_float`
        return numbers
    except Exception:  # rows of unequal length, foreign classes
        return None


def is_masked(value: Any) -> bool:
    """Whether `value` is an array of numpy's with entries that are masked, which reading as numbers would bring back."""
    return isinstance(value, np.ma.MaskedArray) and bool(np.ma.getmaskarray(value).any())


def _holds_truth(value: Any) -> bool:
    """Whether true or false, or what is masked, stand among numbers, where numpy would take them for some."""
    if isinstance(value, list | tuple):
        return any(map(_holds_truth, value))
    return isinstance(value, bool | np.bool_) or is_masked(value)


def as_graph(value: Any, _: Any) -> Any:
    import networkx as nx  # loaded already where a field has such a type

    if isinstance(value, nx.Graph):
        return value
    rule, cure = "a networkx graph", "Give one, or node-link data as networkx.node_link_data writes them."
    if not isinstance(value, Mapping):
        raise Unfit(value, rule, cure)
    try:
        graph = nx.node_link_graph(dict(value), edges="edges")
    except Exception:  # whatever networkx stumbles over
        raise Unfit(value, rule, cure) from None
    for *_, attributes in (*graph.nodes(data=True), *graph.edges(data=True)):
        for name, inside in attributes.items():
            if isinstance(inside, str) and inside in NOT_FINITE:
                attributes[name] = float(inside)
    return graph


def as_callable(value: Any, _: Any) -> Any:
    if callable(value):
        return value
    raise Unfit(value, "a function", "Give one, not its name.")


def as_function(value: Any, consent: Consent, base: PurePath | None = None) -> Any:
    if isinstance(value, str):
        return named_function(value, consent, None if base is None else Path(base))
    if callable(value):
        return value
    raise Unfit(value, "a function", "Give one, or its name such as 'my_models:perceptron'.")


def entries_of(value: Any) -> Sequence[Any]:
    """The entries of a list, or of anything else that can be gone through and comes to an end; raises Unfit."""
    if isinstance(value, list | tuple):
        return value
    try:
        if isinstance(value, Iterable) and not isinstance(value, str | bytes | bytearray | Mapping):
            entries = list(islice(value, MOST_ENTRIES + 1))
            if len(entries) <= MOST_ENTRIES:
                return entries
    except Exception:  # an array without axes, a foreign class
        pass
    raise Unfit(value, "a list", "Give one such as [1, 2], in Python a tuple or a range will do too.")


def articled(name: str) -> str:
    return f"{'an' if name[0] in 'AEIOU' else 'a'} {name}"


def or_instance(value: Any, *kinds: type) -> str:
    """How to mend it where a class was given for an object of it."""
    return f", as an object: {value.__name__}(...)" if isinstance(value, type) and issubclass(value, kinds) else ""
