"""Tests that a run whose program is killed leaves what it had measured, and that a run that is not leaves no journal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from sgpsim import SGP, Cluster, Experiment, Quadratic, Simulated, Steps, Store, Vectorized, load
from sgpsim.__main__ import main
from sgpsim.backends.backend import Backend
from sgpsim.descents.sgd import SGD
from sgpsim.descents.step_sizes import Constant
from sgpsim.errors import Notice
from sgpsim.files import journal
from sgpsim.files.journal import PREFIX, Journal
from sgpsim.objectives.quadratic import QuadraticArrays
from sgpsim.results.metrics import Row
from sgpsim.schedules.ring import DirectedRing

EXPERIMENT = Experiment(SGP(), Quadratic(3, dimension=2), DirectedRing(3), Steps(12), seeds=(4, 1))
BACKENDS: list[Backend] = [Simulated(Cluster(3)), Vectorized(Cluster(3))]


class Killed(BaseException):
    """The program dies here: nothing after it is done, not even the journal's own end."""


def dying(
    place: Path, backend: Backend, cuts: int, monkeypatch: pytest.MonkeyPatch, experiment: Experiment = EXPERIMENT
) -> None:
    """Run the experiment through a store in `place`, and die after so many cuts, each of which is written at once."""
    monkeypatch.setattr(journal, "EVERY", 0.0)
    write, seen = Journal.__call__, []

    def die(self: Journal, rows: list[Row]) -> None:
        if len(seen) == cuts:
            os.close(self._lock)  # as the end of a process does
            raise Killed
        seen.append(rows)
        write(self, rows)

    monkeypatch.setattr(Journal, "__call__", die)
    monkeypatch.setattr(Journal, "close", lambda self: None)
    monkeypatch.setattr(Store, "save", lambda *_, **__: Path())  # a dead program keeps nothing
    with pytest.raises(Killed):
        Store(place).run("job", experiment, backend)
    monkeypatch.undo()


