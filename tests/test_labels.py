"""Labels and machines: what runs differ in, and what they ran on, in words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
from test_command_line import HOME, saved, sgpsim

from sgpsim.algorithms.allreduce_sgd import AllReduceSGD
from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.events.simulated import Simulated
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.backends.processes.torch_distributed import TorchDistributed
from sgpsim.budget import Gradients, Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.collective import RecursiveDoubling
from sgpsim.clusters.distributions import GammaTime, ParetoTime
from sgpsim.clusters.hockney import Hockney
from sgpsim.clusters.stragglers import PersistentSlow
from sgpsim.descents.sgd import SGD
from sgpsim.descents.step_sizes import Constant
from sgpsim.experiment import Experiment
from sgpsim.files.keys import digest
from sgpsim.files.store import Store
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.reports.labels import LONGEST, labels
from sgpsim.reports.summary import about
from sgpsim.results.run import Run
from sgpsim.schedules.bipartite_exponential import BipartiteExponential
from sgpsim.schedules.matrix_file import MatrixFile
from sgpsim.schedules.one_peer_exponential import OnePeerExponential
from sgpsim.specification.wording import concise

NODES = 4
BASE = Experiment(SGP(SGD(Constant(0.1))), Quadratic(NODES, 2), OnePeerExponential(NODES), Steps(2))
PLAIN = Vectorized(Cluster(NODES)).run(BASE)


def told(*runs: Run) -> list[str]:
    """Labels of runs whose folders are called by number."""
    found = labels({f"folder-{number}": run for number, run in enumerate(runs)})
    assert list(found.values()) == list(runs)
    return list(found)


def computing(**changes: Any) -> Run:
    return replace(PLAIN, experiment=replace(BASE, **changes))


@pytest.mark.parametrize(
    ("changes", "label"),
    [
        ({"budget": Steps(7)}, "Steps(7)"),
        ({"budget": Gradients(8)}, "Gradients"),
        ({"schedule": BipartiteExponential(NODES)}, "BipartiteExponential"),
        ({"algorithm": SGP(SGD(Constant(0.2)))}, "step size 0.2"),
        ({"objective": Quadratic(NODES, 2, noise=0.5)}, "noise 0.5"),
        ({"message_bytes": 5e6}, "messages of 5 MB"),
        ({"seeds": (3, 4)}, "seeds [3, 4]"),
        ({"measure_every": 5}, "measure every 5"),
        ({"dtype": "float32"}, "dtype 'float32'"),
    ],
)
def test_a_label_says_what_differs_in_what_was_computed(changes: dict[str, Any], label: str) -> None:
    if "dtype" in changes:
        changes["message_bytes"] = BASE.message_size
    assert told(PLAIN, computing(**changes))[1] == label


@pytest.mark.parametrize(
    ("backend", "label"),
    [
        (Simulated(Cluster(NODES)), "Simulated"),
        (Vectorized(), "no machines: no time passes"),
        (Vectorized(Cluster(NODES), threads=2), "threads=2"),
        (Vectorized(Cluster(NODES, GammaTime(0.5, 0.1))), "0.5 s a gradient, GammaTime(0.5, variation=0.1)"),
        (Vectorized(Cluster(NODES, network=Hockney(25e-6, 1.25e9))), "25 us a message, 1.25 GB/s"),
        (Vectorized(Cluster(NODES, stragglers=(PersistentSlow((2,), 4.0),))), "PersistentSlow([2], factor=4)"),
        (Vectorized(Cluster(NODES, collective=RecursiveDoubling())), "all-reduce by RecursiveDoubling()"),
    ],
)
def test_a_label_says_what_differs_in_the_machines(backend: Any, label: str) -> None:
    found = told(PLAIN, backend.run(BASE))
    assert found[1] == label and "folder" not in found[0]


def test_as_few_words_as_tell_all_apart_and_folders_only_where_nothing_differs() -> None:
    slow, fast = (SGD(Constant(step_size)) for step_size in (0.1, 0.2))
    methods = [computing(algorithm=method) for method in (SGP(slow), SGP(fast), AllReduceSGD(slow))]
    assert told(*methods) == ["SGP, step size 0.1", "SGP, step size 0.2", "AllReduceSGD"]
    both = [computing(budget=Steps(count), algorithm=method) for count in (2, 3) for method in (SGP(), AllReduceSGD())]
    assert told(*both) == ["SGP, Steps(2)", "AllReduceSGD, Steps(2)", "SGP, Steps(3)", "AllReduceSGD, Steps(3)"]
    other = computing(algorithm=SGP(fast), schedule=BipartiteExponential(NODES))
    assert told(PLAIN, other) == ["OnePeerExponential", "BipartiteExponential"], "classes say more than numbers"
    assert told(PLAIN, PLAIN) == ["folder-0", "folder-1"]
    assert told(PLAIN) == ["SGP"]
    long = [computing(seeds=tuple(range(first, first + 4)), start=(float(first), 1e-300)) for first in (10**18, 10**17)]
    assert all(len(label) <= LONGEST for label in told(*long))


def test_no_label_reads_as_the_beginning_of_another() -> None:
    """What was cut off at the end was what differed: `... 1 s a gradient` beside `... 1 s a gradient...`."""
    backends = [Vectorized(Cluster(NODES)), Vectorized(Cluster(NODES, ParetoTime(2 / 3, 3.0)))]
    changes = [{"seeds": (10**12, seed), "budget": Steps(steps)} for seed in (1, 2) for steps in (1, 2)]
    runs = [backend.run(replace(BASE, **some)) for backend in backends for some in changes]
    found = [label.rstrip(".") for label in told(*runs)]
    assert len(found) == 8 and all(len(label) <= LONGEST for label in found)
    assert not any(one != other and other.startswith(one) for one in found for other in found), found


def test_machines_are_said_in_the_summary_also_of_a_run_from_its_folder(tmp_path: Path) -> None:
    graph = nx.star_graph(NODES)
    nx.set_node_attributes(graph, {1: 2.0}, "pace")
    nx.set_edge_attributes(graph, {edge: 1e9 for edge in graph.edges}, "bandwidth")
    backend = Simulated(Cluster(NODES, ParetoTime(0.1, 1.0), Hockney(25e-6, 1e8), graph=graph))
    run, folder, _ = Store(tmp_path).run("star", BASE, backend)
    again, _, old = Store(tmp_path).run("star", BASE, backend)
    assert old and folder.is_dir() and again.machines == run.machines == backend.machines()
    rows = dict(about(again).iter_rows())
    assert rows["gradient"] == "no finite mean of a gradient, ParetoTime(0.1, shape=1)"
    assert rows["paces"] == "2 times as long on node 1"
    assert rows["links"] == "4 links between 4 nodes and 1 switch, of 1 GB/s"
    assert "paces" not in dict(about(PLAIN).iter_rows())


def test_real_processes_promise_no_simulated_network() -> None:
    cluster = Cluster(NODES, network=Hockney(1.0))
    assert TorchDistributed(cluster=cluster).machines() == TorchDistributed().machines()
    slept = TorchDistributed(compute="sleep", cluster=cluster).machines()
    assert slept["gradient"] == "1 s a gradient" and slept["network"] == "messages through gloo"


def test_a_file_is_told_by_its_name_and_the_first_digits_of_its_digest(tmp_path: Path) -> None:
    source = Path("examples/mixing.npy")
    copy = tmp_path / f"{digest(source)[:12]}-mixing.npy"
    copy.write_bytes(source.read_bytes())
    expected = f"MatrixFile('mixing.npy', sha256={digest(source)[:8]})"
    assert concise(MatrixFile(str(source))) == concise(MatrixFile(str(copy))) == expected


def test_compare_lists_what_differs_in_the_machines(tmp_path: Path) -> None:
    folders = [
        saved(sgpsim("run", HOME / "examples" / "straggler.toml", "budget.count=4", *more, "--out", tmp_path))
        for more in ((), ("cluster.preset=infiniband_edr",))
    ]
    said = sgpsim("compare", *folders, "--target", "2.2", "--out", tmp_path / "c").out
    lines = [line for line in said.splitlines() if line.startswith("machines, where they differ, of ")]
    assert "50 us a message, 1.25 GB/s" in lines[0] and "2 us a message, 12.5 GB/s" in lines[1] and "gradient" not in said
    assert "resolution: a run is looked at every" in said
    assert "machines, where" not in sgpsim("compare", folders[0], "--target", "2.2", "--out", tmp_path / "c").out
