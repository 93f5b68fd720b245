"""The standard setting: where a claim is judged that has no cases of its own yet.

The rule: stochastic gradient push on an irregular digraph and a quadratic; a run for pathwise claims, exact moments for
those about expectations, a sweep over K for rates, barrier times for laws. A claim that does not apply there is not as
declared, which tells its author to write a case.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from theory.case import Case
from theory.cases import exact, identities, rates, timing
from theory.cases.runs import IRREGULAR, path
from theory.cases.runs import exact as exact_figures
from theory.setting import Setting
from theory.theorem import Theorem
from theory.verdict import Outcome


def standard(claim: Theorem) -> Case:
    """One row for `claim`, declared to hold."""
    declared = Outcome.CONSISTENT if claim.kind == "asymptotic" else Outcome.HOLDS
    return Case(claim, partial(_evidence, claim.kind), declared)


def _evidence(kind: str) -> tuple[Setting, Any]:
    title = "standard setting: irregular digraph"
    match kind:
        case "expectation":
            job = next(iter(exact.JOBS.values()))
            return job.setting(title), exact_figures(job)
        case "asymptotic":
            return rates.over_steps(rates.UNEQUAL, IRREGULAR, title, 0, rates.STEPS)
        case "distribution":
            return timing.barrier(8)
        case _:
            job = next(iter(identities.JOBS.values()))
            return job.setting(title), path(job)
