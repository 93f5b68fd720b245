"""Launches killed at random instants: no damaged folder, no process left over, and nothing lost that was measured.

The rule: whoever is hit (the launcher, or one of its processes) by whatever signal, what lay in the records at that
instant is in a run folder afterwards, and a sentence says where. `SGPSIM_KILLS=40` makes more kills than a test needs.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sgpsim.backends.processes.records import read_rows, record_paths, row_type
from sgpsim.backends.processes.torch_distributed import TorchDistributed
from sgpsim.errors import SpecificationError
from sgpsim.experiment import Experiment
from sgpsim.files.store import Store, load
from sgpsim.files.toml_files import read
from sgpsim.launching.unfinished import PREFIX, begin, recover, settle, write_job

NODES = 3
TOML = """
nodes = 3
measure_every = 50
algorithm = { type = "SGP", descent = { type = "SGD", step_size = 0.05 } }
objective = { type = "Quadratic", dimension = 5, noise = 0.1 }
schedule = "OnePeerExponential"
budget = { type = "Steps", count = 100000000 }
backend = { type = "TorchDistributed", timeout = 20.0 }
"""
KILLS = int(os.environ.get("SGPSIM_KILLS", "6"))
SEED = int(os.environ.get("SGPSIM_KILLS_SEED", "0")) or random.SystemRandom().randrange(10**6)
MARK = "SGPSIM_KILL_TEST"


def _marked(mark: str) -> set[int]:
    """Processes whose environment carries the mark; zombies have none."""
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                if f"{MARK}={mark}".encode() in (entry / "environ").read_bytes():
                    found.add(int(entry.name))
            except OSError:
                continue
    return found


def _rows(out: Path, experiment: Experiment) -> int:
    """Rows that all processes have written so far."""
    kind = row_type(experiment, False)
    for folder in out.glob(f"{PREFIX}*"):
        paths = [record_paths(folder, 0, experiment.seeds[0], rank)[0] for rank in range(NODES)]
        if all(path.exists() for path in paths):
            return min(path.stat().st_size for path in paths) // kind.itemsize
    return 0


def _until(true: object, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():  # pyright: ignore[reportCallIssue, reportGeneralTypeIssues, reportUnknownVariableType]
            return True
        time.sleep(0.02)
    return False


@pytest.mark.distributed
@pytest.mark.slow
@pytest.mark.timeout(120 * KILLS)
def test_killed_at_random_instants(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    random_ = random.Random(SEED)
    file = tmp_path / "endless.toml"
    file.write_text(TOML)
    experiment = read(file).experiment
    out = tmp_path / "runs"
    counts: dict[str, int] = {}
    for number in range(KILLS):
        mark = uuid.uuid4().hex
        whom = ("launcher", "launcher", "rank", "group")[number % 4] if number % 8 else "everybody"
        signal_ = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)[number % 3]
        early = random_.random() < 0.3
        launcher = subprocess.Popen(
            [sys.executable, "-m", "sgpsim", "launch", str(file), "--out", str(out)],
            env={**os.environ, MARK: mark},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            assert _until(lambda: list(out.glob(f"{PREFIX}*/process-{NODES - 1}")), 60)
            if not early:
                assert _until(lambda: _rows(out, experiment) > 2, 90)
            time.sleep(random_.uniform(0, 3))
            children = sorted(_marked(mark) - {launcher.pid})
            before, begun = _rows(out, experiment), time.monotonic()
            match whom:
                case "launcher":
                    launcher.send_signal(signal_)
                case "group":  # as a terminal's Ctrl-C does
                    os.killpg(launcher.pid, signal_)
                case "rank":
                    os.kill(random_.choice(children), signal_)
                case _:
                    for process in [launcher.pid, *children]:
                        os.kill(process, signal.SIGKILL)
            said, complaint = launcher.communicate(timeout=40)
            assert _until(lambda: not _marked(mark), 15), f"left over: {_marked(mark)}"  # noqa: B023
        finally:
            for process in _marked(mark):
                os.kill(process, signal.SIGKILL)
        told = f"seed {SEED}, kill {number}: {whom} {signal_.name} after {before} rows, {time.monotonic() - begun:.1f} s"
        counts[f"{whom} {signal_.name if whom != 'everybody' else 'SIGKILL'}"] = counts.get(whom, 0) + 1
        with capsys.disabled():
            print(f"\n{told}: code {launcher.returncode}: {complaint.strip().splitlines()[-1:] or said}", end="")
        if whom == "everybody":
            assert launcher.returncode == -signal.SIGKILL
            sentences: list[str] = []  # a process that is gone may hold its lock for an instant more
            assert _until(lambda: sentences.extend(recover(out)) or sentences, 5), told  # noqa: B023
            complaint = " ".join(sentences)
        elif whom == "rank":
            assert launcher.returncode == 4 and re.search(r"node \d (died|failed|lost)", complaint), (told, complaint)
        else:
            wanted = -9 if signal_ == signal.SIGKILL else 128 + signal_
            assert launcher.returncode == wanted, (told, complaint)
        assert "Traceback" not in complaint, (told, complaint)
        assert not list(out.glob(".*")), (told, list(out.glob(".*")))
        places = re.findall(r"(?:lies|saved) in (\S+)", said + complaint)
        if before > 0:
            assert len(places) == 1, (told, said, complaint)
        for place in places:
            run = load(place)
            assert run.outcome in ("interrupted", "failed") and run.remarks, told
            assert run.curve("loss")["step"].max() >= 50 * (before - 1), told  # pyright: ignore[reportOperatorIssue]
            assert np.isfinite(run.final.values).all()
        for folder in out.iterdir():
            load(folder)


def test_what_a_killed_machine_left_is_made_a_run_by_the_next_launch(tmp_path: Path) -> None:
    file = tmp_path / "endless.toml"
    file.write_text(TOML)
    experiment = read(file).experiment
    folder, lock = begin(tmp_path, "dead")
    os.close(lock)
    write_job(folder, [(experiment, TorchDistributed())], "dead")
    kind = row_type(experiment, False)
    rows = np.zeros(3, kind)
    rows["step"], rows["weight"], rows["round"] = [0, 50, 100], 1.0, [-1, 49, 99]
    for rank in range(NODES - 1):
        record_paths(folder, 0, 0, rank)[0].write_bytes(rows.tobytes()[:-5])
    sentence = settle(folder, "node 2 died", "failed")  # as a host says whose disk has not all records
    assert sentence is not None and "those of nodes 2 elsewhere" in sentence
    assert "those of nodes 2 elsewhere" in recover(tmp_path)[0] and folder.exists()
    record_paths(folder, 0, 0, 2)[0].write_bytes(rows.tobytes())
    assert len(read_rows(record_paths(folder, 0, 0, 2)[0], kind)) == 3
    (sentence,) = recover(tmp_path)
    (place,) = tmp_path.glob("dead-*")
    assert str(place) in sentence and not folder.exists() and recover(tmp_path) == []
    run = load(place)
    assert run.outcome == "failed" and run.remarks == ("node 2 died",)
    assert run.curve("loss")["step"].to_list() == [0, 50]
    empty, lock = begin(tmp_path, "empty")
    os.close(lock)
    assert recover(tmp_path) == [] and not empty.exists()
    with pytest.raises(SpecificationError, match="Delete the folder"):
        settle(begin(tmp_path, "none")[0], "killed")


def left(out: Path, **changed: object) -> tuple[Path, Experiment]:
    """The records of a launch that was killed after two steps of its first seed."""
    file = out.parent / "endless.toml"
    file.write_text(TOML)
    experiment = replace(read(file).experiment, seeds=(0, 1))
    out.mkdir(exist_ok=True)
    folder, lock = begin(out, "dead")
    os.close(lock)
    write_job(folder, [(experiment, TorchDistributed())], "dead")
    job = json.loads((folder / "job.json").read_text())
    (folder / "job.json").write_text(json.dumps({**job, **changed}))
    rows = np.zeros(2, row_type(experiment, False))
    rows["step"], rows["weight"], rows["round"] = [0, 50], 1.0, [-1, 49]
    for rank in range(NODES):
        record_paths(folder, 0, 0, rank)[0].write_bytes(rows.tobytes())
        record_paths(folder, 0, 0, rank)[1].touch()
    return folder, experiment


def test_a_seed_that_diverged_makes_no_whole_run_of_a_launch_that_was_killed(tmp_path: Path) -> None:
    folder, experiment = left(tmp_path / "runs")
    for rank in range(NODES):
        file = record_paths(folder, 0, 0, rank)[0]
        rows = np.fromfile(file, row_type(experiment, False))
        rows["value"][1] = np.inf
        file.write_bytes(rows.tobytes())
    (sentence,) = recover(tmp_path / "runs")
    run = load(sentence.split("lies in ")[1])
    assert run.outcome == "interrupted" and "diverged" in " ".join(run.remarks)
    assert Store(tmp_path / "runs").find(experiment, TorchDistributed()) is None


def test_seeds_that_a_killed_launch_did_not_begin_are_said_and_have_no_end(tmp_path: Path) -> None:
    left(tmp_path / "runs")
    (sentence,) = recover(tmp_path / "runs")
    run = load(sentence.split("lies in ")[1])
    assert "not begun, and NaN at the end: seed 1" in run.remarks
    assert np.isfinite(run.final.values[:, 0]).all() and all(np.isnan(part[:, 1]).all() for part in run.final)


LINES = [
    "5\n", "[]\n", '["note"]\n', "{}\n", "no JSON\n", "[" * 100_000 + "\n", '["span"]\n', '["waited", "x"]\n', '["note", 1, 2, "x", "y"]\n',
]  # fmt: skip


@pytest.mark.parametrize("lines", LINES, ids=range(len(LINES)))
def test_damaged_records_are_said_and_end_no_launch(tmp_path: Path, lines: str) -> None:
    folder, _ = left(tmp_path / "runs")
    record_paths(folder, 0, 0, 0)[1].write_text(lines)
    (sentence,) = recover(tmp_path / "runs")
    assert "are damaged" in sentence and str(folder) in sentence and "\n" not in sentence and folder.exists()


@pytest.mark.parametrize("changed", [{"cases": []}, {"cases": "x"}, {"cases": [None]}, {"cases": [{}]}, {"name": "../x"}], ids=str)
def test_a_damaged_job_is_said_and_ends_no_launch(tmp_path: Path, changed: dict[str, object]) -> None:
    folder, _ = left(tmp_path / "runs", **changed)
    (folder / "why").write_text("5")
    (sentence,) = recover(tmp_path / "runs")
    assert str(folder) in sentence and sorted(tmp_path.iterdir()) == [tmp_path / "endless.toml", tmp_path / "runs"]


def test_links_and_pipes_are_no_records(tmp_path: Path) -> None:
    folder, _ = left(tmp_path / "runs")
    (folder / "job.json").unlink()
    os.mkfifo(folder / "job.json")
    os.mkfifo(tmp_path / "runs" / f"{PREFIX}pipe")
    (tmp_path / "runs" / f"{PREFIX}link").symlink_to(tmp_path)
    (sentence,) = recover(tmp_path / "runs")
    assert "no regular file" in sentence and tmp_path.is_dir()
