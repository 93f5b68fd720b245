"""What a method without push-sum weights asks of a schedule: symmetric, doubly stochastic rounds; for AD-PSGD also two
colours.

The rule: looked at when the experiment is built, over the rounds that validation looks at: one period, both parts of a
switched schedule, or a window of one that never repeats.
"""

from __future__ import annotations

import numpy as np

from sgpsim.errors import SpecificationError
from sgpsim.schedules.schedule import Schedule
from sgpsim.schedules.validation import probe


def _looked_at(schedule: Schedule) -> tuple[int, ...]:
    """The steps whose rounds stand for all."""
    steps = probe(schedule)
    return (*steps.before, *steps.window)


def require_undirected(method: str, schedule: Schedule) -> None:
    """Raise unless every round's matrix is symmetric (hence, its columns summing to 1, doubly stochastic)."""
    for step in _looked_at(schedule):
        matrix = schedule.matrix(step)
        difference = abs(matrix - matrix.T).tocoo()
        if difference.nnz and difference.data.max() > 1e-12:
            worst = int(np.argmax(difference.data))
            receiver, sender = int(difference.row[worst]), int(difference.col[worst])
            raise SpecificationError(
                f"{method} on {type(schedule).__name__}(size={schedule.size}): at step {step} node {sender} gives"
                f" {receiver} the share"
                f" {matrix[receiver, sender]:.4g} and gets {matrix[sender, receiver]:.4g} back; without push-sum"
                " weights both must be equal."
                f" Use an undirected schedule such as BipartiteExponential, or SGP, which carries directed ones."
            )


def two_colours(method: str, schedule: Schedule) -> tuple[int, ...]:
    """The colour (0 or 1) of each node such that all messages of all rounds go from one colour to the other; raise if
    there is none. Worked out once per schedule, as every node asks."""
    known: tuple[int, ...] | None = schedule.__dict__.get("_colours")
    if known is not None:
        return known
    neighbours = union_neighbours(schedule)
    colours: list[int] = [-1] * schedule.size
    for root in range(schedule.size):
        if colours[root] >= 0:
            continue
        colours[root], stack = 0, [root]
        while stack:
            node = stack.pop()
            for other in neighbours[node]:
                if colours[other] < 0:
                    colours[other] = 1 - colours[node]
                    stack.append(other)
                elif colours[other] == colours[node]:
                    raise SpecificationError(
                        f"{method} on {type(schedule).__name__}(size={schedule.size}): nodes {node} and {other}"
                        " exchange and lie on an odd cycle;"
                        " an active and a passive side need a bipartite graph. Use BipartiteExponential, or a ring of"
                        " an even number of nodes."
                    )
    object.__setattr__(schedule, "_colours", tuple(colours))  # a memo beside the frozen fields: no part of the value
    return tuple(colours)


def union_neighbours(schedule: Schedule) -> tuple[tuple[int, ...], ...]:
    """Per node, ascending, everyone it exchanges with in any round; worked out once per schedule, as every node asks."""
    known: tuple[tuple[int, ...], ...] | None = schedule.__dict__.get("_union_neighbours")
    if known is not None:
        return known
    found: list[set[int]] = [set() for _ in range(schedule.size)]
    for step in _looked_at(schedule):
        for sender, sent in enumerate(schedule.round(step).pushes):
            for receiver, _ in sent:
                found[sender].add(receiver)
                found[receiver].add(sender)
    neighbours = tuple(tuple(sorted(others)) for others in found)
    object.__setattr__(schedule, "_union_neighbours", neighbours)  # a memo, as above
    return neighbours
