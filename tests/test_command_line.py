"""The command line: every example and every command runs; what is wrong ends in one sentence and the right exit
code."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import networkx as nx
import numpy as np
import polars as pl
import pytest
from rich.console import Console

from sgpsim import commands
from sgpsim.__main__ import CODES, main
from sgpsim.commands.run import DIVERGED
from sgpsim.files.store import load
from sgpsim.reports.progress import PATIENCE, Bar

HOME = Path(__file__).parents[1]
EXAMPLES = sorted((HOME / "examples").glob("*.toml"))

SMALL = """
nodes = 4
seeds = [0, 1]
algorithm = {type = "SGP", descent = {type = "SGD", step_size = 0.1}}
objective = {type = "Quadratic", dimension = 3}
schedule = {type = "OnePeerExponential"}
budget = {type = "Steps", count = 6}
cluster = {compute = {type = "ExponentialTime", seconds = 1.0}, network = {latency = 0.1}}
"""


class Said(NamedTuple):
    code: int
    out: str
    err: str


def sgpsim(*arguments: str | Path) -> Said:
    """The command line in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as left:
        main([str(argument) for argument in arguments])
    return Said(int(left.value.code or 0), out.getvalue(), err.getvalue())


def refused(said: Said, code: int = 2) -> str:
    """The one sentence of a command that was refused."""
    assert said.code == code, said
    lines = said.err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("sgpsim: "), said.err
    return lines[0]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    place = tmp_path / "small.toml"
    place.write_text(SMALL)
    return place


def saved(said: Said) -> Path:
    assert said.code in (0, 5), said
    return Path(said.out.strip().splitlines()[-1].split(" in ", 1)[1].split(";")[0])


# -- run, and what is done with runs


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_runs(example: Path, tmp_path: Path) -> None:
    if "Perceptron" in example.read_text() and importlib.util.find_spec("torch") is None:
        pytest.skip("needs torch")
    short = {
        "Steps": "budget.count=8",
        "Gradients": "budget.total=40",
        "Seconds": "budget.limit=2",
        "TargetLoss": "budget.steps=8",
    }
    budget = next(override for kind, override in short.items() if f'type = "{kind}"' in example.read_text())
    said = sgpsim("run", example, budget, "--out", tmp_path)
    run = load(saved(said))
    assert run.outcome == "finished" and "loss" in set(run.metrics["metric"])
    assert example.read_text().startswith("#") and f"sgpsim run examples/{example.name}" in example.read_text()


@pytest.mark.parametrize("method", ["algorithm.type=AllReduceSGD", "algorithm.type=OverlapSGP"])
def test_the_comparisons_that_examples_speak_of(tmp_path: Path, method: str) -> None:
    example = HOME / "examples" / "straggler.toml"
    folders = [saved(sgpsim("run", example, "budget.count=6", *more, "--out", tmp_path)) for more in ((), (method,))]
    said = sgpsim("compare", *folders, "--loss", "2.2", "--out", tmp_path / "comparison")
    assert said.code == 0 and method.split("=")[1] in said.out
    table = pl.read_csv(tmp_path / "comparison" / "time_to_target.csv")
    assert table["run"].to_list() == ["SGP", method.split("=")[1]]
    assert {path.name for path in (tmp_path / "comparison").iterdir()} == {
        *("time_to_target.csv", "time_to_target.png", "time_to_target.pdf", "curves.png", "curves.pdf")
    }


def test_a_run_is_computed_once_and_says_so(file: Path, tmp_path: Path) -> None:
    first, second = (sgpsim("run", file, "--out", tmp_path / "runs") for _ in range(2))
    assert "saved in" in first.out and "found in" in second.out and "nothing was computed anew" in second.out
    assert saved(first) == saved(second)
    assert sgpsim("run", file, "budget.count=7", "--out", tmp_path / "runs").out.count("saved in") == 1
    assert first.out.startswith("Vectorized: ")


@pytest.mark.parametrize(
    ("backend", "expected"), [("simulated", "Simulated"), ("vectorized", "Vectorized"), ("auto", "Vectorized")]
)
def test_the_backend_can_be_chosen_and_changes_no_number(
    file: Path, tmp_path: Path, backend: str, expected: str
) -> None:
    run = load(saved(sgpsim("run", file, "--backend", backend, "--out", tmp_path)))
    assert run.backend == expected and run.trace is not None
    reference = load(saved(sgpsim("run", file, "--out", tmp_path)))
    columns = ["seed", "cut", "step", "node", "time", "metric", "value"]
    same = run.metrics.filter(pl.col("metric") != "mass_defect").sort(columns[:-1])
    assert same.equals(reference.metrics.filter(pl.col("metric") != "mass_defect").sort(columns[:-1]))


