"""The controls as rows: in each group one row is wrong on purpose, and the right one stands beside it in the same
setting."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from sgpsim.algorithms.overlap_sgp import OverlapSGP
from sgpsim.algorithms.push_sum import PushSum
from sgpsim.backends.events.simulated import Simulated
from sgpsim.budget import Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.faults import Drop
from sgpsim.descents.sgd import SGD
from sgpsim.descents.step_sizes import Constant
from sgpsim.experiment import Experiment
from sgpsim.objectives.quadratic import Quadratic, QuadraticArrays
from sgpsim.schedules.erdos_renyi import ErdosRenyiDigraph
from sgpsim.schedules.matrices import UncheckedMatrices
from sgpsim.schedules.one_peer_exponential import OnePeerExponential
from sgpsim.schedules.rotating_star import RotatingStar
from theory.case import Case
from theory.cases import exact, rates, sampled
from theory.cases.runs import IRREGULAR, Job, fleet, path, path_of, pretended
from theory.cases.runs import exact as exact_figures
from theory.claims.average_step import AverageStep
from theory.claims.consensus_bound import ConsensusBound
from theory.claims.consensus_profile import ConsensusProfile
from theory.claims.consensus_sum import ConsensusSum
from theory.claims.constants_preserved import ConstantsPreserved
from theory.claims.d1 import TheoremD1
from theory.claims.gradient_noise import GradientNoise
from theory.claims.kernel_contraction import KernelContraction
from theory.claims.mass_conservation import MassConservation
from theory.claims.moves import Moves
from theory.claims.one_peer_averaging import OnePeerAveraging
from theory.claims.positivity_time import PositivityTime
from theory.claims.rate_exponent import RateExponent
from theory.controls.algorithms import GradientAtNumerator, StepOnRatio, Still
from theory.controls.claims import AveragingAtAnySize, DiameterTime, Divided, OwnNodeBound
from theory.evidence import Moments, Path, moments_of
from theory.setting import Setting
from theory.sweep import Sweep
from theory.theorem import Theorem
from theory.verdict import Outcome

NOISY = Job(Quadratic(8, dimension=3, noise=0.5, unequal=True), IRREGULAR, 50, 0.05, seeds=4, start="apart")
DENSE = ErdosRenyiDigraph(8, 0.5)
QUIET = Job(Quadratic(8, dimension=1, noise=0.0, spread=0.0), DENSE, 2500, 0.1)
"""sigma = zeta = 0 and x* is not the start."""


def cases() -> list[Case]:
    return [
        *_pair("row-stochastic matrix", AverageStep(), _row_stochastic),
        *_pair("row-stochastic matrix", MassConservation(), _row_stochastic),
        Case(KernelContraction(), _asked_of_rows, Outcome.NOT_APPLICABLE, "row-stochastic matrix"),
        *_pair("gradient at x instead of z", ConsensusSum(), _gradient_at_numerator),
        *_pair("gradient at x instead of z", GradientNoise(), _gradient_at_numerator),
        *_pair("step on z", Moves(), _step_on_ratio),
        *_pair("dropped message", MassConservation(), _dropped),
        *_pair("dropped message", AverageStep(), _dropped),
        *_pair("biased overlap", ConstantsPreserved(), _biased),
        *_pair("no communication", RateExponent(), partial(_silent, 0), Outcome.CONSISTENT, Outcome.INCONSISTENT),
        *_pair("no communication", RateExponent(), partial(_silent, 40), Outcome.CONSISTENT, Outcome.INCONSISTENT, True),
        *_claims("own-node bound", OwnNodeBound(), ConsensusBound(), _apart),
        *_claims("diameter only", DiameterTime(), PositivityTime(), _star),
        *_claims("n not a power of two", AveragingAtAnySize(), KernelContraction(), _six),
        Case(OnePeerAveraging(), _six, Outcome.NOT_APPLICABLE, "n not a power of two"),
        *_claims("constant divided", Divided(KernelContraction()), KernelContraction(), _irregular),
        *_claims("constant divided", Divided(ConsensusProfile()), ConsensusProfile(), _noisy),
        *_claims("constant divided", Divided(TheoremD1()), TheoremD1(), _moments),
        *_claims("constant divided", Divided(TheoremD1(), 0.9), TheoremD1(), sampled.on_sigmoid, slow=True),
    ]


def _pair(
    group: str,
    claim: Theorem,
    make: Callable[[bool], tuple[Setting, Any]],
    right: Outcome = Outcome.HOLDS,
    wrong: Outcome = Outcome.VIOLATED,
    slow: bool = False,
) -> list[Case]:
    """A right claim on a right run and on a wrong one, in one setting."""
    return [
        Case(claim, partial(make, False), right, group, slow=slow),
        Case(claim, partial(make, True), wrong, group, control=True, slow=slow),
    ]


def _claims(group: str, wrong: Theorem, right: Theorem, make: Callable[[], tuple[Setting, Any]], slow: bool = False) -> list[Case]:
    """A right claim and a wrong one on the same evidence."""
    return [
        Case(right, make, Outcome.HOLDS, group, slow=slow),
        Case(wrong, make, Outcome.VIOLATED, group, control=True, slow=slow),
    ]


def _told(group: str, wrong: bool) -> str:
    return f"irregular digraph, {group if wrong else 'nothing wrong'}"


def _row_stochastic(wrong: bool) -> tuple[Setting, Path]:
    """The same arcs with rows instead of columns that sum to 1: what a transposed convention gives."""
    support = IRREGULAR.matrix(0).toarray() > 0
    rows = UncheckedMatrices((support / support.sum(axis=1, keepdims=True),))
    experiment = NOISY.experiment(schedule=rows if wrong else IRREGULAR)
    setting = NOISY.setting(_told("rows sum to 1", wrong))
    return setting, pretended(path_of(fleet("off"), experiment), setting)


def _asked_of_rows() -> tuple[Setting, None]:
    support = IRREGULAR.matrix(0).toarray() > 0
    rows = UncheckedMatrices((support / support.sum(axis=1, keepdims=True),))
    return Setting.of("asked of a row-stochastic matrix", rows, 50), None


def _gradient_at_numerator(wrong: bool) -> tuple[Setting, Moments]:
    """sigma = zeta = 0, so one seed is exact, and the wrong method shows in sum M."""
    descent = SGD(Constant(QUIET.step_size))
    found = path_of(fleet(), QUIET.experiment(GradientAtNumerator(descent) if wrong else None))
    return QUIET.setting(_told("gradient at x", wrong)), moments_of(found, QUIET.objective)


def _step_on_ratio(wrong: bool) -> tuple[Setting, Path]:
    descent = SGD(Constant(NOISY.step_size))
    found = path_of(fleet(), NOISY.experiment(StepOnRatio(descent) if wrong else None))
    return NOISY.setting(_told("step on z", wrong)), found


def _dropped(wrong: bool) -> tuple[Setting, Path]:
    """One message of round 7 arrives with nothing in it; the monitor is told to look on."""
    receiver, _ = IRREGULAR.round(7).pushes[0][0]
    cluster = Cluster(IRREGULAR.size, faults=(Drop(0, receiver, 7),) if wrong else ())
    backend = Simulated(cluster, monitor="record", trace=False, keep_trajectory=True)
    return NOISY.setting(_told("one message dropped", wrong)), path_of(backend, NOISY.experiment())


def _biased(wrong: bool) -> tuple[Setting, Path]:
    """f_i = |x - 1|^2 / 2, started at 1 and not moved, so a gradient says at which point it was taken."""
    schedule, delay, steps = OnePeerExponential(8), 1, 30
    objective = QuadraticArrays(np.eye(1), np.ones((schedule.size, 1)))
    method = OverlapSGP(Still(), delay=delay, biased=wrong)
    found = path_of(fleet(), Experiment(method, objective, schedule, Steps(steps), start=1.0))
    setting = Setting.of(f"overlap SGP{', biased' if wrong else ''}, one-peer exponential", schedule, steps, objective, None, 1.0, delay)
    return setting, replace(pretended(found, setting), points=found.gradients + 1.0)


def _silent(seeds: int, wrong: bool) -> tuple[Setting, Sweep]:
    """P = I instead of the schedule: every node minimizes its own function, and the average of these is no
    minimizer."""
    objective, steps = rates.UNEQUAL, rates.STEPS
    jobs = [Job(objective, IRREGULAR, count, math.sqrt(8 / count), seeds=max(seeds, 1)) for count in steps]
    title = _told("no messages", wrong) + f", unequal curvature, {f'{seeds} seeds' if seeds else 'exact'}"
    asked = rates.swept(jobs, title)
    if wrong:
        jobs = [replace(job, schedule=UncheckedMatrices((np.eye(8),))) for job in jobs]
    return asked, rates.sweep("K", jobs, seeds)


def _apart() -> tuple[Setting, Path]:
    """Starts (0, 1, 1, 1), no gradients."""
    schedule, steps = OnePeerExponential(4), 8
    objective = QuadraticArrays(np.eye(1), np.zeros((4, 1)))
    starts = np.array([[0.0], [1.0], [1.0], [1.0]])
    found = path_of(fleet(), Experiment(PushSum(), objective, schedule, Steps(steps), start=starts))  # pyright: ignore[reportArgumentType]
    return Setting.of("starts (0, 1, 1, 1), no gradients, n = 4", schedule, steps, objective, None, starts), found


def _star() -> tuple[Setting, None]:
    return Setting.of("rotating star, n = 6", RotatingStar(6), 50), None


def _six() -> tuple[Setting, None]:
    return Setting.of("one-peer exponential, n = 6", OnePeerExponential(6), 50), None


def _irregular() -> tuple[Setting, None]:
    return Setting.of("irregular digraph", IRREGULAR, 100), None


def _noisy() -> tuple[Setting, Path]:
    return NOISY.setting("SGP, irregular digraph"), path(NOISY)


def _moments() -> tuple[Setting, Moments]:
    title, job = next(iter(exact.JOBS.items()))
    return job.setting(title), exact_figures(job)
