"""The two problems of the rate study, each one function f split among any of NODES nodes.

The rule: f is the same whatever the number of nodes, so that curves for different n can be compared. It is a mean of
GROUPS unlike parts, and each of n nodes holds GROUPS / n of them. All nodes start at one point.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from sgpsim.objectives.datasets import SyntheticClassification
from sgpsim.objectives.objective import Objective
from sgpsim.objectives.quadratic import Quadratic, QuadraticArrays
from sgpsim.objectives.sigmoid import SigmoidLoss
from sgpsim.objectives.split import ByGroup
from sgpsim.schedules.erdos_renyi import ErdosRenyiDigraph
from sgpsim.schedules.one_peer_exponential import OnePeerExponential
from sgpsim.schedules.schedule import Schedule

NODES = (4, 8, 16)
GROUPS = 16


class Problem(ABC):
    """f, how it is split, where nodes start, and who pushes to whom. name: a word for tables."""

    name: str

    @abstractmethod
    def objective(self, nodes: int) -> Objective:
        """f as `nodes` nodes hold it."""

    @abstractmethod
    def schedule(self, nodes: int) -> Schedule:
        """Who pushes to whom."""

    @abstractmethod
    def start(self) -> tuple[float, ...]:
        """Where all nodes start."""


@dataclass(frozen=True)
class UnlikeSigmoid(Problem):
    """Sigmoid loss, data of unlike clouds, one-peer exponential schedule: every constant of D2 is certified.

    Few features, and their scale, are chosen so that K_min of D2 lies between 4 and 1,000 steps for 4 to 16 nodes: K_min
    grows with about the tenth power of the scale at n = 16. The start lies on the wrong side, so that f has a way to
    fall: F0 enters D2's A, and A lowers K_min.
    """

    scale: float = 2.14
    wrong: float = 1.0
    name: str = "sigmoid"

    def objective(self, nodes: int) -> SigmoidLoss:
        data = SyntheticClassification(samples=512, features=3, groups=GROUPS, separation=3.0, unlikeness=1.5)
        return SigmoidLoss(nodes, data, ByGroup(), batch=1, scale=self.scale)

    def schedule(self, nodes: int) -> OnePeerExponential:
        return OnePeerExponential(nodes)

    def start(self) -> tuple[float, ...]:
        uphill = np.asarray(self.objective(NODES[0]).full_gradient(np.zeros(3)))
        return tuple((self.wrong * uphill / np.linalg.norm(uphill)).tolist())


@dataclass(frozen=True)
class UnequalQuadratics(Problem):
    """Quadratics with a curvature of their own on an irregular digraph: weights differ from 1, and the average of the
    nodes' minimizers is not the minimizer of f, so without communication f is not minimized.

    |grad f_i - grad f| is unbounded (A2 fails), hence no bound: slopes only. A node that holds several of the quadratics
    holds their mean.
    """

    name: str = "quadratics"

    def objective(self, nodes: int) -> QuadraticArrays:
        parts = Quadratic(GROUPS, 5, noise=2.0, spread=2.0, least_curvature=0.05, most_curvature=1.0, structure="diagonal", unequal=True)
        curvatures = parts.curvature.reshape(nodes, GROUPS // nodes, -1)
        pulls = (curvatures * parts.centers.reshape(curvatures.shape)).mean(axis=1)
        mean = curvatures.mean(axis=1)
        return QuadraticArrays(mean[:, :, None] * np.eye(parts.dimension), pulls / mean, noise=parts.noise)

    def schedule(self, nodes: int) -> ErdosRenyiDigraph:
        return ErdosRenyiDigraph(nodes, probability=0.4, seed=5)

    def start(self) -> tuple[float, ...]:
        return (0.0,) * 5


PROBLEMS: tuple[Problem, ...] = (UnlikeSigmoid(), UnequalQuadratics())
