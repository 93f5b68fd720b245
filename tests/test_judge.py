"""judge: every claim asked about one run. Examples confirm claims, the same runs with an error planted contradict them, and
what stands between the run that was given and the one that was judged is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from sgpsim.algorithms.algorithm import Algorithm
from sgpsim.algorithms.overlap_sgp import OverlapSGP
from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.backend import Backend
from sgpsim.backends.events.simulated import Simulated
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.backends.processes.torch_distributed import TorchDistributed
from sgpsim.budget import Gradients, Seconds, Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.faults import Drop
from sgpsim.descents.sgd import SGD
from sgpsim.descents.step_sizes import Constant
from sgpsim.errors import SpecificationError
from sgpsim.experiment import Experiment
from sgpsim.files.store import Store
from sgpsim.files.toml_files import read
from sgpsim.mass import Mass
from sgpsim.node import Node
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.results.run import Run
from sgpsim.schedules.erdos_renyi import ErdosRenyiDigraph
from sgpsim.specification.specification import specification
from theory.__main__ import main
from theory.controls.algorithms import GradientAtNumerator, StepOnRatio
from theory.judgement import AGAINST, Judgement, judge

HOME = Path(__file__).resolve().parents[1]
EXAMPLES = ("own_graph", "own_matrix", "own_times", "overlap_against_sgp")
OF_THE_RUN = {"I1 average step", "moves", "I2 mass", "I3 weighted mean", "I4 deviation", "consensus bound", "consensus bound, profile"}
"""Claims that are about what a run did, as opposed to its matrices alone."""


def job(algorithm: Algorithm, **changed: object) -> Experiment:
    """A small job on an irregular digraph, whose weights are far from 1; without noise, so that gradients are known."""
    given = Experiment(algorithm, Quadratic(8, noise=0.0, spread=1.0), ErdosRenyiDigraph(8, 0.3), Steps(60), start=1.0)
    return replace(given, **changed)  # pyright: ignore[reportArgumentType]


def against(judgement: Judgement) -> set[str]:
    return set(judgement.of(*AGAINST))


@specification
class WrongWeight(SGP):
    """SGP whose node 0 counts its weight double once: mass that nobody moved."""

    async def run(self, node: Node) -> None:
        mass = node.begin()
        state = self.descent.start(mass.value)
        for step in node.steps:
            gradient = await node.gradient(mass.ratio)
            move, state = self.descent.move(gradient, state, step)
            mass = mass.shifted(move)
            if step == 20 and node.rank == 0:
                mass = Mass(mass.value, 2.0 * mass.weight)
            mass = await node.gather(step, node.scatter(step, mass))
            node.report(step + 1, mass, move)


@pytest.mark.parametrize("name", EXAMPLES)
def test_at_least_five_claims_hold_on_an_example_by_what_it_did(name: str) -> None:
    file = read(HOME / "examples" / f"{name}.toml", ("budget.count=25",) if name == "overlap_against_sgp" else ())
    backend, _ = file.backend("")
    judgement = judge(backend.run(file.experiment), backend)
    assert judgement.sound
    assert len(OF_THE_RUN & set(judgement.decided)) >= (3 if name == "own_times" else 5), "a D-PSGD run has no weights of its own"
    assert len(judgement.decided) >= 12 and all(verdict.sentence for verdict in judgement.verdicts.values())


def simulated(algorithm: Algorithm, **options: object) -> Run:
    backend = Simulated(Cluster(8), trace=False, keep_trajectory=True, monitor="record")
    return replace(backend, **options).run(job(algorithm))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("run", "wrong"),
    [
        (lambda: simulated(StepOnRatio()), {"moves"}),
        (lambda: simulated(GradientAtNumerator()), {"gradient noise"}),
        (lambda: simulated(SGP(), cluster=_lossy()), {"I1 average step", "I2 mass"}),
        (lambda: simulated(WrongWeight()), {"I2 mass", "I3 weighted mean"}),
    ],
    ids=["a step on z", "a gradient at x", "a lost message", "a wrong weight"],
)
def test_a_planted_error_is_contradicted(run: Callable[[], Run], wrong: set[str]) -> None:
    assert judge(simulated(SGP()), method="push").sound, "the control: the same job without the error"
    assert wrong <= against(judge(run(), method="push"))


def _lossy() -> Cluster:
    """Machines that lose one message of round 9."""
    return Cluster(8, faults=(Drop(0, job(SGP()).schedule.round(9).pushes[0][0][0], 9),))


@pytest.mark.parametrize("kind", [Simulated, TorchDistributed])
def test_a_run_that_lost_a_message_is_run_again_on_machines_that_lose_it(kind: Callable[..., Backend]) -> None:
    run = Simulated(_lossy(), monitor="record").run(job(SGP()))
    judgement = judge(run, kind(cluster=_lossy()))
    assert "all 61 losses that both measured are the same to the bit" in judgement.remarks[0]
    assert {"I1 average step", "I2 mass"} <= against(judgement)
    assert "losses differ" in judge(run, kind(cluster=Cluster(8))).remarks[0], "the control: machines that lose nothing"


def test_a_run_without_a_trajectory_is_run_again_and_compared() -> None:
    run = Simulated(Cluster(8)).run(job(SGP()))
    judgement = judge(run)
    assert judgement.sound and "all 61 losses that both measured are the same to the bit" in judgement.remarks[0]
    kept = judge(simulated(SGP()))
    assert kept.remarks == () and {name: verdict.label for name, verdict in kept.verdicts.items()} == {
        name: verdict.label for name, verdict in judgement.verdicts.items()
    }
    changed = replace(run, metrics=run.metrics.with_columns(pl.col("value") + 1e-9))
    assert "losses differ, by 1e-09 at the most: the verdicts are of the second run" in judge(changed).remarks[0]


@pytest.mark.parametrize("budget", [Gradients(8 * 60), Seconds(60.0)], ids=repr)
def test_other_budgets_are_judged_over_the_steps_that_were_taken(budget: Gradients | Seconds) -> None:
    run = Simulated(Cluster(8)).run(job(SGP(), budget=budget))
    judgement = judge(run)
    assert judgement.sound and judgement.setting.steps == 60
    late = Simulated(Cluster(8)).run(job(OverlapSGP(SGD(), delay=2), budget=budget))
    assert judge(late).sound and judge(late).setting.steps == 60, "without the drain"


def test_numbers_that_depend_on_machines_need_the_machines() -> None:
    backend = Simulated(Cluster(8))
    run = backend.run(job(OverlapSGP(SGD(), delay=2, mixing="arrival")))
    with pytest.raises(SpecificationError, match="depend on the machines"):
        judge(run)
    judgement = judge(run, backend)
    assert judgement.sound and "I1 average step" in judgement.decided
    with pytest.raises(SpecificationError, match="not run in step"):
        judge(Simulated(Cluster(8)).run(read(HOME / "examples" / "asynchronous.toml", ("nodes=8",)).experiment))


def test_a_run_that_took_no_step_is_refused() -> None:
    with pytest.raises(SpecificationError, match="took no step"):
        judge(Vectorized().run(job(SGP(), budget=Steps(0))))


def test_a_run_that_diverged_is_judged_as_far_as_it_came() -> None:
    run = Vectorized().run(job(SGP(SGD(Constant(500.0)))))
    judgement = judge(run)
    assert run.outcome == "diverged" and judgement.sound
    assert "beyond which nothing can be compared" in judgement.verdicts["I1 average step"].sentence
    with pytest.raises(SpecificationError, match="nothing to judge"):
        judge(Vectorized().run(job(SGP(), start=1e200)))


@pytest.mark.parametrize("nodes", [1, 2])
def test_small_fleets(nodes: int) -> None:
    small = Experiment(SGP(), Quadratic(nodes, noise=0.0), ErdosRenyiDigraph(nodes, 0.5), Steps(7))
    assert judge(Vectorized().run(small)).sound


def test_the_command_judges_folders_and_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    backend = Simulated(Cluster(8), monitor="record", keep_trajectory=True)
    _, honest, _ = Store(tmp_path).run("honest", job(SGP()), backend)
    assert main(["judge", str(honest)]) == 0
    assert "0 violated" in capsys.readouterr().out
    _, lossy, _ = Store(tmp_path).run("lossy", job(SGP()), replace(backend, cluster=_lossy()))
    assert main(["judge", str(lossy)]) == 1
    out = capsys.readouterr().out
    assert "VIOLATED" in out and "I2 mass" in out
    assert main(["judge", str(lossy), "--json"]) == 1
    plain = json.loads(capsys.readouterr().out)
    assert plain["claims"]["I2 mass"]["verdict"] == "VIOLATED" and not plain["sound"]
    assert main(["judge", str(HOME / "examples" / "own_matrix.toml"), "budget.count=12"]) == 0
    capsys.readouterr()
    matrix = read(HOME / "examples" / "own_matrix.toml").experiment
    receiver, _ = matrix.schedule.round(3).pushes[0][0]
    fault = f"cluster.faults=[{{type='Drop', sender=0, receiver={receiver}, step=3}}]"
    for backend in ("auto", "Simulated", "TorchDistributed"):
        code = main(["judge", str(HOME / "examples" / "own_matrix.toml"), "budget.count=12", fault, f"backend.type={backend}"])
        assert code == 1 and "I2 mass" in capsys.readouterr().out, backend
    assert main(["judge", str(lossy), "budget.count=3"]) == 2
    assert "a run folder, which is judged as it is" in capsys.readouterr().err
    assert main(["judge", str(tmp_path / "none.toml")]) == 2
