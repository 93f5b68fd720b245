"""Rates: exponents in K and in n, on quadratics of unequal curvature over irregular digraphs and on the sigmoid loss.

The rule: gamma = sqrt(n/K) at every point, the same seeds at every point. With a shared Hessian and regular weights the
average follows plain SGD whatever the nodes send, so the quadratics here have unequal curvature, or irregular weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Literal

import numpy as np

from sgpsim.objectives.objective import Objective
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.schedules.erdos_renyi import ErdosRenyiDigraph
from sgpsim.schedules.one_peer_exponential import OnePeerExponential
from sgpsim.schedules.schedule import Schedule
from theory.case import Case
from theory.cases.runs import IRREGULAR, Job, exact, path
from theory.cases.sampled import sigmoid
from theory.claims.linear_speed_up import LinearSpeedUp
from theory.claims.rate_exponent import RateExponent
from theory.claims.rate_in_steps import RateInSteps
from theory.setting import Setting, SweepPoint
from theory.sweep import Sweep
from theory.verdict import Outcome

SEEDS = 40
STEPS = (500, 1000, 2000, 4000)
NODES = (4, 8, 16)
UNEQUAL = Quadratic(8, dimension=2, noise=2.0, spread=2.0, distance=1.0, least_curvature=0.5, unequal=True)


def shared(nodes: int) -> Quadratic:
    """The same f for every number of nodes, up to a constant."""
    return Quadratic(nodes, dimension=2, noise=2.0, spread=0.2, distance=1.0, least_curvature=0.5)


def digraph(nodes: int) -> Schedule:
    return ErdosRenyiDigraph(nodes, 0.4)


def cases() -> list[Case]:
    title = "unequal curvature, irregular digraph"
    quadratic = partial(over_steps, UNEQUAL, IRREGULAR)
    loss = partial(_sigmoid_over_steps)
    return [
        Case(
            RateExponent(),
            partial(quadratic, f"{title}, exact moments", 0, STEPS),
            Outcome.CONSISTENT,
        ),
        Case(RateInSteps(), partial(quadratic, f"{title}, exact moments", 0, STEPS), Outcome.CONSISTENT),
        Case(RateExponent(), partial(quadratic, f"{title}, {SEEDS} seeds", SEEDS, STEPS), Outcome.CONSISTENT, slow=True),
        Case(RateInSteps(), loss, Outcome.CONSISTENT, slow=True),
        Case(
            LinearSpeedUp(),
            partial(over_nodes, shared, digraph, "shared curvature, irregular digraphs, exact moments", 0, 4000),
            Outcome.CONSISTENT,
        ),
        Case(
            LinearSpeedUp(),
            partial(over_nodes, shared, digraph, f"shared curvature, irregular digraphs, {SEEDS} seeds", SEEDS, 4000),
            Outcome.CONSISTENT,
            slow=True,
        ),
    ]


def over_steps(objective: Objective, schedule: Schedule, title: str, seeds: int, steps: tuple[int, ...]) -> tuple[Setting, Sweep]:
    """Average squared gradient norm over K; exact moments if there are no seeds."""
    nodes = schedule.size
    jobs = [Job(objective, schedule, count, math.sqrt(nodes / count), seeds=max(seeds, 1)) for count in steps]
    return swept(jobs, title), sweep("K", jobs, seeds)


def over_nodes(
    objective: Callable[[int], Objective], schedule: Callable[[int], Schedule], title: str, seeds: int, steps: int
) -> tuple[Setting, Sweep]:
    """Average squared gradient norm over n at a fixed K."""
    jobs = [Job(objective(n), schedule(n), steps, math.sqrt(n / steps), seeds=max(seeds, 1)) for n in NODES]
    return swept(jobs, title), sweep("n", jobs, seeds)


def swept(jobs: list[Job], title: str) -> Setting:
    """The setting of a sweep: that of its last job, with what each point was made at."""
    return replace(jobs[-1].setting(title), points=_points(jobs))


def sweep(over: Literal["K", "n"], jobs: list[Job], seeds: int) -> Sweep:
    """The jobs' figures along one axis."""
    at = np.array([job.steps if over == "K" else job.schedule.size for job in jobs])
    return Sweep(over, at, np.stack([average_squared_gradient(job, seeds) for job in jobs]), _points(jobs))


def _points(jobs: list[Job]) -> tuple[SweepPoint, ...]:
    return tuple(SweepPoint(job.schedule.size, job.steps, job.setting("").step_size) for job in jobs)


@cache
def average_squared_gradient(job: Job, seeds: int) -> np.ndarray:
    """(1/K) sum_k |grad f(xbar^k)|^2: (seeds,), or a number if it is computed without sampling."""
    if not seeds:
        return np.asarray(exact(job).squared_gradient.mean())
    average = path(job).average[:-1]
    return (np.asarray(job.objective.full_gradient(average)) ** 2).sum(axis=-1).mean(axis=0)


def _sigmoid_over_steps() -> tuple[Setting, Sweep]:
    title = f"sigmoid loss, one-peer exponential, n = 8, {SEEDS} seeds"
    return over_steps(sigmoid(8), OnePeerExponential(8), title, SEEDS, (250, 500, 1000, 2000))
