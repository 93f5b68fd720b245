"""Flight: what the messages under way in an event simulation carry together.

The rule: every message under way is held by itself, and one that was taken in is gone. Sums are made in float64 of what
is there at a look. Real processes, whose messages nobody sees all of, add what is sent and subtract what is taken in.
In float64 alone such a sum keeps the rounding of the largest mass that was ever under way, so it comes in two parts:
the sum, and the rest that its roundings left.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Passage = tuple[object, Any, float, int]
"""A message, known by its identity; the value and the weight that it carries; 1: it was sent, -1: it was taken in."""


def add_with_rest(total: NDArray[np.float64], rest: NDArray[np.float64], added: NDArray[Any]) -> None:
    """total + rest += added, in place, as if in twice the digits of float64: the rest takes what the total's rounding
    leaves (the TwoSum of Knuth, The Art of Computer Programming 2, 4.2.2)."""
    before = total.copy()
    total += added
    share = total - before
    rest += (before - (total - share)) + (added - share)


class Flight:
    """The messages under way, as far as nodes have told. dimension: length of a value."""

    def __init__(self, dimension: int) -> None:
        self._value: NDArray[np.float64] = np.zeros(dimension)
        self._rest: NDArray[np.float64] = np.zeros(dimension)
        self._weight = 0.0
        self._passages: dict[int, Passage] = {}  # with the message itself, or its identity could be given anew

    def add(self, passages: Iterable[Passage]) -> None:
        """Take notice of messages that were sent or taken in, in whichever order; a node may tell what it took in before
        the sender tells what it sent."""
        for passage in passages:
            if self._passages.pop(id(passage[0]), None) is None:
                self._passages[id(passage[0])] = passage

    def carry(self, value: NDArray[np.float64], rest: NDArray[np.float64], weight: float) -> None:
        """Take notice of the sum of messages sent less that of messages taken in, where no more is known of them (real
        processes). rest: what `value` was rounded by."""
        add_with_rest(self._value, self._rest, value)
        self._rest += rest
        self._weight += weight

    def total(self) -> tuple[NDArray[np.float64], float]:
        """The sums over all messages under way: value (dimension,) and weight, in float64."""
        value, weight = self._value + self._rest, self._weight
        for sign in (1, -1):
            there = [passage for passage in self._passages.values() if passage[3] == sign]
            if there:
                stack = np.array([passage[1] for passage in there], dtype=np.float64)
                value += sign * stack.T.copy().sum(axis=1)  # along memory numpy adds pairwise: little rounding
                weight += sign * math.fsum(passage[2] for passage in there)
        return value, weight
