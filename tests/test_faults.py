"""Faults: messages that the cluster loses are lost on every backend that carries single messages, refused by the one that
does not, and seen in files, tables and remarks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sgpsim.algorithms.adpsgd import ADPSGD
from sgpsim.algorithms.algorithm import Algorithm
from sgpsim.algorithms.allreduce_sgd import AllReduceSGD
from sgpsim.algorithms.overlap_sgp import OverlapSGP
from sgpsim.algorithms.push_sum import PushSum
from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.backend import Backend
from sgpsim.backends.choice import best_for
from sgpsim.backends.events.simulated import Simulated
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.backends.processes.torch_distributed import TorchDistributed
from sgpsim.budget import Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.faults import Drop, Fault
from sgpsim.commands.list import main as listed
from sgpsim.errors import MassLeak, SpecificationError
from sgpsim.experiment import Experiment
from sgpsim.files.plain_data import from_json, to_json
from sgpsim.files.run_folders import read_task
from sgpsim.files.store import Store, load
from sgpsim.files.toml_files import read
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.reports.labels import labels
from sgpsim.reports.summary import about
from sgpsim.schedules.bipartite_exponential import BipartiteExponential
from sgpsim.schedules.erdos_renyi import ErdosRenyiDigraph
from sgpsim.schedules.ring import DirectedRing
from sgpsim.schedules.schedule import Schedule
from sgpsim.specification.specification import specification

NODES = 6
IRREGULAR = ErdosRenyiDigraph(NODES, 0.4, seed=3)


def experiment(method: Algorithm, schedule: Schedule = IRREGULAR, steps: int = 12) -> Experiment:
    return Experiment(method, Quadratic(schedule.size, 3), schedule, Steps(steps), start=1.0)


def lossy(*faults: Fault, nodes: int = NODES) -> Cluster:
    return Cluster(nodes, faults=faults)


def sent(sender: int, step: int) -> Drop:
    """The loss of the first message that `sender` sends in round `step` of the irregular digraph."""
    return Drop(sender, IRREGULAR.round(step).pushes[sender][0][0], step)


# -- what is lost


@pytest.mark.parametrize("drops", [(), (sent(2, 4),), (sent(2, 4), sent(3, 4)), (sent(1, 3), sent(2, 7)), (sent(2, 4), sent(2, 4))])
def test_push_sum_without_the_lost_messages_by_hand(drops: tuple[Drop, ...]) -> None:
    """w(k+1) = P(k) w(k), where the entry of a lost message is 0; likewise x."""
    run = Simulated(lossy(*drops), monitor="record").run(experiment(PushSum()))
    weights = np.ones(NODES)
    for step in range(12):
        matrix = IRREGULAR.matrix(step).toarray()
        for drop in set(drops):
            if drop.step == step:
                assert matrix[drop.receiver, drop.sender] > 0
                matrix[drop.receiver, drop.sender] = 0.0
        weights = matrix @ weights
    assert np.allclose(run.final.weights[:, 0], weights, rtol=1e-13)
    assert np.allclose(run.final.values[:, 0], weights[:, None], rtol=1e-13)
    named = [remark for remark in run.remarks if "arrived altered" in remark]
    assert run.outcome == ("leaked" if drops else "finished") and len(named) == len(set(drops))
    assert all(f"from node {drop.sender} to node {drop.receiver} at round {drop.step}" in " ".join(named) for drop in drops)


@specification
class Deaf(Fault):
    """A user's own: `node` receives nothing from round `since` on."""

    node: int
    since: int

    def loses(self, sender: int, receiver: int, step: int) -> bool:
        return receiver == self.node and step >= self.since


def test_a_fault_of_ones_own_loses_what_it_says() -> None:
    run = Simulated(lossy(Deaf(2, 4), nodes=3), monitor="record").run(experiment(PushSum(), DirectedRing(3), 7))
    assert run.final.weights[2, 0] == 0.5**3, "it halves what it holds, in rounds 4, 5 and 6"
    assert from_json(to_json(Deaf(2, 4)), Fault) == Deaf(2, 4)  # pyright: ignore[reportAbstractUsage]


@pytest.mark.parametrize("method", [SGP(), OverlapSGP(delay=2), AllReduceSGD(), ADPSGD()], ids=repr)
def test_a_fault_that_meets_no_message_changes_nothing_and_the_run_says_so(method: Algorithm) -> None:
    """A round beyond the budget, or a method that sends no messages of the schedule's rounds."""
    schedule = BipartiteExponential(NODES)
    receiver = schedule.round(50).pushes[0][0][0]
    found = replace(experiment(method, schedule), seeds=(0, 1))
    honest, run = (Simulated(cluster).run(found) for cluster in (Cluster(NODES), lossy(Drop(0, receiver, 50))))
    assert run.outcome == "finished" and run.final.values.tobytes() == honest.final.values.tobytes()
    words = f"Drop(0, receiver={receiver}, step=50) met no message that was sent, so it changed nothing"
    assert run.remarks == (*honest.remarks, f"seed 0: {words}", f"seed 1: {words}")


def test_the_last_round_of_the_budget_is_reached() -> None:
    with pytest.raises(MassLeak, match="at round 11"):
        Simulated(lossy(sent(2, 11))).run(experiment(SGP()))
    run = Simulated(lossy(sent(2, 4), sent(2, 12)), monitor="record").run(experiment(SGP()))
    assert run.outcome == "leaked" and "step=12) met no message" in run.remarks[-1] and "step=4" not in run.remarks[-1]


