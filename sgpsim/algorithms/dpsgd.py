"""D-PSGD: neighbours average over an undirected graph while each computes its gradient.

Two placements of the gradient exist under this name, and they are not the same iteration. `combine-then-adapt` is the
one that Lian et al. print: X <- X W - gamma G(X), the gradient is not mixed and its computation hides the exchange.
`adapt-then-combine` steps first and mixes the result: X <- (X - gamma G(X)) W, which is SGP on a doubly stochastic
matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sgpsim.algorithms.algorithm import Algorithm
from sgpsim.algorithms.carriers import require_undirected
from sgpsim.descents.descent import Descent
from sgpsim.descents.sgd import SGD
from sgpsim.errors import SpecificationError
from sgpsim.node import Node
from sgpsim.schedules.schedule import Schedule


@dataclass(frozen=True)
class DPSGD(Algorithm):
    """X^{k+1} = W X^k - gamma_k G(X^k) (Lian et al. 2017, Algorithm 1), or W (X^k - gamma_k G(X^k)) with
    order="adapt-then-combine".

    W must be symmetric and doubly stochastic; no weight is needed, and gradients are taken at x.
    """

    descent: Descent = SGD()
    order: Literal["combine-then-adapt", "adapt-then-combine"] = "combine-then-adapt"

    def __post_init__(self) -> None:
        if self.order not in ("combine-then-adapt", "adapt-then-combine"):
            raise SpecificationError(
                f"DPSGD(order) is {self.order!r}; it must be 'combine-then-adapt' or 'adapt-then-combine'. Give one of"
                " these."
            )

    async def run(self, node: Node) -> None:
        mass = node.begin()
        state = self.descent.start(mass.value)
        for step in node.steps:
            if self.order == "combine-then-adapt":
                kept = node.scatter(step, mass)  # under way while the gradient is computed
                gradient = await node.gradient(mass.value)
                move, state = self.descent.move(gradient, state, step)
                mass = (await node.gather(step, kept)).shifted(move)
            else:
                gradient = await node.gradient(mass.value)
                move, state = self.descent.move(gradient, state, step)
                mass = await node.gather(step, node.scatter(step, mass.shifted(move)))
            node.report(step + 1, mass, move)

    @property
    def source(self) -> str:
        return "Lian et al. 2017, Algorithm 1"

    def check(self, schedule: Schedule) -> None:
        require_undirected("DPSGD", schedule)
