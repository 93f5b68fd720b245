"""Agreement: that a claim is asked about the run that was made, and about no other.

The rule: what both the setting and the evidence say must be the same: n, K, the rounds, delays, gamma and descent, method,
the type of values, the start, the objective; the first that differs is refused with both values. What one of them does not
say is not compared.
"""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from sgpsim.errors import SpecificationError
from theory.chain import Chain
from theory.displacement import Displacement
from theory.evidence import Moments, Path
from theory.setting import Setting
from theory.sweep import Sweep

SAME_ROUNDS = 1e-12
"""Largest difference of two entries that count as one: matrices that were printed and read again."""


def require_same(setting: Setting, evidence: Any) -> None:
    """Raise SpecificationError where `evidence` comes from another run than the one that `setting` describes."""
    if isinstance(evidence, Sweep):
        _require_points(setting, evidence)
    if not isinstance(evidence, Path | Moments):
        return
    if evidence.origin is None:  # else the origin says how long the run was meant to be, which it may not have come to
        _compare("K", setting.steps, evidence.steps)
    if isinstance(evidence, Path):
        _compare("n", setting.nodes, evidence.nodes)
        if setting.start is not None:
            _compare_starts(setting, evidence.values[0, :, 0])
    if evidence.origin is not None:
        _require_origin(setting, evidence.origin)


def _require_origin(setting: Setting, origin: Setting) -> None:
    _compare("n", setting.nodes, origin.nodes)
    _compare("K", setting.steps, origin.steps)
    _compare("the type of values", setting.dtype, origin.dtype)
    _compare("the method", setting.method, origin.method)
    if setting.method is not None and origin.method is not None:
        _compare("the delay of messages", setting.delay, origin.delay)
        _compare_rounds(setting.chain, origin.chain, setting.steps)
        if setting.delay:
            _compare_lateness(setting.mixing, origin.mixing, setting.steps)
    if setting.moving is not None and origin.moving is not None:
        _compare_descents(setting.moving, origin.moving)
    if setting.start is not None and origin.start is not None:
        _compare_starts(setting, origin.start)
    if setting.objective is not None and origin.objective is not None and setting.objective != origin.objective:
        _refuse("the objective", repr(setting.objective), repr(origin.objective))


def _require_points(setting: Setting, sweep: Sweep) -> None:
    if setting.points is not None and sweep.over in ("K", "n"):
        along = tuple(point.steps if sweep.over == "K" else point.nodes for point in setting.points)
        _compare(f"the sweep's {sweep.over}", along, tuple(int(at) for at in sweep.at))
        _compare("the sweep's (n, K, gamma)", setting.points, sweep.points)


def _compare_starts(setting: Setting, made: NDArray[np.float64]) -> None:
    assert setting.start is not None
    asked = setting.start.astype(setting.dtype).astype(np.float64)
    if asked.shape != made.shape:
        _refuse("the shape of the start", asked.shape, made.shape)
    if not (asked == made).all():
        node, place = (int(index) for index in np.argwhere(asked != made)[0])
        _refuse(f"the start (node {node}, coordinate {place})", float(asked[node, place]), float(made[node, place]))


def _compare_rounds(asked: Chain, made: Chain, steps: int) -> None:
    if asked.rounds.shape == made.rounds.shape and np.abs(asked.rounds - made.rounds).max() <= SAME_ROUNDS:
        return
    for step in range(steps):
        apart = np.abs(asked.round(step) - made.round(step))
        if apart.max() > SAME_ROUNDS:
            receiver, sender = (int(index) for index in np.unravel_index(int(apart.argmax()), apart.shape))
            shares = (float(chain.round(step)[receiver, sender]) for chain in (asked, made))
            _refuse(f"the schedule (round {step}, share of node {sender} for node {receiver})", *shares)


def _compare_lateness(asked: Chain, made: Chain, steps: int) -> None:
    if asked.states != made.states:
        _refuse("the number of states with messages under way", asked.states, made.states)
    if asked.rounds.shape == made.rounds.shape and np.abs(asked.rounds - made.rounds).max() <= SAME_ROUNDS:
        return
    for step in range(steps):
        apart = np.abs(asked.round(step) - made.round(step))
        if apart.max() > SAME_ROUNDS:
            place = tuple(int(index) for index in np.unravel_index(int(apart.argmax()), apart.shape))
            words = f"how late messages are (round {step}, entry {place} of the matrix with messages under way)"
            _refuse(words, float(asked.round(step)[place]), float(made.round(step)[place]))


def _compare_descents(asked: Displacement, made: Displacement) -> None:
    if asked == made:
        return
    if str(asked) == str(made):  # they differ in single step sizes, or in digits that are not printed
        for step, sizes in enumerate(zip(asked.sizes, made.sizes, strict=False)):
            _compare(f"gamma of step {step}", *sizes)
    _refuse("the descent", str(asked), str(made))


def _compare(what: str, asked: object, made: object) -> None:
    if asked is not None and made is not None and asked != made:
        _refuse(what, asked, made)


def _refuse(what: str, asked: object, made: object) -> NoReturn:
    raise SpecificationError(
        f"{what} is {asked} in the setting and {made} in the evidence; a claim is asked about the run that was made."
        " Make both from one experiment."
    )
