"""A file that changes after an experiment was built: its numbers are never stored under the key of the new content."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import networkx as nx
import numpy as np
import pytest

from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.backend import Backend
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.backends.processes.torch_distributed import TorchDistributed
from sgpsim.budget import Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.measured_times import MeasuredTimes
from sgpsim.errors import SpecificationError
from sgpsim.experiment import Experiment
from sgpsim.files.keys import key
from sgpsim.files.store import Store, load
from sgpsim.launching.unfinished import cases_of, read_job, write_job
from sgpsim.objectives.logistic import LogisticRegression
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.objectives.table import Table
from sgpsim.schedules.matrix_file import MatrixFile
from sgpsim.schedules.ring import DirectedRing


def with_table(file: Path, number: int) -> tuple[Experiment, Backend]:
    if number:
        file.write_text("a,label\n" + "".join(f"{number * row},{row % 2}\n" for row in range(6)))
    return Experiment(SGP(), LogisticRegression(2, Table(str(file))), DirectedRing(2), Steps(3)), Vectorized()


def with_matrix(file: Path, number: int) -> tuple[Experiment, Backend]:
    if number:
        np.save(file, np.array([[0.5, 0.1 * number], [0.5, 1 - 0.1 * number]]))
    return Experiment(SGP(), Quadratic(2, 1), MatrixFile(str(file)), Steps(3)), Vectorized()


def with_times(file: Path, number: int) -> tuple[Experiment, Backend]:
    if number:
        file.write_text(f"seconds\n{number}\n{2 * number}\n")
    return Experiment(SGP(), Quadratic(2, 1), DirectedRing(2), Steps(3)), Vectorized(Cluster(2, MeasuredTimes(str(file))))


@pytest.mark.parametrize(
    ("name", "build"), [("samples.csv", with_table), ("matrix.npy", with_matrix), ("times.csv", with_times)]
)
def test_a_file_that_changed_is_told_before_anything_is_computed(
    tmp_path: Path, name: str, build: Callable[[Path, int], tuple[Experiment, Backend]]
) -> None:
    store, file = Store(tmp_path / "runs"), tmp_path / name
    old = build(file, 1)
    run, folder, _ = store.run("control", *old)
    np.testing.assert_array_equal(load(folder).final.values, run.final.values)
    build(file, 2)
    with pytest.raises(SpecificationError, match="not the file any more"):
        store.run("old", *old)
    other, other_folder, there = store.run("new", *build(file, 0))
    assert not there and other_folder != folder
    assert (other.final.values != run.final.values).any() or (other.final.clocks != run.final.clocks).any()
    file.unlink()
    with pytest.raises(SpecificationError, match="not the file any more"):
        store.run("old", *old)


BUILDS = [("samples.csv", with_table), ("matrix.npy", with_matrix), ("times.csv", with_times)]


@pytest.mark.parametrize(("name", "build"), BUILDS)
def test_a_file_that_changes_while_a_run_goes_on_changes_neither_its_key_nor_its_folder(
    tmp_path: Path, name: str, build: Callable[[Path, int], tuple[Experiment, Backend]]
) -> None:
    store, file = Store(tmp_path / "runs"), tmp_path / name
    run, folder, _ = store.run("one", *build(file, 1), lambda done, of: build(file, 2))  # pyright: ignore[reportArgumentType]
    assert [remark for remark in run.remarks if f"{name} has changed since it was read" in remark]
    assert store.find(*build(file, 0)) is None
    assert store.find(*build(file, 1)) == folder
    kept = load(folder)
    assert kept.remarks == run.remarks and not Store(tmp_path).run("two", *build(file, 1))[0].remarks
    np.testing.assert_array_equal(kept.final.values, run.final.values)
    (copy,) = (folder / "inputs").iterdir()
    assert copy.read_bytes() == file.read_bytes()


@pytest.mark.parametrize(("name", "build"), BUILDS)
def test_the_key_is_that_of_the_bytes_that_were_read(
    tmp_path: Path, name: str, build: Callable[[Path, int], tuple[Experiment, Backend]]
) -> None:
    file = tmp_path / name
    old = build(file, 1)
    before = key(*old)
    new = build(file, 2)
    assert key(*old) == before != key(*new)
    file.unlink()
    assert key(*old) == before


def test_a_run_saved_beside_a_changed_file_is_not_kept_with_the_new_one(tmp_path: Path) -> None:
    experiment, backend = with_table(tmp_path / "samples.csv", 1)
    run, content = backend.run(experiment), (tmp_path / "samples.csv").read_bytes()
    with_table(tmp_path / "samples.csv", 2)
    folder = Store(tmp_path / "runs").save("late", run, backend)
    with pytest.raises(SpecificationError, match=r"inputs/.*-samples\.csv.*No such file") as error:
        load(folder)
    place = Path(str(error.value).split("Table(path) is '")[1].split("'")[0])
    place.parent.mkdir()
    place.write_bytes(content)
    assert "has changed since it was read" in load(folder).remarks[0]


def test_a_job_of_processes_knows_the_files_it_was_written_for(tmp_path: Path) -> None:
    experiment, _ = with_table(tmp_path / "samples.csv", 1)
    write_job(tmp_path, [(experiment, TorchDistributed())])
    assert cases_of(read_job(tmp_path), "refuse") == [(experiment, TorchDistributed())]
    with_table(tmp_path / "samples.csv", 2)
    with pytest.raises(SpecificationError, match="not the file any more"):
        cases_of(read_job(tmp_path), "refuse")


def test_a_large_table_that_is_read_again_is_the_one_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sgpsim.objectives.datasets.KEPT_BYTES", 0)
    file = tmp_path / "samples.csv"
    with_table(file, 1)
    table = Table(str(file))
    assert len(table.load().features) == len(table.load().features)
    with_table(file, 2)
    with pytest.raises(SpecificationError, match="has changed since it was first read"):
        table.load()


def test_clusters_that_are_equal_have_one_key() -> None:
    """Whatever the order in which links were added, and 1 or 1.0; a link of another latency is another cluster."""
    experiment = Experiment(SGP(), Quadratic(3, 1), DirectedRing(3), Steps(3))
    one = nx.Graph([(0, 1, {"latency": 1}), (1, 2, {"latency": 2}), (2, 0, {"bandwidth": 5})])
    same = nx.Graph([(0, 2, {"bandwidth": 5.0}), (2, 1, {"latency": 2.0}), (1, 0, {"latency": 1.0})])
    other = nx.Graph([(0, 1, {"latency": 1}), (1, 2, {"latency": 3}), (2, 0, {"bandwidth": 5})])
    clusters = [Cluster(3, graph=graph) for graph in (one, same, other)]
    keys = [key(experiment, Vectorized(cluster)) for cluster in clusters]
    assert clusters[0] == clusters[1] != clusters[2] and keys[0] == keys[1] != keys[2]
    assert keys[0] != key(experiment, Vectorized(Cluster(3)))
