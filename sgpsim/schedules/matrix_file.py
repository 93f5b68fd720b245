"""Schedules from matrix files: `.npy`; `.npz` as written by numpy (several arrays) or scipy.sparse (one sparse
matrix); `.csv` or `.txt`, one matrix as plain text.

The rule: pickles are never loaded. The schedule keeps the SHA-256 of what it read, so that an experiment's identity
depends on the file's content and not only on its name, and a stored experiment refuses a file that has changed since.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import load_npz

from sgpsim.input_files import understood
from sgpsim.schedules.graph_file import read_content
from sgpsim.schedules.matrices import Columns, columns, square_matrices
from sgpsim.schedules.schedule import Schedule
from sgpsim.specification import specification

MOST_NODES = 10_000_000
"""Rows of a sparse matrix from which a shape is taken for damage."""


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
        content = read_content("MatrixFile(path)", self.path, READERS, self.sha256)
        object.__setattr__(self, "sha256", hashlib.sha256(content).hexdigest())
        suffix = Path(self.path).suffix.lower()
        cure = CURES.get(suffix, "Save plain numbers with numpy.save, numpy.savez or scipy.sparse.save_npz.")
        found = understood("MatrixFile(path)", self.path, suffix, cure, lambda: READERS[suffix](io.BytesIO(content)))
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


def _array(file: io.BytesIO) -> Any:
    return np.load(file, allow_pickle=False)


def _archive(file: io.BytesIO) -> list[Any]:
    with np.load(file, allow_pickle=False) as archive:
        if {"format", "shape", "data"} <= set(archive.files):  # how scipy.sparse.save_npz names the parts of one matrix
            file.seek(0)
            return [_checked(load_npz(file))]
        arrays = [archive[name] for name in archive.files]
    return [matrix for array in arrays for matrix in (array if array.ndim == 3 else [array])]


def _checked(matrix: Any) -> Any:
    """A sparse matrix whose indices lie inside it: scipy's kernels take that on trust, and end the process if not."""
    rows, columns = matrix.shape
    if rows != columns or rows > MOST_NODES:
        raise ValueError(f"its shape is {matrix.shape}; it must be square, of at most {MOST_NODES:,} rows")
    if hasattr(matrix, "check_format"):
        matrix.check_format(full_check=True)
    return matrix


def _text(file: io.BytesIO) -> Any:
    text = file.getvalue().decode("utf-8-sig")
    entries = "".join(line.split("#")[0] for line in text.splitlines())
    if not entries.strip():
        raise ValueError("it holds no number")
    return np.loadtxt(io.StringIO(text), delimiter="," if "," in entries else None, ndmin=2)


READERS: dict[str, Callable[[io.BytesIO], Any]] = {".npy": _array, ".npz": _archive, ".csv": _text, ".txt": _text}
"""By the file's ending: from its content to one matrix or several."""

CURES: dict[str, str] = dict.fromkeys(
    (".csv", ".txt"), "Write a line per receiver, of plain numbers parted by commas or blanks, as numpy.savetxt does; no header."
)
"""By the file's ending: what to do about text that cannot be read."""
