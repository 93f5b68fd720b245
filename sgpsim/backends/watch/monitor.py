"""The mass monitor: two of the three laws that push-sum mass obeys, looked at while a run goes on.

The rule. *Transit*: messages of a pair carry consecutive numbers, and what is received is the very object that was
sent. *Round*: what all nodes hold, plus what is in flight, is what it was plus the moves, to a tolerance per coordinate
and round of

    ((degree + 4) eps_dtype + (8 + n) eps_64 + excess) sum_i (|x_i| before and after + |move_i|)
        + n (degree + 2) smallest_dtype

where the excess is how far the schedule's own columns are from summing to 1 (matrices may be printed with few digits),
as far as validation lets them be, and smallest is the smallest subnormal number, of which every product below the
normal range may lose half. Sums over nodes are taken in float64. So a float32 run hides a change of x below some 1e-6 of
all mass a round; a change of the weights, which are float64 always, shows in every run from some 1e-14 on. (*End*, that
all mailboxes are empty, is the backend's.) A leak is told by node, round and amount. Numbers that are not finite are no
leak: the run has diverged. That is looked at after every step in what nodes hold, x; and wherever a run is measured in
the loss at the average and in the points z = x / w, so every backend ends a diverging seed with the same step.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sgpsim.schedules.schedule import Schedule
from sgpsim.schedules.validation import TOLERANCE

MonitorPolicy = Literal["raise", "record", "off"]
"""What the mass monitor does with a leak: end the run with MassLeak, write it into the run's remarks, or not look at
all."""

EPSILON = float(np.finfo(np.float64).eps)
LOOKED_BACK = 64
"""Rounds looked at, from the latest on back, for a node whose shares do not sum to 1."""


class Diverged(Exception):
    """Numbers left the floating-point range. Ends a run, which keeps what it has. reasons: a sentence for each seed that
    diverged, by its place among the seeds."""

    def __init__(self, reasons: dict[int, str]) -> None:
        super().__init__(reasons)  # SimPy raises it again from its arguments
        self.reasons = reasons

    def __str__(self) -> str:
        return "; ".join(self.reasons.values())


class Leaking(Exception):
    """A leak was found and the policy is to stop. Ends a run, which keeps what it has."""


@dataclass
class Monitor:
    """Watches one run (all its seeds). dtype: of values. total: sum of mass at the last look, shaped (seeds, dimension)
    and a float. schedule: what mass travels along; None without."""

    policy: MonitorPolicy
    nodes: int
    dtype: np.dtype[Any]
    total: Any = 0.0
    total_weight: float = 0.0
    schedule: Schedule | None = None
    leaks: list[str] = field(default_factory=list[str])
    worst: float = 0.0
    degree: int = 0
    excess: float = 0.0
    judged: int = 0

    def __post_init__(self) -> None:
        kind = np.finfo(self.dtype)
        self.epsilon, self.smallest = float(kind.eps), float(kind.smallest_subnormal)

    def leak(self, sentence: str) -> None:
        """Write a leak down, and stop the run where the policy says so."""
        if self.policy == "off":
            return
        if len(self.leaks) < 20:
            self.leaks.append(sentence)
        if self.policy == "raise":
            raise Leaking(sentence)

    def finite(self, step: int, values: Any) -> None:
        """Raise Diverged unless all that nodes hold is finite. values: (nodes, seeds, dimension)."""
        unsound = ~np.isfinite(values)
        if not unsound.any():
            return
        reasons: dict[int, str] = {}
        for node, seed, number in np.argwhere(unsound).tolist():
            reasons.setdefault(seed, f"node {node} holds {values[node, seed, number]}")
        self.measured(step, {seed: reasons[seed] for seed in sorted(reasons)})

    def measured(self, step: int, unsound: dict[int, str]) -> None:
        """Raise Diverged where a measurement at `step` was not finite. unsound: what was not, by place of the seed."""
        if unsound:
            left = f"the numbers left the floating-point range by step {step}"
            raise Diverged({seed: f"{left}: {what}" for seed, what in unsound.items()})

    def round(
        self,
        step: int,
        held: Any,
        held_weight: float,
        moved: Any,
        magnitude: Any,
        latest: int = -1,
        rounds: int = 1,
    ) -> None:
        """The round law after `step` steps. held: all mass, in flight included; moved: sum of moves since the last look,
        `rounds` rounds ago; magnitude: sum over nodes of |x| before and after, and |move|, all in float64. latest:
        number of the schedule's last round that any node began."""
        self._judge(latest)
        each = self.degree + 4, 8 + self.nodes
        per_unit = rounds * (each[0] * self.epsilon + each[1] * EPSILON + self.excess)
        floor = rounds * self.nodes * (self.degree + 2) * self.smallest
        defect = held - (self.total + moved)
        # A sum over nodes may overflow where no node does; nothing can be said of that step, or of the next one.
        shares = np.abs(defect) / (per_unit * magnitude + floor)
        ratio = float(np.where(np.isfinite(shares), shares, 0.0).max(initial=0.0))
        weight_defect = held_weight - self.total_weight
        allowed = rounds * (sum(each) * EPSILON + self.excess) * self.nodes
        weight_ratio = abs(weight_defect) / allowed
        self.worst = max(self.worst, ratio, weight_ratio)
        self.total, self.total_weight = held, held_weight
        if ratio > 1 or weight_ratio > 1:
            self.leak(
                f"mass leak by step {step}{self._culprit(min(latest, step - 1))}: the sum over nodes of x changed by up to"
                f" {_largest(defect):.6g} beyond the moves,"
                f" of w by {weight_defect:.6g}; only moves may change them"
            )

    def _judge(self, latest: int) -> None:
        """Take the degree and the excess of all rounds up to `latest` into account."""
        if self.schedule is None:
            return
        last = latest if self._period is None else min(latest, self._period - 1)
        for number in range(self.judged, last + 1):
            round_ = self.schedule.round(number)
            self.degree = max(self.degree, round_.degree)
            self.excess = max(self.excess, min(round_.excess, TOLERANCE * (1 + max(map(len, round_.pushes)))))
        self.judged = max(self.judged, last + 1)

    @cached_property
    def _period(self) -> int | None:
        """The schedule's period, asked for once and not at every look."""
        return None if self.schedule is None else self.schedule.period

    def _culprit(self, latest: int) -> str:
        """The latest round in which a node's shares do not sum to 1, and the node, if there is one."""
        if self.schedule is None:
            return ""
        most = min(LOOKED_BACK, self.schedule.period or LOOKED_BACK)
        for number in range(latest, max(-1, latest - most), -1):
            round_ = self.schedule.round(number)
            for node, (kept, sent) in enumerate(zip(round_.kept, round_.pushes, strict=True)):
                given = kept + sum(share for _, share in sent)
                if abs(given - 1) > 1e-9:
                    return f", round {number}, node {node} (its shares sum to {given:.6g})"
        return ""


def _largest(defect: Any) -> float:
    flat = np.asarray(defect, dtype=np.float64).reshape(-1)
    return float(flat[np.argmax(np.abs(flat))]) if flat.size else 0.0


def lost(sent: NDArray[Any], taken: NDArray[Any], weight: float) -> str:
    """The difference between what was sent and what was received, in words. weight: that of the weights."""
    difference = float(np.linalg.norm(np.asarray(sent, dtype=np.float64) - np.asarray(taken, dtype=np.float64)))
    return f"|lost x| = {difference:.6g}, lost w = {weight:.6g}"
