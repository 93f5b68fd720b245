"""The catalogue, plain data and TOML files: everything is found, survives being written down, and errors say where and
what instead."""

from __future__ import annotations

import dataclasses
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from objective_examples import EXAMPLES as OBJECTIVES
from random_experiments import clusters, experiments

from sgpsim.algorithms.algorithm import Algorithm
from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.backend import Backend
from sgpsim.backends.events.simulated import Simulated
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.backends.processes.torch_distributed import TorchDistributed
from sgpsim.budget import Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.faults import Drop
from sgpsim.clusters.hockney import Hockney
from sgpsim.clusters.stragglers import PersistentSlow
from sgpsim.descents.descent import StepSize
from sgpsim.descents.step_sizes import Constant, StepDecay
from sgpsim.errors import SpecificationError
from sgpsim.experiment import Experiment
from sgpsim.files.plain_data import from_json, from_plain, to_json, to_plain
from sgpsim.files.toml_files import read
from sgpsim.objectives.objective import Objective
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.schedules.laws import examples
from sgpsim.schedules.one_peer_exponential import OnePeerExponential
from sgpsim.schedules.schedule import Schedule
from sgpsim.specification.catalogue import families, implementations, walk

HOME = Path(__file__).parents[1]

BASE = """
nodes = 8
algorithm = {type = "SGP", descent = {type = "SGD", step_size = 0.1}}
objective = {type = "Quadratic", dimension = 3}
schedule = {type = "OnePeerExponential"}
budget = {type = "Steps", count = 5}
"""


def said(tmp_path: Path, text: str, *overrides: str) -> Any:
    file = tmp_path / "experiment.toml"
    file.write_text(text)
    return read(file, overrides)


def complaint(tmp_path: Path, text: str, *overrides: str) -> str:
    with pytest.raises(SpecificationError) as caught:
        said(tmp_path, text, *overrides).backend()
    told = str(caught.value)
    assert "\n" not in told and "Traceback" not in told
    return told


# -- the catalogue


