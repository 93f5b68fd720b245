"""How error sentences show values: on one line, bounded, whatever the value does; and what counts as a number at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.events.simulated import Simulated
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.budget import Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.descents.step_sizes import Constant
from sgpsim.errors import LONGEST_VALUE, SpecificationError, nearest, shown
from sgpsim.experiment import Experiment
from sgpsim.files.keys import key
from sgpsim.objectives.quadratic import Quadratic, QuadraticArrays
from sgpsim.schedules.matrices import Matrices
from sgpsim.schedules.ring import DirectedRing


class Failing:
    """Raises for every attribute, its class among them."""

    def __getattribute__(self, name: str) -> Any:
        raise ZeroDivisionError(name)


class Shaped:
    dtype = float

    def __init__(self, shape: Any) -> None:
        self.shape = shape


class Worded:
    def __init__(self, words: Any) -> None:
        self.words = words

    def __repr__(self) -> str:
        return self.words


class Name(str):
    def __repr__(self) -> str:
        return f"Name(\n{self!s}\n)"


ODD: dict[str, Callable[[], Any]] = {
    "every attribute fails": Failing,
    "a shape that is a number": lambda: Shaped(3),
    "a shape of words": lambda: Shaped(("a\n", "b")),
    "a shape that fails": lambda: Shaped(Failing()),
    "a huge shape": lambda: Shaped((1,) * 100_000),
    "a long repr": lambda: Worded("x" * 10_000_000),
    "a repr of lines": lambda: Worded("a\n\r\x0b\u2028\x85b\x1b[2J\x00\u202e"),
    "a repr that is no string": lambda: Worded(3),
    "a repr of surrogates": lambda: Worded("\udcff"),
    "a string of lines": lambda: Name("a\nb" * 100),
    "a long string": lambda: "\n" * 10_000_000,
    "a long list": lambda: [0] * 10_000_000,
    "a number of 5,000 digits": lambda: 10**5000,
    "a class of a long name": lambda: type("A" * 100_000, (), {"__repr__": lambda self: None})(),
    "a frame": lambda: pl.DataFrame({"a": [1, 2]}),
}


@pytest.mark.parametrize("name", ODD)
def test_whatever_is_shown_is_one_short_line(name: str) -> None:
    words = shown(ODD[name]())
    assert words.isprintable() and 0 < len(words) <= LONGEST_VALUE
    with pytest.raises(SpecificationError) as refused:
        Steps(ODD[name]())
    assert str(refused.value).isprintable() and len(str(refused.value)) < 300


@settings(max_examples=50)
@given(st.one_of(st.text(), st.binary(), st.lists(st.integers()), st.floats(), st.tuples(st.text(), st.none())))
def test_short_values_are_shown_as_python_writes_them(value: Any) -> None:
    words = shown(value)
    assert words.isprintable() and len(words) <= LONGEST_VALUE
    if len(repr(value)) <= LONGEST_VALUE and "  " not in repr(value):
        assert words == repr(value)


def test_sizes_are_said() -> None:
    assert shown(np.zeros((2, 3))) == "an array of shape (2, 3)" and shown(np.array(3)) == "array(3)"
    assert shown(pl.DataFrame({"a": [1, 2]})) == "a DataFrame of shape (2, 1)"
    assert shown(Failing()) == "an object of the class Failing" and shown(-(10**5000)) == "a whole number of 5001 digits"


def experiment(start: Any) -> Experiment:
    return Experiment(SGP(), Quadratic(4, 2), DirectedRing(4), Steps(3), start=start)


NO_NUMBERS: dict[str, Callable[[], Any]] = {
    "a time for a count": lambda: Steps(np.timedelta64(1)),  # pyright: ignore
    "a time for a number": lambda: Constant(np.timedelta64(1, "s")),  # pyright: ignore
    "times in a list": lambda: experiment([np.timedelta64(1), np.timedelta64(2)]),  # pyright: ignore
    "a masked start": lambda: experiment(np.ma.masked),  # pyright: ignore
    "a start with a masked entry": lambda: experiment(np.ma.array([1.0, 2.0], mask=[False, True])),  # pyright: ignore
    "a masked entry in a list": lambda: experiment([1.0, np.ma.masked]),  # pyright: ignore
    "truth in a nested start": lambda: experiment([[1.0, True]] * 4),  # pyright: ignore
    "masked hessians": lambda: QuadraticArrays(np.ma.array(np.eye(2), mask=np.eye(2)), np.zeros((4, 2))),  # pyright: ignore
    "truth among centers": lambda: QuadraticArrays(np.eye(2), [[True, 0.0]] * 4),  # pyright: ignore
    "a masked matrix": lambda: Matrices(np.ma.array(np.eye(2), mask=[[0, 1], [0, 0]])),  # pyright: ignore
    "masked matrices": lambda: Matrices([np.ma.array(np.eye(2), mask=[[0, 1], [0, 0]])]),  # pyright: ignore
}


@pytest.mark.parametrize("name", NO_NUMBERS)
@pytest.mark.filterwarnings("ignore:Warning. converting a masked element")
def test_what_is_no_number_is_refused(name: str) -> None:
    with pytest.raises(SpecificationError) as refused:
        NO_NUMBERS[name]()
    assert "\n" not in str(refused.value)


def test_arrays_with_nothing_masked_are_arrays() -> None:
    assert experiment(np.ma.array([1.0, 2.0])) == experiment((1.0, 2.0))
    assert Matrices(np.ma.array(np.eye(2))) == Matrices(np.eye(2))  # pyright: ignore


@pytest.mark.parametrize("zero", [-0.0, [-0.0, -0.0], np.full((4, 2), -0.0), np.float32(-0.0)])
@pytest.mark.parametrize("backend", [Simulated(Cluster(4)), Vectorized()], ids=repr)
def test_minus_zero_is_zero_in_keys_and_bits(zero: Any, backend: Any) -> None:
    plain = experiment(np.abs(zero))
    assert experiment(zero) == plain and key(experiment(zero), backend) == key(plain, backend)
    assert not np.signbit(experiment(zero).starts()).any()
    values = [backend.run(one).final.values.tobytes() for one in (experiment(zero), plain)]
    assert values[0] == values[1]


def test_minus_zero_in_arrays_and_fields() -> None:
    centers = np.full((4, 2), -0.0)
    one, other = (QuadraticArrays(np.eye(2), array) for array in (centers, np.abs(centers)))
    keys = {key(Experiment(SGP(), each, DirectedRing(4)), Vectorized()) for each in (one, other)}
    assert one == other and len(keys) == 1 and np.signbit(centers).all(), "and what was given is left alone"
    assert repr(Quadratic(4, noise=-0.0)) == repr(Quadratic(4, noise=0.0))


def test_known_names_of_a_users_file_stay_on_one_line() -> None:
    assert nearest("xyz", ["a", "b"]) == "known: a, b."
    wild = nearest("xyz", ["a\n1,2\n\x1b[31m", "c" * 1000])
    assert wild.isprintable() and len(wild) < 200
    assert nearest("labels", ["labels\n"]) == "did you mean 'labels\\n'?"
    many = nearest("xyz", [f"column {number}" for number in range(1000)])
    assert many.endswith("and 940 more.") and len(many) < 1000
