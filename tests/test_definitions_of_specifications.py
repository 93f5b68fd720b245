"""What may stand in a class under `@specification`: each works as in any dataclass, or is refused in one sentence where the
class is defined."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, InitVar, dataclass, field
from typing import Any, ClassVar, Generic, Literal, NamedTuple, Optional, Protocol, TypedDict, TypeVar

import numpy as np
import pytest

from sgpsim.errors import SpecificationError
from sgpsim.files.plain_data import from_plain, to_plain
from sgpsim.specification.ranges import Count
from sgpsim.specification.specification import specification

T = TypeVar("T")


class Table(TypedDict):
    entry: int


class Walks(Protocol):
    def walk(self) -> None: ...


@specification
class Leaf:
    number: Count = 1


@specification
class Rich:
    """Of everything that works."""

    own: ClassVar[int] = 3
    first: Count
    perhaps: Optional[int] = None  # noqa: UP045
    choice: Literal["a", 1, True, None] = "a"
    pairs: tuple[tuple[int, str], ...] = ()
    bare: tuple = ()  # pyright: ignore[reportMissingTypeArgument, reportUnknownVariableType]
    empty: tuple[()] = ()
    several: Sequence[float] = (1.0,)
    names: frozenset[str] = frozenset()
    made: tuple[int, ...] = field(default_factory=tuple)
    later: Later | None = None
    itself: Rich | None = None
    hidden: int = field(default=0, repr=False, compare=False)
    memo: dict[str, int] = field(default_factory=dict[str, int], compare=False)
    _: KW_ONLY
    last: Leaf = Leaf(2)


@specification
class Later:
    number: Count = 1


@specification
class Child(Leaf):
    more: Count = 2

    def __post_init__(self) -> None:
        super().__post_init__()  # pyright: ignore[reportAttributeAccessIssue]
        if self.more < self.number:
            raise SpecificationError("Child(more) is too small")


FULL: dict[str, Any] = {
    "first": np.int64(2),
    "perhaps": 3,
    "choice": True,
    "pairs": [[1, "x"], (2, "y")],
    "bare": [1, "x"],
    "empty": [],
    "several": range(2),
    "names": {"a"},
    "made": [1],
    "later": {"number": 4},
    "itself": Rich(1),
    "memo": {"a": 1},
    "last": Leaf(3),
}


@pytest.mark.parametrize("given", [{"first": 1}, FULL], ids=["few", "full"])
def test_what_works_in_a_dataclass_works(given: dict[str, Any]) -> None:
    one, other = Rich(**given), Rich(**given)
    assert one == other and hash(one) == hash(other) and "\n" not in repr(one) and "hidden" not in repr(one)
    for again in (pickle.loads(pickle.dumps(one)), copy.deepcopy(one), dataclasses.replace(one), from_plain(to_plain(one), Rich)):
        assert again == one and hash(again) == hash(one) and repr(again) == repr(one)
    assert Rich.own == 3 and "own" not in to_plain(one)


def test_values_of_every_field_are_settled() -> None:
    rich = Rich(**FULL)
    assert rich.choice is True and Rich(1, choice=1).choice is not True and Rich(1, choice=None).choice is None
    assert rich.pairs == ((1, "x"), (2, "y")) and rich.bare == (1, "x") and rich.several == (0.0, 1.0)
    assert rich.later == Later(4) and rich.names == frozenset("a") and rich.memo == {"a": 1}
    assert dataclasses.replace(rich, memo={}) == rich
    for wrong in ({"perhaps": "x"}, {"choice": 1.0}, {"pairs": [[1]]}, {"memo": {"a": "x"}}, {"names": 3}, {"itself": 3}):
        with pytest.raises(SpecificationError, match=rf"Rich\({next(iter(wrong))}\)"):
            Rich(**{"first": 1, **wrong})


def test_a_specification_inherits() -> None:
    assert Child(1, 2) == Child(1) and Child(np.int64(1)) == Child(1) and isinstance(Child(), Leaf)  # pyright: ignore
    for wrong, words in (((0,), r"Child\(number\) is 0"), ((5, 3), "too small"), ((1, 0), r"Child\(more\) is 0")):
        with pytest.raises(SpecificationError, match=words):
            Child(*wrong)


def test_all_fields_by_name_only() -> None:
    @specification(kw_only=True)
    class Named:
        first: int = 1
        second: int

    assert Named(second=2).second == 2
    with pytest.raises(TypeError):
        Named(1, 2)  # pyright: ignore


def annotated(kind: Any, **more: Any) -> Callable[[], Any]:
    """Defines a specification with one field of a type."""
    return lambda: specification(type("Odd", (), {"__annotations__": {"entry": kind}, **more}))


@dataclass
class Mutable:
    number: int = 1


OF_T = {"__annotations__": {"entry": tuple[T, ...]}, "__orig_bases__": (Generic[T],)}  # pyright: ignore

REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "InitVar": (annotated(InitVar[int]), "Odd(entry) is an InitVar, which is not kept"),
    "__slots__": (annotated(int, __slots__=("entry",)), "Odd has __slots__"),
    "slots": (lambda: specification(dataclass(frozen=True, slots=True)(type("Odd", (), {}))), "a dataclass already"),
    "twice": (lambda: specification(specification(type("Odd", (), {}))), "Odd is a dataclass already"),
    "__init__": (annotated(int, __init__=lambda self: None), "Odd has an __init__, which @specification writes"),  # pyright: ignore
    "a named tuple": (lambda: specification(NamedTuple("Odd", [("entry", int)])), "Odd is a tuple"),
    "a function": (lambda: specification(annotated), "must stand before a class"),  # pyright: ignore
    "a mutable base": (lambda: specification(type("Odd", (Mutable,), {})), "cannot inherit frozen dataclass"),
    "a mutable default": (annotated(tuple[int, ...], entry=[]), "mutable default"),
    "a type variable": (annotated(T), "Odd(entry) is annotated as ~T, for which there is no rule."),
    "a generic class": (lambda: specification(type("Odd", (), OF_T)), "for which there is no rule"),
    "a class as a value": (annotated(type[int]), "for which there is no rule"),
    "a protocol": (annotated(Walks), "for which there is no rule"),
    "a typed dict": (annotated(Table), "Table has no hash"),
    "a dict": (annotated(dict[str, int]), "dict has no hash"),
    "a list": (annotated(list[int]), "list has no hash"),
    "a set": (annotated(set[int]), "set has no hash"),
    "a list inside": (annotated(tuple[list[int], ...] | None), "list has no hash"),
    "an array": (annotated(np.ndarray), "ndarray has no hash"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_work_is_refused_where_it_is_defined(name: str) -> None:
    define, words = REFUSED[name]
    with pytest.raises(SpecificationError) as refused:
        define()
    assert words in str(refused.value) and "\n" not in str(refused.value)


def test_a_name_that_is_never_defined_is_said_when_the_class_is_built() -> None:
    odd = annotated("Nowhere")()
    with pytest.raises(SpecificationError, match="Odd has an annotation that cannot be looked up"):
        odd(3)
