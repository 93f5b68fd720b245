"""The store: folders are whole or not there, found again by content, and damage is told by the file's name."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from random_experiments import experiments

from sgpsim.algorithms.overlap_sgp import OverlapSGP
from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.backend import Backend
from sgpsim.backends.events.simulated import Simulated
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.budget import Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.distributions import ExponentialTime
from sgpsim.clusters.faults import Drop
from sgpsim.clusters.measured_times import MeasuredTimes
from sgpsim.descents.sgd import SGD
from sgpsim.errors import MassLeak, SpecificationError
from sgpsim.experiment import Experiment
from sgpsim.files import whole_folders
from sgpsim.files.keys import key
from sgpsim.files.run_folders import FORMAT, read_task, seal
from sgpsim.files.store import Store, load
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.results.run import Run
from sgpsim.schedules.matrix_file import MatrixFile
from sgpsim.schedules.one_peer_exponential import OnePeerExponential

NODES = 4


def experiment(count: int = 6, **changed: object) -> Experiment:
    given: dict[str, object] = {"seeds": (0, 1), **changed}
    return Experiment(SGP(SGD()), Quadratic(NODES, 3), OnePeerExponential(NODES), Steps(count), **given)  # pyright: ignore[reportArgumentType]


def simulated(faults: tuple[Drop, ...] = (), **changed: object) -> Simulated:
    return Simulated(Cluster(NODES, ExponentialTime(1.0), faults=faults), **changed)  # pyright: ignore[reportArgumentType]


def assert_same(one: Run, other: Run) -> None:
    assert one.experiment == other.experiment
    assert (one.backend, one.outcome, one.remarks, one.statistics) == (
        other.backend,
        other.outcome,
        other.remarks,
        other.statistics,
    )
    assert one.metrics.equals(other.metrics) and one.metrics.schema == other.metrics.schema
    for part, again in zip(one.final, other.final, strict=True):
        assert part.dtype == again.dtype and np.array_equal(part, again, equal_nan=True)
    assert (one.trace is None) == (other.trace is None)
    if one.trace is not None and other.trace is not None:
        assert one.trace.spans.equals(other.trace.spans) and one.trace.messages.equals(other.trace.messages)
        assert one.trace.messages.schema == other.trace.messages.schema
    assert (one.trajectory is None) == (other.trajectory is None)
    if one.trajectory is not None and other.trajectory is not None:
        assert all(np.array_equal(part, again) for part, again in zip(one.trajectory, other.trajectory, strict=True))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given_experiment=experiments())
def test_a_run_comes_back_as_it_was(tmp_path: Path, given_experiment: Experiment) -> None:
    cluster = Cluster(given_experiment.nodes, ExponentialTime(1.0))
    for backend in (Simulated(cluster, keep_trajectory=True), Vectorized(cluster), Vectorized(None, trace=True)):
        run = backend.run(given_experiment)
        folder = Store(tmp_path).save("any", run, backend)
        assert_same(run, load(folder))


def test_the_second_time_nothing_is_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf, backend = Store(tmp_path / "deep" / "runs"), simulated()
    run, folder, old = shelf.run("first", experiment(), backend)
    assert not old and folder.name == f"first-{key(experiment(), backend)[:12]}"
    assert sorted(file.name for file in folder.iterdir()) == [
        "experiment.json", "final.npz", "metrics.parquet", "provenance.json", "trace.parquet",
    ]  # fmt: skip
    monkeypatch.setattr(Simulated, "run", lambda *_: pytest.fail("computed again"))
    again, place, old = shelf.run("another name", experiment(), backend)
    assert old and place == folder
    assert_same(run, again)
    assert [path.name for path in shelf.folder.iterdir()] == [folder.name]  # nothing half-written is left


def test_a_folder_called_as_another_run_is_not_taken_for_it(tmp_path: Path) -> None:
    store, short, long = Store(tmp_path), experiment(2), experiment(3)
    _, place, _ = store.run("short", short, simulated())
    _, other, _ = store.run("long", long, simulated())
    shutil.rmtree(place)
    other.rename(place)
    with pytest.raises(SpecificationError, match="holds another"):
        store.run("short", short, simulated())
    place.rename(other.with_name(other.name.replace("long", "mine")))  # a name of the user's own
    assert store.run("long", long, simulated())[2]


def test_what_changes_numbers_changes_the_key_and_what_does_not_does_not() -> None:
    cluster = Cluster(NODES, ExponentialTime(1.0))
    keys = [
        key(experiment(), simulated()),
        key(experiment(7), simulated()),
        key(experiment(seeds=(0,)), simulated()),
        key(experiment(dtype="float32"), simulated()),
        key(experiment(message_bytes=10.0), simulated()),
        key(experiment(), simulated(monitor="off")),
        key(experiment(), Vectorized(cluster)),
        key(experiment(), Simulated(Cluster(NODES, ExponentialTime(2.0)))),
    ]
    assert len(set(keys)) == len(keys)
    assert keys[0] == key(experiment(), simulated()) == key(experiment(seeds=[0, 1]), simulated())


def test_the_key_counts_versions_and_the_source_that_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    from sgpsim.files import keys

    before = key(experiment(), simulated())
    monkeypatch.setattr(keys, "source_digest", lambda: "another")
    assert key(experiment(), simulated()) != before

@pytest.mark.parametrize("file", ["methods.py", None])
def test_the_users_own_text_belongs_to_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str | None) -> None:
    """The run of another text was taken for that of this one, whatever had changed in it."""
    text = (
        "import sgpsim\n@sgpsim.specification.specification.specification\nclass Mine(sgpsim.SGP):\n    async def run(self, node):\n"
        "        mass = node.begin()\n        for step in node.steps:\n            node.report(step + 1, {} * mass, None)\n"
    )

    def keyed(factor: str) -> str:
        module = types.ModuleType("methods")
        monkeypatch.setitem(sys.modules, "methods", module)
        if file is not None:
            module.__file__ = str(tmp_path / file)
            (tmp_path / file).write_text(text.format(factor))
        exec(text.format(factor), vars(module))
        return key(replace(experiment(), algorithm=module.Mine()), simulated())

    assert keyed("1.0") == keyed("1.0") != keyed("0.5")


def test_files_count_by_content_and_travel_with_the_run(tmp_path: Path) -> None:
    uniform = np.full((NODES, NODES), 1 / NODES)
    np.save(tmp_path / "p.npy", uniform)
    (tmp_path / "times.csv").write_text("seconds\n0.5\n1.5\n")
    (tmp_path / "elsewhere").mkdir()
    np.save(tmp_path / "elsewhere" / "q.npy", uniform)

    def task(path: Path) -> tuple[Experiment, Backend]:
        cluster = Cluster(NODES, MeasuredTimes(str(tmp_path / "times.csv")))
        return Experiment(SGP(), Quadratic(NODES, 3), MatrixFile(str(path)), Steps(3)), Simulated(cluster)

    first = task(tmp_path / "p.npy")
    assert key(*first) == key(*task(tmp_path / "elsewhere" / "q.npy"))
    run, folder, _ = Store(tmp_path / "runs").run("own", *first)
    assert len(list((folder / "inputs").iterdir())) == 2
    np.save(tmp_path / "p.npy", np.eye(NODES))
    (tmp_path / "times.csv").unlink()
    moved = folder.rename(tmp_path / "moved")
    again = load(moved)
    assert again.metrics.equals(run.metrics)
    assert (again.experiment.schedule.matrix(0).toarray() == uniform).all()


def test_a_killed_run_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = simulated().run(experiment())

    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(whole_folders.os, "replace", cut)
    with pytest.raises(KeyboardInterrupt):
        Store(tmp_path).save("cut", run, simulated())
    assert list(tmp_path.iterdir()) == []


def test_two_that_finish_at_once_leave_one_whole_folder(tmp_path: Path) -> None:
    run = simulated().run(experiment())
    folders = [Store(tmp_path).save("same", run, simulated()) for _ in range(2)]
    assert folders[0] == folders[1] and len(list(tmp_path.iterdir())) == 1
    load(folders[0])


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(Simulated, "run", lambda *_: pytest.fail("computed"))
    with pytest.raises(SpecificationError, match=r"nothing can be written to .*file/runs.*Give a folder"):
        Store(tmp_path / "file" / "runs").run("any", experiment(), simulated())


@pytest.mark.parametrize(
    "name", ["experiment.json", "metrics.parquet", "trace.parquet", "final.npz", "provenance.json"]
)
@pytest.mark.parametrize("damage", ["gone", "cut", "changed"])
def test_damage_is_told_by_the_name_of_the_file(tmp_path: Path, name: str, damage: str) -> None:
    _, folder, _ = Store(tmp_path).run("any", experiment(), simulated())
    file = folder / name
    content = file.read_bytes()
    if damage == "gone":
        file.unlink()
    elif damage == "cut":
        file.write_bytes(content[: len(content) // 2])
    elif name == "provenance.json":
        file.write_text(json.dumps({**json.loads(content), "files": {}}))
    else:
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(SpecificationError) as caught:
        load(folder)
    assert name in str(caught.value) and "\n" not in str(caught.value)
    assert "run" in str(caught.value)


def rewritten(folder: Path, name: str, content: bytes) -> None:
    """Change one file of a run folder, and the digests with it, as a forger would."""
    (folder / name).write_bytes(content)
    provenance = json.loads((folder / "provenance.json").read_text())
    if name != "provenance.json":
        provenance["files"][name] = hashlib.sha256(content).hexdigest()
    (folder / "provenance.json").write_text(json.dumps({**provenance, "digest": seal(provenance)}))


def with_format(folder: Path, name: str, number: int) -> bytes:
    """The content of a file of a run folder as it is, but for the format it says."""
    file, content = folder / name, io.BytesIO()
    if name.endswith(".json"):
        return json.dumps({**json.loads(file.read_text()), "format": number}).encode()
    if name.endswith(".npz"):
        np.savez(content, **{**np.load(file), "format": np.array(number)})
    else:
        pl.read_parquet(file).write_parquet(content, metadata={"format": str(number)})
    return content.getvalue()


EVERY_FILE = ["experiment.json", "metrics.parquet", "trace.parquet", "final.npz", "trajectory.npz", "provenance.json"]


@pytest.mark.parametrize("name", EVERY_FILE)
def test_every_file_says_its_format_and_another_one_is_refused(tmp_path: Path, name: str) -> None:
    backend = simulated(keep_trajectory=True)
    run, folder, _ = Store(tmp_path).run("any", experiment(), backend)
    rewritten(folder, name, with_format(folder, name, FORMAT))
    assert_same(load(folder), run)
    for number, words in ((99, "a newer sgpsim"), (FORMAT - 1, "open it with the version that wrote it")):
        rewritten(folder, name, with_format(folder, name, number))
        with pytest.raises(SpecificationError, match=rf"{name}' has format {number}.*{words}"):
            load(folder)


def test_a_folder_written_before_faults_were_the_clusters_runs_again(tmp_path: Path) -> None:
    _, folder, _ = Store(tmp_path).run("old", experiment(), simulated())
    task = json.loads((folder / "experiment.json").read_text())
    del task["backend"]["cluster"]["faults"]
    for drop in (None, [0, 1, 0]):
        old = {**task, "backend": {**task["backend"], "drop": drop}}
        rewritten(folder, "experiment.json", json.dumps(old).encode())
        if drop is None:
            assert read_task(folder)[2] == simulated()
        else:
            with pytest.raises(SpecificationError, match=r"backend.drop: unknown field of Simulated"):
                read_task(folder)
        assert load(folder).outcome == "finished", "to show it needs no machines"


def test_no_run_folder(tmp_path: Path) -> None:
    with pytest.raises(SpecificationError, match=r"provenance.json' is missing"):
        load(tmp_path)


@pytest.mark.parametrize("change", [{"outcome": "finished"}, {"remarks": []}, {"statistics": {}}, {"key": "0"}])
def test_a_changed_provenance_is_not_believed(tmp_path: Path, change: dict[str, object]) -> None:
    backend = simulated(faults=(Drop(0, 1, 0),), monitor="record")
    _, folder, _ = Store(tmp_path).run("leak", experiment(), backend)
    file = folder / "provenance.json"
    file.write_text(json.dumps(json.loads(file.read_text())))  # the same content in other words is fine
    assert load(folder).outcome == "leaked"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(SpecificationError, match=r"provenance.json' is damaged: its content is not what was written"):
        load(folder)


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", "inputs/../../outside"])
def test_a_file_outside_the_folder_is_none_of_it(tmp_path: Path, name: str) -> None:
    _, folder, _ = Store(tmp_path).run("any", experiment(), simulated())
    (tmp_path / "outside").write_bytes(b"")
    provenance = json.loads((folder / "provenance.json").read_text())
    provenance["files"][name] = hashlib.sha256(b"").hexdigest()
    rewritten(folder, "provenance.json", json.dumps(provenance).encode())
    with pytest.raises(SpecificationError, match="no file of the folder"):
        load(folder)


FORGERIES = {
    "outcome": "outcome",
    "remarks": "remarks",
    "statistics": "statistics",
    "files": "does not list",
}


@pytest.mark.parametrize("entry", FORGERIES)
@pytest.mark.parametrize("value", [None, 7, [7], {"a": "b"}, "won"])
def test_nonsense_under_right_digests_is_damage(tmp_path: Path, entry: str, value: object) -> None:
    _, folder, _ = Store(tmp_path).run("any", experiment(), simulated())
    provenance = json.loads((folder / "provenance.json").read_text())
    rewritten(folder, "provenance.json", json.dumps({**provenance, entry: value}).encode())
    with pytest.raises(SpecificationError, match=FORGERIES[entry]):
        load(folder)


@pytest.mark.parametrize("name", EVERY_FILE)
@pytest.mark.parametrize("content", [b"", b"{}", b"PAR1PAR1PAR1", b"PK\x03\x04", b"\xff\xfe\x00"])
def test_files_that_cannot_be_read_under_right_digests_are_damage(tmp_path: Path, name: str, content: bytes) -> None:
    _, folder, _ = Store(tmp_path).run("any", experiment(), simulated(keep_trajectory=True))
    if name == "provenance.json":
        (folder / name).write_bytes(content)
    else:
        rewritten(folder, name, content)
    with pytest.raises(SpecificationError, match=name) as caught:
        load(folder)
    assert "\n" not in str(caught.value)


def test_the_arrays_of_another_experiment_are_refused(tmp_path: Path) -> None:
    _, folder, _ = Store(tmp_path).run("any", experiment(), simulated(keep_trajectory=True))
    _, other, _ = Store(tmp_path).run("any", experiment(seeds=(0,)), simulated(keep_trajectory=True))
    for name in ("final.npz", "trajectory.npz"):
        before = (folder / name).read_bytes()
        rewritten(folder, name, (other / name).read_bytes())
        with pytest.raises(SpecificationError, match=rf"{name}' is damaged.*shape"):
            load(folder)
        rewritten(folder, name, before)
    load(folder)


def test_a_leak_is_saved_before_it_is_raised(tmp_path: Path) -> None:
    backend = simulated(faults=(Drop(0, 1, 0),))
    with pytest.raises(MassLeak) as caught:
        Store(tmp_path).run("leak", experiment(), backend)
    found = load(caught.value.folder)  # pyright: ignore[reportAttributeAccessIssue]
    assert found.outcome == "leaked" and found.remarks[0] in str(caught.value)


def test_one_seed_gives_identical_files_in_two_processes(tmp_path: Path) -> None:
    names = "Cluster, Experiment, OnePeerExponential, OverlapSGP, Quadratic, Simulated, Steps, Store"
    program = (
        f"import sys; from pathlib import Path; from sgpsim import {names}\n"
        "from sgpsim.clusters.distributions import ExponentialTime\n"
        "experiment = Experiment(OverlapSGP(delay=2), Quadratic(4, 3), OnePeerExponential(4), Steps(9), (0, 1))\n"
        "print(Store(Path(sys.argv[1])).run('x', experiment, Simulated(Cluster(4, ExponentialTime(1.0))))[1])"
    )
    folders: list[Path] = []
    for number in range(2):
        told = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path / str(number))], capture_output=True, text=True, check=True
        )
        folders.append(Path(told.stdout.strip()))
    assert folders[0].name == folders[1].name
    for name in ("experiment.json", "metrics.parquet", "trace.parquet", "final.npz"):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes(), name
    run = load(folders[0])
    assert isinstance(run.experiment.algorithm, OverlapSGP) and run.metrics["seed"].unique().sort().to_list() == [0, 1]


def test_the_tables_are_plain_parquet(tmp_path: Path) -> None:
    run, folder, _ = Store(tmp_path).run("any", experiment(), simulated())
    assert pl.read_parquet(folder / "metrics.parquet").columns == [
        "seed",
        "cut",
        "step",
        "node",
        "time",
        "metric",
        "value",
    ]
    trace = pl.read_parquet(folder / "trace.parquet")
    assert run.trace is not None
    assert dict(trace.group_by("kind").len().iter_rows()) == {
        "span": len(run.trace.spans),
        "message": len(run.trace.messages),
    }


def test_what_lies_in_the_way_of_a_run_is_named_with_the_cure(tmp_path: Path) -> None:
    store = Store(tmp_path)
    (_, first, _), (_, second, _) = (store.run("job", experiment(count), simulated()) for count in (2, 3))
    first.rename(tmp_path / "elsewhere")
    second.rename(first)
    with pytest.raises(SpecificationError, match=r"holds another\. Call it") as refusal:
        store.run("job", experiment(2), simulated())
    first.rename(tmp_path / str(refusal.value).split("Call it '")[1].split("'")[0])
    assert store.run("job", experiment(3), simulated())[1:] == (second, True)
    first.write_text("a file of somebody's")
    with pytest.raises(SpecificationError, match=r"cannot be read: it is no run folder\. Delete it, or move it away\.$"):
        store.run("job", experiment(2), simulated())
    first.rename(tmp_path / "away")
    store.run("job", experiment(2), simulated())
    (first / "metrics.parquet").unlink()
    with pytest.raises(SpecificationError, match="is missing") as damaged:
        store.run("job", experiment(2), simulated())
    assert str(damaged.value).count("Delete") == 1


OWN_CLASS = """
import sys

from sgpsim import SGP, Experiment, OnePeerExponential, Quadratic, Steps, Vectorized, load
from sgpsim.specification.specification import specification
from sgpsim.files.store import Store


@specification
class Bowl(Quadratic):
    pass


kept = Store(sys.argv[1]).run("own", Experiment(SGP(), Bowl(2, 2), OnePeerExponential(2), Steps(3)), Vectorized())[1]
assert load(kept).outcome == "finished"
print(kept)
"""


def test_a_run_of_a_class_of_somebodys_own_says_how_it_is_opened(tmp_path: Path) -> None:
    (tmp_path / "bowl.py").write_text(OWN_CLASS)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(tmp_path / "bowl.py"), str(tmp_path)]
    folder = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.strip()
    with pytest.raises(SpecificationError, match=r"'Bowl' is unknown; known: .*or imported first, in Python"):
        load(folder)
