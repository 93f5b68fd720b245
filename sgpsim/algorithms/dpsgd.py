"""D-PSGD: neighbours average with a doubly stochastic matrix while each computes its gradient.

Two placements of the gradient exist under this name, and they are not the same iteration. `combine-then-adapt` is the
one that Lian et al. print: X <- X W - gamma G(X), the gradient is not mixed and its computation hides the exchange.
`adapt-then-combine` steps first and mixes the result: X <- (X - gamma G(X)) W, which is SGP on a doubly stochastic
matrix.
"""

from __future__ import annotations

from typing import Literal

from sgpsim.algorithms.algorithm import Algorithm
from sgpsim.algorithms.carriers import require_averaging
from sgpsim.descents.descent import Descent
from sgpsim.descents.sgd import SGD
from sgpsim.node import Node
from sgpsim.schedules.schedule import Schedule
from sgpsim.specification.specification import specification


@specification
class DPSGD(Algorithm):
    """X^{k+1} = W X^k - gamma_k G(X^k) (Lian et al. 2017, Algorithm 1), or W (X^k - gamma_k G(X^k)) with
    order="adapt-then-combine".

    No weight is needed, and gradients are taken at x. What W, which may change from step to step and may be directed,
    must be for which statement: columns that sum to 1 for the average to follow SGD exactly; rows that sum to 1 as well
    for the average to be what nodes agree on; for them to agree, products of rounds that tend to (1/n) 1 1': rounds
    whose union is connected, and a share kept by every node, or a primitive product over a period where a node keeps
    none. These three are asked for here. Lian et al. 2017 state their Theorem 1 for one symmetric W whose other
    eigenvalues lie strictly between -1 and 1: their rate is claimed for no other.
    """

    descent: Descent = SGD()
    order: Literal["combine-then-adapt", "adapt-then-combine"] = "combine-then-adapt"

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

    @property
    def needs_own_shares(self) -> bool:
        return False

    def check(self, schedule: Schedule) -> None:
        require_averaging("DPSGD", schedule)
