"""What was computed is kept, whatever ends a run: a user, a signal, a full disk, a name that no file system takes."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sgpsim.algorithms.adpsgd import ADPSGD
from sgpsim.algorithms.algorithm import Algorithm
from sgpsim.algorithms.overlap_sgp import OverlapSGP
from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.backend import Backend
from sgpsim.backends.events.simulated import Simulated
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.budget import Seconds, Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.errors import NotSaved, SpecificationError
from sgpsim.experiment import Experiment
from sgpsim.files import store as store_module
from sgpsim.files.store import Store, load
from sgpsim.files.whole_folders import PREFIX, beside
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.results.run import Run
from sgpsim.schedules.bipartite_exponential import BipartiteExponential
from sgpsim.schedules.schedule import Schedule

NODES = 4


def experiment(**changed: Any) -> Experiment:
    algorithm: Algorithm = changed.pop("algorithm", SGP())
    schedule: Schedule = BipartiteExponential(NODES)
    given: dict[str, Any] = {"budget": Steps(20), "seeds": (3, 1, 2), **changed}
    return Experiment(algorithm, Quadratic(NODES, 3), schedule, **given)


def ended_at(tick: int) -> Callable[[int, int], None]:
    """A progress that ends the run at its `tick`-th call, as a user would."""
    calls = iter(range(tick))

    def progress(done: int, expected: int) -> None:
        if next(calls, None) is None:
            raise KeyboardInterrupt

    return progress


def interrupted(backend: Backend, given: Experiment, tick: int) -> Run | None:
    with pytest.raises(KeyboardInterrupt) as caught:
        backend.run(given, ended_at(tick))
    return getattr(caught.value, "run", None)


CLUSTER = Cluster(NODES)
BACKENDS: dict[str, Backend] = {
    "Simulated": Simulated(CLUSTER),
    "Simulated, trajectory": Simulated(CLUSTER, keep_trajectory=True),
    "Vectorized": Vectorized(CLUSTER, trace=True),
    "Vectorized, trajectory": Vectorized(None, keep_trajectory=True),
}


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("algorithm", [SGP(), OverlapSGP(delay=2)], ids=lambda algorithm: type(algorithm).__name__)
@pytest.mark.parametrize("tick", [0, 1, 7, 20])
def test_an_interrupted_run_is_the_beginning_of_the_whole_one(
    tmp_path: Path, name: str, algorithm: Algorithm, tick: int
) -> None:
    backend, given = BACKENDS[name], experiment(algorithm=algorithm)
    whole, run = backend.run(given), interrupted(backend, given, tick)
    if run is None:
        assert tick == 0
        return
    assert run.outcome == "interrupted" and run.remarks
    assert set(run.metrics.rows()) < set(whole.metrics.rows()) or tick == 20  # the end of all seeds at once
    lasts = run.metrics.group_by("seed", "step").len()["len"].unique()
    assert len(lasts) == 1, "cuts are whole"
    assert_kept(tmp_path, run, backend)


def assert_kept(place: Path, run: Run, backend: Backend) -> None:
    folder = Store(place).save("part", run, backend)
    assert folder.name.endswith("-interrupted") and Store(place).find(run.experiment, backend) is None
    again = load(folder)
    assert again.metrics.equals(run.metrics) and again.outcome == "interrupted" and again.remarks == run.remarks
    assert all(np.array_equal(one, other, equal_nan=True) for one, other in zip(again.final, run.final, strict=True))


@pytest.mark.parametrize(
    ("backend", "given"),
    [
        (Simulated(CLUSTER), experiment(algorithm=ADPSGD())),
        (Simulated(CLUSTER), experiment(budget=Seconds(9.0))),
        (Vectorized(CLUSTER), experiment(budget=Seconds(9.0))),
        (Vectorized(CLUSTER, monitor="record"), experiment(seeds=(5,))),
    ],
)
@pytest.mark.parametrize("tick", [3, 14])
def test_the_neighbours_too(tmp_path: Path, backend: Backend, given: Experiment, tick: int) -> None:
    run = interrupted(backend, given, tick)
    assert run is not None
    assert_kept(tmp_path, run, backend)


@pytest.mark.parametrize("backend", [Simulated(CLUSTER), Vectorized(CLUSTER)], ids=lambda one: type(one).__name__)
def test_seeds_that_were_not_begun_are_said(backend: Backend) -> None:
    given = experiment(budget=Seconds(9.0))
    run = interrupted(backend, given, 12)  # in the second seed
    assert run is not None and "not begun, and NaN at the end: seed 2" in run.remarks
    assert np.isnan(run.final.values[:, 2]).all() and np.isfinite(run.final.values[:, :2]).all()


def test_the_store_keeps_each_interrupted_run_and_computes_again(tmp_path: Path) -> None:
    backend, given, store = Simulated(CLUSTER), experiment(), Store(tmp_path)
    for number in ("", "-2", "-3"):
        with pytest.raises(KeyboardInterrupt) as caught:
            store.run("part", given, backend, ended_at(9))
        folder: Path = caught.value.folder  # pyright: ignore[reportAttributeAccessIssue]
        assert folder.name.endswith(f"-interrupted{number}") and load(folder).outcome == "interrupted"
    _, folder, old = store.run("part", given, backend)
    assert not old and load(folder).outcome == "finished" and len(list(tmp_path.iterdir())) == 4


# -- the command line


SMALL = """
nodes = 4
objective = {type = "Quadratic", dimension = 3}
schedule = "OnePeerExponential"
algorithm = "SGP"
budget = {type = "Steps", count = 1_000_000}
backend = {type = "simulated", trace = false}
"""
WAITING = """
import signal, sys
from sgpsim.__main__ import main
from sgpsim.backends.stopping import Stopping
look, calls = Stopping.look, 0
def first(*given):
    global calls
    calls += 1
    if calls == 20:
        print("running", flush=True)
    return look(*given)