def test_show_trace_report(file: Path, tmp_path: Path) -> None:
    folder = saved(sgpsim("run", file, "--out", tmp_path / "runs"))
    shown = sgpsim("show", folder)
    assert shown.code == 0 and "squared_gradient_norm" in shown.out
    assert {path.name for path in (folder / "figures").iterdir()} == {
        "curves.png",
        "curves.pdf",
        "timeline.png",
        "timeline.pdf",
    }
    assert sgpsim("show", folder, "--out", tmp_path / "here", "--start", "1", "--end", "3").code == 0
    assert (tmp_path / "here" / folder.name / "timeline.pdf").is_file()
    assert sgpsim("trace", folder).code == 0
    events = json.loads((folder / "trace.json").read_text())["traceEvents"]
    assert {event["ph"] for event in events} == {"M", "X", "s", "f"}
    assert sgpsim("report", folder, "--out", tmp_path / "report.html").code == 0
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")
    load(folder)  # what was added beside does not damage the run


def test_list_knows_everything_and_explains_one_family() -> None:
    told = sgpsim("list")
    assert told.code == 0
    for word in (
        "OverlapSGP",
        "OnePeerExponential",
        "SoftmaxRegression",
        "MarkovSlow",
        "ethernet_10g",
        "resnet50_v100x8",
        "Gradients",
    ):
        assert word in told.out
    assert "delay=1" in sgpsim("list", "algorithm").out
    assert "there is no family 'Algoritm'; did you mean 'Algorithm'?" in refused(sgpsim("list", "Algoritm"))


def test_every_command_explains_itself() -> None:
    assert {"run", "launch", "show", "compare", "trace", "report", "list", "demo", "judge"} <= set(commands.known())
    for name in commands.known():
        said = sgpsim(name, "--help")
        assert said.code == 0 and "usage: sgpsim" in said.out
    assert sgpsim("nonsense").code == 2 and sgpsim().code == 2


def test_the_module_runs_as_a_program(file: Path) -> None:
    said = subprocess.run(
        [sys.executable, "-m", "sgpsim", "run", file, "algorithm.descnt=1"], capture_output=True, text=True
    )
    assert said.returncode == 2 and said.stdout == ""
    assert said.stderr == "sgpsim: small.toml: algorithm.descnt: unknown field of SGP; did you mean 'descent'?\n"


