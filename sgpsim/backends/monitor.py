"""The mass monitor: two of the three laws that push-sum mass obeys, looked at while a run goes on.

The rule. *Transit*: messages of a pair carry consecutive numbers, and what is taken in is the very object that was
sent. *Round*: what all nodes hold, plus what is under way, is what it was plus the moves, to a rounding tolerance per
coordinate of ((degree + 4) eps_dtype + (8 + n) eps_64) sum_i (|x_i| before and after + |move_i|); sums over nodes are
taken in float64. (*End*, that all mailboxes are empty, is the backend's.) A leak is told by node, round and amount.
Numbers that are not finite are no leak: the run has diverged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sgpsim.schedules.schedule import Round, Schedule

EPSILON = float(np.finfo(np.float64).eps)
LOOKED_BACK = 64
"""Rounds looked at, from the latest on back, for the largest degree and for a node whose shares do not sum to 1."""


class Diverged(Exception):
    """Numbers left the floating-point range. Ends a run, which keeps what it has."""


class Leaking(Exception):
    """A leak was found and the policy is to stop. Ends a run, which keeps what it has."""


@dataclass
class Monitor:
    """Watches one run (all its seeds). total: sum of mass at the last look, shaped (seeds, dimension) and a float.
    schedule: what mass travels along; None without."""

    policy: Literal["raise", "record", "off"]
    nodes: int
    epsilon: float
    total: Any = 0.0
    total_weight: float = 0.0
    schedule: Schedule | None = None
    leaks: list[str] = field(default_factory=list[str])
    worst: float = 0.0

    def leak(self, sentence: str) -> None:
        """Write a leak down, and stop the run where the policy says so."""
        if self.policy == "off":
            return
        if len(self.leaks) < 20:
            self.leaks.append(sentence)
        if self.policy == "raise":
            raise Leaking(sentence)

    def finite(self, step: int, held: Any, values: Any) -> None:
        """Raise Diverged unless the sum of mass is finite. values: what each node holds, nodes first, to say which."""
        if np.isfinite(held).all():
            return
        wrong = np.argwhere(~np.isfinite(values))
        where = f"node {wrong[0][0]} holds {values[tuple(wrong[0])]}" if len(wrong) else "the sum over nodes overflows"
        if len(wrong) and np.ndim(values) > 2:
            where += f" (seed number {wrong[0][1]})"
        raise Diverged(f"the numbers left the floating-point range by step {step}: {where}")

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
        """The round law after `step` steps. held: all mass, under way included; moved: sum of moves since the last
        look, `rounds` rounds ago; magnitude: sum over nodes of |x| before and after, and |move|, all in float64.
        latest: number of the schedule's last round begun."""
        degree = max((round_.degree for _, round_ in self._recent(latest, rounds)), default=0)
        per_unit = rounds * ((degree + 4) * self.epsilon + (8 + self.nodes) * EPSILON)
        defect = held - (self.total + moved)
        tolerance = per_unit * magnitude + 1e-300
        ratio = float((np.abs(defect) / tolerance).max(initial=0.0))
        weight_defect = held_weight - self.total_weight
        weight_ratio = abs(weight_defect) / (rounds * (degree + 12 + self.nodes) * EPSILON * self.nodes)
        self.worst = max(self.worst, ratio, weight_ratio)
        self.total, self.total_weight = held, held_weight
        if ratio > 1 or weight_ratio > 1:
            self.leak(
                f"mass leak by step {step}{self._culprit(latest)}: the sum over nodes of x changed by up to"
                f" {_largest(defect):.6g} beyond the moves,"
                f" of w by {weight_defect:.6g}; only moves may change them"
            )

    def _recent(self, latest: int, rounds: int) -> Iterator[tuple[int, Round]]:
        """The last rounds begun, latest first, at most LOOKED_BACK."""
        if self.schedule is not None:
            most = min(rounds, LOOKED_BACK, self.schedule.period or LOOKED_BACK)
            for number in range(latest, max(-1, latest - most), -1):
                yield number, self.schedule.round(number)

    def _culprit(self, latest: int) -> str:
        """The latest round in which a node's shares do not sum to 1, and the node, if there is one."""
        for number, round_ in self._recent(latest, LOOKED_BACK):
            for node, (kept, sent) in enumerate(zip(round_.kept, round_.pushes, strict=True)):
                given = kept + sum(share for _, share in sent)
                if abs(given - 1) > 1e-9:
                    return f", round {number}, node {node} (its shares sum to {given:.6g})"
        return ""


def _largest(defect: Any) -> float:
    flat = np.asarray(defect, dtype=np.float64).reshape(-1)
    return float(flat[np.argmax(np.abs(flat))]) if flat.size else 0.0


def lost(sent: NDArray[Any], taken: NDArray[Any], weight: float) -> str:
    """The difference between what was sent and what was taken in, in words. weight: that of the weights."""
    difference = float(np.linalg.norm(np.asarray(sent, dtype=np.float64) - np.asarray(taken, dtype=np.float64)))
    return f"|lost x| = {difference:.6g}, lost w = {weight:.6g}"
