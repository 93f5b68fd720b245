"""Methods that break a law on purpose: the negative controls of the monitor and of the deadlock report.

The rule: each differs from an honest method in the one line that its docstring names, and runs on every backend.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np

from sgpsim.algorithms.algorithm import Algorithm
from sgpsim.backends.fleet.guarded_node import GuardedFleet
from sgpsim.descents.descent import Descent
from sgpsim.descents.sgd import SGD
from sgpsim.mass import Mass, typed_as
from sgpsim.node import Node


def at_node(node: Node, rank: int, value: Any, change: Any) -> Any:
    """`value` with `change` added at the node `rank`: on a node, if it is that one; on a fleet, in its row, past the
    guard."""
    if isinstance(node, GuardedFleet):
        changed = copy(value)
        changed.whole[rank] += change
        return changed
    return value + change if node.rank == rank else value


@dataclass(frozen=True)
class Faulty(Algorithm):
    """SGP, but for `fault` at node `culprit` in step `when`."""

    fault: str = "none"
    when: int = 0
    culprit: int = 1
    amount: float = 1e-9
    descent: Descent = SGD()

    async def run(self, node: Node) -> None:
        mass = node.begin()
        state = self.descent.start(mass.value)
        for step in node.steps:
            gradient = await node.gradient(mass.ratio)
            move, state = self.descent.move(gradient, state, step)
            now = step == self.when
            if self.fault == "step on z":  # x + w * move, told as a move
                mass = Mass((mass.ratio + move) * typed_as(mass.weight, mass.value), mass.weight)
            else:
                mass = mass.shifted(move)
            if now and self.fault == "one coordinate":
                change = np.zeros(mass.value.shape[-1], mass.value.dtype)
                change[-1] = self.amount
                mass = Mass(at_node(node, self.culprit, mass.value, change), mass.weight)
            if now and self.fault == "weight":
                mass = Mass(mass.value, at_node(node, self.culprit, mass.weight, self.amount))
            if now and self.fault == "half a move told":
                move = at_node(node, self.culprit, move, -0.5 * (move.whole[self.culprit] if isinstance(node, GuardedFleet) else move))
            kept = node.scatter(step, mass)
            if now and self.fault == "change after sending":
                mass.value[...] += 1.0
            if now and self.fault == "not a number":
                kept = Mass(at_node(node, self.culprit, kept.value, np.nan), kept.weight)
            mass = await node.gather(step, kept)
            node.report(step + 1, mass, move)

    @property
    def source(self) -> str:
        return "a control"


@dataclass(frozen=True)
class Undrained(Algorithm):
    """Overlap by one step without the last gather."""

    async def run(self, node: Node) -> None:
        mass = node.begin()
        for step in node.steps:
            mass = node.scatter(step, mass)
            if step:
                mass = await node.gather(step - 1, mass)
            node.report(step + 1, mass, None)

    @property
    def source(self) -> str:
        return "a control"

    @property
    def leaves_in_flight(self) -> bool:
        return True


@dataclass(frozen=True)
class Letters(Algorithm):
    """Half of all mass goes to the next node as a letter, which waits for one from the previous node.

    fault: "change after sending" alters the array that was sent; "view" alters the array behind the view that was sent;
    "twice" sends the same half again; "unread" does not take the letter in. "early" is honest, and reports between sending
    and receiving too, the first time before the next node has begun.
    """

    fault: str = "none"

    async def run(self, node: Node) -> None:
        mass = node.begin()
        for step in node.steps:
            whole = 0.5 * mass
            half = Mass(whole.value[:], whole.weight) if self.fault == "view" else whole
            node.send((node.rank + 1) % node.size, half)
            mass = Mass(0.5 * mass.value, half.weight)
            if self.fault in ("change after sending", "view") and step == 2 and node.rank == 1:
                whole.value[...] *= 1.5
            if self.fault == "twice" and step == 2 and node.rank == 1:
                node.send((node.rank + 1) % node.size, half, "again")
            if self.fault == "unread" and step == 2 and node.rank == 1:
                node.report(step + 1, mass, None)
                continue
            if self.fault == "early":
                node.report(2 * step + 1, mass, None)
            letter = await node.receive((node.rank - 1) % node.size)
            mass = mass + letter.mass
            node.report(2 * step + 2 if self.fault == "early" else step + 1, mass, None)

    @property
    def source(self) -> str:
        return "a control"

    @property
    def depends_on_timing(self) -> bool:
        return True

    @property
    def leaves_in_flight(self) -> bool:
        return True


@dataclass(frozen=True)
class Waits(Algorithm):
    """A method that waits for what nobody sends.

    how: "round" (a round that is sent only later), "letter", "any" (nobody says farewell), "mean" (node 0 stays away),
    "side" (only a spawned activity waits), "one" (only node 0 waits, for node 1, who has ended), "itself" (a spawned
    activity waits for its own end).
    """

    how: str = "round"

    async def run(self, node: Node) -> None:
        rank = node.rank
        mass = node.begin()
        before = (rank - 1) % node.size
        for step in node.steps:
            if step < 2:
                mass = await node.gather(step, node.scatter(step, mass))
            elif self.how == "round":
                mass = await node.gather(step + 1, node.scatter(step, mass))
            elif self.how == "letter" or (self.how == "one" and rank == 0):
                await node.receive(before if self.how == "letter" else 1, "mail")
            elif self.how == "any":
                async for _ in node.receive_any("mail", (before,)):
                    pass
            elif self.how == "mean" and rank != 0:
                await node.mean(mass.value)
            elif self.how == "side" and rank == 0:
                node.spawn(self._side(node))
            elif self.how == "itself":
                own: list[Any] = []
                own.append(node.spawn(self._itself(node, own)))
            node.report(step + 1, mass, None)

    async def _side(self, node: Node) -> None:
        await node.receive(1, "mail")

    async def _itself(self, node: Node, own: list[Any]) -> None:
        await node.join(own[0])

    @property
    def source(self) -> str:
        return "a control"
