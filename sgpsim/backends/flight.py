"""Flight: what the messages under way in an event simulation carry together.

The rule: every message under way is held by itself, and one that was taken in is gone. Sums are made in float64 of what
is there at a look. A sum that is carried along instead, by adding what is sent and subtracting what is taken in, keeps
the rounding of the largest mass that was ever under way.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Passage = tuple[object, Any, float, int]
"""A message, known by its identity; the value and the weight that it carries; 1: it was sent, -1: it was taken in."""


class Flight:
    """The messages under way, as far as nodes have told. dimension: length of a value."""

    def __init__(self, dimension: int) -> None:
        self._value: NDArray[np.float64] = np.zeros(dimension)
        self._weight = 0.0
        self._passages: dict[int, Passage] = {}  # with the message itself, or its identity could be given anew

    def add(self, passages: Iterable[Passage]) -> None:
        """Take notice of messages that were sent or taken in, in whichever order; a node may tell what it took in before
        the sender tells what it sent."""
        for passage in passages:
            if self._passages.pop(id(passage[0]), None) is None:
                self._passages[id(passage[0])] = passage

    def carry(self, value: NDArray[np.float64], weight: float) -> None:
        """Take notice of the sum of messages sent less that of messages taken in, where no more is known of them (real
        processes). What such sums were rounded by stays."""
        self._value += value
        self._weight += weight

    def total(self) -> tuple[NDArray[np.float64], float]:
        """The sums over all messages under way: value (dimension,) and weight, in float64."""
        value, weight = self._value.copy(), self._weight
        for sign in (1, -1):
            there = [passage for passage in self._passages.values() if passage[3] == sign]
            if there:
                stack = np.array([passage[1] for passage in there], dtype=np.float64)
                value += sign * stack.T.copy().sum(axis=1)  # along memory numpy adds pairwise: little rounding
                weight += sign * math.fsum(passage[2] for passage in there)
        return value, weight
