"""Contraction: Lemma A on schedules of all kinds, with and without late messages, and the consensus bounds on runs."""

from __future__ import annotations

from functools import lru_cache, partial

import numpy as np

from sgpsim.schedules.matrices import UncheckedMatrices
from sgpsim.schedules.one_peer_exponential import OnePeerExponential
from sgpsim.schedules.random_peer import RandomPeer
from sgpsim.schedules.ring import DirectedRing
from sgpsim.schedules.rotating_star import RotatingStar
from sgpsim.schedules.schedule import Schedule
from sgpsim.schedules.static_exponential import StaticExponential
from theory.case import Case
from theory.cases.identities import JOBS
from theory.cases.runs import IRREGULAR, Job, path
from theory.claims.consensus_bound import ConsensusBound
from theory.claims.consensus_profile import ConsensusProfile
from theory.claims.delayed_kernel import DelayedKernel
from theory.claims.delayed_positivity_time import DelayedPositivityTime
from theory.claims.kernel_a_priori import KernelAPriori
from theory.claims.kernel_contraction import KernelContraction
from theory.claims.one_peer_averaging import OnePeerAveraging
from theory.claims.positivity_time import PositivityTime
from theory.claims.profile_sums import ProfileSums
from theory.claims.static_exponential_gap import StaticExponentialGap
from theory.claims.static_exponential_gap_odd import StaticExponentialGapOdd
from theory.setting import Setting
from theory.theorem import Theorem
from theory.verdict import Outcome

CONTRACTING: dict[str, Schedule] = {
    "irregular digraph": IRREGULAR,
    "rotating star, n = 6": RotatingStar(6),
    "directed ring, n = 6": DirectedRing(6),
    "random peers, n = 8": RandomPeer(8),
    "one-peer exponential, n = 16": OnePeerExponential(16),
}
LATE: dict[str, tuple[Schedule, int]] = {
    "irregular digraph, tau = 2": (IRREGULAR, 2),
    "rotating star, n = 6, tau = 1": (RotatingStar(6), 1),
}


def pausing_ring(nodes: int) -> Schedule:
    """A directed ring that is active at steps 0 and 3 of every 4, so B = 2: the case in which T' with late messages
    is met exactly."""
    ring = DirectedRing(nodes).matrix(0).toarray()
    rest = np.eye(nodes)
    return UncheckedMatrices((ring, rest, rest, ring))


def cases() -> list[Case]:
    every = (PositivityTime(), KernelContraction(), KernelAPriori(), ProfileSums())
    found: list[Case] = []
    for title, schedule in CONTRACTING.items():
        for claim in every:
            exact = isinstance(schedule, OnePeerExponential) and isinstance(claim, ProfileSums)  # lambda = 0: no C, q
            found.append(_case(claim, title, schedule, outcome=Outcome.NOT_APPLICABLE if exact else Outcome.HOLDS))
    for title, (schedule, delay) in LATE.items():
        found += [_case(claim, title, schedule, delay) for claim in (DelayedPositivityTime(), DelayedKernel(), KernelAPriori())]
    for nodes in (3, 4, 5, 6):
        title = f"ring active at steps 0 and 3 of 4, n = {nodes}, tau = 1"
        found.append(_case(DelayedPositivityTime(), title, pausing_ring(nodes), delay=1))
    found += [_case(StaticExponentialGap(), f"static exponential, n = {n}", StaticExponential(n)) for n in (8, 12, 64)]
    found += [_case(StaticExponentialGapOdd(), f"static exponential, n = {n}", StaticExponential(n)) for n in (7, 33)]
    found += [_case(OnePeerAveraging(), f"one-peer exponential, n = {n}", OnePeerExponential(n)) for n in (8, 64)]
    for title, job in JOBS.items():
        found += [Case(claim, partial(_run, title, job), Outcome.HOLDS) for claim in (ConsensusBound(), ConsensusProfile())]
    return found


def _case(claim: Theorem, title: str, schedule: Schedule, delay: int = 0, outcome: Outcome = Outcome.HOLDS) -> Case:
    return Case(claim, partial(_matrices, title, schedule, delay), outcome)


@lru_cache(maxsize=16)
def _matrices(title: str, schedule: Schedule, delay: int) -> tuple[Setting, object]:
    return Setting.of(title, schedule, 200, delay=delay), None


def _run(title: str, job: Job) -> tuple[Setting, object]:
    return job.setting(title), path(job)
