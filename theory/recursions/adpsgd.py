"""AD-PSGD: averagings of two nodes and gradients of one, replayed in the order in which a run had them.

The rule: an active node's order is that of its text (a gradient begins, an averaging, the gradient's move), so only the
passive nodes' order is read from the trace: averagings when a request arrived, gradients when their computing ended.
Which neighbour is asked is drawn again from its address.
"""

from __future__ import annotations

from collections import defaultdict, deque
from typing import Any

import numpy as np
import polars as pl

from sgpsim.experiment import Experiment
from sgpsim.references import Expected
from sgpsim.results.trace import Trace
from sgpsim.schedules.schedule import Schedule
from sgpsim.schedules.validation import probe
from sgpsim.streams import stream
from theory.recursions.parts import Gradients, Moves, beginning


def neighbours_of(schedule: Schedule) -> list[list[int]]:
    """Per node, ascending, all that it exchanges with in any of the rounds that stand for the schedule."""
    linked = np.zeros((schedule.size, schedule.size), dtype=bool)
    steps = probe(schedule)
    for step in (*steps.before, *steps.window):
        for sender in range(schedule.size):
            linked[list(schedule.shares(sender, step)), sender] = True
    linked |= linked.T
    np.fill_diagonal(linked, False)
    return [np.flatnonzero(row).tolist() for row in linked]


def order_of(trace: Trace, seed: int) -> list[tuple[float, int, int, int]]:
    """(instant, row of the answer, passive node, active node or -1 for a gradient of the passive node's own), in the
    order of passive nodes. Requests that arrive together are answered in the order of the answers' rows."""
    messages = trace.messages.filter(pl.col("seed") == seed).with_row_index("row")
    answers: defaultdict[tuple[int, int], deque[int]] = defaultdict(deque)
    for row in messages.filter(pl.col("channel") == "answer").iter_rows(named=True):
        answers[row["receiver"], row["sender"]].append(row["row"])
    asked = messages.filter(pl.col("channel") == "ask")
    events: list[tuple[float, int, int, int]] = []
    for row in asked.iter_rows(named=True):
        events.append((row["arrival"], answers[row["sender"], row["receiver"]].popleft(), row["receiver"], row["sender"]))
    active = set(asked["sender"].to_list())
    computed = trace.spans.filter((pl.col("seed") == seed) & (pl.col("lane") == "compute"))
    ends = [(row["end"], -1, row["node"], -1) for row in computed.iter_rows(named=True) if row["node"] not in active]
    together = {(instant, node) for instant, _, node, _ in events} & {(end, node) for end, _, node, _ in ends}
    if together:
        instant, node = min(together)
        raise ValueError(
            f"at {instant:.6g} s a request reaches node {node} as its gradient ends; a trace does not say which came"
            " first. Take compute times that never tie, such as ExponentialTime."
        )
    return sorted(events + ends)


def recursion(experiment: Experiment, seed: int, steps: int, trace: Trace) -> Expected:
    """Where the nodes end (Lian et al. 2018, Algorithm 1): x_i, x_j <- (x_i + x_j) / 2, and x_i <- x_i - gamma g(x_i
    as it was when the gradient began), `steps` gradients per node. AssertionError where the trace shows another number
    of gradients or asks another neighbour than was drawn."""
    values, weights = beginning(experiment)
    gradients = Gradients(experiment, seed)
    moves = [Moves(experiment.algorithm, values.shape[1:]) for _ in values]
    began: Any = values.copy()
    taken = [0] * experiment.nodes
    neighbours = neighbours_of(experiment.schedule)
    choices = [stream(seed, "neighbour", node) for node in range(experiment.nodes)]

    def move(node: int) -> None:
        values[node] += moves[node].of(gradients.of(node, began[node]), taken[node])
        began[node] = values[node]
        taken[node] += 1

    for instant, _, passive, active in order_of(trace, seed):
        if active < 0:
            move(passive)
            continue
        drawn = neighbours[active][int(choices[active].integers(len(neighbours[active])))]
        assert passive == drawn, (
            f"at {instant:.6g} s node {active} asks node {passive} to average; for its gradient {taken[active]} it drew"
            f" {drawn}"
        )
        values[[passive, active]] = 0.5 * values[passive] + 0.5 * values[active]
        move(active)  # computed meanwhile, at the point before the averaging
    assert taken == [steps] * experiment.nodes, f"{steps} gradients per node were asked for, and {taken} used"
    return Expected(values[None], weights[None])
