"""Steps taken: what a node's text made of its budget, and a remark where that is not all of it.

The rule: a text goes through node.steps to the end and reports every step once. One that ends before, reports fewer
steps or goes on for more is no error, as methods may be made so; but its numbers are not those of the budget that
stands in the experiment, so the run says it, in the same words on every backend.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sgpsim.budget import most_steps
from sgpsim.experiment import Experiment


@dataclass(slots=True)
class StepsTaken:
    """Of one node. begun: steps handed out. over: whether it was told that there are no more. reported: the highest step
    it reported. reports: how often it did, but for that of its start."""

    begun: int = 0
    over: bool = False
    reported: int = 0
    reports: int = 0

    def report(self, step: int) -> None:
        """It reports that `step` steps are over."""
        if step > 0:
            self.reports += 1
            if step > self.reported:
                self.reported = int(step)

    def sentence(self, experiment: Experiment) -> str | None:
        """What is odd about it, if anything is."""
        in_step = experiment.algorithm.in_step
        most = most_steps(experiment.budget, experiment.nodes)
        budget = self.begun if self.over else most if in_step else None
        if self.over and not in_step:
            return None
        if budget is None:
            return f"ended after {self.reported} steps, before its budget was used up"
        if self.reported > budget + 1:
            return f"went on for {self.reported} steps, and its budget was {budget}"
        if self.reported < budget and not self.over:
            return f"ended after {self.reported} of {budget} steps"
        if self.reports < budget:
            return f"reported {self.reports} of {budget} steps"
        return None


def oddities(experiment: Experiment, seeds: Sequence[int], nodes: Sequence[StepsTaken]) -> list[str]:
    """A remark on `seeds`, if there is one. nodes: one entry for each node, or one for all."""
    sentences = [taken.sentence(experiment) for taken in nodes]
    odd = [number for number, sentence in enumerate(sentences) if sentence is not None]
    if not odd:
        return []
    who = f"node {odd[0]}'s text"
    if len(set(sentences)) == 1:
        who = "every node's text"
    more = f" (and those of {len(odd) - 1} more nodes were as odd)" if len(odd) > 1 and len(set(sentences)) > 1 else ""
    whose = ", ".join(map(str, seeds[:10])) + (f", ... {len(seeds)} in all" if len(seeds) > 10 else "")
    return [f"seed {whose}: {who} {sentences[odd[0]]}{more}"]
