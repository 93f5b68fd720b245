"""Overlap SGP: delayed push-sum. With mixing="exact" P splits into what stays, diag(P), and what leaves, which is added
`delay` steps later; with mixing="arrival" the order is that in which messages arrived in a run.

The rule: mass in flight is kept as whole fleets of messages, or counted from the steps at which messages are sent and
mixed, never as mailboxes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from sgpsim.experiment import Experiment
from sgpsim.references import Expected
from sgpsim.results.trace import Trace
from theory.recursions.parts import Gradients, Moves, Rows, beginning, dense

Message = tuple[int, int, int]
"""Round, sender, receiver."""


def recursion(experiment: Experiment, seed: int, steps: int, trace: Trace | None = None) -> Expected:
    """Gradients at z = x / w, or at x where the method is `biased` (Assran et al. 2019, Algorithm 2)."""
    method: Any = experiment.algorithm
    if method.mixing == "arrival" and method.delay > 0:
        assert trace is not None, "what arrives when is read from the run's trace"
        return _by_arrival(experiment, seed, steps, trace)
    values, weights = beginning(experiment)
    gradients, moves = Gradients(experiment, seed), Moves(method, values.shape)
    in_flight: dict[int, tuple[Rows, Rows]] = {}
    sent = 0

    def cut() -> tuple[Rows, Rows, Rows, float]:
        flying = sum((message[0].sum(axis=0) for message in in_flight.values()), np.zeros(values.shape[1]))
        return values, weights, flying, float(sum(message[1].sum() for message in in_flight.values()))

    cuts = [cut()]
    for step in range(steps):
        values = values + moves.of(gradients.at(values if method.biased else values / weights[:, None]), step)
        if (step + 1) % method.every == 0:
            mixing = dense(experiment.schedule, sent)
            leaving = mixing - np.diag(mixing.diagonal())
            in_flight[step] = leaving @ values, leaving @ weights
            values, weights = mixing.diagonal()[:, None] * values, mixing.diagonal() * weights
            sent += 1
        arrived = in_flight.pop(step - method.delay, None)
        if arrived is not None:
            values, weights = values + arrived[0], weights + arrived[1]
        cuts.append(cut())
    if in_flight:
        for when in sorted(in_flight):
            values, weights = values + in_flight[when][0], weights + in_flight[when][1]
        in_flight.clear()
        cuts.append(cut())
    return Expected(*(np.array(part) for part in zip(*cuts, strict=True)))


def mixed_at(
    experiment: Experiment, steps: int, ends: Rows, arrivals: dict[Message, float]
) -> tuple[list[tuple[float, int, int]], dict[Message, int]]:
    """(instant, node, step) at which each node mixes, in the order of instants, and the step at which each message is
    mixed; `steps` for those left to the end. ends: when node i's gradient of step k ended, (nodes, steps). A message is
    mixed at the first step whose instant lies after its arrival, or at the step by which it is due, which waits."""
    method: Any = experiment.algorithm
    instants: list[tuple[float, int, int]] = []
    steps_of: dict[Message, int] = {}
    for node in range(experiment.nodes):
        coming = {message: arrival for message, arrival in arrivals.items() if message[2] == node}
        for step in range(steps):
            due = (step - method.delay + 1) // method.every  # rounds before this one must be mixed now
            now = max([ends[node, step], *(at for (number, _, _), at in coming.items() if number < due)])
            for message, arrival in [*coming.items()]:
                if message[0] < due or arrival < now:
                    steps_of[message] = step
                    del coming[message]
            instants.append((now, node, step))
        steps_of |= dict.fromkeys(coming, steps)
    return sorted(instants), steps_of


def _by_arrival(experiment: Experiment, seed: int, steps: int, trace: Trace) -> Expected:
    """The run's own order: per node and step a move and a round that leaves (when the gradient ends), and then the
    messages that are mixed."""
    method: Any = experiment.algorithm
    values, weights = beginning(experiment)
    gradients = Gradients(experiment, seed)
    moves = [Moves(method, values.shape[1:]) for _ in values]
    ends = np.zeros((experiment.nodes, steps))
    for row in trace.spans.filter((pl.col("seed") == seed) & (pl.col("lane") == "compute")).iter_rows(named=True):
        ends[row["node"], row["step"]] = row["end"]
    messages = trace.messages.filter(pl.col("seed") == seed).iter_rows(named=True)
    arrivals = {(row["step"], row["sender"], row["receiver"]): row["arrival"] for row in messages}
    instants, steps_of = mixed_at(experiment, steps, ends, arrivals)
    events = sorted(
        [(ends[node, step], 0, node, step) for node in range(experiment.nodes) for step in range(steps)]
        + [(now, 1, node, step) for now, node, step in instants]
    )
    rounds = steps // method.every
    cuts = steps + 1 + (rounds > max(0, (steps - method.delay) // method.every))
    held = np.repeat(values[None], cuts, axis=0)
    shares = np.ones((cuts, experiment.nodes))
    flying, flying_shares = np.zeros((cuts, values.shape[1])), np.zeros(cuts)
    posted: dict[Message, tuple[Rows, float]] = {}

    def mix(node: int, step: int) -> None:
        for message in [each for each in posted if each[2] == node and steps_of[each] == step]:
            value, weight = posted.pop(message)
            values[node] += value
            weights[node] += weight
            flying[step + 1 :] -= value
            flying_shares[step + 1 :] -= weight
        held[step + 1, node], shares[step + 1, node] = values[node], weights[node]

    for _, mixing, node, step in events:
        if mixing:
            mix(node, step)
            continue
        point = values[node] if method.biased else values[node] / weights[node]
        values[node] += moves[node].of(gradients.of(node, point), step)
        if (step + 1) % method.every:
            continue
        number = (step + 1) // method.every - 1
        column = dense(experiment.schedule, number)[:, node]
        for receiver in np.flatnonzero(column).tolist():
            if receiver != node:
                posted[number, node, receiver] = column[receiver] * values[node], column[receiver] * weights[node]
                flying[step + 1 :] += column[receiver] * values[node]
                flying_shares[step + 1 :] += column[receiver] * weights[node]
        values[node], weights[node] = column[node] * values[node], column[node] * weights[node]
    if cuts > steps + 1:
        for node in range(experiment.nodes):
            mix(node, steps)
    return Expected(held, shares, flying, flying_shares)
