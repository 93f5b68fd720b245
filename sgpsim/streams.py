"""Streams: every random number has an address (seed, purpose, node), and nothing draws from a global generator.

The rule: what a stream yields depends on its address alone, never on the order of events, the backend or the other
streams, so algorithms are compared under common random numbers and a run repeats itself. Streams are read in blocks
whose length is fixed by who is read (an objective, a compute time), so all backends cut them alike. Bits are promised
per numpy version.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.random.bit_generator import ISeedSequence
from numpy.typing import NDArray

from sgpsim.errors import SpecificationError, kind_of, shown

BLOCK_BYTES = 1 << 16
"""How much one stream draws at a time at the most: bounds the memory of 1,000 nodes to 64 MiB."""


def stream(seed: int, purpose: str, node: int = 0) -> np.random.Generator:
    """The generator at (seed, purpose, node): a PCG64 whose 256 bits of state are entry `node` of a Philox keyed by
    (seed, purpose).

    Philox is counter-based, so an entry depends on its number alone; PCG64 is what numpy draws fastest from. Seeding
    each PCG64 through a SeedSequence of its own would give streams just as good, at fifteen times the cost.
    """
    table, place = divmod(int(node), TABLE)
    words: Any = _Words(_table(seed, purpose, table)[place])
    return np.random.Generator(np.random.PCG64(words))


PURPOSES = frozenset(
    {
        "gradient", "compute", "matching", "random_peer", "random_exponential_peer", "erdos_renyi", "split", "synthetic data",
        "quadratic centers", "quadratic curvature", "initialization", "observed variance", "laws of objectives", "bootstrap",
        "trial of a text",
    }
)  # fmt: skip
"""What sgpsim itself draws for; stragglers draw for their class and number, as in `MarkovSlow 0`."""


def own_stream(seed: int, purpose: str, node: int) -> np.random.Generator:
    """A text's own stream; SpecificationError for a purpose of sgpsim's, whose numbers would be those of the gradients'
    noise, say, once more."""
    if not isinstance(purpose, str) or not purpose or purpose in PURPOSES or re.fullmatch(r"[A-Z]\w* \d+", purpose):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise SpecificationError(
            f"node.generator({shown(purpose)}): a text's stream has a purpose of its own, a word that is none of"
            f" {', '.join(sorted(PURPOSES))} nor a class with a number. Give such as 'coin'."
        )
    return stream(seed, purpose, node)


TABLE = 256
"""Streams whose states are cut at a time."""


@lru_cache(maxsize=1024)
def _table(seed: int, purpose: str, table: int) -> NDArray[np.uint64]:
    """States of the streams of nodes TABLE * table .. + TABLE - 1: (TABLE, 4); one step of Philox's counter makes four
    words."""
    philox = np.random.Philox(np.random.SeedSequence(entropy=seed, spawn_key=(zlib.crc32(purpose.encode()),)))
    philox.advance(TABLE * table)
    return philox.random_raw(4 * TABLE).reshape(TABLE, 4)


class _Words(ISeedSequence):
    """Hands ready words to a bit generator that asks for a seed."""

    def __init__(self, words: NDArray[np.uint64]) -> None:
        self.words = words

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> NDArray[Any]:
        if n_words != len(self.words) or np.dtype(dtype) != np.uint64:
            raise ValueError(
                f"a stream's state is {len(self.words)} words of uint64, not {n_words} of {np.dtype(dtype)}"
            )
        return self.words


def block_length(bytes_each: int, most: int = 512) -> int:
    """How many draws of `bytes_each` bytes make one block: at least 1, at most `most`, at most BLOCK_BYTES together."""
    return max(1, min(most, BLOCK_BYTES // max(bytes_each, 1)))


def endless(what: str, blocks: Any) -> Iterator[Any]:
    """Blocks that a user's class draws, `what` in words; SpecificationError where they come to an end, or are none."""
    if not hasattr(blocks, "__next__"):
        raise SpecificationError(
            f"{what} gave {kind_of(blocks)}; it must be an iterator of blocks. Write it as a generator: while True: yield a block."
        )
    yield from blocks
    raise SpecificationError(f"{what} came to an end; blocks of draws are endless. Write it as a generator with `while True`.")


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


def scalars(blocks: Iterator[NDArray[np.float64]]) -> Iterator[float]:
    """The numbers of endless blocks, one by one, as Python floats."""
    for block in blocks:
        yield from block.tolist()


class FleetReader:
    """Takes the streams of a whole fleet one row at a time: row k of every stream, stacked on the leading axes (nodes,
    seeds)."""

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
            kinds = {(block.shape, block.dtype) for block in blocks}
            if len(kinds) > 1:
                several = " and ".join(sorted(f"shape {shape} and type {dtype}" for shape, dtype in kinds)[:2])
                raise SpecificationError(f"nodes draw blocks of {several}; all nodes' blocks have one. Draw equal blocks.")
            self._length = len(blocks[0])
            self._block = np.stack(blocks, axis=1).reshape(self._length, *self._shape, *blocks[0].shape[1:])
            position = 0
        self._next = position + 1
        return self._block[position]
