"""Reading a run folder runs nobody's code; running it again does so by consent only, and a file that the user names is
trusted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from test_command_line import SMALL, Said, refused, saved, sgpsim
from test_store import rewritten

from sgpsim.backends.events.simulated import Simulated
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.errors import SpecificationError
from sgpsim.files.plain_data import from_plain, to_plain
from sgpsim.files.run_folders import read_task
from sgpsim.files.store import load
from sgpsim.files.toml_files import read
from sgpsim.objectives.objective import Objective
from sgpsim.objectives.unresolved import Unresolved
from sgpsim.specification.functions import FunctionName, named_function

TRAP = """
import torch
import pathlib
(pathlib.Path(__file__).parent / "imported").touch()

def network():
    return torch.nn.Linear(64, 10)
"""


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module `trap` that can be imported; the file that it leaves when it is."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "trap.py").write_text(TRAP)
    monkeypatch.syspath_prepend(tmp_path / "modules")
    monkeypatch.delitem(sys.modules, "trap", raising=False)
    return tmp_path / "modules" / "imported"


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A run folder whose objective names trap:network, with right digests."""
    (tmp_path / "small.toml").write_text(SMALL)
    return naming(saved(sgpsim("run", tmp_path / "small.toml", "--out", tmp_path / "foreign")), "trap:network")


def naming(folder: Path, function: str) -> Path:
    content = json.loads((folder / "experiment.json").read_text())
    content["experiment"]["objective"] = {"type": "TorchModule", "nodes": 4, "module": function}
    rewritten(folder, "experiment.json", json.dumps(content).encode())
    return folder


@pytest.mark.parametrize("command", ["show", "compare", "report", "trace"])
def test_commands_that_read_import_nothing_and_show_what_there_is(
    trap: Path, foreign: Path, tmp_path: Path, command: str
) -> None:
    more = {"compare": ("--loss", "1e9"), "report": ("--out", tmp_path / "report.html")}.get(command, ())
    if command == "compare":
        more = (*more, "--out", tmp_path / "comparison")
    said = sgpsim(command, foreign, *more)
    assert said.code == 0, said
    assert not trap.exists() and "trap" not in sys.modules
    if command == "show":
        assert "TorchModule(4, module=trap:network)" in said.out and "squared_gradient_norm" in said.out


@pytest.mark.slow
def test_a_name_that_ends_the_process_does_not(foreign: Path) -> None:
    naming(foreign, "os:abort")
    command = [sys.executable, "-m", "sgpsim", "show", str(foreign)]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 0 and "os:abort" in said.stdout


def test_a_loaded_experiment_is_described_and_cannot_be_run(trap: Path, foreign: Path) -> None:
    run = load(foreign)
    objective = run.experiment.objective
    assert isinstance(objective, Unresolved) and objective.functions == (FunctionName("trap:network"),)
    assert (run.experiment.nodes, objective.dimension, run.experiment.message_size) == (4, 3, 32.0)
    assert to_plain(run.experiment)["objective"] == {"type": "TorchModule", "nodes": 4, "module": "trap:network"}
    for backend in (Vectorized(), Simulated(read_task_backend(foreign).cluster)):
        with pytest.raises(SpecificationError, match=r"'trap:network' names code .* Add --trust"):
            backend.run(run.experiment)
    assert not trap.exists()


def read_task_backend(folder: Path) -> Any:
    naming(folder, "trap:network")
    content = json.loads((folder / "experiment.json").read_text())["backend"]
    from sgpsim.backends.backend import Backend

    return from_plain(content, Backend)  # pyright: ignore[reportAbstractUsage]


def test_running_a_folder_again_asks_for_trust(trap: Path, foreign: Path, tmp_path: Path) -> None:
    words = refused(sgpsim("run", foreign, "--out", tmp_path / "again"))
    assert "'trap:network' names code of whoever wrote this" in words and "--trust" in words
    assert not trap.exists() and not (tmp_path / "again").exists()


@pytest.mark.slow
def test_with_trust_the_functions_are_imported(trap: Path, foreign: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    folder = saved(sgpsim("run", foreign, "--trust", "--out", tmp_path / "again"))
    assert trap.exists() and load(folder).outcome == "finished"
    assert not isinstance(load(folder, trust=True).experiment.objective, Unresolved)


def test_a_file_that_the_user_names_is_trusted(trap: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    (tmp_path / "own.toml").write_text(SMALL)
    objective = "objective={type='TorchModule', module='trap:network'}"
    folder = saved(sgpsim("run", tmp_path / "own.toml", objective, "--out", tmp_path / "runs"))
    assert trap.exists() and load(folder).experiment.message_size == 8 * 650 + 8


def test_a_module_beside_the_file_needs_no_python_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "beside_the_file.py").write_text(TRAP)
    (tmp_path / "own.toml").write_text(SMALL)
    objective = "objective={type='TorchModule', module='beside_the_file:network'}"
    assert read(tmp_path / "own.toml", [objective]).experiment.message_size == 8 * 650 + 8
    assert sys.path[-1] == str(tmp_path.resolve())  # where a launch lets its processes look


def test_a_module_of_the_same_name_elsewhere_is_not_taken_for_the_one_beside_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "twice", raising=False)
    for name in ("first", "second", "without"):
        (tmp_path / name).mkdir()
    for name in ("first", "second"):
        (tmp_path / name / "twice.py").write_text(f"def model(): return {name!r}")
    assert named_function("twice:model", "import", tmp_path / "first")() == "first"
    assert named_function("twice:model", "import", tmp_path / "first")() == "first"
    assert named_function("twice:model", "import", tmp_path / "without")() == "first"
    with pytest.raises(SpecificationError, match=r"another twice\.py lies beside the file; it must be clear"):
        named_function("twice:model", "import", tmp_path / "second")
    monkeypatch.delitem(sys.modules, "twice")


def test_a_folder_that_names_no_function_runs_again_without_asking(tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(SMALL)
    folder = saved(sgpsim("run", tmp_path / "small.toml", "--out", tmp_path / "runs"))
    again = saved(sgpsim("run", folder, "--out", tmp_path / "again"))
    assert again.name == folder.name and load(again).metrics.equals(load(folder).metrics)
    assert read_task(folder)[1] == load(folder).experiment
    assert "is a run folder" in refused(sgpsim("run", folder, "budget.count=3"))
    assert "provenance.json' is missing" in refused(sgpsim("run", tmp_path))


NO_FUNCTIONS = ["os", "os:", ":abort", "os:no_such_thing", "no_such_module:f", "os:sep", "..os:abort", "a b:c", "failing:f"]


@pytest.mark.parametrize("name", NO_FUNCTIONS)
def test_what_names_no_function_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (tmp_path / "failing.py").write_text("raise SystemExit(7)")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SpecificationError, match="no function") as caught:
        named_function(name, "import")
    assert "\n" not in str(caught.value)
    pytest.importorskip("torch")
    (tmp_path / "own.toml").write_text(SMALL)
    said: Said = sgpsim("run", tmp_path / "own.toml", f"objective={{type='TorchModule', module='{name}'}}")
    words = refused(said)
    assert "own.toml: objective.module: " in words and ("beside the file" in words) == (name == "no_such_module:f")


def test_plain_data_import_nothing_unless_told_so(trap: Path) -> None:
    plain = {"type": "TorchModule", "nodes": 4, "module": "trap:network"}
    with pytest.raises(SpecificationError, match="names code of whoever wrote this"):
        from_plain(plain, Objective)  # pyright: ignore[reportAbstractUsage]
    assert not trap.exists()
