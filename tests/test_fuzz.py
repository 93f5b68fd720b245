"""The fuzzers of files and the kills of runs: a few in the default run, many where time does not matter. A case that
fails is made again by `python tests/fuzz_files.py KIND 1 SEED NUMBER`."""

from __future__ import annotations

import random
from pathlib import Path

import fuzz_files
import pytest
from fuzz_files import CASES, Failure, command, fuzz
from kill_runs import kill


@pytest.mark.parametrize("kind", CASES)
def test_what_is_read_ends_in_an_answer_or_one_sentence(tmp_path: Path, kind: str) -> None:
    assert fuzz(kind, 40, 1, tmp_path) == []


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", CASES)
def test_many_more(tmp_path: Path, kind: str) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    assert fuzz(kind, 10_000, seed, tmp_path) == [], f"seed {seed}"


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_kills_leave_nothing_broken_and_lose_nothing_measured(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    failures, endings = kill(60, seed, tmp_path)
    print(f"seed {seed}: {dict(endings)}")
    assert failures == [], f"seed {seed}"


def test_the_fuzzer_sees_tracebacks_and_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def raising(_: object) -> None:
        raise KeyError("planted")

    def hanging(_: object) -> None:
        while True:
            pass

    monkeypatch.setattr(fuzz_files, "LIMIT", 1)
    for main, words in ((raising, "KeyError: 'planted'"), (hanging, "TooLong")):
        monkeypatch.setattr(fuzz_files, "main", main)
        assert words in command("run")
        failures: list[Failure] = fuzz("toml", 1, 0, tmp_path)
        assert [failure.number for failure in failures] == [0]
