"""Real processes over gloo: the numbers of the simulation to the bit, and a name for whoever dies or hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from sgpsim.algorithms.adpsgd import ADPSGD
from sgpsim.algorithms.allreduce_sgd import AllReduceSGD
from sgpsim.algorithms.dpsgd import DPSGD
from sgpsim.algorithms.overlap_sgp import OverlapSGP
from sgpsim.algorithms.push_sum import PushSum
from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.events.simulated import Simulated
from sgpsim.backends.processes.torch_distributed import TorchDistributed
from sgpsim.budget import Gradients, Seconds, Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.compute_time import ConstantTime
from sgpsim.clusters.faults import Drop
from sgpsim.clusters.stragglers import PersistentSlow, SlowFrom
from sgpsim.descents.momentum import Momentum
from sgpsim.descents.sgd import SGD
from sgpsim.descents.step_sizes import Constant
from sgpsim.errors import MassLeak, NodeFailure, SpecificationError
from sgpsim.experiment import Experiment
from sgpsim.files.store import Store, load
from sgpsim.files.toml_files import read
from sgpsim.launch import launch, launch_all, launch_file
from sgpsim.launching.launcher import Launcher
from sgpsim.launching.unfinished import recover
from sgpsim.objectives.datasets import SyntheticClassification
from sgpsim.objectives.logistic import LogisticRegression
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.results.run import Run
from sgpsim.schedules.bipartite_exponential import BipartiteExponential
from sgpsim.schedules.erdos_renyi import ErdosRenyiDigraph
from sgpsim.schedules.one_peer_exponential import OnePeerExponential
from sgpsim.schedules.random_peer import RandomPeer
from sgpsim.schedules.ring import UndirectedRing

pytest.importorskip("torch")
NODES = 4
QUADRATIC = Quadratic(nodes=NODES, dimension=7, noise=0.5)
LOGISTIC = LogisticRegression(nodes=NODES, data=SyntheticClassification(samples=64, features=5), batch=4)
DESCENT = SGD(Constant(0.05))
CLUSTER = Cluster(NODES)

SAME_BITS = [
    Experiment(SGP(DESCENT), QUADRATIC, OnePeerExponential(NODES), Steps(24), seeds=(0, 3), measure_every=5),
    Experiment(
        SGP(Momentum(Constant(0.02))), LOGISTIC, ErdosRenyiDigraph(NODES, 0.5, seed=2), Steps(20), dtype="float32"
    ),
    Experiment(SGP(DESCENT), LOGISTIC, RandomPeer(NODES), Gradients(70)),
    Experiment(
        PushSum(),
        QUADRATIC,
        ErdosRenyiDigraph(NODES, 0.5, seed=5),
        Steps(15),
        start=((1.0,) * 7, (2.0,) * 7, (0.5,) * 7, (9.0,) * 7),
    ),
    Experiment(DPSGD(DESCENT), QUADRATIC, UndirectedRing(NODES), Steps(15), dtype="float32"),
    Experiment(DPSGD(DESCENT, "adapt-then-combine"), LOGISTIC, BipartiteExponential(NODES), Steps(15)),
    Experiment(OverlapSGP(DESCENT, delay=2), QUADRATIC, ErdosRenyiDigraph(NODES, 0.5, seed=2), Steps(21)),
    Experiment(OverlapSGP(DESCENT, delay=1, every=2), LOGISTIC, OnePeerExponential(NODES), Steps(21), dtype="float32"),
    Experiment(OverlapSGP(DESCENT, delay=0), QUADRATIC, OnePeerExponential(NODES), Steps(10)),
]
SHRINKS = Experiment(
    OverlapSGP(SGD(Constant(0.3)), delay=2), Quadratic(nodes=NODES, dimension=7, noise=0.0, spread=0.0, least_curvature=1.0),
    OnePeerExponential(NODES), Steps(150), start=1e6,
)  # fmt: skip
ALL_REDUCE = Experiment(AllReduceSGD(DESCENT), QUADRATIC, OnePeerExponential(NODES), Steps(20))
ARRIVAL = Experiment(
    OverlapSGP(DESCENT, delay=3, mixing="arrival"), QUADRATIC, ErdosRenyiDigraph(NODES, 0.5, seed=2), Steps(40)
)
DIVERGES = Experiment(SGP(SGD(Constant(1e70))), QUADRATIC, OnePeerExponential(NODES), Steps(12))
LOSES = Experiment(SGP(DESCENT), QUADRATIC, OnePeerExponential(NODES), Steps(12))
LOSSY = Cluster(NODES, ConstantTime(3600.0), faults=(Drop(1, 3, 3), Drop(0, 2, 5), Drop(0, 1, 40)))
"""Two messages are lost, the third lies beyond the budget. Real gradients take no hour."""
SLEEPS = Experiment(SGP(DESCENT), QUADRATIC, OnePeerExponential(NODES), Steps(8))
ENDLESS = Experiment(SGP(DESCENT), QUADRATIC, OnePeerExponential(NODES), Steps(10**7), measure_every=1000)


@pytest.fixture(scope="module")
def runs() -> dict[Experiment, Run]:
    """One launch for all that ends well: importing torch four times takes longer than the runs."""
    told = TorchDistributed(keep_trajectory=True)
    cases = [(experiment, told) for experiment in [*SAME_BITS, SHRINKS, ALL_REDUCE, ARRIVAL, DIVERGES]]
    cases.append((LOSES, TorchDistributed(monitor="record", cluster=LOSSY)))
    slow = Cluster(NODES, ConstantTime(0.004), stragglers=(PersistentSlow((2,), 3.0),))
    cases.append((SLEEPS, TorchDistributed(compute="sleep", cluster=slow)))
    found = launch_all(cases)
    return {experiment: run for (experiment, _), run in zip(cases, found, strict=True)}


@pytest.mark.distributed
@pytest.mark.parametrize(
    "experiment",
    SAME_BITS,
    ids=lambda case: f"{type(case.algorithm).__name__}-{type(case.schedule).__name__}-{case.dtype}",
)
def test_numbers_equal_the_simulation_to_the_bit(runs: dict[Experiment, Run], experiment: Experiment) -> None:
    real, simulated = runs[experiment], Simulated(CLUSTER, keep_trajectory=True).run(experiment)
    assert real.outcome == "finished" and not real.remarks
    assert real.trajectory is not None and simulated.trajectory is not None
    for name in ("values", "weights", "gradients", "moves"):
        ours, theirs = getattr(real.trajectory, name), getattr(simulated.trajectory, name)
        assert ours.dtype == theirs.dtype and np.array_equal(ours, theirs), name
    assert np.array_equal(real.final.values, simulated.final.values) and np.array_equal(
        real.final.weights, simulated.final.weights
    )
    assert (real.final.clocks > 0).all()
    keys = ["seed", "cut", "step", "node", "metric"]
    both = real.metrics.sort(keys), simulated.metrics.sort(keys)
    assert both[0].select(keys).equals(both[1].select(keys))
    if experiment.algorithm.leaves_in_flight:  # what is under way is summed in another order
        assert np.allclose(
            both[0]["value"], both[1]["value"], rtol=1e-5, atol=1e-5 if experiment.dtype == "float32" else 1e-12
        )
    else:
        assert both[0].select("value").equals(both[1].select("value"))


@pytest.mark.distributed
def test_no_rounding_of_earlier_mass_stays_in_what_is_under_way(runs: dict[Experiment, Run]) -> None:
    """Nodes agree to 1e-16 after 1e6: a sum carried in float64 alone put the mean 1e-10 from all of them."""
    real, simulated = runs[SHRINKS], Simulated(CLUSTER).run(SHRINKS)
    for metric, size in (("consensus_max", 1e-15), ("mass_defect", 1e-7), ("squared_gradient_norm", 1e-30)):
        ours, theirs = real.curve(metric)["value"].to_numpy(), simulated.curve(metric)["value"].to_numpy()
        assert np.allclose(ours, theirs, rtol=1e-9, atol=size), (metric, ours[-1], theirs[-1])
    assert simulated.curve("consensus_max")["value"][-1] < 1e-14


@pytest.mark.distributed
def test_all_reduce_equals_the_simulation_to_rounding(runs: dict[Experiment, Run]) -> None:
    real, simulated = runs[ALL_REDUCE], Simulated(CLUSTER).run(ALL_REDUCE)
    assert real.outcome == "finished"
    assert np.allclose(real.final.values, simulated.final.values, rtol=1e-13, atol=1e-13)
    assert np.array_equal(real.final.values[0], real.final.values[3])


@pytest.mark.distributed
def test_mixing_on_arrival_keeps_all_mass(runs: dict[Experiment, Run]) -> None:
    real = runs[ARRIVAL]
    assert real.outcome == "finished" and not real.remarks
    assert real.trajectory is not None
    start, moved = real.trajectory.values[0].sum(axis=0), real.trajectory.moves.sum(axis=(0, 1))
    assert np.allclose(real.final.values.sum(axis=0), start + moved, rtol=1e-12)
    assert np.isclose(real.final.weights.sum(), NODES)


@pytest.mark.distributed
def test_a_diverging_run_says_so_as_the_simulation_does(runs: dict[Experiment, Run]) -> None:
    simulated = Simulated(CLUSTER).run(DIVERGES)
    assert runs[DIVERGES].outcome == simulated.outcome == "diverged"
    assert runs[DIVERGES].remarks[0].split(" (")[0] == simulated.remarks[0].split(" (")[0]


@pytest.mark.distributed
def test_a_message_that_travels_empty_is_told_by_its_pair(runs: dict[Experiment, Run]) -> None:
    found = runs[LOSES]
    assert found.outcome == "leaked"
    assert "between node 0 and node 2: 6 messages were sent and 6 received" in found.remarks[0]
    assert "between node 1 and node 3: 6 messages were sent and 6 received" in found.remarks[1]
    assert any("mass leak by step 4" in remark for remark in found.remarks)
    assert found.remarks[-1] == "seed 0: Drop(0, receiver=1, step=40) met no message that was sent, so it changed nothing"
    assert found.machines["faults"] and found.machines["gradient"] == "gradients as fast as the machine takes them"
    simulated = Simulated(LOSSY, monitor="record").run(LOSES)
    assert np.array_equal(found.final.values, simulated.final.values)
    assert np.array_equal(found.final.weights, simulated.final.weights)
    assert simulated.remarks[-1] == found.remarks[-1]


@pytest.mark.distributed
def test_trace_tells_real_times(runs: dict[Experiment, Run]) -> None:
    trace = runs[SAME_BITS[0]].trace
    assert trace is not None
    assert set(trace.spans["node"]) == set(range(NODES)) and {"compute", "wait"} >= set(trace.spans["lane"])
    assert len(trace.spans.filter(pl.col("lane") == "compute")) == 24 * NODES
    assert (trace.spans["end"] >= trace.spans["start"]).all()
    assert len(trace.messages) == 24 * NODES
    assert (trace.messages["arrival"] >= trace.messages["begin"]).all() and (
        trace.messages["end"] >= trace.messages["begin"]
    ).all()
    for _, lane in trace.spans.group_by("node", "lane"):
        assert (lane.sort("start")["start"][1:] >= lane.sort("start")["end"][:-1]).all()


@pytest.mark.distributed
def test_gradients_can_be_stretched_to_a_clusters_times(runs: dict[Experiment, Run]) -> None:
    trace = runs[SLEEPS].trace
    assert trace is not None
    spans = trace.spans.filter(pl.col("lane") == "compute").with_columns(seconds=pl.col("end") - pl.col("start"))
    for node in range(NODES):
        seconds = spans.filter(pl.col("node") == node)["seconds"].to_numpy()
        assert (seconds >= (0.012 if node == 2 else 0.004)).all()
    assert np.array_equal(runs[SLEEPS].final.values, Simulated(CLUSTER).run(SLEEPS).final.values)


def _fail(backend: TorchDistributed, signal_: signal.Signals | None) -> tuple[NodeFailure, float, list[int]]:
    """Launch an endless run, hurt node 2 once it has begun, and give back how it ended and how many seconds after."""
    hurt: list[float] = []

    def progress(done: int, expected: int) -> None:
        if done > 40 and not hurt:
            hurt.append(time.monotonic())
            if signal_ is not None:
                launcher.children[2].send_signal(signal_)

    launcher = Launcher([(ENDLESS, backend)], NODES, progress)
    with launcher, pytest.raises(NodeFailure) as failure:
        launcher.watch()
    seconds = time.monotonic() - hurt[0]
    return failure.value, seconds, [child.returncode for child in launcher.children]


@pytest.mark.distributed
def test_a_killed_process_is_named_and_the_others_end() -> None:
    failure, seconds, codes = _fail(TorchDistributed(timeout=20), signal.SIGKILL)
    assert str(failure).startswith("node 2 died (signal 9, SIGKILL) at step ")
    assert str(failure).endswith("; nodes 0, 1, 3 were stopped.")
    assert seconds < 10 and all(codes)
    partial: Run = failure.run  # pyright: ignore[reportAttributeAccessIssue]
    assert partial.outcome == "failed" and partial.remarks[0] == str(failure)
    assert partial.curve("loss")["value"].is_finite().all() and partial.final.values.shape == (NODES, 1, 7)


@pytest.mark.distributed
def test_a_stopped_process_is_named_and_the_others_end() -> None:
    failure, seconds, _ = _fail(TorchDistributed(timeout=2), signal.SIGSTOP)
    assert str(failure).startswith("node 2 has not moved for 2 s (last seen at step ")
    assert 1.5 < seconds < 12


@pytest.mark.distributed
@pytest.mark.slow
def test_a_gradient_that_never_ends_is_named() -> None:
    cluster = Cluster(NODES, ConstantTime(0.001), stragglers=(SlowFrom((2,), 1e6, 1.0),))
    failure, _, _ = _fail(TorchDistributed(timeout=2, compute="sleep", cluster=cluster, hung_after=6), None)
    assert str(failure).startswith("node 2 has not moved for 6 s though its heartbeat goes on (last seen at step ")
    assert "while computing)" in str(failure)


@pytest.mark.distributed
@pytest.mark.slow
@pytest.mark.parametrize("rank", range(NODES))
def test_a_process_stopped_while_starting_is_named_within_the_timeout(rank: int) -> None:
    launcher = Launcher([(ENDLESS, TorchDistributed(timeout=4))], NODES)
    with launcher, pytest.raises(NodeFailure) as failure:
        time.sleep(0.2 * rank)  # from before the interpreter runs to while torch is imported
        launcher.children[rank].send_signal(signal.SIGSTOP)
        begun = time.monotonic()
        launcher.watch()
    assert str(failure.value).startswith(f"node {rank} has not moved for 4 s (last seen while starting); ")
    assert time.monotonic() - begun < 20


@pytest.mark.distributed
@pytest.mark.slow
def test_a_gradient_longer_than_the_timeout_is_slow_and_not_dead() -> None:
    cluster = Cluster(NODES, ConstantTime(0.001), stragglers=(SlowFrom((2,), 3500.0, 0.0),))
    run = launch(replace(LOSES, budget=Steps(2)), timeout=1.5, compute="sleep", cluster=cluster)
    assert run.outcome == "finished" and float(run.final.clocks.max()) > 6


@pytest.mark.distributed
@pytest.mark.slow
def test_the_cause_of_a_failed_join_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "nowhere7")
    with pytest.raises(NodeFailure, match=r"could not join the others: .*nowhere7"):
        launch(LOSES, timeout=10)


TORCHRUN_JOB = '''
import os, signal, sys, time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sgpsim.backends.processes.transport import Post
from sgpsim.backends.processes.torch_distributed import TorchDistributed
from sgpsim.errors import MassLeak, NodeFailure
from sgpsim.objectives.quadratic import Quadratic
from tests.test_torch_distributed import ENDLESS, SAME_BITS

folder, fault, rank = Path(sys.argv[1]), sys.argv[2], int(os.environ["RANK"])
run = TorchDistributed().run(SAME_BITS[0])
if rank == 0:
    run.metrics.write_parquet(folder / "metrics.parquet")
np.save(folder / f"final-{rank}.npy", run.final.values)


@dataclass(frozen=True)
class Faulty(Quadratic):
    """Node 2 fails in its gradient number 30."""

    def gradients(self, nodes, points, draws):
        taken = self.__dict__.setdefault("taken", [])
        taken.append(None)
        if nodes[0] == 2 and len(taken) == 30:
            (folder / "at").write_text(repr(time.time()))
            if fault == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if fault == "raise":
                raise ValueError("no such\\nnumber")
            while fault == "loop":
                pass
        return super().gradients(nodes, points, draws)


send = Post.send


def forgetful(post, to, step, value, weight, lose=False):
    if fault == "lose" and rank == 2 and step == 30:
        number = post.sent[to].count
        post.sent[to].add(value, weight)
        return number
    return send(post, to, step, value, weight, lose)


Post.send = forgetful
try:
    TorchDistributed(timeout=2.0, hung_after=3.0).run(replace(ENDLESS, measure_every=10, objective=Faulty(nodes=4, dimension=7, noise=0.5)))
except (NodeFailure, MassLeak, ValueError) as failure:
    (folder / f"told-{rank}").write_text(f"{time.time()} {type(failure).__name__} {failure}")
    if getattr(failure, "run", None) is not None:
        note = getattr(failure, "__notes__", [""])[0]
        known = [failure.run.outcome, str(failure.run.metrics["step"].max()), *failure.run.remarks[:1], note]
        (folder / f"run-{rank}").write_text("\\n".join(known))
    raise
'''


def _torchrun(folder: Path, fault: str) -> tuple[int, dict[int, tuple[float, str]]]:
    """Run the job under torchrun; its exit code, and what each process that still could said, how long after."""
    job = folder / "job.py"
    job.write_text(TORCHRUN_JOB)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(NODES), "--rdzv-backend", "c10d"]
    command += ["--rdzv-endpoint", "127.0.0.1:0", "--no-python", sys.executable, str(job), str(folder), fault]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    if sys.platform.startswith("linux"):
        environment["GLOO_SOCKET_IFNAME"] = "lo"
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    said: dict[int, tuple[float, str]] = {}
    begun = float((folder / "at").read_text()) if (folder / "at").exists() else 0.0
    for path in folder.glob("told-*"):
        instant, words = path.read_text().split(" ", 1)
        said[int(path.name.removeprefix("told-"))] = (float(instant) - begun, words)
    if not said:
        print(done.stdout, done.stderr)
    return done.returncode, said


def _check_first_run(folder: Path) -> None:
    simulated = Simulated(CLUSTER).run(SAME_BITS[0])
    for rank in range(NODES):
        assert np.array_equal(np.load(folder / f"final-{rank}.npy"), simulated.final.values)
    assert (
        pl.read_parquet(folder / "metrics.parquet")
        .select("metric", "value")
        .equals(simulated.metrics.select("metric", "value"))
    )


@pytest.mark.distributed
def test_torchrun_gives_the_same_run_and_names_a_process_that_dies(tmp_path: Path) -> None:
    code, said = _torchrun(tmp_path, "kill")
    _check_first_run(tmp_path)
    assert code != 0 and said and 2 not in said
    for seconds, words in said.values():
        assert words.startswith("NodeFailure node 2 died (its connection broke when node ") and words.endswith(
            "; nodes 0, 1, 3 were stopped."
        )
        assert seconds < 10


@pytest.mark.distributed
@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("loop", "node 2 has not moved for 3 s though its heartbeat goes on (last seen at step 29, while computing); nodes 0"),
        ("raise", "node 2 failed at step 29, while computing: ValueError: no such number; nodes 0, 1, 3 were stopped."),
        ("lose", "the message of round 30 from node 2 to node 3 never came, though later ones did"),
    ],
)
def test_torchrun_names_a_process_that_fails_otherwise(tmp_path: Path, fault: str, sentence: str) -> None:
    code, said = _torchrun(tmp_path, fault)
    assert code != 0
    assert any(sentence in words for _, words in said.values())
    carried = {int(path.name.removeprefix("run-")): path.read_text() for path in tmp_path.glob("run-*")}
    if fault == "raise":  # the process's own exception; the others lost it
        outcome, step, remark, note = carried[2].splitlines()
        assert outcome == "failed" and int(step) >= 20 and remark == "ValueError: no such number (while node 2 was at step 29)"
        assert "this exception's `run` holds what was measured" in note and said[2][1].startswith("ValueError")
    assert not list(Path(tempfile.gettempdir()).glob("sgpsim-*/left-*")), "the last to leave removes the folder"


def test_what_real_processes_cannot_run_is_refused_with_a_cure() -> None:
    asynchronous = Experiment(ADPSGD(DESCENT), QUADRATIC, BipartiteExponential(NODES), Gradients(40))
    timed = Experiment(SGP(DESCENT), QUADRATIC, OnePeerExponential(NODES), Seconds(3.0))
    for experiment, words in ((asynchronous, "do not run in step"), (timed, "Give Steps")):
        with pytest.raises(SpecificationError, match=words):
            launch(experiment, NODES)
    with pytest.raises(SpecificationError, match="Start 4 processes"):
        launch(LOSES, 3)
    with pytest.raises(SpecificationError, match="Give a Cluster"):
        TorchDistributed(compute="sleep")
    with pytest.raises(SpecificationError, match="'real' or 'sleep'"):
        TorchDistributed(compute="dream")  # pyright: ignore[reportArgumentType]
    with pytest.raises(SpecificationError, match="timeout"):
        TorchDistributed(timeout=0)
    with pytest.raises(SpecificationError, match="sends nothing"):
        TorchDistributed(cluster=Cluster(NODES, faults=(Drop(0, 2, 0),))).check(LOSES)
    with pytest.raises(SpecificationError, match="torchrun"):
        TorchDistributed().run(LOSES)


TOML = """
nodes = 4
seeds = [1]
algorithm = { type = "SGP", descent = { type = "SGD", step_size = 0.05 } }
objective = { type = "Quadratic", dimension = 5 }
schedule = "OnePeerExponential"
budget = { type = "Steps", count = 6 }
"""


@pytest.mark.distributed
@pytest.mark.slow
def test_a_file_is_launched_and_its_run_stored(tmp_path: Path) -> None:
    file = tmp_path / "small.toml"
    file.write_text(TOML)
    _, saved = launch_file(file, 4, timeout=20, out=tmp_path / "runs")
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder == saved
    told = load(folder)
    assert told.outcome == "finished" and told.backend == "TorchDistributed"
    assert np.array_equal(told.final.values, Simulated(CLUSTER).run(told.experiment).final.values)


def test_no_other_launch_takes_the_records_of_a_living_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "small.toml").write_text(TOML)
    run, seen = Simulated(CLUSTER).run(read(tmp_path / "small.toml").experiment), []

    def others(store: Store, *given: Any, **named: Any) -> Path:
        seen.append(recover(store.folder))  # between the end of the processes and that of the saving
        return save(store, *given, **named)

    save = Store.save
    monkeypatch.setattr(Store, "save", others)
    monkeypatch.setattr("sgpsim.launch.launch_all", lambda *_: seen.append(recover(tmp_path / "runs")) or [run])
    _, place = launch_file(tmp_path / "small.toml", out=tmp_path / "runs")
    assert seen == [[], []] and list((tmp_path / "runs").iterdir()) == [place]


def test_a_run_that_is_there_is_not_measured_again_and_thrown_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "small.toml").write_text(TOML)
    file = read(tmp_path / "small.toml")
    backend, _ = file.backend("TorchDistributed")
    run = replace(Simulated(CLUSTER).run(file.experiment), backend="TorchDistributed")
    place = Store(tmp_path / "runs").save("small", run, backend)
    monkeypatch.setattr("sgpsim.launch.launch_all", lambda *_, **__: pytest.fail("it is computed again"))
    again, folder = launch_file(tmp_path / "small.toml", out=tmp_path / "runs")
    assert folder == place and again.metrics.equals(run.metrics)
    assert "nothing was computed anew" in capsys.readouterr().err
    with pytest.raises(SpecificationError, match="one process per node"):
        launch_file(tmp_path / "small.toml", 3, out=tmp_path / "runs")


@pytest.mark.distributed
@pytest.mark.slow
def test_children_import_nothing_that_lies_in_the_working_folder(tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(TOML)
    for name in ("numpy", "random"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(77)")
    program = "from sgpsim.__main__ import main; main()"  # as the installed command begins, which has another path
    command = [sys.executable, "-P", "-c", program, "launch", "small.toml", "--out", "runs"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert said.returncode == 0 and "saved in runs" in said.stdout, said


@pytest.mark.distributed
@pytest.mark.slow
def test_a_leak_is_raised_with_the_run_so_far() -> None:
    with pytest.raises(MassLeak, match="between node 1 and node 3") as leak:
        launch_all([(LOSES, TorchDistributed(cluster=Cluster(NODES, faults=(Drop(1, 3, 3),))))])
    run: Run = leak.value.run  # pyright: ignore[reportAttributeAccessIssue]
    assert run.outcome == "leaked" and run.curve("loss")["step"].to_numpy().max() < 12
