"""Streams: every random number has an address (seed, purpose, node), and nothing draws from a global generator.

The rule: what a stream yields depends on its address alone, never on the order of events, the backend or the other streams, so algorithms are
compared under common random numbers and a run repeats itself. Streams are read in blocks whose length is fixed by who is read (an objective,
a compute time), so all backends cut them alike. Bits are promised per numpy version.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK_BYTES = 1 << 16
"""How much one stream draws at a time at the most: bounds the memory of 1,000 nodes to 64 MiB."""


def stream(seed: int, purpose: str, node: int = 0) -> np.random.Generator:
    """The generator at (seed, purpose, node): PCG64 seeded through numpy's SeedSequence, whose spawn key is the address."""
    key = (zlib.crc32(purpose.encode()), node)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy=seed, spawn_key=key)))


def block_length(bytes_each: int, most: int = 512) -> int:
    """How many draws of `bytes_each` bytes make one block: at least 1, at most `most`, at most BLOCK_BYTES together."""
    return max(1, min(most, BLOCK_BYTES // max(bytes_each, 1)))


class Reader:
    """Takes an endless iterator of blocks one row at a time."""

    __slots__ = ("_block", "_blocks", "_length", "_next")

    def __init__(self, blocks: Iterator[NDArray[Any]]) -> None:
        self._blocks = blocks
        self._block: NDArray[Any] = np.empty(0)
        self._next = self._length = 0

    def take(self) -> Any:
        """The next row (a view into its block, or a scalar for one-dimensional blocks)."""
        position = self._next
        if position == self._length:
            self._block = next(self._blocks)
            self._length = len(self._block)
            position = 0
        self._next = position + 1
        return self._block[position]


class FleetReader:
    """Takes the streams of a whole fleet one row at a time: row k of every stream, stacked on the leading axes (nodes, seeds)."""

    __slots__ = ("_block", "_length", "_next", "_shape", "_streams")

    def __init__(self, streams: list[Iterator[NDArray[Any]]], shape: tuple[int, ...]) -> None:
        self._streams = streams
        self._shape = shape
        self._block: NDArray[Any] = np.empty(0)
        self._next = self._length = 0

    def take(self) -> NDArray[Any]:
        """Row k of all streams, shaped `shape` + the shape of one row."""
        position = self._next
        if position == self._length:
            blocks = [next(blocks) for blocks in self._streams]
            self._length = len(blocks[0])
            self._block = np.stack(blocks, axis=1).reshape(self._length, *self._shape, *blocks[0].shape[1:])
            position = 0
        self._next = position + 1
        return self._block[position]
