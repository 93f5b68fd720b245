"""Validation: whether a schedule can carry averaging at all, asked before an experiment runs.

The rule: at every step every column of P sums to 1 (or mass is lost), no share is negative, every node keeps a share of
its own, and over a window of steps every node reaches every other; otherwise weights fall towards 0 and the de-biased
points run away without a word. The window of a periodic schedule is its period. A schedule that never repeats cannot be
looked at for ever: its window is 2 n + 64 steps, of which as many are looked at as it takes to reach everybody. A
`Switched` one must get everywhere with its second part, as the first ends.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components

from sgpsim.errors import SpecificationError
from sgpsim.schedules.precision import mended, rounded_to
from sgpsim.schedules.schedule import Round, Schedule
from sgpsim.schedules.switched import Switched

TOLERANCE = 1e-12
"""How far a column sum may lie from 1, times the number of shares in the column."""


class Probe(NamedTuple):
    """Which steps say all there is to say about a schedule.

    before: steps that are left behind. window: steps within which every node must reach every other. repeats: whether
    the window comes again.
    """

    before: tuple[int, ...]
    window: range
    repeats: bool


def probe(schedule: Schedule) -> Probe:
    """The steps to look at: one period, both parts of a Switched one, or 2 n + 64 steps of one that never repeats."""
    if isinstance(schedule, Switched):
        first, then = probe(schedule.first), probe(schedule.then)
        before = [step for step in (*first.before, *first.window) if step < schedule.at]
        before += [schedule.at + step for step in then.before]
        window = range(schedule.at + then.window.start, schedule.at + then.window.stop)
        return Probe(tuple(before), window, then.repeats)
    if schedule.period is None:
        return Probe((), range(2 * schedule.size + 64), False)
    return Probe((), range(schedule.period), True)


def require_valid(schedule: Schedule, method: str = "the method", own_shares: bool = True) -> None:
    """Raise SpecificationError, naming node and step, where `schedule` breaks the rule above.

    method: named as the one that asks. own_shares: whether it needs every node to keep one. Schedules whose `checked` is
    False pass unseen.
    """
    if not schedule.checked:
        return
    what = f"{method} on {type(schedule).__name__}(size={schedule.size})"
    steps = probe(schedule)
    for step in dict.fromkeys(schedule.phase(step) for step in steps.before):
        _require_stochastic(what, schedule.round(step), step, own_shares)
    union, connected = csr_array((schedule.size, schedule.size)), False
    for step in dict.fromkeys(schedule.phase(step) for step in steps.window):
        _require_stochastic(what, schedule.round(step), step, own_shares)
        if not connected:
            union = union + _arcs(schedule.round(step))
            connected = _strongly_connected(union)
        if connected and not steps.repeats:
            return
    if not connected:
        start, end = _cut_off(union)
        window = f"steps {steps.window.start} to {steps.window.stop - 1}"
        raise SpecificationError(
            f"{what}: within {window} nothing gets from node {start} to node {end}, not even through others; over a"
            " window of steps the graph"
            f" must be strongly connected. Add edges on the way from {start} to {end}, or combine it with a connected"
            " schedule by Periodic."
        )


def _require_stochastic(what: str, round_: Round, step: int, own_shares: bool) -> None:
    what = f"{what}: at step {step} node"
    kept, arriving = np.asarray(round_.kept), round_.arriving
    receivers = np.repeat(np.arange(round_.size), np.diff(arriving.indptr))
    every = np.concatenate((kept, arriving.data))
    to = np.concatenate((np.arange(round_.size), receivers))
    of = np.concatenate((np.arange(round_.size), arriving.indices))
    wrong = np.flatnonzero(~(np.isfinite(every) & (every >= 0.0)))
    if len(wrong):
        sender, receiver, share = int(of[wrong[0]]), int(to[wrong[0]]), every[wrong[0]]
        raise SpecificationError(
            f"{what} {sender} gives node {receiver} the share {share:.6g}; shares must be finite and not negative."
            f" Correct row {receiver}, column {sender} of the matrix P[receiver, sender]."
        )
    sums = np.bincount(of, weights=every, minlength=round_.size)
    wrong = np.flatnonzero(np.abs(sums - 1.0) > TOLERANCE * np.bincount(of, minlength=round_.size))
    if len(wrong):
        sender = int(wrong[0])
        written = rounded_to(every, float(np.abs(sums - 1.0).max()), int(np.bincount(of).max()))
        beginning = f"{what} {sender} gives away shares that sum to {sums[sender]:.15g}"
        if written is not None:
            raise SpecificationError(
                f"{beginning} (all shares look rounded to {written}); they must sum to 1, its own included, or mass is lost or made."
                f" With P[receiver, sender] the matrix of the step, {mended(round_.matrix)}"
            )
        raise SpecificationError(
            f"{beginning}; they must sum to 1, its own included, or mass is lost or made."
            f" Divide column {sender} of P[receiver, sender] by its sum (transpose P if its rows sum to 1), or take a"
            " share rule such as Uniform()."
        )
    wrong = np.flatnonzero(kept == 0.0)
    if own_shares and len(wrong):
        sender = int(wrong[0])
        raise SpecificationError(
            f"{what} {sender} keeps no share of its own mass; every node must, or its weight can fall to 0."
            f" Put a share above 0 in row {sender}, column {sender} of P, as Lazy(own=0.5) does."
        )


def _arcs(round_: Round) -> csr_array:
    """Who sends to whom: entry [receiver, sender] is 1 for every share above 0."""
    return (round_.arriving > 0.0).astype(np.float64)


def _strongly_connected(union: csr_array) -> bool:
    parts, _ = connected_components(union, directed=True, connection="strong")
    return parts == 1


def _cut_off(union: csr_array) -> tuple[int, int]:
    """A node and another that it does not reach; `union` has an entry [receiver, sender] for each arc."""
    for arcs, forward in ((union.T.tocsr(), True), (union, False)):
        reached = breadth_first_order(arcs, 0, directed=True, return_predecessors=False)
        missing = sorted(set(range(union.shape[0])) - set(reached.tolist()))
        if missing:
            return (0, missing[0]) if forward else (missing[0], 0)
    raise AssertionError("strongly connected")
