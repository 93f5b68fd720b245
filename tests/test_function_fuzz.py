"""The fuzzer of functions finds nothing, misses no public name, and sees what a function without the rule lets through."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from fuzz_functions import Door, doors, fuzz, unheld

from sgpsim.errors import SpecificationError
from sgpsim.files.store import Store
from sgpsim.specification.arguments import checked
from sgpsim.testing import check_network

SEED = int(os.environ.get("SGPSIM_FUZZ_SEED", "20181126"))


@pytest.mark.parametrize("cases", [200, pytest.param(10_000, marks=pytest.mark.slow)])
def test_odd_arguments_are_refused_in_one_line_or_answered(cases: int) -> None:
    print(f"SGPSIM_FUZZ_SEED={SEED}")
    findings, answered = fuzz(SEED, cases)
    assert not findings, "\n".join([f"SGPSIM_FUZZ_SEED={SEED}, {len(findings)} findings:", *findings[:20]])
    assert answered > cases / 100, "hardly anything was answered, so hardly anything was tried"


def test_every_public_name_is_tried() -> None:
    with tempfile.TemporaryDirectory() as folder:
        known = doors(Path(folder))
        assert not unheld(known)
        assert unheld({}) >= {"best_for", "load", "preset", "Run", "Store"}


@pytest.mark.filterwarnings("ignore:.*has no reference")
def test_every_function_answers_its_good_arguments() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for door in doors(Path(folder)).values():
            if door.refused:
                with pytest.raises(SpecificationError, match="3 processes"):
                    door.function(**door.good)
            else:
                door.function(**door.good)


def test_functions_without_the_rule_are_seen() -> None:
    def half(number: float) -> float:
        return number / 2

    def silent(number: float) -> None:
        pass

    findings, _ = fuzz(1, 40, {"half": Door(half, {"number": 1.0})})
    assert any("ends in TypeError" in finding for finding in findings)
    findings, _ = fuzz(1, 40, {"silent": Door(silent, {"number": 1.0})})
    assert findings and all(finding.endswith("takes number") for finding in findings)
    findings, answered = fuzz(1, 40, {"half": Door(checked(half), {"number": 1.0})})
    assert not findings and answered


REFUSED: dict[str, tuple[Any, str]] = {
    "a table for a network": (
        lambda: check_network({}),  # pyright: ignore
        "check_network(network) is {}; it must be a Network. Give an object",
    ),
    "a class for a network": (lambda: check_network(type), "such a class, such as Hockney(...)."),  # pyright: ignore
    "a number for a folder": (lambda: Store(3), "Store(folder) is 3; it must be a path. Give one such as 'runs'"),  # pyright: ignore
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_said(name: str) -> None:
    call, words = REFUSED[name]
    with pytest.raises(SpecificationError) as refused:
        call()
    assert words in str(refused.value)


def test_a_store_takes_a_path_as_text() -> None:
    assert Store("runs") == Store(Path("runs")) and Store("runs").folder == Path("runs")  # pyright: ignore


def test_what_is_missing_or_too_much_is_pythons_own_error() -> None:
    with pytest.raises(TypeError, match="missing a required argument"):
        check_network()  # pyright: ignore
    with pytest.raises(TypeError, match="unexpected keyword"):
        check_network(network=None, edges=3)  # pyright: ignore


def test_a_function_is_given_itself_and_never_by_its_name() -> None:
    with tempfile.TemporaryDirectory() as folder:
        known = doors(Path(folder))
        (run,) = [door for name, door in known.items() if name.startswith("Vectorized.run")]
        with pytest.raises(SpecificationError, match=r"it must be .*a function|it must be a function"):
            run.function(**{**run.good, "progress": "os:getpid"})
