"""The reference that simulations are held against: every method as dense matrix algebra, X[k+1] = P (X[k] - gamma G).

The rule: nothing here comes from the algorithms, the backends, the descents or the compiled rounds. P is written out
entry by entry from the schedule's shares, noise is read one vector at a time from the node's stream, descents and
quadratic gradients are spelt out again. Messages under way are kept as whole fleets of messages (the augmented state of
delayed push-sum), never as mailboxes. All arithmetic is float64, so a float32 run is near it and a float64 run equals
it to rounding.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sgpsim.algorithms.allreduce_sgd import AllReduceSGD
from sgpsim.algorithms.dpsgd import DPSGD
from sgpsim.algorithms.overlap_sgp import OverlapSGP
from sgpsim.algorithms.push_sum import PushSum
from sgpsim.algorithms.sgp import SGP
from sgpsim.descents.adam import Adam
from sgpsim.descents.momentum import Momentum
from sgpsim.descents.sgd import SGD
from sgpsim.experiment import Experiment
from sgpsim.schedules.schedule import Schedule
from sgpsim.streams import stream

Rows = NDArray[np.float64]


class Path(NamedTuple):
    """values: (cuts, nodes, dimension), weights: (cuts, nodes), after 0, 1, ... steps, and one more after a drain.
    flight_values: (cuts, dimension), flight_weights: (cuts,), mass under way."""

    values: Rows
    weights: Rows
    flight_values: Rows
    flight_weights: Rows


def dense(schedule: Schedule, step: int) -> Rows:
    """P of `step`, entry by entry: P[receiver, sender]."""
    matrix = np.zeros((schedule.size, schedule.size))
    for sender in range(schedule.size):
        for receiver, share in schedule.shares(sender, step).items():
            matrix[receiver, sender] += share
    return matrix


class _Gradients:
    """H_i (x_i - b_i) + noise, the noise one vector at a time."""

    def __init__(self, experiment: Experiment, seed: int) -> None:
        self.objective: Any = experiment.objective
        self.hessians, self.centers = np.array(self.objective.hessians), np.array(self.objective.centers)
        self.generators = [stream(seed, "gradient", node) for node in range(experiment.nodes)]

    def at(self, points: Rows) -> Rows:
        found = np.einsum("nij,nj->ni", self.hessians, points - self.centers)
        if self.objective.noise:
            noise = [generator.standard_normal(points.shape[1]) for generator in self.generators]
            found += self.objective.noise / np.sqrt(points.shape[1]) * np.array(noise)
        return found


class _Descent:
    """Displacements of all nodes at once; buffers stay with their nodes."""

    def __init__(self, descent: Any, shape: tuple[int, ...]) -> None:
        self.descent = descent
        self.first, self.second = np.zeros(shape), np.zeros(shape)

    def move(self, gradients: Rows, step: int) -> Rows:
        rule, size = self.descent, self.descent.step_size.at(step)
        if isinstance(rule, SGD):
            return -size * gradients
        if isinstance(rule, Momentum):
            self.first = rule.momentum * self.first + gradients
            return -size * (rule.momentum * self.first + gradients if rule.nesterov else self.first)
        assert isinstance(rule, Adam), "a descent that the reference does not know"
        self.first = rule.first * self.first + (1 - rule.first) * gradients
        self.second = rule.second * self.second + (1 - rule.second) * gradients**2
        mean, square = self.first / (1 - rule.first ** (step + 1)), self.second / (1 - rule.second ** (step + 1))
        return -size * mean / (np.sqrt(square) + rule.epsilon)


def recursion(experiment: Experiment, seed: int, steps: int) -> Path:
    """All that the method of `experiment` goes through in `steps` steps under `seed`."""
    method = experiment.algorithm
    values, weights = np.array(experiment.starts(), dtype=np.float64), np.ones(experiment.nodes)
    gradients = _Gradients(experiment, seed)
    descent = _Descent(getattr(method, "descent", None), values.shape)
    nothing = np.zeros(values.shape[1])
    cuts: list[tuple[Rows, Rows, Rows, float]] = [(values, weights, nothing, 0.0)]
    if isinstance(method, OverlapSGP):
        return _overlap(experiment, method, gradients, descent, steps)
    for step in range(steps):
        mixing = dense(experiment.schedule, step)
        match method:
            case PushSum():
                values, weights = mixing @ values, mixing @ weights
            case SGP():
                move = descent.move(gradients.at(values / weights[:, None]), step)
                values, weights = mixing @ (values + move), mixing @ weights
            case DPSGD(order="combine-then-adapt"):
                values = mixing @ values + descent.move(gradients.at(values), step)
            case DPSGD():
                values = mixing @ (values + descent.move(gradients.at(values), step))
            case AllReduceSGD():
                mean = gradients.at(values).mean(axis=0)
                values = values + descent.move(np.broadcast_to(mean, values.shape), step)
            case _:
                raise AssertionError(f"the reference does not know {method}")
        cuts.append((values, weights, nothing, 0.0))
    return Path(*(np.array(part) for part in zip(*cuts, strict=True)))


def _overlap(experiment: Experiment, method: OverlapSGP, gradients: _Gradients, descent: _Descent, steps: int) -> Path:
    """Delayed push-sum: P splits into what stays, diag(P), and what leaves, which is added `delay` steps later."""
    values, weights = np.array(experiment.starts(), dtype=np.float64), np.ones(experiment.nodes)
    under_way: dict[int, tuple[Rows, Rows]] = {}
    sent = 0

    def cut() -> tuple[Rows, Rows, Rows, float]:
        flight = sum((message[0].sum(axis=0) for message in under_way.values()), np.zeros(values.shape[1]))
        return values, weights, flight, float(sum(message[1].sum() for message in under_way.values()))

    cuts = [cut()]
    for step in range(steps):
        move = descent.move(gradients.at(values if method.biased else values / weights[:, None]), step)
        values = values + move
        if (step + 1) % method.every == 0:
            mixing = dense(experiment.schedule, sent)
            leaving = mixing - np.diag(mixing.diagonal())
            under_way[step] = leaving @ values, leaving @ weights
            values, weights = mixing.diagonal()[:, None] * values, mixing.diagonal() * weights
            sent += 1
        arrived = under_way.pop(step - method.delay, None)
        if arrived is not None:
            values, weights = values + arrived[0], weights + arrived[1]
        cuts.append(cut())
    if under_way:
        for when in sorted(under_way):
            values, weights = values + under_way[when][0], weights + under_way[when][1]
        under_way.clear()
        cuts.append(cut())
    return Path(*(np.array(part) for part in zip(*cuts, strict=True)))
