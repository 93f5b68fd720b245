"""Entrants: the five methods that the studies of time compare, each on the schedule that it is run on in the literature, and how it is
drawn.

The rule: an entrant keeps its colour and its mark in every figure. Directed one-peer exponential rounds for the methods that carry
push-sum weights, matchings of the bipartite exponential graph for those that need symmetric rounds; a node sends one message per round in
both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sgpsim.algorithms.adpsgd import ADPSGD
from sgpsim.algorithms.algorithm import Algorithm
from sgpsim.algorithms.allreduce_sgd import AllReduceSGD
from sgpsim.algorithms.dpsgd import DPSGD
from sgpsim.algorithms.overlap_sgp import OverlapSGP
from sgpsim.algorithms.sgp import SGP
from sgpsim.descents.descent import Descent
from sgpsim.descents.sgd import SGD
from sgpsim.descents.step_sizes import Constant
from sgpsim.schedules.bipartite_exponential import BipartiteExponential
from sgpsim.schedules.one_peer_exponential import OnePeerExponential
from sgpsim.schedules.schedule import Schedule
from studies import figure


@dataclass(frozen=True)
class Entrant:
    """name: in figures and tables. make: the method with a descent. schedule: who talks to whom among n nodes. colour, marker: of its
    curves."""

    name: str
    make: Callable[[Descent], Algorithm]
    schedule: Callable[[int], Schedule]
    colour: str
    marker: str

    def algorithm(self, step_size: float) -> Algorithm:
        """The method with plain SGD at a constant step size."""
        return self.make(SGD(Constant(step_size)))

    @property
    def keeps_step(self) -> bool:
        """Whether its numbers are the same on every cluster."""
        algorithm = self.algorithm(1.0)
        return algorithm.in_step and not algorithm.depends_on_timing


ENTRANTS = (
    Entrant("AllReduce", AllReduceSGD, OnePeerExponential, figure.BLACK, "s"),
    Entrant("SGP", SGP, OnePeerExponential, figure.BLUE, "o"),
    Entrant("overlap SGP", OverlapSGP, OnePeerExponential, figure.SKY, "D"),
    Entrant("D-PSGD", DPSGD, BipartiteExponential, figure.GREEN, "^"),
    Entrant("AD-PSGD", ADPSGD, BipartiteExponential, figure.PURPLE, "v"),
)
"""AllReduce has a schedule only because every experiment has one."""


def entrant(name: str) -> Entrant:
    """The entrant called `name`."""
    return next(found for found in ENTRANTS if found.name == name)
