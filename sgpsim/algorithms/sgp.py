"""Stochastic Gradient Push: push-sum with a gradient step on the numerator before each push."""

from __future__ import annotations

from sgpsim.algorithms.algorithm import Algorithm
from sgpsim.descents.descent import Descent
from sgpsim.descents.sgd import SGD
from sgpsim.node import Node
from sgpsim.specification.specification import specification


@specification
class SGP(Algorithm):
    """X^{k+1} = P^k (X^k - gamma_k G(Z^k)), w^{k+1} = P^k w^k, Z = diag(w)^{-1} X (Assran et al. 2019, Algorithm 1).

    The gradient is taken at the de-biased z = x / w; the step acts on the numerator x; then numerator and weight are
    mixed together.
    """

    descent: Descent = SGD()

    async def run(self, node: Node) -> None:
        mass = node.begin()
        state = self.descent.start(mass.value)
        for step in node.steps:
            gradient = await node.gradient(mass.ratio)
            move, state = self.descent.move(gradient, state, step)
            kept = node.scatter(step, mass.shifted(move))
            mass = await node.gather(step, kept)
            node.report(step + 1, mass, move)

    @property
    def source(self) -> str:
        return "Assran, Loizou, Ballas and Rabbat 2019, Algorithm 1"
