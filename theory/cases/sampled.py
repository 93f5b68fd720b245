"""Claims about expectations, on independent seeds: a loss that is not convex but has certified constants, and real data
with observed ones.

The rule: at least 30 seeds; the sigmoid's features are scaled so that the bounds are below what standing still would
give.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache, partial

import numpy as np

from sgpsim.objectives.datasets import SyntheticClassification
from sgpsim.objectives.logistic import LogisticRegression
from sgpsim.objectives.observed import observed_constants
from sgpsim.objectives.sigmoid import SigmoidLoss
from sgpsim.schedules.erdos_renyi import ErdosRenyiDigraph
from sgpsim.schedules.one_peer_exponential import OnePeerExponential
from theory.case import Case
from theory.cases.runs import Job, moments, path
from theory.claims.consensus_sum import ConsensusSum
from theory.claims.d1 import TheoremD1
from theory.claims.d2 import TheoremD2
from theory.claims.gradient_bound import GradientBound
from theory.claims.gradient_noise import GradientNoise
from theory.claims.gradients_at_nodes import GradientsAtNodes
from theory.setting import Setting
from theory.verdict import Outcome

SEEDS = 40
CLAIMS = (GradientNoise(), GradientBound(), ConsensusSum(), TheoremD1(), GradientsAtNodes())


@cache
def sigmoid(nodes: int) -> SigmoidLoss:
    return SigmoidLoss(nodes, SyntheticClassification(256, 10, groups=16, unlikeness=1.0), batch=16, scale=4.0)


@cache
def logistic() -> LogisticRegression:
    return LogisticRegression(8, batch=8)


def cases() -> list[Case]:
    found = [Case(claim, on_sigmoid, Outcome.HOLDS, slow=True) for claim in CLAIMS]
    for nodes, steps in ((4, 2000), (8, 2000)):
        found.append(Case(TheoremD2(), partial(_at_rate, nodes, steps), Outcome.HOLDS, slow=True))
    found.append(Case(TheoremD1(), _observed, Outcome.HOLDS_OBSERVED, slow=True))
    found.append(Case(TheoremD1(), _epochs, Outcome.NOT_APPLICABLE))
    return found


def on_sigmoid() -> tuple[Setting, object]:
    job = Job(sigmoid(8), ErdosRenyiDigraph(8, 0.3), 500, 0.15, seeds=SEEDS)
    return job.setting(f"sigmoid loss, unlike data, irregular digraph, {SEEDS} seeds"), moments(job)


def _at_rate(nodes: int, steps: int) -> tuple[Setting, object]:
    job = Job(sigmoid(nodes), OnePeerExponential(nodes), steps, math.sqrt(nodes / steps), seeds=SEEDS)
    return job.setting(f"sigmoid loss, one-peer exponential, n = {nodes}, K = {steps}"), moments(job)


def _observed() -> tuple[Setting, object]:
    job = Job(logistic(), OnePeerExponential(8), 400, 0.02, seeds=SEEDS)
    setting, visited = job.setting("logistic regression, constants at visited points"), path(job)
    # every tenth step's average of each of four seeds, and the nodes' points at the end
    points = np.concatenate((visited.average[::10, :4].reshape(-1, 30 + 1), visited.ratios[-1, :, 0]))
    seen = observed_constants(job.objective, points)
    return replace(setting, constants=seen), moments(job)


def _epochs() -> tuple[Setting, object]:
    shuffled = replace(sigmoid(8), sampling="epochs")
    return Job(shuffled, OnePeerExponential(8), 400, 0.05).setting("sigmoid loss, shuffled epochs"), None
