"""Membership: a process's place among the others, from joining the group to leaving it.

The rule: while a process is a member, a thread of its own (the heart) gives a heartbeat on a board. Under
sgpsim's launcher the parent watches the board. Under torchrun, or whoever else sets RANK and WORLD_SIZE, there is no
such parent, so each heart also watches all others; the first
verdict, kept in the store, is everybody's. Who is cut off from the store says so by itself.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from sgpsim.backends.processes.liveness import EVERYBODY, Activity, PulseWriter, Verdict, Watch, and_so_the_others
from sgpsim.backends.processes.meeting import START_TIMEOUT, choose_interface, corner, first_line, holds_store
from sgpsim.backends.processes.pulse_boards import Board, FileBoard, StoreBoard
from sgpsim.backends.processes.transport import PeerLost
from sgpsim.errors import NodeFailure, SpecificationError, shown
from sgpsim.specification.input_files import whole_number

FAILED = 4
"""Exit code of a process that ends because another one failed."""
GRACE = 3.0
"""Seconds that a process has for ending by itself once a verdict stands."""
LEAVE_WITHIN = 10.0
"""Seconds that a process whose work is done waits for a board that does not answer."""
FOREVER = timedelta(days=365)
"""gloo's own time-outs close connections, so it gets none; who hangs is told by the pulses."""


class Membership(ABC):
    """rank: this process's. size: number of processes. pulse: what it says about itself. group: the process group,
    None for the default one. call_off: ends a wait for messages, with a reason. keep: writes down what was reported so
    far. give_up: called with the verdict before the heart ends a process that is stuck."""

    def __init__(self, rank: int, size: int, board: Board, interval: float) -> None:
        self.rank, self.size, self.board = rank, size, board
        self.pulse = PulseWriter(board.mine(rank))
        self.group: Any = None
        self.call_off: Callable[[str], None] = lambda reason: None
        self.keep: Callable[[], None] = lambda: None
        self.give_up: Callable[[str], None] = lambda sentence: None
        self._interval = interval
        self._over = threading.Event()
        self._heart = threading.Thread(target=self._beat, name="sgpsim heart", daemon=True)

    def start(self) -> None:
        self._heart.start()

    def leave(self) -> None:
        """The work is done; the heart stops."""
        self.pulse.move(Activity.DONE)
        self._over.set()
        self._heart.join(LEAVE_WITHIN)
        if not self._heart.is_alive():
            self.board.publish()

    def waits(self, peer: int | None) -> None:
        """The process begins to wait for `peer`, or (None) goes on."""
        if peer is None:
            self.pulse.move(Activity.COMPUTING)
        else:
            self.pulse.move(Activity.WAITING, peer)

    def set_out(self) -> Callable[[], float]:
        """Wait for all others; a clock (s) that began when the last one started, at the same instant for all.

        The instant is told in calendar time, which processes of one machine share, and machines as well as they are set;
        from then on the clock runs evenly.
        """
        import torch
        import torch.distributed as dist

        self.pulse.move(Activity.WAITING, EVERYBODY)
        started = torch.tensor([time.time()], dtype=torch.float64)
        try:
            dist.all_reduce(started, dist.ReduceOp.MAX, group=self.group)
        except RuntimeError as error:
            raise PeerLost(None, str(error)) from None
        begin = float(started[0]) - _calendar_ahead()
        self.pulse.move(Activity.COMPUTING)
        return lambda: time.perf_counter() - begin

    def _beat(self) -> None:
        while not self._over.is_set():
            self.pulse.beat()
            self.watch()
            self._over.wait(self._interval)

    @abstractmethod
    def watch(self) -> None:
        """Called at every beat: end this process, or its waiting, where it can't go on."""

    @abstractmethod
    def failure(self, lost: PeerLost) -> NodeFailure:
        """What to tell after a connection was lost."""


