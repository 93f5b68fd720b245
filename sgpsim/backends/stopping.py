"""Stopping: whether a node may begin a further step, so that budgets in time end a run with nothing under way.

The rule, for nodes that run in step: at the first step that would begin at or after a limit in seconds, or after the
instant at which a target was reached, the last step is the last one that any node has begun by then; everyone ends with
it. (Steps that begin at the very instant of reaching count as begun, or it would matter which of two events of one
instant came first.) Nodes that do not run in step stop each for itself, and count gradients together.
"""

from __future__ import annotations

from sgpsim.budget import Budget, Gradients, Seconds, Steps, TargetLoss, most_steps
from sgpsim.errors import SpecificationError

PATIENCE = 1000
"""Steps without any time passing after which a limit in seconds is held to be out of reach."""


def require_progress(budget: Budget, step: int, now: float) -> None:
    """Raise SpecificationError where a limit in seconds can never be reached, as `step` steps have taken no time."""
    if step >= PATIENCE and now == 0.0 and isinstance(budget, Seconds):
        raise SpecificationError(
            f"Seconds(limit={budget.limit!r}): {step} steps have taken no time at all, so the limit is never reached."
            " Give the network a latency, or a budget such as Steps(100)."
        )


class Stopping:
    """The budget at run time, shared by all nodes of one simulation."""

    def __init__(self, budget: Budget, nodes: int, in_step: bool) -> None:
        self.budget, self.nodes, self.in_step = budget, nodes, in_step
        self.limit = budget.limit if isinstance(budget, Seconds) else float("inf")
        self.reached = float("inf")
        self.steps = most_steps(budget, nodes) if in_step or not isinstance(budget, Gradients) else None
        self.last_begun = -1
        self.begun = 0

    def may_begin(self, step: int, now: float) -> bool:
        """Whether a node may begin `step` at `now`; if so, it has begun."""
        require_progress(self.budget, step, now)
        if self.in_step:
            if self._over(now) and step > self.last_begun:
                self.steps = self.last_begun + 1
            if self.steps is not None and step >= self.steps:
                return False
        elif (
            self._over(now)
            or (self.steps is not None and step >= self.steps)
            or (isinstance(self.budget, Gradients) and self.begun >= self.budget.total)
        ):
            return False
        self.begun += 1
        self.last_begun = max(self.last_begun, step)
        return True

    def _over(self, now: float) -> bool:
        return now >= self.limit or now > self.reached

    def look(self, loss: float, now: float) -> None:
        """Called after a measurement: from the target on, no step begins that no node has begun."""
        if isinstance(self.budget, TargetLoss) and loss <= self.budget.loss:
            self.reached = min(self.reached, now)

    def progress(self) -> tuple[int, int]:
        """Node-steps begun and expected (0: unknown)."""
        match self.budget:
            case Steps(count) | TargetLoss(_, count):
                return self.begun, count * self.nodes
            case Gradients(total):
                return self.begun, total
            case Seconds():
                return self.begun, 0
