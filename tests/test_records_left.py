"""Records that a launch leaves behind, and who takes them: one program alone, whole, and nobody while it still begins.

The rule: each test stands at one instant at which a process may be killed, or at which two programs meet.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sgpsim.backends.processes.records import record_paths, row_type
from sgpsim.backends.processes.torch_distributed import TorchDistributed
from sgpsim.errors import SpecificationError
from sgpsim.experiment import Experiment
from sgpsim.files.store import load
from sgpsim.files.toml_files import read
from sgpsim.files.whole_folders import hold, locked_folder
from sgpsim.launch import launch_file
from sgpsim.launching import unfinished
from sgpsim.launching.unfinished import (
    begin,
    close_down,
    discard,
    end,
    read_job,
    recover,
    require_same_texts,
    write_job,
)

NODES = 3
TOML = """
nodes = 3
measure_every = 50
algorithm = "SGP"
schedule = "OnePeerExponential"
objective = { type = "Quadratic", dimension = 5 }
budget = { type = "Steps", count = 100 }
backend = { type = "TorchDistributed" }
"""


def written(folder: Path, steps: tuple[int, ...] = (0, 50)) -> Experiment:
    """The records of two measured steps, as three processes leave them."""
    file = folder.parent.parent / "job.toml"
    file.write_text(TOML)
    experiment = read(file).experiment
    if not (folder / "job.json").exists():
        write_job(folder, [(experiment, TorchDistributed())], "job", key="0123456789ab" + "0" * 52)
    rows = np.zeros(len(steps), row_type(experiment, False))
    rows["step"], rows["weight"], rows["round"] = steps, 1.0, np.array(steps) - 1
    for rank in range(NODES):
        record_paths(folder, 0, 0, rank)[0].write_bytes(rows.tobytes())
        record_paths(folder, 0, 0, rank)[1].touch()
    return experiment


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "runs").mkdir()
    return tmp_path / "runs"


def test_a_launch_that_has_only_begun_is_let_alone(out: Path) -> None:
    folder, lock = begin(out, "job")
    assert recover(out) == [] and folder.is_dir()  # nobody has written a job yet
    os.close(lock)
    assert recover(out) == [] and not folder.exists()


def test_a_folder_that_was_cleared_before_its_lock_was_taken_is_not_held(out: Path) -> None:
    folder, lock = locked_folder(out, ".x-")
    os.close(lock)
    assert hold(out / "none") is None
    held = hold(folder)
    assert held is not None
    os.close(held)
    opened, real = [], os.open

    def cleared(path: Any, *given: Any, **more: Any) -> int:
        opened.append(real(path, *given, **more))
        if len(opened) == 1:
            folder.rename(out / ".y")
            folder.mkdir()  # as another rank does
        return opened[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", cleared)
        assert hold(folder) is None
    with pytest.raises(OSError):
        os.fstat(opened[0])


def test_who_closes_down_and_waits_for_others_is_not_overtaken_by_the_next_launch(out: Path) -> None:
    folder, slow = begin(out, "job")
    written(folder)
    lock, sentences = hold(folder), []
    assert lock is not None
    closing = threading.Thread(target=lambda: sentences.append(close_down(folder, lock, "the launcher was killed")))
    closing.start()
    time.sleep(0.2)  # it waits for `slow`, which ends now
    os.close(slow)
    overtaken = recover(out)  # the next launch, at this very instant
    closing.join()
    os.close(lock)
    (place,) = out.iterdir()
    assert overtaken == [] and sentences == [f"the launcher was killed; what was measured lies in {place}"]
    assert place.name == "job-0123456789ab-interrupted"  # the key of when the launch began


def test_who_closes_down_leaves_the_records_to_a_launch_that_has_taken_them(out: Path) -> None:
    folder, lock = begin(out, "job")
    written(folder)
    os.close(lock)
    with pytest.MonkeyPatch.context() as patch:  # the other launch has the lock while this process asks for it
        lock = os.open(folder, os.O_RDONLY)
        taken = os.open(folder, os.O_RDONLY)
        unfinished.fcntl.flock(taken, unfinished.fcntl.LOCK_EX)  # pyright: ignore[reportOptionalMemberAccess]
        patch.setattr(unfinished, "PATIENCE", 0.1)
        assert close_down(folder, lock, "the launcher was killed") is None
        os.close(lock)
        os.close(taken)
    assert folder.is_dir()
    (sentence,) = recover(out)
    assert "what was measured lies in" in sentence


def test_a_removal_that_is_cut_short_leaves_no_records(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, lock = begin(out, "job")
    written(folder)
    os.close(lock)

    remove = shutil.rmtree

    def killed(place: Path, **_: Any) -> None:
        if place != folder:
            return remove(place, ignore_errors=True)
        record_paths(folder, 0, 0, 1)[0].unlink()
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(SystemExit):
            recover(out)
    assert len(list(out.glob("job-*"))) == 1 and folder.exists()
    assert recover(out) == [] and not folder.exists()  # and says nothing of records that lie elsewhere


def test_records_that_cannot_be_saved_stay_and_are_said(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, lock = begin(out, "job")
    written(folder)

    def full(*_: Any) -> Path:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("sgpsim.files.store._saved", full)
        sentence = close_down(folder, lock, "node 2 died", "failed")
        os.close(lock)
        assert sentence is not None and f"stays in {folder}" in sentence and "No space left" in sentence
        (sentence,) = recover(out)
        assert f"stays in {folder}" in sentence and "\n" not in sentence
    (sentence,) = recover(out)
    (place,) = out.iterdir()
    assert sentence == f"node 2 died; what was measured lies in {place}" and load(place).outcome == "failed"


@pytest.mark.parametrize("whole", [False, True])
def test_an_interruption_while_the_launcher_ends_loses_nothing(
    out: Path, monkeypatch: pytest.MonkeyPatch, whole: bool
) -> None:
    def interrupted(_cases: Any, _processes: Any, _progress: Any, folder: Path, *_: Any) -> None:
        written(folder, (0, 50, 100) if whole else (0, 50))
        for rank in range(NODES if whole else 1):
            end(folder, rank)
        raise KeyboardInterrupt(signal.SIGTERM)  # without a run: the launcher could not look at the records

    (out.parent / "job.toml").write_text(TOML)
    monkeypatch.setattr("sgpsim.launch.launch_all", interrupted)
    with pytest.raises(KeyboardInterrupt) as stop:
        launch_file(out.parent / "job.toml", out=out)
    (place,) = out.iterdir()
    assert stop.value.folder == place  # pyright: ignore[reportAttributeAccessIssue]
    run = load(place)
    assert run.outcome == ("finished" if whole else "interrupted") and run.curve("loss")["step"].max() == 50 * (1 + whole)
    assert whole or run.remarks == ("interrupted by SIGTERM",)


def test_an_error_that_nobody_foresaw_leaves_the_records_to_the_next_launch(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failed(cases: Any, _processes: Any, _progress: Any, folder: Path, *_: Any) -> None:
        written(folder)
        raise MemoryError

    (out.parent / "job.toml").write_text(TOML)
    monkeypatch.setattr("sgpsim.launch.launch_all", failed)
    with pytest.raises(MemoryError):
        launch_file(out.parent / "job.toml", out=out)
    (sentence,) = recover(out)
    assert "what was measured lies in" in sentence


def test_a_disk_that_is_full_from_the_first_is_named_and_nothing_is_left(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (out.parent / "job.toml").write_text(TOML)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")  # as a write says it, without the file

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match=str(out)):
        launch_file(out.parent / "job.toml", out=out)
    assert list(out.iterdir()) == []


def test_the_same_run_of_another_launch_meanwhile_is_shown_and_said(
    out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (out.parent / "job.toml").write_text(TOML)
    whole: list[Any] = []

    def other(cases: Any, _processes: Any, _progress: Any, folder: Path, *_: Any) -> list[Any]:
        written(folder, (0, 50, 100))
        run = unfinished.as_stored(folder, cases[0][0], cases[0][1], None, "finished")
        assert run is not None
        if not whole:
            whole.append(replace(run, statistics={"node_steps": 7.0}))
            place = unfinished.Store(out).save("other", whole[0], cases[0][1])
            whole.append(place)
        return [run]

    monkeypatch.setattr("sgpsim.launch.launch_all", other)
    run, place = launch_file(out.parent / "job.toml", out=out)
    assert place == whole[1] and run.statistics == {"node_steps": 7.0} and list(out.iterdir()) == [place]
    assert f"found in {place}, where another launch has kept the same run meanwhile" in capsys.readouterr().err


def test_a_process_with_another_version_or_text_refuses(out: Path) -> None:
    folder, lock = begin(out, "job")
    experiment = written(folder)
    cases = [(experiment, TorchDistributed())]
    job = read_job(folder)
    require_same_texts(job, cases)
    for name in ("numpy", "source", "MyModel"):
        other = json.loads(json.dumps(job))
        other["texts"][name] = "another"
        with pytest.raises(SpecificationError, match=f"^{name}: the text or version is another one in this process"):
            require_same_texts(other, cases)
    discard(folder)
    os.close(lock)
