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
from scipy.sparse import csr_array

from sgpsim.errors import SpecificationError
from sgpsim.schedules.precision import mended, rounded_to
from sgpsim.schedules.schedule import Schedule
from theory import assumptions
from theory.chain import Chain
from theory.claims import claims
from theory.connectivity import positivity_time, strongly_connected, unions
from theory.contraction import Contraction, Profile, a_priori, exact_averaging, exact_to, profile
from theory.setting import Setting
from theory.spectrum import gap, second_singular_values

SHOWN = 12
"""Product lengths whose singular values are given."""

LONGEST_OF_LARGE = 16
"""Product lengths whose norms are looked at where they are found by iteration; the tail is bounded."""

ITERATED_NORMS = 120
"""How many norms are found by iteration; if all starts need more, some starts stand for all."""

LEAST_WEIGHT = 1e-280
"""Weights below this leave the floating-point range when divided by."""

MOST_BYTES = 6e9


@dataclass(frozen=True)
class Assumption:
    """name: what push-sum needs. passed, evidence: whether and how it holds. cure: what to change if it does not."""

    name: str
    passed: bool
    evidence: str
    cure: str


@dataclass(frozen=True)
class Application:
    """Whether a claim applies: `applies`, `needs` (only what the matrices do not say is open), `rounds` (only looking at
    more rounds decides), or `fails`; and why."""

    claim: str
    status: str
    why: str


