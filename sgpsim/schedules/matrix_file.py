"""Schedules from matrix files: `.npy`; `.npz` as written by numpy (several arrays) or scipy.sparse (one sparse
matrix); `.csv` or `.txt`, one matrix as plain text.

The rule: pickles are never loaded. The schedule keeps the SHA-256 of what it read, so that an experiment's identity
depends on the file's content and not only on its name, and a stored experiment refuses a file that has changed since.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import load_npz

from sgpsim.schedules.graph_file import read_content
from sgpsim.schedules.matrices import Columns, columns, square_matrices
from sgpsim.schedules.schedule import Schedule
from sgpsim.specification.input_files import MOST_BYTES, MOST_GRAPH, array_in, arrays_in, understood
from sgpsim.specification.specification import specification

MOST_COLUMNS = 2_000_000
"""Of all matrices together; more are taken for damage."""


@specification
class MatrixFile(Schedule):
    """Step k uses matrix k, modulo their number, of the file: P[receiver, sender].

    path: a `.npy` with an array (n, n) or (steps, n, n); a `.npz` with one scipy sparse matrix, or with arrays of these
    shapes, in the order in which they were saved; a `.csv` or `.txt` with one matrix, a line per receiver, by the rules
    of numpy.loadtxt: entries parted by commas if there are any, else by blanks, # begins a comment. A relative path
    starts at the working directory.
    sha256: of the file, hexadecimal; filled in if left empty, otherwise the file must agree with it.
    Errors: SpecificationError for a file that is missing, damaged or changed, and for matrices that are not square or
    not finite.
    """

    size: int = field(init=False)
    path: str
    sha256: str = ""

    def __post_init__(self) -> None:
        most = MOST_GRAPH if Path(self.path).suffix.lower() in CURES else MOST_BYTES
        content = read_content("MatrixFile(path)", self.path, READERS, self.sha256, most)
        object.__setattr__(self, "sha256", hashlib.sha256(content).hexdigest())
        suffix = Path(self.path).suffix.lower()
        cure = CURES.get(suffix, "Save plain numbers with numpy.save, numpy.savez or scipy.sparse.save_npz.")
        found = understood("MatrixFile(path)", self.path, suffix, cure, lambda: READERS[suffix](content))
        matrices = square_matrices(f"MatrixFile({self.path!r})", found)
        object.__setattr__(self, "size", matrices[0].shape[0])
        object.__setattr__(self, "_columns", columns(matrices))

    @property
    def period(self) -> int:
        return len(self._content)

    def shares(self, sender: int, step: int) -> Mapping[int, float]:
        return self._content[step % self.period][sender]

    @property
    def _content(self) -> Columns:
        return self.__dict__["_columns"]


def _array(content: bytes) -> NDArray[Any]:
    array = array_in(content)
    _require_few([array])
    return array


def _require_few(arrays: Iterable[NDArray[Any]]) -> None:
    """Raise ValueError where matrices have too many rows together."""
    rows = sum(math.prod(array.shape[:-1]) for array in arrays)
    if rows > MOST_COLUMNS:
        raise ValueError(f"its matrices have {rows:,} rows together, and at most {MOST_COLUMNS:,} are read")


def _archive(content: bytes) -> list[Any]:
    arrays = arrays_in(io.BytesIO(content))
    if {"format", "shape", "data"} <= set(arrays):  # how scipy.sparse.save_npz names the parts of one matrix
        return [_checked(load_npz(io.BytesIO(content)))]
    _require_few(arrays.values())
    return [matrix for array in arrays.values() for matrix in (array if array.ndim == 3 and array.size else [array])]


def _checked(matrix: Any) -> Any:
    """A sparse matrix whose indices lie inside it: scipy's kernels take that on trust, and end the process if not."""
    rows, columns = matrix.shape
    if rows != columns or rows > MOST_COLUMNS:
        raise ValueError(f"its shape is {matrix.shape}; it must be square, of at most {MOST_COLUMNS:,} rows")
    if matrix.nnz < columns:
        raise ValueError(f"it has {matrix.nnz:,} entries in {columns:,} columns; every node sends, or keeps, a share")
    if hasattr(matrix, "check_format"):
        matrix.check_format(full_check=True)
    return matrix


def _text(content: bytes) -> Any:
    text = content.decode("utf-8-sig")
    entries = "".join(line.split("#")[0] for line in text.splitlines())
    if not entries.strip():
        raise ValueError("it holds no number")
    return np.loadtxt(io.StringIO(text), delimiter="," if "," in entries else None, ndmin=2)


READERS: dict[str, Callable[[bytes], Any]] = {".npy": _array, ".npz": _archive, ".csv": _text, ".txt": _text}
"""By the file's ending: from its content to one matrix or several."""

CURES: dict[str, str] = dict.fromkeys(
    (".csv", ".txt"), "Write a line per receiver, of plain numbers parted by commas or blanks, as numpy.savetxt does; no header."
)
"""By the file's ending: what to do about text that cannot be read."""
