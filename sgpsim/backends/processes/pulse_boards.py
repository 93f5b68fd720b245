"""Boards: where processes put up their pulses for whoever watches them.

The rule: writing one's pulse never waits. On one machine the board is a file that all map into their memory, so the
launcher sees each step as it is taken. Across machines it is the rendezvous store, to which a process's heart copies
the pulse at every beat, and where the first verdict stands for all.
"""

from __future__ import annotations

import mmap
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from sgpsim.backends.processes.liveness import LAYOUT, Pulse, as_pulse


class Board(ABC):
    """The pulses of `size` processes."""

    size: int

    @abstractmethod
    def mine(self, rank: int) -> memoryview:
        """The bytes into which process `rank` writes its pulse."""

    @abstractmethod
    def publish(self) -> None:
        """Show what was written to the others."""

    @abstractmethod
    def read(self) -> list[Pulse]:
        """Everybody's pulse."""


class FileBoard(Board):
    """A file of LAYOUT.size bytes per process, mapped into memory."""

    def __init__(self, path: Path, size: int) -> None:
        self.size = size
        length = size * LAYOUT.size
        if not path.exists():
            path.write_bytes(bytes(length))
        with path.open("r+b") as file:
            self._bytes = memoryview(mmap.mmap(file.fileno(), length))

    def mine(self, rank: int) -> memoryview:
        return self._bytes[rank * LAYOUT.size : (rank + 1) * LAYOUT.size]

    def publish(self) -> None:
        return

    def read(self) -> list[Pulse]:
        return [as_pulse(self.mine(rank)) for rank in range(self.size)]


class StoreBoard(Board):
    """Keys of a torch.distributed store, one per process; and the verdict, of which the first is kept."""

    def __init__(self, store: Any, size: int) -> None:
        self.size = size
        self._store = store
        self._rank = 0
        self._bytes = bytearray(LAYOUT.size)

    def mine(self, rank: int) -> memoryview:
        self._rank = rank
        return memoryview(self._bytes)

    def publish(self) -> None:
        self._store.set(f"pulse/{self._rank}", bytes(self._bytes).hex())

    def read(self) -> list[Pulse]:
        keys = [f"pulse/{rank}" for rank in range(self.size)]
        return [
            as_pulse(bytes.fromhex(self._store.get(key).decode())) if self._store.check([key]) else Pulse()
            for key in keys
        ]

    def verdict(self) -> str:
        """The verdict that stands; empty while there is none."""
        return self._store.get("verdict").decode() if self._store.check(["verdict"]) else ""

    def settle(self, sentence: str) -> str:
        """Propose a verdict; the one that stands comes back."""
        return self._store.compare_set("verdict", "", sentence).decode() or sentence
