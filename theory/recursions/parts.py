"""What recursions are made of, written out: dense matrices, gradients by the address of their noise, descents.

The rule: P is written entry by entry from the schedule's shares, noise is read one vector at a time from the node's
stream, quadratic gradients and the moves of descents are spelt out again. All arithmetic is float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgpsim.descents.adam import Adam
from sgpsim.descents.momentum import Momentum
from sgpsim.descents.sgd import SGD
from sgpsim.errors import SpecificationError
from sgpsim.experiment import Experiment
from sgpsim.references import Expected
from sgpsim.schedules.schedule import Schedule
from sgpsim.streams import stream

Rows = NDArray[np.float64]
"""(nodes, dimension), or (nodes,) for weights."""


def dense(schedule: Schedule, step: int) -> Rows:
    """P of round `step`, entry by entry: P[receiver, sender]."""
    matrix = np.zeros((schedule.size, schedule.size))
    for sender in range(schedule.size):
        for receiver, share in schedule.shares(sender, step).items():
            matrix[receiver, sender] += share
    return matrix


def beginning(experiment: Experiment) -> tuple[Rows, Rows]:
    """Numerators and weights of all nodes before the first step."""
    return np.array(experiment.starts(), dtype=np.float64), np.ones(experiment.nodes)


def expected(cuts: list[tuple[Rows, Rows]]) -> Expected:
    """Numerators and weights cut by cut, with nothing in flight."""
    return Expected(np.array([values for values, _ in cuts]), np.array([weights for _, weights in cuts]))


class Gradients:
    """H_i (x_i - b_i) + noise of a quadratic, the noise one vector at a time from (seed, "gradient", node)."""

    def __init__(self, experiment: Experiment, seed: int) -> None:
        self.objective: Any = experiment.objective
        self.hessians, self.centers = np.array(self.objective.hessians), np.array(self.objective.centers)
        self.generators = [stream(seed, "gradient", node) for node in range(experiment.nodes)]

    def of(self, node: int, point: Rows) -> Rows:
        """The next gradient of `node`, at `point`."""
        gradient = self.hessians[node] @ (point - self.centers[node])
        if self.objective.noise:
            draw = self.generators[node].standard_normal(len(point))
            gradient = gradient + self.objective.noise / np.sqrt(len(point)) * draw
        return gradient

    def at(self, points: Rows) -> Rows:
        """The next gradient of every node, each at its own point."""
        return np.array([self.of(node, point) for node, point in enumerate(points)])


class Moves:
    """What gradients become, of one node or of all at once; buffers stay where they are."""

    def __init__(self, method: Any, shape: tuple[int, ...]) -> None:
        self.rule: Any = method.descent
        self.first, self.second = np.zeros(shape), np.zeros(shape)

    def of(self, gradient: Rows, step: int) -> Rows:
        """The displacement of `step`."""
        rule, size = self.rule, self.rule.step_size.at(step)
        match rule:
            case SGD():
                return -size * gradient
            case Momentum():
                self.first = rule.momentum * self.first + gradient
                return -size * (rule.momentum * self.first + gradient if rule.nesterov else self.first)
            case Adam():
                self.first = rule.first * self.first + (1 - rule.first) * gradient
                self.second = rule.second * self.second + (1 - rule.second) * gradient**2
                mean = self.first / (1 - rule.first ** (step + 1))
                return -size * mean / (np.sqrt(self.second / (1 - rule.second ** (step + 1))) + rule.epsilon)
            case _:
                raise SpecificationError(
                    f"theory.recursions does not know the descent {type(rule).__name__}; it spells out SGD, Momentum"
                    " and Adam. Take one of these, or write a reference of your own."
                )