@dataclass(frozen=True, eq=False)
class Mixing:
    """title, nodes, period (None: never repeats), rounds (looked at), assumptions; then, per quantity:

    smallest_share; row_sums, the least and the largest; window B, diameters per window, same_windows; time T, the bound
    proved for it, and the longest products looked at for it; contraction; profile; singular: second singular value of
    products of 1, 2, ... rounds, largest over starts, as long as numbers can hold them; spectral_gap per round; exact:
    rounds after which averaging is exact, from round 0 and from any start; exact_to: the most that was granted to
    rounding in that; weights: smallest and largest weight seen;
    weight_bound: what is known of them from B and the smallest share; starts: how many starts the profile looked at, of
    how many (fewer: its norms are samples, hence lower bounds); singular_starts: the same for the singular values;
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
    time: int | None
    time_bound: int | None
    time_looked_at: int
    contraction: Contraction | None
    profile: Profile | None
    singular: NDArray[np.float64]
    spectral_gap: float | None
    exact: tuple[int | None, int | None] | None
    exact_to: float | None
    weights: tuple[float, float] | None
    weight_bound: float | None
    starts: tuple[int, int]
    singular_starts: tuple[int, int]
    applications: tuple[Application, ...]

    @property
    def passed(self) -> bool:
        return all(assumption.passed for assumption in self.assumptions)

    @property
    def doubly_stochastic(self) -> bool:
        columns = next(one for one in self.assumptions if "column" in one.name)
        off = max(abs(self.row_sums[0] - 1), abs(self.row_sums[1] - 1))
        return columns.passed and off <= assumptions.COLUMN_TOLERANCE * self.nodes


@np.errstate(over="ignore", invalid="ignore")  # rounds that make mass make more than any number: they fail, and are reported
def mixing(schedule: Schedule, title: str, rounds: int | None = None) -> Mixing:
    """Look at `schedule`. rounds: how many; by default enough for weights to settle, less where nothing repeats.

    Errors: SpecificationError where the rounds would not fit into memory.
    """
    _require_memory(schedule, title, rounds)
    count = rounds or _enough(schedule)
    setting = Setting.of(title, schedule, count)
    chain, found = setting.chain, setting.windows
    asked = _asked(setting)
    nonnegative, stochastic = asked[0].passed, asked[1].passed
    sound = all(assumption.passed for assumption in asked)
    settled = nonnegative and stochastic and chain.least_weight > LEAST_WEIGHT
    bound = setting.contraction if settled else None
    looked_at = setting.products_looked_at if nonnegative and found is not None else 0
    time = bound.time if bound is not None else None if settled else positivity_time(chain, looked_at)
    averaging = settled and (sound or bound is not None)
    exact = exact_averaging(chain, max(1, count // 2)) if averaging else None
    prior = a_priori(chain, found=found) if sound else None
    starts, singular_starts = np.arange(0), _spread(chain, chain.starts, SHOWN)
    norms: Profile | None = None
    if averaging:
        longest = min(max(1, count // 2), LONGEST_OF_LARGE) if chain.large else max(1, count // 2)
        alone = profile(chain, longest, bound, np.arange(1))
        starts = _spread(chain, chain.distinct, len(alone.norms))
        norms = alone if len(starts) == 1 else profile(chain, longest, bound, starts)
    sums = chain.rounds.sum(axis=2)
    return Mixing(
        title=title,
        nodes=chain.real,
        period=schedule.period,
        rounds=count,
        assumptions=asked,
        smallest_share=float(np.where(chain.rounds > 0, chain.rounds, np.inf).min()),
        row_sums=(float(sums.min()), float(sums.max())),
        window=None if found is None else found.length,
        diameters=() if found is None else found.diameters,
        same_windows=found is not None and found.constant,
        time=time,
        time_bound=setting.time_bound if nonnegative else None,
        time_looked_at=looked_at,
        contraction=bound,
        profile=norms,
        singular=second_singular_values(chain, min(SHOWN, count), singular_starts),
        spectral_gap=gap(chain, exact=exact is not None and exact[1] is not None) if stochastic else None,
        exact=exact,
        exact_to=exact_to(chain, chain.distinct + max(1, count // 2)) if averaging else None,
        weights=(chain.least_weight, float(chain.weights.max())) if settled else None,
        weight_bound=None if prior is None else prior.weight,
        starts=(len(starts), chain.distinct),
        singular_starts=(len(singular_starts), chain.starts),
        applications=tuple(_application(setting, name) for name in claims()),
    )


def _require_memory(schedule: Schedule, title: str, rounds: int | None) -> None:
    stored = schedule.period or rounds or 64
    needed = 3.0 * 8 * stored * schedule.size**2  # the rounds, and twice that while they are looked at
    if needed > MOST_BYTES:
        raise SpecificationError(
            f"theory mixing of {title} would look at {stored} rounds of {schedule.size} x {schedule.size} numbers, {needed / 1e9:.3g} GB"
            f" in memory; at most {MOST_BYTES / 1e9:.3g} GB are taken. Give fewer nodes, or a shorter period."
        )


def _spread(chain: Chain, starts: int, lengths: int) -> NDArray[np.int64]:
    """All starts, or as many, evenly spread and the first among them, as norms of `lengths` products each allow."""
    affordable = ITERATED_NORMS if chain.large else int(4e9 / chain.states**3)
    most = max(1, affordable // lengths)
    return np.arange(starts) if starts <= most else np.unique(np.linspace(0, starts - 1, most).round().astype(np.int64))


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
    off, rows_off = float(np.abs(columns - 1).max()), float(np.abs(rows - 1).max())
    shares = rounds[rounds != 0.0]
    written = rounded_to(shares, off, int(np.count_nonzero(rounds, axis=1).max()))
    if written is not None:
        each = " (P: one round of the stack)" if len(rounds) > 1 else ""
        return f"all shares look rounded to {written}, which explains {off:.2g}; {mended(csr_array(rounds[step]))}{each}"
    if rows_off <= assumptions.COLUMN_TOLERANCE:
        return "rows sum to 1 instead: transpose, P[receiver, sender] holds what the sender gives"
    written = rounded_to(shares, rows_off, int(np.count_nonzero(rounds, axis=2).max()))
    if written is not None:
        return (
            f"rows sum to 1 instead, but for rounding to {written} ({rows_off:.2g}): transpose, P[receiver, sender] holds"
            " what the sender gives, then divide by the column sums in float64"
        )
    if not np.isfinite(columns[step, sender]):
        return f"divide column {sender} of round {step}, whose sum is beyond all numbers, by its largest entry, then by its sum"
    return f"divide column {sender} of round {step}, which sums to {columns[step, sender]:.6g}, by that sum"


def _selfless(rounds: NDArray[np.float64]) -> int:
    return int(np.diagonal(rounds, axis1=1, axis2=2).min(axis=0).argmin())


def _connection_cure(setting: Setting) -> str:
    """Whom nothing of whom ever reaches, over the longest window looked at."""
    chain = setting.chain
    if assumptions.jointly_connected(setting).status == "unknown":
        return f"look at more rounds: --rounds {2 * chain.horizon}"
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
    open_ = [hypothesis for hypothesis in hypotheses if hypothesis.status == "unknown"]
    rounds = [one for one in open_ if one.evidence.startswith(assumptions.MORE_ROUNDS)]
    if rounds:
        return Application(name, "rounds", f"{rounds[0].sentence}: {rounds[0].evidence}")
    return Application(name, "needs" if open_ else "applies", "; ".join(one.sentence for one in open_))
