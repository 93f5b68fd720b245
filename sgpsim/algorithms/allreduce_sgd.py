"""AllReduce-SGD: the exact mean of all gradients at every step, so all nodes hold the same point."""

from __future__ import annotations

from sgpsim.algorithms.algorithm import Algorithm
from sgpsim.descents.descent import Descent
from sgpsim.descents.sgd import SGD
from sgpsim.node import Node
from sgpsim.specification.specification import specification


@specification
class AllReduceSGD(Algorithm):
    """x^{k+1} = x^k - gamma_k (1/n) sum_i g_i(x^k): parallel SGD with a collective mean (Goyal et al. 2017, section
    2)."""

    descent: Descent = SGD()

    async def run(self, node: Node) -> None:
        mass = node.begin()
        state = self.descent.start(mass.value)
        for step in node.steps:
            gradient = await node.mean(await node.gradient(mass.value))
            move, state = self.descent.move(gradient, state, step)
            mass = mass.shifted(move)
            node.report(step + 1, mass, move)

    @property
    def source(self) -> str:
        return "Goyal et al. 2017, section 2 (parallel SGD)"

    @property
    def uses_schedule(self) -> bool:
        return False
