"""Budgets: how long a run goes on. Steps per node, gradients in total, simulated seconds, or until a loss is reached.

The rule: a budget is a value that says when no further step may begin; nodes that have begun a step end it, and all
messages are taken in, so that a run never stops with mass in flight. A limit in time works on the step: the last step
is the last that any node began before the limit.
"""

from __future__ import annotations

from typing import TypeAlias

from sgpsim.ranges import Count, Finite, Quantity, Whole
from sgpsim.specification import specification


@specification
class Steps:
    """Each node takes `count` steps."""

    count: Whole


@specification
class Gradients:
    """All nodes together take `total` gradients: total // nodes steps each where nodes run in step, whoever is free
    first where they don't."""

    total: Count


@specification
class Seconds:
    """No step begins at or after `limit` simulated seconds."""

    limit: Quantity


@specification
class TargetLoss:
    """Until the loss at the average is measured at or below `loss`, and at most `steps` steps per node."""

    loss: Finite
    steps: Count


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