@pytest.mark.parametrize("backend", BACKENDS, ids=["Simulated", "Vectorized"])
@pytest.mark.parametrize("cuts", [1, 5, 9])
def test_what_a_killed_program_measured_is_the_beginning_of_the_whole_run(
    tmp_path: Path, backend: Backend, cuts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    dying(tmp_path, backend, cuts, monkeypatch)
    (sentence,) = Store(tmp_path).recover()
    run = load(sentence.split("lies in ")[1])
    assert run.outcome == "interrupted" and "killed" in run.remarks[0] and np.isnan(run.final.values).all()
    alone = isinstance(backend, Simulated)  # seed after seed; 13 cuts each
    assert run.remarks[1:] == (("not begun, and NaN at the end: seed 1",) if alone else ())
    whole, _, old = Store(tmp_path).run("job", EXPERIMENT, backend)
    assert not old and whole.metrics.head(run.metrics.height).equals(run.metrics)
    assert run.metrics.height * 13 == whole.metrics.height * cuts / (2 if isinstance(backend, Simulated) else 1)
    assert not list(tmp_path.glob(f"{PREFIX}*")) and Store(tmp_path).recover() == []


def test_a_run_says_once_what_killed_programs_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dying(tmp_path, BACKENDS[1], 3, monkeypatch)
    with pytest.warns(Notice, match="an earlier run was killed; what was measured lies in") as seen:
        Store(tmp_path).run("job", EXPERIMENT, BACKENDS[1])
    assert len(seen) == 1
    dying(tmp_path / "runs", BACKENDS[1], 3, monkeypatch)
    example = Path(__file__).parents[1] / "examples" / "straggler.toml"
    for expected in (1, 0):
        with pytest.raises(SystemExit) as ended:
            main(["run", str(example), "budget.count=2", "--out", str(tmp_path / "runs")])
        assert ended.value.code == 0 and capsys.readouterr().err.count("sgpsim: an earlier run was killed") == expected


@pytest.mark.parametrize("check_every", [1, 10])
def test_seeds_that_went_on_alone_are_recovered_once(
    tmp_path: Path, check_every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some seeds diverge, the rest is run again without them, and the program is killed then: one row for each figure,
    defects included, as of the whole run."""
    descent, objective = SGD(Constant(60.0)), QuadraticArrays(np.eye(1), np.ones((1, 1)), 1.0)
    experiment = Experiment(SGP(descent), objective, DirectedRing(1), Steps(400), (0, 5, 2, 7, 11, 13, 17), start=1.0)
    backend = Vectorized(check_every=check_every)
    whole = backend.run(experiment)
    ends = whole.curve("loss").group_by("seed").agg(pl.col("step").max())["step"]
    assert whole.outcome == "diverged" and ends.min() != ends.max(), "seeds that end at different steps"
    dying(tmp_path, backend, int(ends.min()) + 1 + 50, monkeypatch, experiment)  # pyright: ignore[reportArgumentType, reportOperatorIssue]
    (sentence,) = Store(tmp_path).recover()
    rows = load(sentence.split("lies in ")[1]).metrics
    for seed in experiment.seeds:
        some = rows.filter(pl.col("seed") == seed)
        assert whole.metrics.filter(pl.col("seed") == seed).head(some.height).equals(some)


def test_killed_twice_is_kept_twice_and_half_a_line_is_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(2):
        dying(tmp_path, BACKENDS[1], 3, monkeypatch)
        if number:
            break
        assert len(Store(tmp_path).recover()) == 1
    (left,) = tmp_path.glob(f"{PREFIX}*")
    whole = (left / "rows").read_text()
    (left / "rows").write_text(whole + whole.splitlines()[0][:25])
    (sentence,) = Store(tmp_path).recover()
    place = sentence.split("lies in ")[1]
    assert place.endswith("-interrupted-2")
    assert load(place).metrics.equals(load(place.removesuffix("-2")).metrics)


def test_a_journal_that_cannot_be_read_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for damage in ("begun.json", "rows"):
        dying(tmp_path, BACKENDS[1], 3, monkeypatch)
        (left,) = tmp_path.glob(f"{PREFIX}*")
        (left / damage).write_text("{\n\n")
        assert Store(tmp_path).recover() == [] and not left.exists()


def test_a_living_program_keeps_its_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "EVERY", 0.0)
    living = Journal(tmp_path, EXPERIMENT, BACKENDS[0], {"name": "job", "key": "0" * 64})
    living([(4, "step", 0, -1, 0.0, "loss", 1.0)])
    assert Store(tmp_path).recover() == [] and living.folder is not None and living.folder.exists()
    living.close()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_ends_the_journal_and_not_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "EVERY", 0.0)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(journal, "write_task", full)
    run, _, _ = Store(tmp_path).run("job", EXPERIMENT, BACKENDS[0])
    assert run.outcome == "finished" and not list(tmp_path.glob(f"{PREFIX}*"))


def test_a_short_run_writes_no_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Journal, "_begin", lambda self: pytest.fail("it began"))
    Store(tmp_path).run("job", EXPERIMENT, BACKENDS[0])


def with_begun(left: Path, **changed: object) -> None:
    begun = json.loads((left / "begun.json").read_text())
    (left / "begun.json").write_text(json.dumps({**begun, **changed}))


FORGED: list[dict[str, object]] = [
    {"name": "../../outside"},
    {"name": "no_such_folder/job"},
    {"name": ".hidden"},
    {"name": "a\0b"},
    {"name": "n" * 300},
    {"key": "/../../outside"},
    {"shape": [-1, 2, 2]},
    {"shape": [3, 2]},
    {"shape": [5, 2, 2]},
    {"shape": [10**30] * 3},
    {"extra": float("nan")},
]


@pytest.mark.parametrize("forged", FORGED, ids=str)
def test_a_forged_journal_writes_nothing_outside_and_ends_no_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forged: dict[str, object]
) -> None:
    place = tmp_path / "deep" / "runs"
    dying(place, BACKENDS[1], 3, monkeypatch)
    with_begun(next(place.glob(f"{PREFIX}*")), **forged)
    assert Store(place).recover() == [] and list(place.iterdir()) == []
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "deep", place]


@pytest.mark.parametrize("rows", ["[[0, 0]]\n", '"abc"\n', "5\n", "[" * 100_000 + "\n", '[[1e999, "step", 0, 0, 0, "\\ud800", 1]]\n'])
def test_rows_that_are_none_end_no_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: str) -> None:
    dying(tmp_path, BACKENDS[1], 3, monkeypatch)
    (next(tmp_path.glob(f"{PREFIX}*")) / "rows").write_text(rows)
    assert Store(tmp_path).recover() == [] and list(tmp_path.iterdir()) == []


def test_links_and_pipes_in_a_journal_are_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    victim, place = tmp_path / "victim", tmp_path / "runs"
    victim.write_text("precious")
    dying(place, BACKENDS[1], 3, monkeypatch)
    left = next(place.glob(f"{PREFIX}*"))
    (left / "metrics.parquet").symlink_to(victim)
    os.mkfifo(left / "pipe")
    outside = tmp_path / "outside"
    left.rename(outside)
    left.symlink_to(outside)
    os.mkfifo(place / f"{PREFIX}pipe")
    before = sorted(outside.iterdir())
    assert Store(place).recover() == [] and sorted(outside.iterdir()) == before
    left.unlink()
    outside.rename(left)
    assert "what was measured lies in" in Store(place).recover()[0] and victim.read_text() == "precious"


def test_what_ends_the_keeping_of_a_journal_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    dying(tmp_path, BACKENDS[1], 5, monkeypatch)
    for name in ("write_results", "put"):
        monkeypatch.setattr(journal, name, full)
        (sentence,) = Store(tmp_path).recover()
        assert "stays in" in sentence and "No space left on device" in sentence
        monkeypatch.undo()
    assert load(Store(tmp_path).recover()[0].split("lies in ")[1]).metrics.height > 0


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["simulated", "vectorized"])
def test_sigkill_loses_at_most_a_second(tmp_path: Path, backend: str) -> None:
    text = f'nodes = 4\nalgorithm = "SGP"\nobjective = "Quadratic"\nschedule = "DirectedRing"\nbackend = "{backend}"\n'
    (tmp_path / "job.toml").write_text(f'{text}budget = {{type = "Steps", count = 2_000_000}}\n')
    command = [sys.executable, "-m", "sgpsim", "run", str(tmp_path / "job.toml"), "--out", str(tmp_path / "runs")]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not list((tmp_path / "runs").glob(f"{PREFIX}*/rows")) and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(2.0)
    child.send_signal(signal.SIGKILL)
    child.wait()
    (left,) = (tmp_path / "runs").glob(f"{PREFIX}*/rows")
    assert time.time() - left.stat().st_mtime < 2.5  # a second, and a loaded machine
    again = subprocess.run([*command, "budget.count=3"], capture_output=True, text=True, timeout=60)
    assert again.returncode == 0 and "an earlier run was killed; what was measured lies in" in again.stderr
    assert load(again.stderr.split("lies in ")[1].splitlines()[0]).metrics.height > 100
    assert json.loads((next((tmp_path / "runs").glob("job-*-interrupted")) / "provenance.json").read_text())["name"]
