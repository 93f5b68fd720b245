"""Post: the messages of one real process over gloo, and its ledger of what went out and came in.

The rule: a message is one buffer of bytes, a header (kind, round, number of the pair, weight) and the value, so
nothing is sent that could be lost apart. One thread per peer has a receive posted at all times: so an arrival can be
told without waiting, arrival times are true, and a peer that dies is known by its own thread (gloo itself names a
port). Everybody ends with a last word to everybody, which says how many messages it sent; nothing stays outstanding.
"""

from __future__ import annotations

import struct
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

HEADER = struct.Struct("<qqqd")
MESSAGE, LAST_WORD = 0, 1
OUTSTANDING = 32
"""Sends to one peer that may be under way before the oldest is waited for; receives are always posted, so that is
rarely long."""


class PeerLost(Exception):
    """The connection to a peer broke (peer None: it is not known whose), or the wait was called off."""

    def __init__(self, peer: int | None, reason: str) -> None:
        super().__init__(reason)
        self.peer = peer


class MessageLost(Exception):
    """A message was sent, as its successors show, and never came."""


class Arrived(NamedTuple):
    """A message as taken from the wire. arrival: seconds."""

    arrival: float
    number: int
    value: NDArray[Any]
    weight: float


class Account:
    """What went over one pair in one direction: messages, sum of all coordinates, sum of weights; added in the order
    of the pair's messages."""

    __slots__ = ("count", "values", "weights")

    def __init__(self) -> None:
        self.count, self.values, self.weights = 0, 0.0, 0.0

    def add(self, value: NDArray[Any], weight: float) -> None:
        self.count += 1
        self.values += float(value.sum(dtype=np.float64))
        self.weights += weight

    @property
    def told(self) -> tuple[int, float, float]:
        return self.count, self.values, self.weights


