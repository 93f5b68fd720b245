"""The fuzzer of constructors finds nothing, misses no class, and sees what a class without the rule lets through."""

from __future__ import annotations

import dataclasses
import math
import os
import tempfile
import time
from pathlib import Path

import pytest

from sgpsim.descents.descent import StepSize
from tests import fuzz_constructors
from tests.fuzz_constructors import fuzz, good, kinds

SEED = int(os.environ.get("SGPSIM_FUZZ_SEED", "20181126"))


@pytest.mark.parametrize("cases", [400, pytest.param(10_000, marks=pytest.mark.slow)])
def test_odd_arguments_are_refused_in_one_line_or_build_something_usable(cases: int) -> None:
    print(f"SGPSIM_FUZZ_SEED={SEED}")
    findings, built = fuzz(SEED, cases)
    assert not findings, "\n".join([f"SGPSIM_FUZZ_SEED={SEED}, {len(findings)} findings:", *findings[:20]])
    assert built > cases / 20, "hardly anything was built, so hardly anything was tried"


def test_every_class_can_be_built_from_the_good_arguments() -> None:
    with tempfile.TemporaryDirectory() as folder:
        arguments = good(Path(folder))
        for name, kind in kinds().items():
            assert kind(**arguments.get(name, {})) == kind(**arguments.get(name, {})), name
    assert len(kinds()) > 60


def test_a_class_without_the_rule_is_seen() -> None:
    @dataclasses.dataclass(frozen=True)
    class Unruled(StepSize):
        first: float = 1.0

        def __post_init__(self) -> None:
            math.sqrt(self.first)

        def at(self, step: int) -> float:
            return self.first

    findings, built = fuzz(1, 60, {"Unruled": Unruled})
    assert built and any("ends in TypeError" in finding for finding in findings)
    assert any("ends in ValueError" in finding for finding in findings)


def test_what_takes_too_long_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclasses.dataclass(frozen=True)
    class Endless(StepSize):
        first: float = 1.0

        def __post_init__(self) -> None:
            while True:
                pass

        def at(self, step: int) -> float:
            return self.first

    monkeypatch.setattr(fuzz_constructors, "SECONDS", 0.05)
    start = time.process_time()
    findings, _ = fuzz(1, 2, {"Endless": Endless})
    assert len(findings) == 2 and "ends in TimeoutError" in findings[0] and time.process_time() - start < 2.0
