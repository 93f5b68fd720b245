"""Seconds until a training loss is reached, for any of the entrants on any cluster, with the step size tuned beforehand.

The rule: numbers are computed once for all clusters where they do not depend on the cluster. The time of step k on a cluster then comes
from the same text of the method on a problem of one number, whose messages are declared as large as the real ones: the clock knows
nothing of the numerics. A step counts as done when the last node has done it. Where the numbers do depend on timing (AD-PSGD), every
cluster is simulated whole, and the time is the instant at which the loss of the average over all nodes and messages was first measured at
or below the target, once in n gradients.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.optimize import minimize

from sgpsim.backends.events.simulated import Simulated
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.budget import Steps, TargetLoss
from sgpsim.clusters.cluster import Cluster
from sgpsim.experiment import Experiment
from sgpsim.objectives.objective import Objective
from sgpsim.objectives.quadratic import Quadratic
from studies.entrants import Entrant

Times = NDArray[np.float64]


@dataclass(frozen=True)
class Task:
    """objective: what is trained. target: the loss f(xbar) to reach. steps: given up after. message_bytes: of one message."""

    objective: Objective
    target: float
    steps: int
    message_bytes: float
    measure_every: int = 2

    def experiment(self, entrant: Entrant, step_size: float, seeds: tuple[int, ...]) -> Experiment:
        nodes = self.objective.nodes
        budget = Steps(self.steps) if entrant.keeps_step else TargetLoss(self.target, self.steps)
        return Experiment(
            entrant.algorithm(step_size), self.objective, entrant.schedule(nodes), budget, seeds, None, self.message_bytes,
            self.measure_every if entrant.keeps_step else 1,
        )  # fmt: skip


def lowest_loss(objective: Objective) -> float:
    """min f, by a quasi-Newton method from the objective's own start (observed; f is convex where this is used)."""

    def value(point: Times) -> tuple[float, Times]:
        return float(np.asarray(objective.loss(point[None]))[0]), np.asarray(objective.full_gradient(point[None]))[0]

    start = np.broadcast_to(np.asarray(objective.start(), dtype=np.float64), (objective.dimension,))
    return float(minimize(value, start, jac=True, method="L-BFGS-B", options={"maxiter": 2000, "maxfun": 4000, "gtol": 1e-7}).fun)


def steps_to_target(task: Task, entrant: Entrant, step_size: float, seeds: tuple[int, ...]) -> Times:
    """Per seed, the first measured step at which the loss was at or below the target; inf where it never was. Any cluster."""
    run = Vectorized().run(task.experiment(entrant, step_size, seeds))
    return run.time_to(task.target)["step"].cast(float).fill_null(float("inf")).to_numpy()


@cache
def step_times(entrant: Entrant, cluster: Cluster, seeds: tuple[int, ...], steps: int, message_bytes: float) -> Times:
    """When the last node had done k steps, (steps + 1, seeds), seconds."""
    nodes = cluster.nodes
    experiment = Experiment(
        entrant.algorithm(0.1), Quadratic(nodes, dimension=1), entrant.schedule(nodes), Steps(steps), seeds, None, message_bytes
    )
    curve = Vectorized(cluster, monitor="off").run(experiment).curve("loss").sort("step", "seed")
    return curve["time"].to_numpy().reshape(-1, len(seeds))[: steps + 1]


def seconds_to_target(task: Task, entrant: Entrant, step_size: float, cluster: Cluster, seeds: tuple[int, ...]) -> Times:
    """Per seed, seconds until the target; inf where it was not reached within `task.steps` steps."""
    return seconds_and_end(task, entrant, step_size, cluster, seeds)[0]


def seconds_and_end(task: Task, entrant: Entrant, step_size: float, cluster: Cluster, seeds: tuple[int, ...]) -> tuple[Times, Times]:
    """`seconds_to_target`, and when each seed's run ended, which is what one knows of a target that it did not reach."""
    if not entrant.keeps_step:
        run = Simulated(cluster, trace=False).run(task.experiment(entrant, step_size, seeds))
        last = run.curve("loss").group_by("seed", maintain_order=True).agg(pl.col("time").max())
        return run.time_to(task.target)["time"].fill_null(float("inf")).to_numpy(), last["time"].to_numpy()
    reached = steps_to_target(task, entrant, step_size, seeds)
    return at_steps(task, entrant, reached, cluster, seeds), at_end(task, entrant, cluster, seeds)


def at_end(task: Task, entrant: Entrant, cluster: Cluster, seeds: tuple[int, ...]) -> Times:
    """When all `task.steps` steps are done on `cluster`, by seed."""
    return step_times(entrant, cluster, seeds, task.steps, task.message_bytes)[-1]


def at_steps(task: Task, entrant: Entrant, reached: Times, cluster: Cluster, seeds: tuple[int, ...]) -> Times:
    """The times on `cluster` of the steps that the seeds reached their targets at."""
    times = step_times(entrant, cluster, seeds, task.steps, task.message_bytes)
    found = np.full(len(seeds), np.inf)
    for column, step in enumerate(reached):
        if np.isfinite(step):
            found[column] = times[int(step), column]
    return found
