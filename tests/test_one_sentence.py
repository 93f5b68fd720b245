"""Whatever a user gives, in files, overrides or on the command line, ends in an answer or in one sentence: never in a
traceback, a crash or a hang."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
import scipy.sparse
from test_command_line import SMALL, refused, saved, sgpsim
from test_store import rewritten

from sgpsim.__main__ import main
from sgpsim.commands.show import tell
from sgpsim.errors import SpecificationError, nearest
from sgpsim.files.store import load
from sgpsim.files.toml_files import read
from sgpsim.schedules.matrix_file import MatrixFile


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "small.toml").write_text(SMALL)
    return tmp_path / "small.toml"


OVERRIDES = {
    "start=" + "1" * 5000: "too many digits",
    "start=[" + "1" * 5000 + "]": "too many digits",
    "start=" + "[" * 3000: "nested too deeply",
    "start=" + "[" * 3000 + "]" * 3000: "nested too deeply",
    "start=" + "[" * 90 + "1" + "]" * 90: "start",
    "cluster={preset='ethernet_10g', job={a=1}}": "cluster: job {'a': 1} does not exist",
    "cluster={preset='ethernet_10g', job=[1]}": "cluster: job [1] does not exist",
    "cluster={preset={a=1}}": "cluster: preset",
    "name=" + "n" * 300: "of 300 bytes; it names a folder",
    "cluster.graph_file='.'": "must end in",
    "schedule={type='MatrixFile', path='folder.npy'}": "which cannot be read (it is a directory)",
    "schedule={type='GraphFile', path='folder.gml'}": "which cannot be read (it is a directory)",
    "cluster.graph_file='folder.gml'": "which cannot be read (it is a directory)",
    "cluster.compute={type='MeasuredTimes', path='folder.csv'}": "which cannot be read (it is a directory)",
    "objective={type='LogisticRegression', data={type='Table', path='folder.csv'}}": "which cannot be read (it is a",
    "cluster.compute={type='MeasuredTimes', path='/dev/zero'}": "which cannot be read (it is no regular file)",
    "schedule={type='MatrixFile', path='" + "x" * 5000 + ".npy'}": "File name too long",
    "schedule={type='MatrixFile', path=\"a\\u0000b.npy\"}": "embedded null byte",
    "cluster.compute={type='MeasuredTimes', path='latin.csv'}": "'utf-8' codec can't decode",
    "objective={type='LogisticRegression', data={type='Table', path='latin.csv'}}": "cannot be read as .csv ('utf-8'",
    "objective={type='LogisticRegression', data={type='Table', path='wide.csv'}}": "field larger than field limit",
    "cluster.graph_file='latin.gml'": "cannot be read as .gml",
    "cluster.graph_file='latin.graphml'": "cannot be read as .graphml",
    "schedule={type='GraphFile', path='deep.json'}": "recursion",
}


@pytest.mark.parametrize("override", OVERRIDES, ids=lambda override: override[:40])
def test_overrides(file: Path, override: str) -> None:
    folder = file.parent
    for ending in ("npy", "gml", "csv"):
        (folder / f"folder.{ending}").mkdir()
    (folder / "latin.csv").write_bytes(b"a,label\n\xe9,1\n2,0\n")
    (folder / "wide.csv").write_bytes(b"a,label\n" + b"1" * 200_000 + b",1\n")
    (folder / "latin.gml").write_bytes(b"graph [\xe9 ]")
    (folder / "latin.graphml").write_bytes(b"<graphml>\xe9</graphml>")
    (folder / "deep.json").write_text("[" * 100_000)
    assert OVERRIDES[override] in refused(sgpsim("run", file, override, "--out", folder / "runs"))


TEXTS = {
    "utf16": (SMALL.encode("utf-16"), "not text in UTF-8"),
    "latin": (b"name='\xe9'\n" + SMALL.encode(), "not text in UTF-8"),
    "zeros": (bytes(100), "this is not TOML"),
    "empty": (b"", "nodes: missing"),
    "digits": (SMALL.encode() + b"start=" + b"1" * 5000, "too many digits"),
    "brackets": (SMALL.encode() + b"start=" + b"[" * 3000 + b"]" * 3000, "nested too deeply"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_toml_texts(tmp_path: Path, name: str) -> None:
    content, words = TEXTS[name]
    (tmp_path / f"{name}.toml").write_bytes(content)
    assert words in refused(sgpsim("run", tmp_path / f"{name}.toml", "--out", tmp_path / "runs"))


def test_a_byte_order_mark_and_other_line_ends_are_read(file: Path, tmp_path: Path) -> None:
    plain = saved(sgpsim("run", file, "--out", tmp_path / "plain"))
    (tmp_path / "small.toml").write_bytes(b"\xef\xbb\xbf" + SMALL.replace("\n", "\r\n").encode())
    assert saved(sgpsim("run", file, "--out", tmp_path / "marked")).name == plain.name


@pytest.mark.slow
def test_commands_on_what_is_no_run(file: Path, tmp_path: Path) -> None:
    folder = saved(sgpsim("run", file, "--out", tmp_path / "runs"))
    assert "is given twice" in refused(sgpsim("show", folder, tmp_path / "runs" / "." / folder.name))
    for more in (("--end", "inf"), ("--start", "-inf"), ("--end", "nan"), ("--start", "1e300")):
        assert "shows nothing" in refused(sgpsim("show", folder, *more))
    for place in ("x" * 5000, file, tmp_path):
        assert "provenance.json' is missing" in refused(sgpsim("show", place))
    assert "cannot be read" in refused(sgpsim("run", "x" * 5000))
    assert "Is a directory" in refused(sgpsim("trace", folder, "--out", tmp_path), 6)
    assert "nothing can be written" in refused(sgpsim("run", file, "--out", "o" * 300))


# -- sparse matrices whose parts do not fit: scipy's kernels would read past their ends


def sparse(path: Path, **changed: Any) -> Path:
    whole = scipy.sparse.csc_array(np.full((4, 4), 0.25))
    parts = {"format": b"csc", "shape": np.array([4, 4]), "data": whole.data, "indices": whole.indices}
    np.savez(path, **{**parts, "indptr": whole.indptr, **changed})
    return path


BROKEN: dict[str, dict[str, Any]] = {
    "short indices": {"indices": np.zeros(3, np.int32)},
    "short data": {"data": np.ones(3)},
    "short pointers": {"indptr": np.zeros(2, np.int32)},
    "indices beyond": {"indices": np.full(16, 100, np.int32)},
    "indices below": {"indices": np.full(16, -100, np.int32)},
    "pointers backwards": {"indptr": np.array([0, 12, 8, 4, 16], np.int32)},
    "pointers beyond": {"indptr": np.array([0, 4, 8, 12, 1 << 30], np.int32)},
    "another shape": {"shape": np.array([10**9, 10**9])},
    "not square": {"shape": np.array([4, 5])},
    "no format": {"format": b"xyz"},
    "huge": {"format": b"coo", "shape": np.array([10**9] * 2), "row": np.zeros(16, int), "col": np.zeros(16, int)},
}


@pytest.mark.parametrize("name", BROKEN)
def test_sparse_matrices_with_broken_parts_are_refused(tmp_path: Path, name: str) -> None:
    path = sparse(tmp_path / "p.npz", **BROKEN[name])
    with pytest.raises(SpecificationError) as caught:
        MatrixFile(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["csr", "csc", "coo", "bsr", "dia"])
def test_whole_sparse_matrices_of_every_kind_are_read(tmp_path: Path, kind: str) -> None:
    matrix = nx.to_scipy_sparse_array(nx.complete_graph(4), format=kind) / 3
    scipy.sparse.save_npz(tmp_path / "p.npz", matrix)
    assert MatrixFile(str(tmp_path / "p.npz")).matrix(0).toarray() == pytest.approx(matrix.toarray())


# -- outputs that nobody takes


def printed_to(device: str, *arguments: str | Path) -> tuple[int, str]:
    with open(device, "w") as out:
        command = [sys.executable, "-m", "sgpsim", *map(str, arguments)]
        said = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, text=True, check=False)
    return said.returncode, said.stderr


FULL = "sgpsim: the output cannot be read or written (No space left on device). Make room, or give another place.\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no full device here")
@pytest.mark.parametrize(
    "command", [("list",), *(pytest.param(one, marks=pytest.mark.slow) for one in [("--help",), ("list", "Budget"), ()])]
)
def test_a_full_device_is_one_sentence(command: tuple[str, ...]) -> None:
    code, err = printed_to("/dev/full", *command)
    assert (code, err) == ((6, FULL) if command else (2, err)) and "Traceback" not in err and "Exception" not in err


@pytest.mark.slow
def test_a_full_device_for_every_command(file: Path, tmp_path: Path) -> None:
    assert printed_to("/dev/full", "run", file, "--out", tmp_path / "runs") == (6, FULL)
    assert not (tmp_path / "runs").exists(), "nothing is computed where nobody hears of it"
    folder = saved(sgpsim("run", file, "--out", tmp_path / "runs"))
    for command in ("show", "trace", "report", "compare"):
        more = {"compare": ("--loss", "1", "--out", tmp_path / "c"), "report": ("--out", tmp_path / "r.html")}.get(command, ())
        assert printed_to("/dev/full", command, folder, *more) == (6, FULL), command
    for command in ("trace", "report"):
        said = sgpsim(command, folder, "--out", "/dev/full")
        assert "No space left on device" in refused(said, said.code) and said.code in (2, 6)


@pytest.mark.parametrize("streams", [["stdout"], ["stderr"], ["stdout", "stderr"]])
@pytest.mark.parametrize(("arguments", "code"), [(["list", "Schedule"], 0), (["run", "no.toml"], 2)])
def test_closed_streams_change_no_exit_code(
    monkeypatch: pytest.MonkeyPatch, streams: list[str], arguments: list[str], code: int
) -> None:
    for stream in streams:
        monkeypatch.setattr(sys, stream, None)  # as Python sets them where they are closed
    with pytest.raises(SystemExit) as end:
        main(arguments)
    for stream in streams:
        getattr(sys, stream).close()
    assert end.value.code == code


def test_runs_of_one_name_are_drawn_where_out_says(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = file.parent
    run = saved(sgpsim("run", file, "backend.trace=false", "--out", place / "runs"))
    for other in ("one", "two"):
        shutil.copytree(run, place / other / "run")
    monkeypatch.setattr("sgpsim.reports.plots.save", lambda figure, place: [place])
    said = sgpsim("show", place / "one" / "run", place / "two" / "run", "--out", place / "figures")
    assert sorted(path.name for path in (place / "figures").iterdir()) == ["1-run", "2-run"], said
    assert str(place / "figures" / "2-run") in said.out and f"drawn: {place / 'two'}" not in said.out


def test_remarks_of_a_foreign_folder_are_words_only(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = saved(sgpsim("run", file, "--out", file.parent / "runs"))
    provenance = json.loads((folder / "provenance.json").read_text())
    rewritten(folder, "provenance.json", json.dumps({**provenance, "remarks": ["\x1b[2Jé\r"], "backend": "\x07"}).encode())
    tell(load(folder))
    said = capsys.readouterr().out
    assert r"\x1b[2Jé\r" in said and "\x1b" not in said and "\x07" not in said


def test_what_is_no_text_in_a_title_or_a_place(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for drawing in ("report.of_runs", "comparison.target_figure", "plots.three_axes", "plots.save"):
        monkeypatch.setattr(f"sgpsim.reports.{drawing}", lambda *_: [])
    folder, place = saved(sgpsim("run", file, "--out", file.parent / "runs")), file.parent / "c\udcff"
    assert sgpsim("report", folder, "--title", "a\udcff", "--out", file.parent / "r.html").code == 0
    assert sgpsim("compare", folder, "--loss", "0.5", "--out", place).code == 0 and (place / "time_to_target.csv").is_file()


def test_machines_that_become_one_are_refused(file: Path) -> None:
    graph = nx.relabel_nodes(nx.path_graph(5), {4: "03"})
    nx.write_graphml(graph, file.parent / "g.graphml")
    assert "nodes of one number" in refused(sgpsim("run", file, "cluster.graph_file='g.graphml'"))


@pytest.mark.slow
@pytest.mark.parametrize("command", [["theory", "mixing", "Complete", "--size", "3"], ["studies", "--list"]])
def test_theory_and_studies_say_that_nobody_takes_their_output(command: list[str]) -> None:
    with open("/dev/full", "w") as full:
        said = subprocess.run([sys.executable, "-m", *command], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert said.returncode == 6 and said.stderr.startswith(f"{command[0]}: the output cannot be") and said.stderr.count("\n") == 1


def test_names_that_hold_commas_are_listed_apart() -> None:
    assert nearest("zzz", ["D1", "D1, late"]) == "known: D1; D1, late."
    assert nearest("zzz", ["D1", "D2"]) == "known: D1, D2."


def test_a_graphs_node_is_a_number_where_its_name_writes_one_that_is_not_too_long(tmp_path: Path) -> None:
    nodes = "".join(f'node [ id {place} label "{name}" ]' for place, name in enumerate(("0", "1", "9" * 5000, "-1")))
    (tmp_path / "c.gml").write_text(f"graph [ {nodes} ]", encoding="utf-8")
    (tmp_path / "job.toml").write_text(
        'nodes = 2\nalgorithm = "SGP"\nobjective = "Quadratic"\nschedule = "DirectedRing"\ncluster = {graph_file = "c.gml"}\n'
    )
    graph = read(tmp_path / "job.toml").cluster.graph
    assert graph is not None and set(graph) == {0, 1, "9" * 5000, "-1"}
    with pytest.raises(SpecificationError, match="is no entry of a list"):
        read(tmp_path / "job.toml", ["seeds=[0]", f"seeds.{'9' * 5000}=1"])
