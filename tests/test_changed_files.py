"""A file that changes after an experiment was built: its numbers are never stored under the key of the new content."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import networkx as nx
import numpy as np
import pytest

from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.backend import Backend
from sgpsim.backends.vectorized import Vectorized
from sgpsim.budget import Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.measured_times import MeasuredTimes
from sgpsim.errors import SpecificationError
from sgpsim.experiment import Experiment
from sgpsim.keys import key
from sgpsim.objectives.logistic import LogisticRegression
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.objectives.table import Table
from sgpsim.schedules.matrix_file import MatrixFile
from sgpsim.schedules.ring import DirectedRing
from sgpsim.store import Store, load


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


def test_a_file_that_changes_while_a_run_goes_on_does_not_change_its_key(tmp_path: Path) -> None:
    store, file = Store(tmp_path / "runs"), tmp_path / "samples.csv"

    def change(done: int, of: int) -> None:
        file.write_text("a,label\n1,0\n2,1\n")

    _, folder, _ = store.run("one", *with_table(file, 1), change)
    assert store.find(*with_table(file, 0)) is None
    assert store.find(*with_table(file, 1)) == folder


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