def test_the_demo_is_ours_where_the_working_folder_has_studies_of_its_own(tmp_path: Path) -> None:
    for name in ("studies", "theory"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
    program = "from sgpsim.commands import known; import sys; known(); import studies.demo; print(studies.demo.__file__)"
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{HOME}"}  # in the order that `python -m` has
    said = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert said.stdout.strip() == str(HOME / "studies" / "demo.py"), said.stderr
    before = [sys.executable, "-c", f"import theory; {program}"]
    said = subprocess.run(before, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert "in another folder" in said.stderr


EXIT_CODES = {**{str(code): code for code in CODES.values()}, "0": 0, "5": DIVERGED, "130": 130, "143": 143}


def test_every_exit_code_is_documented() -> None:
    words = sgpsim("--help").out
    assert "Exit codes" in words
    for code in EXIT_CODES:
        assert re.search(rf"\b{code}\b", words.split("Exit codes")[1]), code


# -- bad input, line by line


def written(tmp_path: Path, name: str, matrix: object) -> Path:
    np.save(tmp_path / name, np.asarray(matrix))
    return tmp_path / name


RING = np.roll(np.eye(4), 1, axis=0)
BAD_MATRICES = {
    "not square": (np.ones((3, 4)) / 3, "must be square"),
    "not finite": (np.full((4, 4), np.nan), "must be finite"),
    "objects": (np.array([[None]]), "cannot be read"),
    "columns": (0.5 * np.eye(4) + 0.4 * RING, "shares that sum to 0.9"),
    "no self-loop": (RING, "keeps no share of its own mass"),
    "not connected": (np.eye(4), "nothing gets from node"),
}


@pytest.mark.parametrize("case", BAD_MATRICES)
def test_matrices_that_cannot_carry_averaging(file: Path, tmp_path: Path, case: str) -> None:
    matrix, words = BAD_MATRICES[case]
    np.save(tmp_path / "p.npy", matrix, allow_pickle=True)
    told = refused(sgpsim("run", file, "schedule={type='MatrixFile', path='p.npy'}", "--out", tmp_path / "runs"))
    assert words in told and not (tmp_path / "runs").exists()


def graph_files(tmp_path: Path) -> None:
    twice: nx.MultiDiGraph = nx.MultiDiGraph([(0, 1), (0, 1), (1, 2), (2, 3), (3, 0)])
    nx.write_graphml(twice, tmp_path / "twice.graphml")
    apart: nx.Graph = nx.Graph([(0, 1), (2, 3)])
    nx.write_graphml(apart, tmp_path / "apart.graphml")
    (tmp_path / "times.csv").write_text("seconds\n0.1\n0.2\nfast\n")


BAD_INPUT = {
    "a multigraph": ("schedule={type='GraphFile', path='twice.graphml'}", "MultiDiGraph"),
    "other sizes": ("cluster.nodes=5", "for 4 nodes on a Cluster of 5"),
    "an unknown field": ("algorithm.descent.stepsize=1", "did you mean 'step_size'?"),
    "a wrong type": ("budget.count=ten", "small.toml: budget.count: Steps(count) is 'ten'; it must be a whole number"),
    "a step size of zero": ("algorithm.descent.step_size=0", "must be a finite number above 0"),
    "a step size that is none": ("algorithm.descent.step_size=nan", "must be a finite number above 0"),
    "more nodes than samples": (
        "objective={type='SoftmaxRegression', nodes=4, data={type='SyntheticClassification', samples=3}}",
        "sample",
    ),
    "a missing data file": ("objective={type='LogisticRegression', data={type='Table', path='no.csv'}}", "no.csv"),
    "a missing matrix": ("schedule={type='MatrixFile', path='no.npy'}", "no.npy"),
    "a broken line": ("cluster.compute={type='MeasuredTimes', path='times.csv'}", "line 4"),
    "no path between nodes": ("cluster.graph_file='apart.graphml'", "no path from node"),
    "irregular for D-PSGD": (
        "algorithm.type=DPSGD",
        "schedule={type='ErdosRenyiDigraph', probability=0.4, seed=0}",
        "without push-sum weights what a node is given must sum to 1",
    ),
    "asynchrony on arrays": ("algorithm={type='ADPSGD'}", "ADPSGD"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input(file: Path, tmp_path: Path, case: str) -> None:
    graph_files(tmp_path)
    *overrides, words = BAD_INPUT[case]
    told = refused(sgpsim("run", file, *overrides, "--out", tmp_path / "runs"))
    assert words in told
    assert not list((tmp_path / "runs").glob("*")), "nothing may be written"


def test_a_place_that_cannot_be_written(file: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    assert "nothing can be written to" in refused(sgpsim("run", file, "--out", tmp_path / "taken" / "runs"))


@pytest.mark.parametrize("command", ["show", "trace", "report", "compare"])
@pytest.mark.parametrize("name", ["metrics.parquet", "experiment.json", "provenance.json"])
def test_a_damaged_run_folder(file: Path, tmp_path: Path, command: str, name: str) -> None:
    folder = saved(sgpsim("run", file, "--out", tmp_path / "runs"))
    (folder / name).write_bytes(b"{}")
    more = ("--loss", "1") if command == "compare" else ()
    assert name in refused(sgpsim(command, folder, *more))
    assert name in refused(sgpsim("run", file, "--out", tmp_path / "runs")), "a damaged run is not taken for a result"


def test_commands_on_no_runs_and_on_runs_without_a_trace(file: Path, tmp_path: Path) -> None:
    for command in (("show",), ("trace",), ("report",), ("compare", "--loss", "1")):
        assert "at least one" in refused(sgpsim(*command))
    folder = saved(sgpsim("run", file, "backend.trace=false", "--out", tmp_path))
    assert "kept no trace" in refused(sgpsim("trace", folder))
    assert sgpsim("show", folder).code == 0
    assert "must be one of" in refused(sgpsim("compare", folder, "--loss", "1", "--metric", "los"))


# -- runs that end badly


def test_lost_mass_ends_with_3_and_the_run_is_saved(file: Path, tmp_path: Path) -> None:
    for words in ("saved in", "found in"):  # the second time it is found, and is no better
        said = sgpsim("run", file, "cluster.faults=[{type='Drop', sender=0, receiver=1, step=0}]", "--out", tmp_path / "runs")
        told = refused(said, 3)
        assert "node" in told and words in said.out
    folder = next((tmp_path / "runs").iterdir())
    assert load(folder).outcome == "leaked"


def test_diverging_ends_with_5_and_says_where(file: Path, tmp_path: Path) -> None:
    said = sgpsim("run", file, "algorithm.descent.step_size=1e6", "budget.count=80", "--out", tmp_path)
    assert said.code == 5
    run = load(saved(said))
    assert run.outcome == "diverged" and "step" in run.remarks[0] and run.remarks[0] in said.out
    assert (
        sgpsim("show", saved(said)).code == 0
        and sgpsim("compare", saved(said), "--loss", "1", "--out", tmp_path / "c").code == 0
    )
    assert sgpsim("report", saved(said), "--out", tmp_path / "r.html").code == 0


@pytest.mark.distributed
def test_launch_runs_four_processes_and_keeps_the_run(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    example = HOME / "examples" / "launch_four_processes.toml"
    said = sgpsim("launch", example, "budget.count=10", "--processes", "4", "--out", tmp_path)
    assert said.code == 0, said
    real = load(next(path for path in tmp_path.iterdir() if path.is_dir()))
    simulated = load(saved(sgpsim("run", example, "budget.count=10", "--out", tmp_path)))
    assert np.array_equal(real.final.values, simulated.final.values)


def test_rank_concerns_only_real_processes(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("RANK", "1"), ("WORLD_SIZE", "4")):
        monkeypatch.setenv(name, value)
    for backend in ("auto", "simulated", "vectorized"):
        said = sgpsim("run", file, "--backend", backend, "--out", tmp_path / backend)
        assert said.code == 0 and load(saved(said)).outcome == "finished"


@pytest.mark.parametrize(("name", "value"), [("WORLD_SIZE", "x"), ("RANK", "-1"), ("MASTER_PORT", "")])
def test_an_environment_that_is_no_torchruns_is_told(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    pytest.importorskip("torch")
    whole = {"RANK": "0", "WORLD_SIZE": "4", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    for variable, told in {**whole, name: value}.items():
        monkeypatch.setenv(variable, told)
    assert name in refused(sgpsim("run", file, "--backend", "torch", "--out", tmp_path))


def test_launch_with_another_number_of_processes_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    example = HOME / "examples" / "launch_four_processes.toml"
    told = refused(sgpsim("launch", example, "--processes", "3", "--out", tmp_path))
    assert "3" in told and "4" in told


# -- progress


@pytest.fixture
def screen() -> Iterator[Console]:
    yield Console(file=io.StringIO(), force_terminal=True, width=100)


def written_to(screen: Console) -> str:
    assert isinstance(screen.file, io.StringIO)
    return screen.file.getvalue()


def test_progress_shows_only_what_takes_long(screen: Console) -> None:
    now = [0.0]
    bar = Bar("small", screen, lambda: now[0])
    bar(1, 10)
    now[0] = PATIENCE - 0.1
    bar(5, 10)
    assert written_to(screen) == ""
    now[0] = PATIENCE + 0.1
    bar(8, 10)
    bar.close()
    assert "small" in written_to(screen) and "80%" in written_to(screen)


def test_progress_without_an_end_and_without_a_terminal(screen: Console) -> None:
    bar = Bar("open", screen, iter([0.0, 9.0, 9.5]).__next__)
    bar(100, 0)
    bar.close()
    assert "open" in written_to(screen)
    plain = Console(file=io.StringIO(), force_terminal=False)
    bar = Bar("plain", plain, iter([0.0, 9.0]).__next__)
    bar(1, 2)
    bar.close()
    assert written_to(plain) == ""


def test_backends_tell_their_progress(file: Path) -> None:
    from sgpsim.files.toml_files import read

    found = read(file)
    for name in ("simulated", "vectorized"):
        seen: list[tuple[int, int]] = []
        found.backend(name)[0].run(found.experiment, lambda done, expected, seen=seen: seen.append((done, expected)))
        assert seen and seen == sorted(seen) and seen[-1][1] == 4 * 6 * 2, name
        assert seen[-1][0] <= seen[-1][1]


def test_the_examples_need_only_what_lies_beside_them(tmp_path: Path) -> None:
    copy = shutil.copytree(HOME / "examples", tmp_path / "copy", ignore=shutil.ignore_patterns("*.png"))
    said = sgpsim("run", copy / "own_matrix.toml", "budget.count=3", "--out", tmp_path / "runs")
    assert load(saved(said)).outcome == "finished"
