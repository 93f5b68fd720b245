"""Runs that cases are judged on: an experiment, its setting and its path, made once each.

The rule: everything is drawn from fixed seeds, so that a table repeats itself. The setting is built from the schedule
and the objective, never from the run.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Literal

import numpy as np

from sgpsim.algorithms.algorithm import Algorithm
from sgpsim.algorithms.overlap_sgp import OverlapSGP
from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.backend import Backend
from sgpsim.backends.events.simulated import Simulated
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.budget import Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.descents.descent import Descent
from sgpsim.descents.sgd import SGD
from sgpsim.descents.step_sizes import Constant
from sgpsim.experiment import Experiment
from sgpsim.objectives.objective import Objective
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.schedules.erdos_renyi import ErdosRenyiDigraph
from sgpsim.schedules.schedule import Schedule
from theory.cases.experiments import origin_of, setting_of
from theory.evidence import Moments, Path, moments_of
from theory.exact_moments import Quadratics, exact_moments
from theory.setting import Setting

IRREGULAR = ErdosRenyiDigraph(8, 0.3)
"""The digraph of most cases: out-degrees differ, weights lie between 0.16 and 2.6."""


@dataclass(frozen=True)
class Job:
    """One experiment: a method with plain SGD of a constant step on a schedule. start: where nodes start, each at
    another point if "apart". descent: another one instead of plain SGD, with step sizes of its own."""

    objective: Objective
    schedule: Schedule
    steps: int
    step_size: float
    seeds: int = 1
    delay: int = 0
    start: float | Literal["apart"] = 0.0
    dtype: Literal["float64", "float32"] = "float64"
    descent: Descent | None = None

    @property
    def starts(self) -> np.ndarray:
        """X^0: (nodes, dimension)."""
        shape = (self.objective.nodes, self.objective.dimension)
        if self.start == "apart":
            return np.cos(np.arange(shape[0] * shape[1])).reshape(shape)
        return np.full(shape, float(self.start))

    @property
    def algorithm(self) -> Algorithm:
        descent = self.descent or SGD(Constant(self.step_size))
        return OverlapSGP(descent, delay=self.delay) if self.delay else SGP(descent)

    def experiment(self, algorithm: Algorithm | None = None, schedule: Schedule | None = None) -> Experiment:
        return Experiment(
            algorithm or self.algorithm,
            self.objective,
            schedule or self.schedule,
            Steps(self.steps),
            tuple(range(self.seeds)),
            start=self.starts,  # pyright: ignore[reportArgumentType]
            dtype=self.dtype,
        )

    def setting(self, title: str) -> Setting:
        return _setting(self, title)


@lru_cache(maxsize=64)  # several claims ask about one setting, and its constants take time
def _setting(job: Job, title: str) -> Setting:
    return setting_of(job.experiment(), title)


def fleet(monitor: Literal["raise", "record", "off"] = "raise") -> Backend:
    """The array backend, keeping all cuts."""
    return Vectorized(monitor=monitor, keep_trajectory=True)


def events(nodes: int) -> Backend:
    """The event backend on machines of one pace, keeping all cuts."""
    return Simulated(Cluster(nodes), trace=False, keep_trajectory=True)


@lru_cache(maxsize=2)  # paths are large
def path(job: Job, backend: Backend | None = None) -> Path:
    """The job's path, on the array backend unless another is given."""
    return path_of((backend or fleet()), job.experiment())


def path_of(backend: Backend, experiment: Experiment) -> Path:
    """The path of any experiment, with the setting that it was made in; what a drain adds after the last step is left out."""
    run, origin = backend.run(experiment), origin_of(experiment)
    assert run.trajectory is not None
    return Path.of(run.trajectory, origin.steps, origin=origin)


def pretended(evidence: Path, setting: Setting) -> Path:
    """The path of a wrong run as somebody has it who believes that it is the run of `setting`."""
    return replace(evidence, origin=setting)


@lru_cache(maxsize=8)
def moments(job: Job) -> Moments:
    """Per-seed figures of the job's path."""
    return moments_of(path(job), job.objective, getattr(job.objective, "minimizer", None))


@cache
def exact(job: Job) -> Moments:
    """The job's moments without sampling; its objective must be a quadratic with noise alike in all coordinates."""
    return exact_moments(job.setting("exact moments"), as_quadratics(job.objective))


def as_quadratics(objective: Objective) -> Quadratics:
    assert isinstance(objective, Quadratic)
    noise = np.eye(objective.dimension) * objective.noise**2 / objective.dimension
    return Quadratics(
        np.array(objective.hessians),
        objective.centers,
        np.broadcast_to(noise, (objective.nodes, *noise.shape)),
    )
