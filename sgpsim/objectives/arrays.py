"""What numpy and torch name differently, as far as objectives need it.

The rule: an expression that both understand (operators, `exp`, `tanh`, `sum` by axis) is written once, with the
functions of `namespace`; torch is never imported here, it is only found where a tensor came in.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgpsim.mass import Array

CHUNK_BYTES = 1 << 20
"""Gathered data held at a time on a CPU: fits a second-level cache, and stays below what the C library maps anew on
each call."""
DEVICE_CHUNK_BYTES = 1 << 28
"""The same on an accelerator, where few large kernels are better."""


def namespace(array: Array) -> Any:
    """The module whose functions act on `array`: numpy, or torch for tensors."""
    return np if isinstance(array, np.ndarray | np.generic) else sys.modules["torch"]


def in_float64(at: Array) -> Array:
    """`at` in float64: a numpy array, or a tensor on its own device."""
    return at.double() if is_tensor(at) else np.asarray(at, dtype=np.float64)


def is_tensor(array: Array) -> bool:
    """Whether `array` is a torch tensor."""
    return type(array).__module__.startswith("torch")


def rows(table: Array, which: NDArray[Any], out: Array = None) -> Array:
    """table[which] along the first axis: (..., *table.shape[1:]). numpy writes into the first len(which) entries of
    `out`, where given."""
    if isinstance(table, np.ndarray):
        # Fresh memory of this size is mapped page by page; `clip` lets numpy write into `out` without a copy between.
        return (
            table.take(which, axis=0) if out is None else table.take(which, axis=0, out=out[: len(which)], mode="clip")
        )
    torch = sys.modules["torch"]
    return table[torch.as_tensor(which, dtype=torch.int64, device=table.device)]


def as_kind(array: NDArray[Any], like: Array) -> Array:
    """`array` as what `like` is: its type, its device. For what changes on every call; what stays is
    `Objective.placed`."""
    if isinstance(like, np.ndarray):
        return array.astype(like.dtype, copy=False)
    return sys.modules["torch"].tensor(array, dtype=like.dtype, device=like.device)


def chunk_length(bytes_each: int, like: Array) -> int:
    """How many pieces of `bytes_each` bytes are worked on at a time, at least 1."""
    on_device = is_tensor(like) and like.device.type != "cpu"
    return max(1, (DEVICE_CHUNK_BYTES if on_device else CHUNK_BYTES) // max(bytes_each, 1))
