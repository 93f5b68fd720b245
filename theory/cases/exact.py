"""Claims about expectations, on exact moments: quadratics with additive noise, no sampling error."""

from __future__ import annotations

import math
from functools import partial

from sgpsim.objectives.quadratic import Quadratic
from sgpsim.schedules.one_peer_exponential import OnePeerExponential
from sgpsim.schedules.rotating_star import RotatingStar
from theory.case import Case
from theory.cases.runs import IRREGULAR, Job, exact
from theory.claims.consensus_sum import ConsensusSum
from theory.claims.contraction_step import ContractionStep
from theory.claims.d1 import TheoremD1
from theory.claims.d2 import TheoremD2
from theory.claims.descent_step import DescentStep
from theory.claims.gradient_bound import GradientBound
from theory.claims.gradients_at_nodes import GradientsAtNodes
from theory.setting import Setting
from theory.verdict import Outcome

ONE_STEP = (DescentStep(), ContractionStep())
WITH_A2 = (GradientBound(), ConsensusSum(), TheoremD1(), GradientsAtNodes())

SHARED = Quadratic(8, dimension=2, noise=0.5, spread=0.3, distance=2.0, least_curvature=0.3)
UNEQUAL = Quadratic(8, dimension=2, noise=0.5, spread=0.3, distance=2.0, least_curvature=0.3, unequal=True)
ALIKE = Quadratic(8, dimension=2, noise=0.5, spread=0.05, distance=2.0, least_curvature=0.3)
JOBS = {
    "exact moments, irregular digraph": Job(SHARED, IRREGULAR, 500, 0.02),
    "exact moments, one-peer exponential": Job(SHARED, OnePeerExponential(8), 500, 0.02),
    "exact moments, irregular digraph, starts apart": Job(SHARED, IRREGULAR, 500, 0.01, start="apart"),
    "exact moments, irregular digraph, tau = 2": Job(SHARED, IRREGULAR, 500, 0.004, delay=2),
}


def cases() -> list[Case]:
    found: list[Case] = []
    for title, job in JOBS.items():
        found += [Case(claim, partial(_exact, title, job), Outcome.HOLDS) for claim in (*ONE_STEP, *WITH_A2)]
    title, job = "exact moments, curvatures differ: A2 fails", Job(UNEQUAL, IRREGULAR, 500, 0.02)
    found += [Case(claim, partial(_exact, title, job), Outcome.HOLDS) for claim in ONE_STEP]
    found.append(Case(TheoremD1(), partial(_exact, title, job), Outcome.UNDECIDED))
    for steps, declared in ((1000, Outcome.NOT_APPLICABLE), (4000, Outcome.HOLDS), (20000, Outcome.HOLDS)):
        found.append(_at_rate("irregular digraph", Job(ALIKE, IRREGULAR, steps, math.sqrt(8 / steps)), declared))
    for steps, declared in ((500, Outcome.NOT_APPLICABLE), (1000, Outcome.HOLDS), (20000, Outcome.HOLDS)):
        job = Job(ALIKE, OnePeerExponential(8), steps, math.sqrt(8 / steps))
        found.append(_at_rate("one-peer exponential", job, declared))
    star = Quadratic(6, dimension=2, noise=0.2, spread=0.05, distance=2.0, least_curvature=0.3)
    found.append(_at_rate("rotating star", Job(star, RotatingStar(6), 20000, math.sqrt(6 / 20000)), Outcome.HOLDS))
    return found


def _at_rate(title: str, job: Job, declared: Outcome) -> Case:
    full_title = f"exact moments, {title}, K = {job.steps}"
    return Case(TheoremD2(), partial(_exact, full_title, job), declared, slow=job.steps > 10000)


def _exact(title: str, job: Job) -> tuple[Setting, object]:
    return job.setting(title), exact(job)
