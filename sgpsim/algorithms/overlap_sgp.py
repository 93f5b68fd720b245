"""Overlap SGP: messages travel while the next gradients are computed, and are mixed in up to tau steps late.

How often a node sends (`every`) and how late a message may be mixed in (`delay`) are two parameters. Messages are mixed
either exactly `delay` rounds late, which gives the same numbers on any machine, or as they arrive, as in the paper,
waiting only for those that would become later.
"""

from __future__ import annotations

from typing import Literal

from sgpsim.algorithms.algorithm import Algorithm
from sgpsim.descents.descent import Descent
from sgpsim.descents.sgd import SGD
from sgpsim.node import Node
from sgpsim.specification.ranges import Count, Whole
from sgpsim.specification.specification import specification


@specification
class OverlapSGP(Algorithm):
    """tau-overlap SGP (Assran et al. 2019, Algorithm 2, recalled; its send and block rules are those of the authors'
    description).

    delay: tau, in steps; 0 is SGP to the bit. every: s, a round is sent after each s-th gradient step, so round r
    leaves after step s (r + 1) - 1. mixing: "exact" adds a round exactly `delay` steps after it was sent, "arrival"
    adds whatever has arrived and waits only for messages that would become older than `delay` steps. biased: the
    ablation that ignores the push-sum weight, so gradients are taken at x instead of x / w while part of the mass is
    under way.
    """

    descent: Descent = SGD()
    delay: Whole = 1
    every: Count = 1
    mixing: Literal["exact", "arrival"] = "exact"
    biased: bool = False

    async def run(self, node: Node) -> None:
        early = self.mixing == "arrival" and self.delay > 0  # without delay a round is complete before the next begins
        take = node.catch_up if early else node.gather
        mass = node.begin()
        state = self.descent.start(mass.value)
        step, sent, taken = -1, 0, 0
        for step in node.steps:
            gradient = await node.gradient(mass.value if self.biased else mass.ratio)
            move, state = self.descent.move(gradient, state, step)
            mass = mass.shifted(move)
            if step % self.every == self.every - 1:
                mass = node.scatter(sent, mass)
                sent += 1
            due = max(0, (step - self.delay + 1) // self.every)  # rounds that are `delay` steps old now
            if due > taken or early:
                mass = await take(due - 1, mass)
                taken = due
            node.report(step + 1, mass, move)
        if taken < sent:  # drain: nothing stays under way
            for late in range(taken, sent):
                mass = await take(late, mass)
            node.report(step + 2, mass, None)

    @property
    def source(self) -> str:
        return "Assran, Loizou, Ballas and Rabbat 2019, Algorithm 2 (recalled)"

    @property
    def leaves_in_flight(self) -> bool:
        return self.delay > 0

    @property
    def depends_on_timing(self) -> bool:
        return self.mixing == "arrival" and self.delay > 0
