"""Budgets: how long a run goes on. Steps per node, gradients in total, simulated seconds, or until a loss is reached.

The rule: a budget is a value that says when no further step may begin; nodes that have begun a step end it, and all
messages are taken in, so that a run never stops with mass in flight. A limit in time works on the step: the last step
is the last that any node began before the limit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

from sgpsim.errors import SpecificationError, require_count, require_positive


@dataclass(frozen=True)
class Steps:
    """Each node takes `count` steps."""

    count: int

    def __post_init__(self) -> None:
        require_count("Steps(count)", self.count, least=0)


@dataclass(frozen=True)
class Gradients:
    """All nodes together take `total` gradients: total // nodes steps each where nodes run in step, whoever is free
    first where they don't."""

    total: int

    def __post_init__(self) -> None:
        require_count("Gradients(total)", self.total)


@dataclass(frozen=True)
class Seconds:
    """No step begins at or after `limit` simulated seconds."""

    limit: float

    def __post_init__(self) -> None:
        require_positive("Seconds(limit)", self.limit)


@dataclass(frozen=True)
class TargetLoss:
    """Until the loss at the average is measured at or below `loss`, and at most `steps` steps per node."""

    loss: float
    steps: int

    def __post_init__(self) -> None:
        if isinstance(self.loss, bool) or not isinstance(self.loss, int | float) or not math.isfinite(self.loss):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise SpecificationError(
                f"TargetLoss(loss) is {self.loss!r}; it must be a finite number. Give one such as 0.5."
            )
        require_count("TargetLoss(steps)", self.steps)


Budget: TypeAlias = Steps | Gradients | Seconds | TargetLoss


def most_steps(budget: Budget, nodes: int) -> int | None:
    """The most steps a node takes when all nodes run in step; None where only the clock knows."""
    match budget:
        case Steps(count):
            return count
        case Gradients(total):
            return total // nodes
        case TargetLoss(_, steps):
            return steps
        case Seconds():
            return None
