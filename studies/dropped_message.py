"""One dropped message: what the mass monitor says, and what becomes of the verdicts, beside the same run with nothing lost.

The rule: both runs differ in the fault alone. The monitor's words come from the run, the verdicts from the claims that every run of
push-sum must obey (mass is conserved; the average moves by the moves alone), judged on the whole trajectory.
"""

from __future__ import annotations

from dataclasses import dataclass

from sgpsim.backends.events.simulated import Simulated
from sgpsim.budget import Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.faults import Drop
from sgpsim.experiment import Experiment
from sgpsim.objectives.softmax import SoftmaxRegression
from studies.entrants import entrant
from theory.claims.average_step import AverageStep
from theory.claims.mass_conservation import MassConservation
from theory.evidence import Path
from theory.setting import Setting
from theory.verdict import Outcome, Verdict, verify

CLAIMS = (AverageStep(), MassConservation())


@dataclass(frozen=True)
class Loss:
    """The message of round `step` from `sender` to `receiver` arrives empty; the run goes on for `steps` steps on `nodes` nodes."""

    nodes: int = 16
    sender: int = 3
    receiver: int = 4
    step: int = 20
    steps: int = 40

    @property
    def words(self) -> str:
        return f"message of round {self.step} from node {self.sender} to node {self.receiver} dropped"


@dataclass(frozen=True)
class Judged:
    """What is said of one run. outcome: of the run. monitor: its words, the first leak. verdicts: by claim."""

    run: str
    outcome: str
    monitor: str
    verdicts: dict[str, Verdict]

    @property
    def holds(self) -> bool:
        return all(verdict.outcome is Outcome.HOLDS for verdict in self.verdicts.values())


def judged(loss: Loss, lost: bool) -> Judged:
    """SGP on digits with the message dropped, or not."""
    racer = entrant("SGP")
    objective = SoftmaxRegression(loss.nodes, regularization=1e-3)
    experiment = Experiment(racer.algorithm(1.0), objective, racer.schedule(loss.nodes), Steps(loss.steps))
    cluster = Cluster(loss.nodes, faults=(Drop(loss.sender, loss.receiver, loss.step),) if lost else ())
    run = Simulated(cluster, monitor="record", trace=False, keep_trajectory=True).run(experiment)
    name = loss.words if lost else "nothing dropped"
    setting = Setting.of(f"SGP on {loss.nodes} nodes, {name}", experiment.schedule, loss.steps, objective, 1.0)
    path = Path.of(run.trajectory, loss.steps)
    monitor = run.remarks[0] if run.remarks else "no leak"
    return Judged(name, run.outcome, monitor, {claim.name: verify(claim, setting, path) for claim in CLAIMS})