def place_among() -> tuple[int, int]:
    """(rank, number of processes) from the environment. Raises SpecificationError where it does not say."""
    missing = [name for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if missing:
        raise SpecificationError(
            f"TorchDistributed runs one process per node, and the environment of this one lacks {missing[0]}; start"
            " all of them by `sgpsim launch FILE.toml --processes N`, by sgpsim.launch.launch, or by torchrun."
        )
    rank, size, _ = (_whole(name) for name in ("RANK", "WORLD_SIZE", "MASTER_PORT"))
    return rank, size


class Child(Membership):
    """A process started by sgpsim's launcher, which watches it by a board in `folder`."""

    def __init__(self, folder: Path, rank: int, size: int, interval: float) -> None:
        super().__init__(rank, size, FileBoard(folder / "pulses", size), interval)
        self._meeting = folder / "meeting"
        self.start()

    def join(self) -> None:
        import torch.distributed as dist

        self.pulse.move(Activity.JOINING)
        meeting = f"file://{self._meeting.absolute()}"
        try:
            dist.init_process_group("gloo", init_method=meeting, rank=self.rank, world_size=self.size, timeout=FOREVER)
        except RuntimeError as error:
            raise not_joined(self.rank, error) from None

    def watch(self) -> None:
        return  # the launcher watches

    def failure(self, lost: PeerLost) -> NodeFailure:
        whom = "another node" if lost.peer is None else f"node {lost.peer}"
        return NodeFailure(f"node {self.rank} lost {whom} ({first_line(lost)}).")


class Volunteer(Membership):
    """A process that found RANK and WORLD_SIZE in its environment (torchrun sets them). It judges, and obeys the
    first verdict."""

    def __init__(self, timeout: float, hung_after: float) -> None:
        rank, size = place_among()
        self._timeout = timeout
        self._watch = Watch(size, timeout, START_TIMEOUT, hung_after)
        self._sentence = ""
        store = self._store = corner(rank, size)
        super().__init__(rank, size, StoreBoard(store, size), max(0.05, min(1.0, timeout / 20)))
        self._answered = time.monotonic()
        self.start()
        threading.Thread(target=self._guard, name="sgpsim guard", daemon=True).start()
        self._join(store)

    def _join(self, store: Any) -> None:
        import torch.distributed as dist
        from torch.distributed.distributed_c10d import PrefixStore

        self.pulse.move(Activity.JOINING)
        try:
            if dist.is_initialized():
                self.group = dist.new_group(backend="gloo", timeout=FOREVER)
            else:
                choose_interface(self.rank, self.size, store)
                dist.init_process_group(
                    "gloo", store=PrefixStore("gloo", store), rank=self.rank, world_size=self.size, timeout=FOREVER
                )
        except RuntimeError as error:
            failure = not_joined(self.rank, error)
            self.confess(str(failure))
            raise failure from None

    def watch(self) -> None:
        assert isinstance(self.board, StoreBoard)
        try:
            self.board.publish()
            sentence = self.board.verdict()
            verdict = None if sentence else self._watch.look(self.board.read())
            if verdict is not None:
                sentence = self.board.settle(and_so_the_others(verdict, self.size))
        except RuntimeError:  # the store has gone, with the process that held it
            sentence = "the rendezvous store has gone, and with it whoever held it; all nodes were stopped."
        self._answered = time.monotonic()
        if sentence:
            self._obey(sentence)

    def _guard(self) -> None:
        """Where a cable is cut no call of the store comes back, and the heart stands still in one."""
        looked = time.monotonic()
        while not self._over.wait(self._interval):
            now = time.monotonic()
            if now - looked > self._timeout / 2:  # this process itself was stopped for a while
                self._answered = now
            looked = now
            if now - self._answered > self._timeout and not self._sentence:
                self._obey(
                    f"the rendezvous store at MASTER_ADDR={os.environ['MASTER_ADDR']} has not answered node {self.rank} for"
                    f" {self._timeout:g} s: its host, or the network to it, is gone; node {self.rank} was stopped."
                )

    def _obey(self, sentence: str) -> None:
        """End this process's waiting, and the process where that does not help."""
        if not self._sentence:
            self._sentence = sentence
            self.call_off(sentence)
            if not self._over.wait(GRACE):  # stuck where nobody can call it off
                print(sentence, file=sys.stderr, flush=True)
                self._linger()
                self.keep()
                self.give_up(sentence)
                os._exit(FAILED)

    def failure(self, lost: PeerLost) -> NodeFailure:
        """The verdict that stands, else a new one: a broken connection means that its other end died."""
        assert isinstance(self.board, StoreBoard)
        atexit.register(_leave_at_once)
        patience = time.monotonic() + self._timeout + GRACE
        while not self._sentence and lost.peer is None and time.monotonic() < patience:
            time.sleep(0.05)  # the watch, or whoever knows which connection broke, will tell
        if not self._sentence:
            self._sentence = self._settled(lost)
        self._over.set()
        self._linger()
        return NodeFailure(self._sentence)

    def agreed(self, words: Callable[[], str]) -> str:
        """What node 0 says, which alone calls `words`; all processes must ask, and once. Raises NodeFailure where nothing
        comes."""
        try:
            if self.rank == 0:
                self._store.set("agreed", words())
            return self._store.get("agreed").decode()
        except RuntimeError as error:
            raise not_joined(self.rank, error) from None

    def verdict(self, within: float) -> str:
        """The verdict that stands, or comes within so many seconds; else empty."""
        assert isinstance(self.board, StoreBoard)
        until = time.monotonic() + within
        try:
            while not self._sentence and time.monotonic() < until:
                self._sentence = self.board.verdict()
                time.sleep(0.05)
        except RuntimeError:
            pass  # the store has gone
        if self._sentence:
            atexit.register(_leave_at_once)
            self._over.set()
        return self._sentence

    def _linger(self) -> None:
        """Whoever holds the store stays until the others have read the verdict."""
        if holds_store(self.rank):
            time.sleep(GRACE / 3)

    def _settled(self, lost: PeerLost) -> str:
        assert isinstance(self.board, StoreBoard)
        if lost.peer is None:
            return f"node {self.rank} lost its connections ({lost}); all nodes were stopped."
        here = self.pulse.now  # the peer's own last beat may be many steps old
        verdict = Verdict(
            lost.peer, f"node {lost.peer} died (its connection broke when node {self.rank} was {here.place})"
        )
        sentence = and_so_the_others(verdict, self.size)
        try:
            return self.board.settle(sentence)
        except RuntimeError:  # the store died with it
            return sentence

    def confess(self, reason: str) -> None:
        """This process fails by itself: let the others know why, before its connections break."""
        assert isinstance(self.board, StoreBoard)
        try:
            self.board.settle(
                and_so_the_others(
                    Verdict(self.rank, f"node {self.rank} failed {self.pulse.now.doing}: {reason}"), self.size
                )
            )
        except RuntimeError:
            return
        finally:
            self._over.set()


def not_joined(rank: int, error: Exception) -> NodeFailure:
    """Why a process could not join the group, in one sentence."""
    interface = os.environ.get("GLOO_SOCKET_IFNAME", "unset")
    return NodeFailure(
        f"node {rank} could not join the others: {first_line(error)} (GLOO_SOCKET_IFNAME is {interface}; it must name"
        " an interface on which all processes reach each other)."
    )


def _whole(name: str) -> int:
    """The whole number in a variable of the environment."""
    text = os.environ[name]
    number = whole_number(text.strip())
    if number is None:
        raise SpecificationError(
            f"the environment's {name} is {shown(text)}; it must be a whole number, as torchrun sets it. Start all processes"
            " by torchrun or by `sgpsim launch`."
        )
    return number


def _calendar_ahead() -> float:
    """Calendar time less the even clock, s: of several looks the one least interrupted."""
    looks = [(time.perf_counter(), time.time(), time.perf_counter()) for _ in range(5)]
    before, calendar, after = min(looks, key=lambda look: look[2] - look[0])
    return calendar - (before + after) / 2


def _leave_at_once() -> None:
    """Threads of gloo may wait for ever for the peer that is gone, so a process that lost one is not taken down piece
    by piece."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(FAILED)