Stopping.look = first
main(sys.argv[1:])
"""


@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM])
def test_a_signal_ends_the_command_and_what_was_measured_is_kept(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "long.toml").write_text(SMALL)
    command = [sys.executable, "-c", WAITING, "run", str(tmp_path / "long.toml"), "--out", str(tmp_path / "runs")]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    while "running" not in child.stdout.readline():
        pass
    child.send_signal(number)
    _, err = child.communicate(timeout=60)
    folder = next((tmp_path / "runs").iterdir())
    assert child.returncode == 128 + number
    assert err == f"sgpsim: interrupted by {number.name}; what was measured lies in {folder}\n"
    run = load(folder)
    assert run.outcome == "interrupted" and max(run.metrics["step"].to_list()) >= 18


# -- places


def test_what_a_killed_writer_left_is_cleared_and_a_living_writer_is_let_alone(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from sgpsim.files.whole_folders import beside\n"
        "with beside(Path(sys.argv[1]) / 'x') as folder: (folder / 'file').write_text('half'); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    left = next(tmp_path.glob(f"{PREFIX}*"))
    with beside(tmp_path / "y") as folder:
        Store(tmp_path).require_writable()
        assert not left.exists() and folder.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_locked_goes_by_its_age(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "no locks here")

    monkeypatch.setattr("sgpsim.files.whole_folders.fcntl.flock", refuse)
    young, old = (tmp_path / f"{PREFIX}{name}" for name in ("young", "old"))
    young.mkdir()
    old.mkdir()
    os.utime(old, (0, 0))
    Store(tmp_path).require_writable()
    assert young.exists() and not old.exists()


def full(where: Path) -> Callable[..., None]:
    """A write_run that finds the disk of `where` full."""
    write = store_module.write_run

    def write_run(folder: Path, *more: Any) -> None:
        write(folder, *more)
        if where in folder.parents:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return write_run


@pytest.mark.parametrize("both", [False, True])
def test_a_full_disk_loses_no_run_while_another_has_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, both: bool
) -> None:
    place, other = tmp_path / "runs", tmp_path / "temporary"
    other.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(other))
    monkeypatch.setattr(store_module, "write_run", full(tmp_path if both else place))
    with pytest.raises(NotSaved, match="No space left on device") as caught:
        Store(place).run("any", experiment(), Simulated(CLUSTER))
    assert caught.value.run.outcome == "finished" and "\n" not in str(caught.value)
    if both:
        assert caught.value.folder is None and "lost" in str(caught.value)
    else:
        assert caught.value.folder is not None and repr(str(caught.value.folder)) in str(caught.value)
        assert load(caught.value.folder).trace is not None
    assert not list(place.iterdir()), "nothing half-written"


@pytest.mark.slow
def test_a_disk_too_small_for_the_trace_gets_the_rest(tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(SMALL.replace("1_000_000", "3000").replace("trace = false", "trace = true"))
    # random times, so that the trace does not compress
    (tmp_path / "temporary").mkdir()
    program = (
        "import resource, sys; from sgpsim.__main__ import main\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (250_000, 250_000)); main(sys.argv[1:])"
    )
    command = [sys.executable, "-c", program, "run", str(tmp_path / "small.toml"), "--out", str(tmp_path / "runs")]
    environment = {**os.environ, "TMPDIR": str(tmp_path / "temporary")}
    changes = ["measure_every=100", "cluster.compute={type='ExponentialTime', seconds=1}"]
    said = subprocess.run([*command, *changes], capture_output=True, text=True, env=environment, check=False)
    assert said.returncode == 6 and "squared_gradient_norm" in said.stdout, said
    assert "File too large" in said.stderr and "without its trace" in said.stderr and said.stderr.count("\n") == 1
    run = load(next((tmp_path / "runs").iterdir()))
    assert run.trace is None and run.outcome == "finished"


@pytest.mark.parametrize("name", ["n" * 300, "é" * 60, "", ".hidden", "a/b", "a\nb", "..", 7])
def test_a_name_that_is_no_folder_is_refused_before_anything_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: Any
) -> None:
    monkeypatch.setattr(Simulated, "run", lambda *_: pytest.fail("computed"))
    with pytest.raises(SpecificationError, match="names a folder"):
        Store(tmp_path).run(name, experiment(), Simulated(CLUSTER))


def test_a_name_of_100_bytes_is_taken(tmp_path: Path) -> None:
    _, folder, _ = Store(tmp_path).run("é" * 50, experiment(), Simulated(CLUSTER))
    assert load(folder).outcome == "finished"


def test_an_interruption_while_the_run_is_saved_keeps_the_whole_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, calls = Store.save, []

    def interrupted(self: Store, *given: Any, **named: Any) -> Path:
        calls.append(save(self, *given, **named))
        if len(calls) == 1:
            raise KeyboardInterrupt
        return calls[-1]

    monkeypatch.setattr(Store, "save", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        Store(tmp_path).run("job", experiment(), Vectorized())
    folder = caught.value.folder  # pyright: ignore[reportAttributeAccessIssue]
    assert folder == calls[0] and load(folder).outcome == "finished"


def test_an_interruption_while_a_class_is_defined_ends_with_its_own_code(tmp_path: Path) -> None:
    program = """
import os, signal, sys
from sgpsim.interruption import code_of, interruptible
with interruptible():
    try:
        exec("import os, signal; os.kill(os.getpid(), signal.SIGTERM); [None for _ in range(10**6)]")
    except KeyboardInterrupt as stop:
        sys.exit(code_of(stop))
"""
    (tmp_path / "defines.py").write_text(program)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(__file__).parents[1])])}
    assert subprocess.run([sys.executable, "-m", "defines"], env=environment, check=False).returncode == 143
