"""AD-PSGD: nodes of one colour ask a random neighbour of the other colour to average, nobody waits for the slowest.

Active nodes compute a gradient and exchange with one random passive neighbour at the same time, then apply the
gradient; passive nodes compute and apply gradients at their own pace and answer whoever asks at once. An answer is one
piece without waiting, so averaging is atomic; requests go from active to passive only, so no cycle of waiting can
arise. Each side sends half of its mass, which makes the exchange a plain average and keeps the laws of mass as they
are.
"""

from __future__ import annotations

from sgpsim.algorithms.algorithm import Algorithm
from sgpsim.algorithms.carriers import require_undirected, two_colours, union_neighbours
from sgpsim.descents.descent import Descent
from sgpsim.descents.sgd import SGD
from sgpsim.errors import SpecificationError
from sgpsim.mass import Mass
from sgpsim.node import Node
from sgpsim.schedules.schedule import Schedule
from sgpsim.specification.specification import specification


class _Held:
    """What a node holds, shared by its two activities; `averaged` counts exchanges, so that staleness can be told."""

    def __init__(self, mass: Mass) -> None:
        self.mass = mass
        self.averaged = 0


@specification
class ADPSGD(Algorithm):
    """x_i, x_j <- (x_i + x_j) / 2 for a random edge, and x_i <- x_i - gamma g(x_i as it was when the gradient began)
    (Lian et al. 2018, Algorithm 1).

    The staleness of a gradient, noted per step, is the number of averagings that changed the node between its beginning
    and its use.
    """

    descent: Descent = SGD()

    async def run(self, node: Node) -> None:
        held = _Held(node.begin())
        neighbours = union_neighbours(node.schedule)[node.rank]
        if two_colours("ADPSGD", node.schedule)[node.rank] == 0:
            await self._active(node, held, neighbours)
        else:
            answering = node.spawn(self._answer(node, held, neighbours))
            await self._train(node, held)
            await node.join(answering)

    async def _active(self, node: Node, held: _Held, neighbours: tuple[int, ...]) -> None:
        choice = node.generator("neighbour")
        state = self.descent.start(held.mass.value)
        for step in node.steps:
            began, point = held.averaged, held.mass.value
            exchange = node.spawn(self._ask(node, held, step, neighbours[int(choice.integers(len(neighbours)))]))
            gradient = await node.gradient(point)
            await node.join(exchange)  # a step on half a mass would count double
            move, state = self.descent.move(gradient, state, step)
            held.mass = held.mass.shifted(move)
            node.note("staleness", held.averaged - began)
            node.report(step + 1, held.mass, move)
        for neighbour in neighbours:
            node.farewell(neighbour, "ask")

    async def _ask(self, node: Node, held: _Held, step: int, neighbour: int) -> None:
        half = 0.5 * held.mass
        node.send(neighbour, half, "ask")
        held.mass = half
        node.report(step, held.mass, None)
        answer = await node.receive(neighbour, "answer")
        held.mass = held.mass + answer.mass
        held.averaged += 1
        node.report(step, held.mass, None)

    async def _train(self, node: Node, held: _Held) -> None:
        state = self.descent.start(held.mass.value)
        for step in node.steps:
            began = held.averaged
            gradient = await node.gradient(held.mass.value)
            move, state = self.descent.move(gradient, state, step)
            held.mass = held.mass.shifted(move)
            node.note("staleness", held.averaged - began)
            node.report(step + 1, held.mass, move)

    async def _answer(self, node: Node, held: _Held, neighbours: tuple[int, ...]) -> None:
        async for letter in node.receive_any("ask", neighbours):
            half = 0.5 * held.mass
            node.send(letter.sender, half, "answer")
            held.mass = half + letter.mass
            held.averaged += 1
            node.report(-1, held.mass, None)

    @property
    def source(self) -> str:
        return "Lian, Zhang, Zhang and Liu 2018, Algorithm 1"

    @property
    def leaves_in_flight(self) -> bool:
        return True

    @property
    def depends_on_timing(self) -> bool:
        return True

    @property
    def in_step(self) -> bool:
        return False

    def check(self, schedule: Schedule) -> None:
        require_undirected("ADPSGD", schedule)
        two_colours("ADPSGD", schedule)
        lonely = [node for node, others in enumerate(union_neighbours(schedule)) if not others]
        if lonely:
            raise SpecificationError(
                f"ADPSGD: node {lonely[0]} has no neighbour to average with. Give a schedule that connects all nodes."
            )
