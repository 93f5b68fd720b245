"""Budgets: how long a run goes on. Steps per node, gradients in total, simulated seconds, or until a loss is reached.

The rule: a budget is a value that says when no further step may begin; nodes that have begun a step end it, and all
messages are received, so that a run never stops with mass in flight. A limit in time works on the step: the last step
is the last that any node began before the limit.

A step of the fleet, in metrics and wherever seconds a step are told, is n gradients of the n nodes together. Where nodes
run in step each takes one of them, and every budget has the same seconds a step. Elsewhere (AD-PSGD) these are a matter
of the budget: `Steps` gives every node as many steps of its own, so fast nodes end early and the slowest sets the pace;
`Gradients` lets whoever is free take the next, so the pace is what all do together. Summaries say which it is.
"""

from __future__ import annotations

from typing import TypeAlias

from sgpsim.specification.ranges import Count, Finite, Quantity, Whole
from sgpsim.specification.specification import specification


@specification
class Steps:
    """Each node takes `count` steps of its own; the slowest ends the run."""

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


def pace(budget: Budget, nodes: int) -> tuple[str, ...]:
    """A sentence on what seconds a step mean under `budget` where nodes do not run in step; none where a step is what all
    nodes do together."""
    most = most_steps(budget, nodes)
    if most is None or isinstance(budget, Gradients):
        return ()
    return (
        f"a step is {nodes} gradients of all nodes together, but here each node takes up to {most} of its own and the"
        " slowest ends the run, so seconds a step are the slowest node's; under"
        f" Gradients({max(most, 1) * nodes}) whoever is free takes the next, and they are what all do together",
    )


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
