"""Push-sum averaging alone: no gradients, every node's ratio tends to the mean of the starts."""

from __future__ import annotations

from sgpsim.algorithms.algorithm import Algorithm
from sgpsim.node import Node
from sgpsim.specification.specification import specification


@specification
class PushSum(Algorithm):
    """X <- P X, w <- P w, z = x / w (Kempe, Dobra and Gehrke 2003, protocol Push-Sum; Assran et al. 2019, section
    2)."""

    async def run(self, node: Node) -> None:
        mass = node.begin()
        for step in node.steps:
            mass = await node.gather(step, node.scatter(step, mass))
            node.report(step + 1, mass, None)

    @property
    def source(self) -> str:
        return "Kempe, Dobra and Gehrke 2003, protocol Push-Sum"