class Post:
    """Messages between `rank` and all others. clock: seconds since the common start. waits: told the peer before, and
    None after, a wait."""

    def __init__(
        self,
        rank: int,
        size: int,
        dimension: int,
        dtype: np.dtype[Any],
        group: Any,
        clock: Callable[[], float],
        waits: Callable[[int | None], None],
    ) -> None:
        self.rank, self.size = rank, size
        self._dtype, self._length = dtype, HEADER.size + dimension * dtype.itemsize
        self._group, self._clock, self._waits = group, clock, waits
        self._changed = threading.Condition()
        self.rounds: dict[int, dict[int, Arrived]] = {}
        self._latest = [-1] * size  # the last round of which a message of the sender came
        self._ended: dict[int, int] = {}  # sender -> how many messages it said it had sent
        self._broken: PeerLost | None = None
        self._outgoing: dict[int, deque[tuple[Any, Any]]] = {peer: deque() for peer in range(size) if peer != rank}
        self.sent = {peer: Account() for peer in self._outgoing}
        self.taken = {peer: Account() for peer in self._outgoing}
        self._threads = [threading.Thread(target=self._listen, args=(peer,), daemon=True) for peer in self._outgoing]
        for thread in self._threads:
            thread.start()

    # -- out

    def send(self, to: int, step: int, value: NDArray[Any], weight: float, lose: bool = False) -> int:
        """Send a message of round `step`; its number comes back. lose: by a fault of the cluster: it travels with
        nothing in it."""
        account = self.sent[to]
        number = account.count
        account.add(value, weight)
        if lose:
            value, weight = np.zeros_like(value), 0.0
        self._put(to, MESSAGE, step, number, weight, value)
        return number

    def _put(self, to: int, kind: int, step: int, number: int, weight: float, value: NDArray[Any] | None) -> None:
        import torch
        import torch.distributed as dist

        buffer: Any = np.zeros(self._length, np.uint8)
        HEADER.pack_into(buffer, 0, kind, step, number, weight)
        if value is not None:
            buffer[HEADER.size :].view(self._dtype)[:] = value
        outgoing = self._outgoing[to]
        try:
            outgoing.append((dist.isend(torch.from_numpy(buffer), to, group=self._group), buffer))
            while len(outgoing) > OUTSTANDING:
                self._wait_for_oldest(to)
        except RuntimeError as error:
            raise PeerLost(to, str(error)) from None

    def _wait_for_oldest(self, to: int) -> None:
        self._waits(to)
        self._outgoing[to][0][0].wait()
        self._outgoing[to].popleft()
        self._waits(None)

    # -- in

    def _listen(self, sender: int) -> None:
        """Take in all that `sender` sends, up to its last word."""
        import torch
        import torch.distributed as dist

        try:
            while True:
                buffer: Any = np.empty(self._length, np.uint8)
                work: Any = dist.irecv(torch.from_numpy(buffer), sender, group=self._group)
                work.wait()
                arrival = self._clock()
                kind, step, number, weight = HEADER.unpack_from(buffer)
                with self._changed:
                    if kind == LAST_WORD:
                        self._ended[sender] = number
                    else:
                        value = buffer[HEADER.size :].view(self._dtype)
                        self.rounds.setdefault(step, {})[sender] = Arrived(arrival, number, value, weight)
                        self._latest[sender] = step
                    self._changed.notify()
                if kind == LAST_WORD:
                    return
        except RuntimeError as error:
            with self._changed:
                if self._broken is None:
                    self._broken = PeerLost(sender, str(error))
                self._changed.notify()

    def call_off(self, reason: str) -> None:
        """End whatever waiting there is: another process is known to be dead or hung."""
        with self._changed:
            if self._broken is None:
                self._broken = PeerLost(None, reason)
            self._changed.notify()

    def whom(self, lost: PeerLost, patience: float = 1.0) -> PeerLost:
        """`lost` with the peer, where the threads that listen know it: a collective that fails does not say whose
        connection broke."""
        with self._changed:
            if lost.peer is None and self._broken is None:
                self._changed.wait(patience)
            return lost if self._broken is None or lost.peer is not None else self._broken

    def round(self, step: int, senders: Iterable[int]) -> dict[int, Arrived]:
        """The messages of round `step` from `senders`, waited for and taken out. Raises PeerLost, or MessageLost
        where one can't come any more."""
        wanted = set(senders)
        found: dict[int, Arrived] = {}
        announced: int | None = None
        with self._changed:
            while True:
                box = self.rounds.get(step, {})
                for sender in sorted(wanted & box.keys()):
                    found[sender] = box.pop(sender)
                    wanted.discard(sender)
                if not wanted:
                    if not box:
                        self.rounds.pop(step, None)
                    break
                sender = min(wanted)
                if self._broken is not None:
                    raise self._broken
                for absent in sorted(wanted):
                    if absent in self._ended or self._latest[absent] > step:
                        raise MessageLost(
                            f"the message of round {step} from node {absent} to node {self.rank} never came,"
                            " though later ones did"
                        )
                if announced != sender:
                    self._waits(sender)
                    announced = sender
                self._changed.wait()
        if announced is not None:
            self._waits(None)
        return found

    def arrived(self) -> list[tuple[int, int, Arrived]]:
        """All that has arrived so far, (round, sender, message), taken out without waiting."""
        with self._changed:
            if self._broken is not None:
                raise self._broken
            found = [(step, sender, message) for step, box in self.rounds.items() for sender, message in box.items()]
            self.rounds.clear()
        return found

    # -- the end

    def finish(self) -> list[str]:
        """Say the last word to all, wait for theirs and for all sends; sentences about messages that nobody received,
        or that never came."""
        for peer, account in self.sent.items():
            self._put(peer, LAST_WORD, -1, account.count, 0.0, None)
        try:
            for peer, outgoing in self._outgoing.items():
                while outgoing:
                    self._wait_for_oldest(peer)
        except RuntimeError as error:
            raise PeerLost(None, str(error)) from None
        with self._changed:
            while len(self._ended) < len(self._outgoing):
                if self._broken is not None:
                    raise self._broken
                self._waits(min(self._outgoing.keys() - self._ended.keys()))
                self._changed.wait()
        self._waits(None)
        for thread in self._threads:
            thread.join()
        return self._left_over()

    def _left_over(self) -> list[str]:
        """What is wrong once everybody has said the last word."""
        found: list[str] = []
        for step, box in sorted(self.rounds.items()):
            for sender in sorted(box):
                found.append(
                    f"mass left in flight at the end: the message of round {step} from node {sender} to node"
                    f" {self.rank} was never received"
                )
        for sender, count in sorted(self._ended.items()):
            arrived = self.taken[sender].count + sum(sender in box for box in self.rounds.values())
            if arrived != count:
                found.append(f"node {sender} sent {count} messages to node {self.rank}, and {arrived} arrived")
        return found
