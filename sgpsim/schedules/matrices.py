"""Schedules from matrices: P[receiver, sender] written down, one matrix per step.

The rule: a matrix must be square and finite to become a schedule at all; whether its columns sum to 1, nodes keep a
share and information gets everywhere is asked by `require_valid` (validation.py) when an experiment is built, and by
`python -m theory mixing`. Entries that are 0 are no messages. Two such schedules are equal when all their entries are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, issparse

from sgpsim.errors import SpecificationError
from sgpsim.schedules.schedule import Schedule
from sgpsim.specification.input_files import reason_of
from sgpsim.specification.ranges import OWN
from sgpsim.specification.single_values import entries_of, is_masked
from sgpsim.specification.specification import specification

Columns: TypeAlias = tuple[tuple[dict[int, float], ...], ...]
"""Per step and sender: receiver -> share, own first, then in cyclic order from the sender on."""


@specification(eq=False)
class Matrices(Schedule):
    """Step k uses matrix k modulo their number.

    matrices: a square array, a sequence of such, an array (steps, n, n), or scipy sparse arrays; torch tensors serve as
    arrays. Kept as a tuple of read-only float64 arrays (n, n). For large sparse matrices use MatrixFile, which never
    makes them dense.
    Errors: SpecificationError where one is not square, not finite, not numeric, or of another size.
    """

    size: int = field(init=False)
    matrices: Annotated[tuple[NDArray[np.float64], ...], OWN]

    def __post_init__(self) -> None:
        _settle(self, "Matrices(matrices)")

    @property
    def period(self) -> int:
        return len(self.matrices)

    def shares(self, sender: int, step: int) -> Mapping[int, float]:
        return self.__dict__["_columns"][step % self.period][sender]

    def __eq__(self, other: object) -> bool:
        return np.array_equal(self.matrices, other.matrices) if isinstance(other, Matrices) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.size, *(matrix.tobytes() for matrix in self.matrices)))


@specification(eq=False)
class UncheckedMatrices(Schedule):
    """As Matrices, but never validated: for negative controls such as a row-stochastic matrix or one that loses mass.
    Any finite entries."""

    size: int = field(init=False)
    matrices: Annotated[tuple[NDArray[np.float64], ...], OWN]

    def __post_init__(self) -> None:
        _settle(self, "UncheckedMatrices(matrices)")

    @property
    def period(self) -> int:
        return len(self.matrices)

    @property
    def checked(self) -> bool:
        return False

    def shares(self, sender: int, step: int) -> Mapping[int, float]:
        return self.__dict__["_columns"][step % self.period][sender]

    def __eq__(self, other: object) -> bool:
        return np.array_equal(self.matrices, other.matrices) if isinstance(other, UncheckedMatrices) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.size, *(matrix.tobytes() for matrix in self.matrices)))


def _settle(schedule: Matrices | UncheckedMatrices, what: str) -> None:
    """Put tidy matrices in place of those given, and beside them the size and the columns in the form that `shares`
    gives."""
    checked = square_matrices(what, schedule.matrices)
    dense = tuple(matrix.toarray() for matrix in checked)
    for matrix in dense:
        matrix.setflags(write=False)
    object.__setattr__(schedule, "matrices", dense)
    object.__setattr__(schedule, "size", len(dense[0]))
    object.__setattr__(schedule, "_columns", columns(checked))


def square_matrices(what: str, matrices: Any) -> tuple[csc_array, ...]:
    """One matrix or several, as float64 in compressed columns without stored zeros; `what` names their origin.

    Errors: SpecificationError where one is not square, not finite, not numeric, or of another size.
    """
    try:
        matrices = _array(matrices)
        alone = isinstance(matrices, np.ndarray) and matrices.ndim < 3
        given: list[Any] = [matrices] if alone or issparse(matrices) else list(entries_of(matrices))
        if given and isinstance(given[0], list | tuple) and np.ndim(given[0]) == 1:  # one matrix as nested lists
            given = [given]
    except Exception:  # nested lists of unequal length, endless iterators, foreign classes
        raise SpecificationError(
            f"{what} cannot be read as matrices; it must be a square matrix or a sequence of them. Give rows of equal"
            " length that hold numbers."
        ) from None
    if not given:
        raise SpecificationError(f"{what} is empty; a schedule needs at least one matrix. Give one (n, n) per step.")
    found = tuple(_square(f"{what}, number {step}," if len(given) > 1 else what, matrix) for step, matrix in enumerate(given))
    sizes = [matrix.shape[0] for matrix in found]
    if len(set(sizes)) > 1:
        raise SpecificationError(f"{what} have {sizes} rows; all must have the same number, one per node. Leave out those of another size.")
    return found


def _square(what: str, matrix: Any) -> csc_array:
    try:
        matrix = _array(matrix)
        array: Any = matrix if issparse(matrix) else np.asarray(matrix)
        if array.dtype.kind not in "fiub":
            raise SpecificationError(f"{what} holds entries of type {array.dtype}; shares are real numbers. Convert it to float64.")
        if array.ndim != 2 or array.shape[0] != array.shape[1] or array.shape[0] == 0:
            raise SpecificationError(
                f"{what} has shape {tuple(array.shape)}; it must be square, (n, n) with n at least 1: P[receiver,"
                " sender]."
                " Give one row and one column per node."
            )
        found = csc_array(array, dtype=np.float64)
    except SpecificationError:
        raise
    except Exception as error:  # rows of unequal length, foreign classes
        raise SpecificationError(
            f"{what} cannot be read as a matrix ({reason_of(error)}). Give rows of equal length that hold numbers."
        ) from error
    found.sum_duplicates()
    bad = np.flatnonzero(~np.isfinite(found.data))
    if len(bad):
        receiver, sender = int(found.indices[bad[0]]), int(np.searchsorted(found.indptr, bad[0], side="right") - 1)
        raise SpecificationError(
            f"{what} has the entry {found.data[bad[0]]} in row {receiver}, column {sender}; entries must be finite."
            " Replace it by the share that"
            f" node {sender} sends to node {receiver}."
        )
    found.eliminate_zeros()
    return found


def _array(given: Any) -> Any:
    """`given` as a numpy array where it is one in all but type (a torch tensor, a data frame); all else unchanged.

    A tensor is recognised by what it can do, so that torch need not be there: it is taken off its graph and device,
    made dense, and widened, as numpy knows no bfloat16.
    """
    if is_masked(given):
        raise ValueError("entries are masked")
    if callable(getattr(given, "detach", None)) and callable(getattr(given, "cpu", None)):
        given = given.detach().cpu().to_dense()
        given = given if given.is_complex() else given.double()
    elif isinstance(given, np.ndarray) or issparse(given) or not hasattr(given, "__array__"):
        return given
    return np.asarray(given)


def columns(matrices: tuple[csc_array, ...]) -> Columns:
    """The shares of each step and sender."""
    return tuple(tuple(_column(matrix, sender) for sender in range(matrix.shape[1])) for matrix in matrices)


def _column(matrix: csc_array, sender: int) -> dict[int, float]:
    start, stop = matrix.indptr[sender], matrix.indptr[sender + 1]
    receivers, shares = matrix.indices[start:stop], matrix.data[start:stop]
    order = np.argsort((receivers - sender) % matrix.shape[0])
    return dict(zip(receivers[order].tolist(), shares[order].tolist(), strict=True))
