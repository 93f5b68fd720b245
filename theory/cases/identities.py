"""Identities I1 to I8: on runs of both backends, both types, with late messages, and on matrices of all kinds."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from sgpsim.descents.momentum import Momentum
from sgpsim.descents.step_sizes import Constant, StepDecay
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.schedules.one_peer_exponential import OnePeerExponential
from sgpsim.schedules.random_matching import RandomMatching
from sgpsim.schedules.random_peer import RandomPeer
from sgpsim.schedules.rotating_star import RotatingStar
from theory.case import Case
from theory.cases.runs import IRREGULAR, Job, events, path
from theory.claims.absolute_probabilities import AbsoluteProbabilities
from theory.claims.average_step import AverageStep
from theory.claims.deviation_decomposition import DeviationDecomposition
from theory.claims.kernel_annihilates_weights import KernelAnnihilatesWeights
from theory.claims.kernel_composition import KernelComposition
from theory.claims.kernel_entries import KernelEntries
from theory.claims.mass_conservation import MassConservation
from theory.claims.moves import Moves
from theory.claims.weighted_mean import WeightedMean
from theory.setting import Setting
from theory.verdict import Outcome

EIGHT = Quadratic(8, dimension=3, noise=0.5, unequal=True)
STEPPED = Job(EIGHT, IRREGULAR, 50, 0.05, seeds=4, start="apart")
JOBS = {
    "SGP, irregular digraph, float64": Job(EIGHT, IRREGULAR, 50, 0.1, seeds=4, start="apart"),
    "SGP, irregular digraph, float32": Job(EIGHT, IRREGULAR, 50, 0.1, seeds=4, start="apart", dtype="float32"),
    "SGP, one-peer exponential": Job(EIGHT, OnePeerExponential(8), 50, 0.1, seeds=4, start="apart"),
    "SGP, random peers": Job(EIGHT, RandomPeer(8), 50, 0.1, seeds=4, start="apart"),
    "overlap SGP, tau = 2, irregular digraph": Job(EIGHT, IRREGULAR, 50, 0.05, seeds=4, delay=2, start="apart"),
    "SGP, Nesterov momentum, step size decays": replace(STEPPED, descent=Momentum(StepDecay(0.05, (20, 35)))),
    "overlap SGP, tau = 2, heavy ball": replace(STEPPED, descent=Momentum(Constant(0.02), nesterov=False), delay=2),
}
ON_PATHS = (AverageStep(), Moves(), MassConservation(), WeightedMean(), DeviationDecomposition())
ON_MATRICES = (KernelEntries(), KernelAnnihilatesWeights(), AbsoluteProbabilities(), KernelComposition())
SCHEDULES = (IRREGULAR, RotatingStar(6), RandomMatching(8))


def cases() -> list[Case]:
    found = [Case(claim, partial(_on_path, title, job), Outcome.HOLDS) for title, job in JOBS.items() for claim in ON_PATHS]
    found += [Case(claim, _on_events, Outcome.HOLDS) for claim in ON_PATHS]
    found += [Case(claim, partial(_on_matrices, schedule), Outcome.HOLDS) for schedule in SCHEDULES for claim in ON_MATRICES]
    return found


def _on_path(title: str, job: Job) -> tuple[Setting, object]:
    return job.setting(title), path(job)


def _on_events() -> tuple[Setting, object]:
    job = JOBS["SGP, irregular digraph, float64"]
    return job.setting("SGP on the event clock, irregular digraph"), path(job, events(8))


def _on_matrices(schedule: object) -> tuple[Setting, object]:
    return Setting.of(type(schedule).__name__, schedule, 40), None  # pyright: ignore[reportArgumentType]
