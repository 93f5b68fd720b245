"""Schedule: who pushes which share of its mass to whom, at each step.

The rule: a schedule is a frozen value; asking it has no effects and the same step always has the same answer. Shares of
a sender sum to 1, its own share included, so the matrix P[receiver, sender] of a step is column stochastic. Additions
run own share first, then ascending senders: `Round` fixes that order once, for every backend. A concrete schedule says
`size`, `period` and `shares`; all else follows from these.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from numbers import Real

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from sgpsim.errors import SpecificationError, shown

KEPT_ROUNDS = 256
"""Rounds kept ready of a schedule without a period; a node's clock may run ahead of another's by the diameter."""


@dataclass(frozen=True, eq=False)
class Round:
    """One step of a schedule, compiled: the same shares in the forms that the backends read.

    kept: own share of each node, 0.0 if it keeps nothing. pushes: per sender, (receiver, share) in the order in which
    the messages leave. senders: per receiver, ascending, itself left out.
    """

    kept: tuple[float, ...]
    pushes: tuple[tuple[tuple[int, float], ...], ...]
    senders: tuple[tuple[int, ...], ...]

    @property
    def size(self) -> int:
        return len(self.kept)

    @cached_property
    def _edges(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Messages as (receiver, sender, share), ordered by receiver, then sender."""
        rows = [(receiver, sender, share) for sender, sent in enumerate(self.pushes) for receiver, share in sent]
        rows.sort()
        receivers = np.array([row[0] for row in rows], dtype=np.int64)
        senders = np.array([row[1] for row in rows], dtype=np.int64)
        return receivers, senders, np.array([row[2] for row in rows], dtype=np.float64)

    @cached_property
    def arriving(self) -> csr_array:
        """P without its diagonal, each row's entries by ascending sender."""
        receivers, senders, shares = self._edges
        pointers = np.concatenate(([0], np.cumsum(np.bincount(receivers, minlength=self.size))))
        return csr_array((shares, senders, pointers), shape=(self.size, self.size))

    @cached_property
    def matrix(self) -> csr_array:
        """P[receiver, sender], column stochastic; each row stores its own share first, then ascending senders (not
        sorted by index)."""
        receivers, senders, shares = self._edges
        own = np.arange(self.size)
        order = np.argsort(np.concatenate((own, receivers)), kind="stable")
        counts = 1 + np.bincount(receivers, minlength=self.size)
        data = np.concatenate((np.asarray(self.kept), shares))[order]
        return csr_array(
            (data, np.concatenate((own, senders))[order], np.concatenate(([0], np.cumsum(counts)))),
            shape=(self.size, self.size),
        )

    @cached_property
    def messages(self) -> int:
        """How many messages are sent."""
        return sum(len(sent) for sent in self.pushes)

    @cached_property
    def excess(self) -> float:
        """How far the shares of a node, its own included, are from summing to 1, at the most."""
        pairs = zip(self.kept, self.pushes, strict=True)
        return max(abs(math.fsum((kept, *(share for _, share in sent))) - 1.0) for kept, sent in pairs)

    @cached_property
    def degree(self) -> int:
        """The most messages that one node receives."""
        return max((len(senders) for senders in self.senders), default=0)


class Schedule(ABC):
    """Who pushes how much to whom at each step 0, 1, ...; nodes are 0..size-1.

    size: number of nodes (a field of every concrete schedule).
    """

    size: int

    @property
    @abstractmethod
    def period(self) -> int | None:
        """Steps after which the schedule repeats; None where it never does (random matchings)."""

    @abstractmethod
    def shares(self, sender: int, step: int) -> Mapping[int, float]:
        """Receiver -> share at `step`; sums to 1, the own share included. Its order is the order in which messages
        leave the sender."""

    @property
    def checked(self) -> bool:
        """False for schedules that the user asked not to have validated (controls); everything else is validated with
        its experiment."""
        return True

    def phase(self, step: int) -> int:
        """The step within the first period that `step` equals."""
        memo = self.__dict__
        if "_period" not in memo:  # asked for several times per node and step, and worked out by some schedules
            object.__setattr__(self, "_period", self.period)  # a memo beside the frozen fields: no part of the value
        period: int | None = memo["_period"]
        return step if period is None else step % period

    def senders(self, receiver: int, step: int) -> tuple[int, ...]:
        """Who sends to `receiver` at `step`, ascending, itself left out."""
        return self.round(step).senders[receiver]

    def round(self, step: int) -> Round:
        """The compiled round of `step`, kept for as long as the schedule lives (the last KEPT_ROUNDS where there is no
        period)."""
        phase = self.phase(step)
        rounds: OrderedDict[int, Round] | None = self.__dict__.get("_rounds")
        if rounds is None:
            rounds = OrderedDict()
            object.__setattr__(self, "_rounds", rounds)  # a memo beside the frozen fields: no part of the value
        found = rounds.get(phase)
        if found is None:
            found = rounds[phase] = self._compile(phase)
            if self.period is None and len(rounds) > KEPT_ROUNDS:
                rounds.popitem(last=False)
        return found

    def _compile(self, step: int) -> Round:
        kept = [0.0] * self.size
        pushes: list[tuple[tuple[int, float], ...]] = []
        senders: list[list[int]] = [[] for _ in range(self.size)]
        for sender in range(self.size):
            shares = self.shares(sender, step)
            if not all(type(receiver) is int and type(share) is float for receiver, share in shares.items()):
                self._require_shares(sender, step, shares)
            kept[sender] = float(shares.get(sender, 0.0))
            sent = tuple((receiver, float(share)) for receiver, share in shares.items() if receiver != sender)
            for receiver, _ in sent:
                if not 0 <= receiver < self.size:
                    raise SpecificationError(
                        f"{type(self).__name__}(size={self.size}) sends from {sender} to {receiver}; receivers must"
                        f" lie in 0..{self.size - 1}."
                    )
                senders[receiver].append(sender)
            pushes.append(sent)
        return Round(tuple(kept), tuple(pushes), tuple(tuple(found) for found in senders))

    def _require_shares(self, sender: int, step: int, shares: Mapping[int, float]) -> None:
        """Raise unless all receivers are whole numbers (1.0 would merge with node 1) and all shares are numbers."""
        for receiver, share in shares.items():
            whole = isinstance(receiver, int | np.integer) and not isinstance(receiver, bool)  # pyright: ignore[reportUnnecessaryIsInstance]
            if not whole or not isinstance(share, Real) or isinstance(share, bool | np.bool_):
                raise SpecificationError(
                    f"{type(self).__name__}(size={self.size}): at step {step} the shares of node {sender} give"
                    f" {shown(receiver)} the share {shown(share)}; a receiver must be a whole number and a share a number."
                    " Give such as {0: 0.5, 1: 0.5}."
                )

    def matrix(self, step: int) -> csr_array:
        """P of `step`: P[receiver, sender], column stochastic, rows stored own share first, then ascending senders."""
        return self.round(step).matrix

    def graph(self, step: int) -> nx.DiGraph:
        """The directed graph of `step`, edges sender -> receiver carrying `share`, self-loops included."""
        found: nx.DiGraph = nx.DiGraph()
        found.add_nodes_from(range(self.size))
        for sender in range(self.size):
            for receiver, share in self.shares(sender, step).items():
                found.add_edge(sender, receiver, share=share)
        return found
