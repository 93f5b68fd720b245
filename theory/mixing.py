"""Mixing: everything about a schedule's matrices that averaging depends on, as one value.

The rule: computed from the matrices alone. Quantities that are meaningless where an assumption fails are None. Of a
schedule that repeats they hold for ever, of one that does not for the rounds looked at; sums are cut off where norms
have become negligible or the horizon is half over, and what is cut off is bounded and counted in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sgpsim.schedules.schedule import Schedule
from theory import assumptions
from theory.claims import claims
from theory.connectivity import strongly_connected, unions
from theory.contraction import Contraction, Profile, a_priori, contraction, profile
from theory.setting import Setting
from theory.spectrum import gap, second_singular_values

SHOWN = 12
"""Product lengths whose singular values are given."""


@dataclass(frozen=True)
class Assumption:
    """name: what push-sum needs. passed, evidence: whether and how it holds. cure: what to change if it does not."""

    name: str
    passed: bool
    evidence: str
    cure: str


@dataclass(frozen=True)
class Application:
    """Whether a claim applies: `applies`, `needs` (only what the matrices do not say is open), or `fails`; and why."""

    claim: str
    status: str
    why: str


@dataclass(frozen=True, eq=False)
class Mixing:
    """title, nodes, period (None: never repeats), rounds (looked at), assumptions; then, per quantity:

    smallest_share; row_sums, the least and the largest; window B, diameters per window, same_windows; time T and the
    bound proved for it; contraction; profile; singular: second singular value of products of 1, 2, ... rounds,
    largest over starts; spectral_gap per round; exact_after: rounds after which averaging is exact; weights:
    smallest and largest weight seen; weight_bound: what is known of them from B and the smallest share;
    applications: which claims apply.
    """

    title: str
    nodes: int
    period: int | None
    rounds: int
    assumptions: tuple[Assumption, ...]
    smallest_share: float
    row_sums: tuple[float, float]
    window: int | None
    diameters: tuple[int, ...]
    same_windows: bool
    time_bound: int | None
    contraction: Contraction | None
    profile: Profile | None
    singular: NDArray[np.float64]
    spectral_gap: float | None
    weights: tuple[float, float] | None
    weight_bound: float | None
    applications: tuple[Application, ...]

    @property
    def passed(self) -> bool:
        return all(assumption.passed for assumption in self.assumptions)

    @property
    def doubly_stochastic(self) -> bool:
        columns = next(one for one in self.assumptions if "column" in one.name)
        return columns.passed and max(abs(self.row_sums[0] - 1), abs(self.row_sums[1] - 1)) <= assumptions.COLUMN_TOLERANCE


def mixing(schedule: Schedule, title: str, rounds: int | None = None) -> Mixing:
    """Look at `schedule`. rounds: how many; by default enough for weights to settle, less where nothing repeats."""
    count = rounds or _enough(schedule)
    setting = Setting.of(title, schedule, count)
    chain, found = setting.chain, setting.windows
    asked = _asked(setting)
    sound = all(assumption.passed for assumption in asked)
    bound = contraction(chain, count) if sound else None
    prior = a_priori(chain) if sound else None
    sums = chain.rounds.sum(axis=2)
    return Mixing(
        title=title,
        nodes=chain.real,
        period=schedule.period,
        rounds=count,
        assumptions=asked,
        smallest_share=float(chain.rounds[chain.rounds > 0].min(initial=np.inf)),
        row_sums=(float(sums.min()), float(sums.max())),
        window=None if found is None else found.length,
        diameters=() if found is None else found.diameters,
        same_windows=found is not None and found.constant,
        time_bound=None if prior is None else prior.time,
        contraction=bound,
        profile=profile(chain, max(1, count // 2), bound) if sound else None,
        singular=second_singular_values(chain, min(SHOWN, count)),
        spectral_gap=gap(chain) if sound else None,
        weights=(chain.least_weight, float(chain.weights.max())) if sound else None,
        weight_bound=None if prior is None else prior.weight,
        applications=tuple(_application(setting, name) for name in claims()),
    )


def _enough(schedule: Schedule) -> int:
    """Rounds to look at: work grows like nodes^3, and like the rounds' square unless they repeat with weights that stay 1."""
    nodes, period = schedule.size, schedule.period
    if period is None:
        return int(np.clip(math.sqrt(2e8 / nodes**3), 64, 256))
    rows = [np.asarray(schedule.matrix(step).sum(axis=1)) for step in range(period)]
    steady = float(np.abs(np.stack(rows) - 1).max()) <= assumptions.COLUMN_TOLERANCE
    work, most = (1e9 / period, 4096) if steady else (2e8, 1024)
    return max(int(np.clip(work / nodes**3, 128, most)), 4 * period)


def _asked(setting: Setting) -> tuple[Assumption, ...]:
    """The assumptions, each with the cure for its worst offender."""
    rounds = setting.chain.rounds
    return (
        _judged(assumptions.nonnegative(setting), f"replace the entry {_place(rounds)} by 0 and divide its column by its sum"),
        _judged(assumptions.column_sums(setting), _column_cure(rounds)),
        _judged(assumptions.self_loops(setting), f"give node {_selfless(rounds)} a share of its own, as (P + I)/2 does"),
        _judged(assumptions.jointly_connected(setting), _connection_cure(setting)),
    )


def _judged(hypothesis: assumptions.Hypothesis, cure: str) -> Assumption:
    passed = hypothesis.status == "holds"
    return Assumption(hypothesis.sentence, passed, hypothesis.evidence, "" if passed else cure)


def _place(rounds: NDArray[np.float64]) -> str:
    step, receiver, sender = np.unravel_index(int(rounds.argmin()), rounds.shape)
    return f"{rounds.min():.3g} in row {receiver}, column {sender} of round {step}"


def _column_cure(rounds: NDArray[np.float64]) -> str:
    columns, rows = rounds.sum(axis=1), rounds.sum(axis=2)
    step, sender = np.unravel_index(int(np.abs(columns - 1).argmax()), columns.shape)
    if np.abs(rows - 1).max() <= assumptions.COLUMN_TOLERANCE:
        return "rows sum to 1 instead: transpose, P[receiver, sender] holds what the sender gives"
    return f"divide column {sender} of round {step}, which sums to {columns[step, sender]:.6g}, by that sum"


def _selfless(rounds: NDArray[np.float64]) -> int:
    return int(np.diagonal(rounds, axis1=1, axis2=2).min(axis=0).argmin())


def _connection_cure(setting: Setting) -> str:
    """Whom nothing of whom ever reaches, over the longest window looked at."""
    chain = setting.chain
    longest = len(chain.rounds) if chain.periodic else max(1, chain.horizon // 2)
    for union in unions(chain, longest):
        if not strongly_connected(union):
            reached = union.astype(np.float64)
            for _ in range(max(1, math.ceil(math.log2(chain.real)))):
                reached = ((reached @ reached + reached) > 0).astype(np.float64)
            receiver, sender = (int(index[0]) for index in np.nonzero(reached == 0))
            return f"nothing of node {sender} ever reaches node {receiver}: add messages on a path between them"
    return "add messages until all nodes reach each other over a window"


def _application(setting: Setting, name: str) -> Application:
    hypotheses = claims()[name].hypotheses(setting)
    failing = [hypothesis for hypothesis in hypotheses if hypothesis.status == "fails"]
    if failing:
        return Application(name, "fails", f"{failing[0].sentence} ({failing[0].evidence})")
    open_ = [hypothesis.sentence for hypothesis in hypotheses if hypothesis.status == "unknown"]
    return Application(name, "needs" if open_ else "applies", "; ".join(open_))
