"""The fuzzer of the command lines finds nothing, and sees what it looks for; what a user's code does to end the program
loses no work and is said."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fuzz_command_line import TEXT, call, fuzz

from sgpsim.algorithms.algorithm import Algorithm
from sgpsim.backends.backend import Backend
from sgpsim.backends.events.simulated import Simulated
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.budget import Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.experiment import Experiment
from sgpsim.files.store import Store, load
from sgpsim.node import Node
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.schedules.ring import DirectedRing
from studies import bench

SEED = int(os.environ.get("SGPSIM_FUZZ_SEED", "20181126"))


@pytest.mark.parametrize("cases", [120, pytest.param(5_000, marks=pytest.mark.slow)])
def test_odd_words_end_in_an_answer_or_a_sentence(cases: int) -> None:
    print(f"SGPSIM_FUZZ_SEED={SEED}")
    findings, codes = fuzz(SEED, cases, drawn=cases > 120)
    assert not findings, "\n".join([f"SGPSIM_FUZZ_SEED={SEED}, {len(findings)} findings:", *findings[:20]])
    assert codes.get(0, 0) > cases / 40 and codes.get(2, 0) > cases / 3, codes


def test_what_breaks_the_rule_is_seen() -> None:
    def known(program: str, arguments: list[str]) -> tuple[int, str, str]:
        match len(arguments):
            case 3:
                raise ValueError(program)
            case 4:
                return 2, "", ""
            case 5:
                return 3, "", "x"
            case _:
                return 1, "", "Traceback (most recent call last):"

    findings, codes = fuzz(1, 40, known=known)
    assert len(findings) == 40 and not codes
    for words in ("ends in ValueError", "says nothing", "exit code 3", "shows a traceback"):
        assert any(words in finding for finding in findings), words


class Own(BaseException):
    """A class that no `except Exception` sees."""


@dataclass(frozen=True)
class Leaving(Algorithm):
    """Ends everything at its sixth step, unless it is harmless."""

    way: str = ""

    async def run(self, node: Node) -> None:
        mass = node.begin()
        for step in node.steps:
            if step == 5 and self.way == "sys.exit":
                sys.exit(0)
            if step == 5 and self.way:
                raise Own if self.way == "own" else GeneratorExit
            move = -0.1 * await node.gradient(mass.ratio)
            mass = await node.gather(step, node.scatter(step, mass.shifted(move)))
            node.report(step + 1, mass, move)

    @property
    def source(self) -> str:
        return "here"


WAYS: dict[str, type[BaseException]] = {"sys.exit": SystemExit, "own": Own, "generator": GeneratorExit}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("backend", [Simulated(Cluster(3)), Vectorized()], ids=["Simulated", "Vectorized"])
def test_a_text_that_ends_the_program_loses_no_work(backend: Backend, way: str, tmp_path: Path) -> None:
    experiment = Experiment(Leaving(way), Quadratic(3, 2), DirectedRing(3), Steps(12))
    with pytest.raises(WAYS[way]) as ending:
        Store(tmp_path).run("x", experiment, backend)
    folder = getattr(ending.value, "folder")  # noqa: B009 (a foreign class)
    kept = load(folder)
    assert folder.name.endswith("-failed") and kept.outcome == "failed" and kept.metrics["step"].max() in (4, 5)
    assert any("step 5" in note for note in ending.value.__notes__)
    run, _, _ = Store(tmp_path).run("x", Experiment(Leaving(), Quadratic(3, 2), DirectedRing(3), Steps(12)), backend)
    assert run.outcome == "finished", "the control"


ENDS: dict[str, tuple[BaseException, str]] = {
    "sys.exit": (SystemExit(0), "code that the run calls ended in sys.exit(0); raised in step 5."),
    "sys.exit with words": (SystemExit("done"), "code that the run calls ended in sys.exit('done'); raised in step 5."),
    "memory": (MemoryError(), "this takes more memory than there is; raised in step 5."),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_run_that_ends_the_program_or_fills_the_memory_is_one_sentence(
    end: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    error, words = ENDS[end]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "job.toml").write_text(TEXT)

    def ending(*_: Any, **__: Any) -> None:
        error.add_note("sgpsim: raised in step 5")
        raise error

    monkeypatch.setattr(Vectorized, "run", ending)
    code, _, complaint = call("sgpsim", ["run", "job.toml"])
    assert code == 1 and complaint.startswith(f"sgpsim: {words}") and complaint.count("\n") == 1
    assert call("sgpsim", ["--help"])[0] == 0 and call("sgpsim", ["run"])[0] == 2, "the parser ends as it did"


@pytest.mark.parametrize("option", ["--out", "--only"])
def test_a_value_that_is_called_as_the_study_is_kept(option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[str] = []
    monkeypatch.setattr(bench, "main", lambda arguments: given.extend(arguments) or 0)
    assert call("studies", ["bench", option, "bench"])[0] == 0 and given == [option, "bench"]