# -- what is refused


@pytest.mark.parametrize("fault", [Drop(0, 2, 4), Drop(3, 3, 0), Drop(1, 0, 2**62)])
@pytest.mark.parametrize("kind", [Simulated, TorchDistributed])
def test_a_message_that_does_not_exist_cannot_be_dropped(fault: Drop, kind: type[Backend]) -> None:
    with pytest.raises(SpecificationError, match=r"^Drop\(sender=\d, .* so nothing would be lost. Name a message"):
        kind(cluster=lossy(fault)).check(experiment(SGP(), DirectedRing(NODES)))  # pyright: ignore[reportCallIssue]


def test_nodes_and_rounds_that_a_cluster_has_not_are_refused_when_it_is_built() -> None:
    for fault in (Drop(NODES, 0, 1), Drop(0, NODES, 1)):
        with pytest.raises(SpecificationError, match=r"names node 6 and the cluster has nodes 0\.\.5"):
            lossy(fault)
    for place in range(3):
        with pytest.raises(SpecificationError, match="is -1; it must be a whole number of at least 0"):
            Drop(*(-1 if number == place else 1 for number in range(3)))
    with pytest.raises(SpecificationError, match="it must be a Fault"):
        Cluster(2, faults=((0, 1, 2),))  # pyright: ignore[reportArgumentType]


def test_arrays_of_the_whole_fleet_refuse_it_and_the_best_backend_is_the_other() -> None:
    cluster = lossy(sent(2, 4))
    with pytest.raises(SpecificationError) as refusal:
        Vectorized(cluster).run(experiment(SGP()))
    words = str(refusal.value)
    assert words.startswith("Vectorized with Cluster(faults=[Drop(2,") and words.endswith("Use Simulated(cluster).")
    backend, reason = best_for(experiment(SGP()), cluster)
    assert backend == Simulated(cluster) and reason == f"Simulated: {words}"
    assert isinstance(best_for(experiment(SGP()), Cluster(NODES))[0], Vectorized), "the control"


# -- what is written and read


ONE, OTHER = "sender = 1, receiver = 2, step = 3", "sender = 0, receiver = 1, step = 4"
BASE = """
nodes = 8
algorithm = "SGP"
objective = {type = "Quadratic", dimension = 3}
schedule = "DirectedRing"
budget = {type = "Steps", count = 5}
"""
FORMS = {
    "tables": "\n".join(f"[[cluster.faults]]\n{fault.replace(', ', chr(10))}" for fault in (ONE, OTHER)),
    "a line": f"cluster.faults = [{{type = 'Drop', {ONE}}}, {{type = 'Drop', {OTHER}}}]",
    "a preset": f"cluster = {{preset = 'ethernet_10g', faults = [{{{ONE}}}, {{{OTHER}}}]}}",
}


@pytest.mark.parametrize("form", FORMS)
def test_a_file_says_faults(form: str, tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_text(BASE + FORMS[form])
    file = read(tmp_path / "job.toml", ("cluster.faults.0.step=2",))
    assert file.cluster.faults == (Drop(1, 2, 2), Drop(0, 1, 4))
    backend, reason = file.backend()
    assert isinstance(backend, Simulated) and "lost. Use Simulated(cluster)" in reason
    _, folder, _ = Store(tmp_path / "runs").run("job", file.experiment, replace(backend, monitor="record"))
    assert load(folder).outcome == "leaked" and read_task(folder)[2] == replace(backend, monitor="record")
    with pytest.raises(SpecificationError, match=r"job.toml: cluster.faults.*receiver.*missing"):
        read(tmp_path / "job.toml", ("cluster.faults=[{type='Drop', sender=1, step=2}]",))


def test_faults_are_part_of_a_clusters_value_and_words() -> None:
    honest, one = Cluster(NODES), lossy(sent(2, 4))
    assert one == lossy(sent(2, 4)) and hash(one) == hash(lossy(sent(2, 4)))
    assert len({honest, one, lossy(sent(2, 5)), lossy(sent(2, 4), sent(2, 5))}) == 4
    assert from_json(to_json(one), Cluster) == one and from_json(to_json(honest), Cluster) == honest
    runs = {"a": Simulated(honest).run(experiment(SGP())), "b": Simulated(one, monitor="record").run(experiment(SGP()))}
    phrase = f"Drop(2, receiver={one.faults[0].receiver}, step=4)"  # pyright: ignore[reportAttributeAccessIssue]
    assert dict(about(runs["b"]).iter_rows())["faults"] == phrase and "faults" not in runs["a"].machines
    recorded = Simulated(honest, monitor="record").run(experiment(SGP()))
    assert list(labels({"a": recorded, "b": runs["b"]})) == ["no faults", phrase]
    assert TorchDistributed(cluster=one).machines()["faults"] == phrase


def test_the_list_shows_them(capsys: pytest.CaptureFixture[str]) -> None:
    listed()
    assert "  Drop " in capsys.readouterr().out.split("\nFault\n")[1].split("\n\n")[0]
    listed("Fault")
    assert "Drop(sender, receiver, step)\n" in capsys.readouterr().out