def test_importing_sgpsim_and_walking_it_imports_nothing_heavy() -> None:
    program = (
        "import sys, sgpsim\n"
        "light = [name for name in ('torch', 'sklearn', 'matplotlib', 'polars', 'scipy') if name in sys.modules]\n"
        "import sgpsim.specification.catalogue; sgpsim.specification.catalogue.walk(); import sgpsim.commands; sgpsim.commands.known()\n"
        "print(light, [name for name in ('torch', 'sklearn', 'matplotlib') if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=HOME).stdout
    assert told.strip() == "[] []"


def test_every_flat_name_is_there_and_others_are_refused() -> None:
    import sgpsim

    for name in dir(sgpsim):
        assert getattr(sgpsim, name) is not None or name.startswith("__")
    assert sgpsim.SGP is SGP
    with pytest.raises(AttributeError, match="no attribute 'SGQ'"):
        sgpsim.SGQ  # noqa: B018


def test_every_concrete_class_of_every_room_is_found_once() -> None:
    found = {kind for kinds in families().values() for kind in kinds.values()}
    for name in walk():
        for value in vars(sys.modules[name]).values():
            if dataclasses.is_dataclass(value) and isinstance(value, type) and issubclass(value, Algorithm | Schedule):
                assert value in found, value
    assert set(families()) >= {"Algorithm", "Schedule", "Objective", "Descent", "StepSize", "ComputeTime", "Straggler", "Fault"}
    assert {"Simulated", "Vectorized"} <= set(implementations(Backend))
    names = [name for kinds in families().values() for name, kind in kinds.items() if kind.__module__ in walk()]
    assert len(names) == len(set(names)), "a name that two families share cannot be told apart in a list"


def test_a_users_own_class_is_known_and_hides_none_of_ours() -> None:
    @dataclasses.dataclass(frozen=True)
    class Harmonic(StepSize):
        first: float

        def at(self, step: int) -> float:
            return self.first / (step + 1)

    @dataclasses.dataclass(frozen=True)
    class StepDecay(StepSize):
        def at(self, step: int) -> float:
            return 1.0

    assert from_plain({"type": "Harmonic", "first": 1}, StepSize) == Harmonic(1.0)  # pyright: ignore[reportAbstractUsage]
    assert implementations(StepSize)["StepDecay"].__module__ == "sgpsim.descents.step_sizes"
    assert StepDecay().at(0) == 1.0


# -- plain data


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_writing_and_reading_gives_an_equal_value_and_the_same_text(data: st.DataObject) -> None:
    experiment = data.draw(experiments())
    text = to_json(experiment)
    again = from_json(text, Experiment)
    assert again == experiment and hash(again.schedule) == hash(experiment.schedule)
    assert to_json(again) == text
    cluster = data.draw(clusters(experiment.nodes, experiment.message_size))
    lossy = dataclasses.replace(cluster, faults=(Drop(0, 0, 2), Drop(0, cluster.nodes - 1, 7)))
    for backend in (Simulated(lossy), TorchDistributed(cluster=lossy), Vectorized(cluster), Vectorized(None)):
        assert from_json(to_json(backend), Backend) == backend  # pyright: ignore[reportAbstractUsage]


@pytest.mark.parametrize("schedule", [*examples(5), *examples(8)], ids=lambda schedule: f"{type(schedule).__name__}-{schedule.size}")
def test_every_schedule_survives(schedule: Schedule) -> None:
    again = from_json(to_json(schedule), Schedule)  # pyright: ignore[reportAbstractUsage]
    assert again == schedule
    assert all(again.round(step).pushes == schedule.round(step).pushes for step in range(6))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_survives(name: str) -> None:
    assert from_json(to_json(OBJECTIVES[name]), Objective) == OBJECTIVES[name]  # pyright: ignore[reportAbstractUsage]


def test_json_holds_infinities_and_no_foreign_words() -> None:
    text = to_json(Cluster(4, network=Hockney(), graph=nx.path_graph(4)))
    parsed = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    assert parsed["network"]["bandwidth"] == "inf" and parsed["graph"]["edges"]
    assert from_json(text, Cluster).network == Hockney(bandwidth=math.inf)


def test_what_has_no_name_is_not_written_down() -> None:
    with pytest.raises(SpecificationError, match="cannot be written down"):
        to_plain({"module": lambda: None})
    assert to_plain(math.isfinite) == "math:isfinite"
    assert to_plain(np.arange(3)) == [0, 1, 2]


def test_short_forms() -> None:
    found = from_plain({"type": "SGP", "descent": {"type": "SGD", "step_size": 0.5}}, Algorithm)  # pyright: ignore[reportAbstractUsage]
    assert found == from_plain({"type": "SGP", "descent": {"type": "SGD", "step_size": Constant(0.5)}}, Algorithm)  # pyright: ignore[reportAbstractUsage]
    decay = from_plain({"type": "StepDecay", "step_size": 1, "milestones": 30}, StepSize)  # pyright: ignore[reportAbstractUsage]
    assert decay == StepDecay(1.0, (30,)) and isinstance(decay.at(0), float)
    cluster = from_plain({"nodes": 2, "compute": 0.25, "network": {"latency": 1}}, Cluster)
    assert cluster.compute.mean == 0.25 and cluster.network == Hockney(1.0)


# -- TOML files


def test_a_file_is_the_experiment_that_it_says(tmp_path: Path) -> None:
    found = said(tmp_path, BASE + "seeds = [3, 4]\n")
    expected = Experiment(SGP(), Quadratic(8, 3), OnePeerExponential(8), Steps(5), (3, 4))
    assert (found.name, found.experiment, found.cluster) == ("experiment", expected, Cluster(8))
    backend, reason = found.backend()
    assert backend == Vectorized(Cluster(8), trace=True) and reason.startswith("Vectorized:")


@pytest.mark.parametrize(
    "text",
    [
        'schedule = {type = "OnePeerExponential", size = 8}\nobjective = "Quadratic"',
        'schedule = "OnePeerExponential"\nobjective = {type = "Quadratic", nodes = 8}',
        'schedule = "OnePeerExponential"\nobjective = "Quadratic"\ncluster = {nodes = 8}',
        'schedule = {type = "MatrixFile", path = "p.npy"}\nobjective = "Quadratic"',
        'schedule = {type = "Periodic", schedules = ["Complete", "DirectedRing"]}\nnodes = 8\nobjective = "Quadratic"',
    ],
)
def test_the_number_of_nodes_is_said_once_anywhere(tmp_path: Path, text: str) -> None:
    np.save(tmp_path / "p.npy", np.full((8, 8), 1 / 8))
    found = said(tmp_path, f'algorithm = "SGP"\n{text}')
    assert found.experiment.nodes == found.experiment.schedule.size == found.cluster.nodes == 8


def test_a_preset_sets_the_message_size_unless_the_file_does(tmp_path: Path) -> None:
    preset = BASE + 'cluster = {preset = "ethernet_10g", stragglers = [{type="PersistentSlow", nodes=[1], factor=2}]}\n'
    found = said(tmp_path, preset)
    assert found.experiment.message_bytes == 102.2e6 and found.cluster.stragglers == (PersistentSlow((1,), 2.0),)
    assert said(tmp_path, "message_bytes = 5\n" + preset).experiment.message_bytes == 5.0
    assert said(tmp_path, BASE + 'cluster = "infiniband_edr"\n').cluster.nodes == 8


def test_paths_start_at_the_file_and_a_physical_graph_keeps_its_attributes(tmp_path: Path) -> None:
    graph = nx.star_graph(8)
    graph = nx.relabel_nodes(graph, {0: "switch", **{node + 1: node for node in range(8)}})
    for _, _, attributes in graph.edges(data=True):
        attributes["latency"] = 0.5
    nx.write_graphml(graph, tmp_path / "cables.graphml")
    found = said(tmp_path, BASE + 'cluster = {graph_file = "cables.graphml", network = {bandwidth = 10}}\n')
    assert found.cluster.wire(0, 5, 20.0) == (2.0, 1.0)


def test_overrides_set_add_and_replace(tmp_path: Path) -> None:
    found = said(
        tmp_path, BASE, "nodes=4", "budget.count=7", "algorithm.descent.step_size=0.25", "seeds=[1, 2]", "start=none"
    )
    assert (found.experiment.nodes, found.experiment.budget, found.experiment.seeds) == (4, Steps(7), (1, 2))
    assert found.experiment.algorithm.descent.step_size == Constant(0.25)
    assert said(tmp_path, BASE, "algorithm.type=AllReduceSGD").experiment.algorithm.descent.step_size == Constant(0.1)
    assert said(tmp_path, BASE, "schedule=DirectedRing").experiment.schedule.size == 8
    assert said(tmp_path, BASE, "backend=sim").backend()[0] == Simulated(Cluster(8))
    slow = BASE + 'cluster.stragglers = [{type="PersistentSlow", nodes=[1], factor=2.0}]\n'
    assert said(tmp_path, slow, "cluster.stragglers.0.factor=9").cluster.stragglers == (PersistentSlow((1,), 9.0),)


BAD = {
    "algorithm.descnt=1": "experiment.toml: algorithm.descnt: unknown field of SGP; did you mean 'descent'?",
    "algoritm=SGP": "experiment.toml: algoritm: unknown field; did you mean 'algorithm'?",
    "algorithm.type=SGQ": "experiment.toml: algorithm.type: 'SGQ' is unknown; did you mean 'SGP'?",
    "algorithm.type='mine:LocalSGD'": " A class of your own is a file in sgpsim/algorithms/, or imported first, in Python.",
    "algorithm.descent.type=Adm": "algorithm.descent.type: 'Adm' is unknown; did you mean 'Adam'?",
    "algorithm=3": "experiment.toml: algorithm: Experiment(algorithm) is 3; it must be an Algorithm. Give one of ADPSGD, ",
    "algorithm.descent.step_size=-1": "algorithm.descent.step_size: Constant(step_size) is -1.0; it must be a finite",
    "algorithm.descent.step_size=nan": "algorithm.descent.step_size: Constant(step_size) is nan; it must be a finite",
    "algorithm.descent.step_size=0": "algorithm.descent.step_size: Constant(step_size) is 0.0; it must be a finite",
    "budget.count=3.5": "experiment.toml: budget.count: Steps(count) is 3.5; it must be a whole number of at least 0.",
    "budget.count=many": "experiment.toml: budget.count: Steps(count) is 'many'; it must be a whole number of at least 0.",
    "budget.count=true": "experiment.toml: budget.count: Steps(count) is True; it must be a whole number of at least 0.",
    "budget.type=Step": "experiment.toml: budget.type: 'Step' is unknown; did you mean 'Steps'?",
    "budget=5": "experiment.toml: budget: Experiment(budget) is 5; it must be one of Steps, Gradients, Seconds, TargetLoss.",
    "seeds=[0, 'a']": "experiment.toml: seeds[1]: Experiment(seeds)[1] is 'a'; it must be a whole number",
    "seeds=5": "experiment.toml: seeds: Experiment(seeds) is 5; it must be a list. Give seeds=(5,), in a file seeds = [5]",
    "seeds=abc": "experiment.toml: seeds: Experiment(seeds) is 'abc'; it must be a list.",
    "seeds=[1, 1]": "experiment.toml: Experiment(seeds) is (1, 1); seeds must be at least one, all different.",
    "dtype=float16": "experiment.toml: dtype: Experiment(dtype) is 'float16'; it must be 'float64' or 'float32'.",
    "start=[1, 2]": "experiment.toml: Experiment(start) has shape (2,)",
    "message_bytes=big": "experiment.toml: message_bytes: Experiment(message_bytes) is 'big'; it must be a ",
    "objective.nodes=4": "OnePeerExponential(size=8) with an objective of 4 nodes; both must be equal. Give size=4, or",
    "schedule={type='Matrices', matrices=[[0.5, 0.5], [0.5, 0.5]]}": "nodes; both must be equal. Give a schedule of size 8, or",
    "cluster.nodes=4": "experiment.toml: a schedule and objective for 8 nodes on a Cluster of 4",
    "cluster.compute=fast": "cluster.compute.type: 'fast' is unknown; known: ConstantTime, ",
    "cluster.preset=ethernet": "toml: cluster: preset 'ethernet' does not exist; did you mean 'ethernet_10g'?",
    "cluster={preset='ethernet_10g', jb='x'}": "cluster.jb: unknown beside `preset`; did you mean 'job'?",
    "cluster.graph_file=no.graphml": "cannot be read (No such file or directory)",
    "schedule.type=MatrixFile": "schedule.size: unknown field of MatrixFile",
    "schedule={type='MatrixFile', path='no.npy'}": "schedule: MatrixFile(path) is ",
    "schedule={type='Matrices', matrices=[[0.5, 0.5], [0.5]]}": "schedule: Matrices(matrices) cannot be read as a matrix",
    "schedule={type='Periodic', schedules=['Complete', 'Ring']}": "schedule.schedules[1].type: 'Ring' is unknown",
    "objective={type='SoftmaxRegression', nodes=9000}": "9000 nodes for 1797 samples",
    "objective.structure=dnse": "objective.structure: Quadratic(structure) is 'dnse'; it must be 'scalar', 'diagonal' or 'dense'.",
    "backend=fast": "there is no backend 'fast'; ",
    "backend.chek_every=1": "toml: backend.chek_every: unknown field of Vectorized; did you mean 'check_every'?",
    "backend.monitor=loud": "experiment.toml: backend.monitor: Vectorized(monitor) is 'loud'; it must be 'raise', 'record' or 'off'.",
    "name=a/b": "experiment.toml: name: 'a/b' names a folder",
    "nodes=0": "experiment.toml: nodes: 0 must be a whole number of at least 1.",
    "nodes=x": "experiment.toml: nodes: 'x' must be a whole number of at least 1.",
    "budget.count": "override 'budget.count': it must be path=value",
    "nodes.x=1": "override 'nodes.x=1': nodes is 8, which has no fields.",
}


@pytest.mark.parametrize("override", BAD)
def test_bad_input_is_one_sentence_with_the_path_and_the_cure(tmp_path: Path, override: str) -> None:
    if override.startswith("cluster.nodes"):
        with pytest.raises(SpecificationError) as caught:
            found = said(tmp_path, BASE, override)
            found.backend()[0].check(found.experiment)
        assert "for 8 nodes on a Cluster of 4" in str(caught.value)
        return
    base = BASE.replace('"OnePeerExponential"', '"OnePeerExponential", size = 8') if "MatrixFile" in override else BASE
    assert BAD[override] in complaint(tmp_path, base, override)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    lines = BASE.strip().splitlines()
    without = {line.split(" ", 1)[0]: "\n".join(other for other in lines if other != line) for line in lines}
    assert "experiment.toml: schedule: missing; Experiment needs it." in complaint(tmp_path, without["schedule"])
    assert "experiment.toml: nodes: missing; the number of nodes must be said once." in complaint(
        tmp_path, without["nodes"]
    )
    assert "budget.count: missing; Steps needs it." in complaint(tmp_path, BASE.replace(", count = 5", ""))
    assert "algorithm.descent.type: missing; it must name a Descent" in complaint(
        tmp_path, BASE.replace('type = "SGD", ', "")
    )
    assert said(tmp_path, without["budget"]).experiment.budget == Steps(100)


def test_a_file_that_is_no_toml_or_not_there(tmp_path: Path) -> None:
    assert "experiment.toml: this is not TOML" in complaint(tmp_path, "nodes = = 3")
    with pytest.raises(SpecificationError, match="cannot be read"):
        read(tmp_path / "nowhere.toml")


@pytest.mark.parametrize("example", sorted((HOME / "examples").glob("*.toml")), ids=lambda path: path.stem)
def test_examples_survive_as_json(example: Path) -> None:
    found = read(example)
    text = to_json(found.experiment)
    assert to_json(from_json(text, Experiment)) == text
    assert from_json(to_json(found.cluster), Cluster) == found.cluster
