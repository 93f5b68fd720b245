"""Table: a user's own samples, from a CSV or NumPy file.

The rule: a broken file is refused when it is read (which is when an objective is built), with the line and the column,
never mid-run.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sgpsim.errors import LONGEST_PATH, SpecificationError, nearest, shown
from sgpsim.objectives.datasets import Dataset, Samples
from sgpsim.specification.input_files import arrays_in, content_of, understood
from sgpsim.specification.specification import specification


@specification
class Table(Dataset):
    """Samples from `path`: a CSV file with a header line, or an .npz file with arrays `features`, `labels` and, if need
    be, `groups`.

    label: the CSV column that holds the label (numbers or words; sorted, they become 0, 1, ...). group: the CSV column
    that says where a sample comes from, for `ByGroup`; None: no such column. All other columns are features.
    standardized: scale features to mean 0 and deviation 1.
    """

    path: str
    label: str = "label"
    group: str | None = None
    standardized: bool = False

    def read(self) -> Samples:
        suffix = Path(self.path).suffix
        if suffix not in (".csv", ".npz"):
            raise SpecificationError(
                f"Table(path) is {shown(self.path, LONGEST_PATH)}; it must end in .csv or .npz. Save the samples as one of these."
            )
        content = content_of("Table(path)", self.path)
        found = hashlib.sha256(content).hexdigest()
        if self.__dict__.get("_sha256", found) != found:  # large tables are read again each time
            raise SpecificationError(
                f"Table(path) is {shown(self.path, LONGEST_PATH)}, which has changed since it was first read. Bring back the"
                " old file, or build the experiment anew."
            )
        object.__setattr__(self, "_sha256", found)  # a memo: see keys.files_read
        read = self._read_npz if suffix == ".npz" else self._read_csv
        cure = "Save it with numpy.savez." if suffix == ".npz" else "Save it as CSV text in UTF-8."
        features, labels, groups = understood("Table(path)", self.path, suffix, cure, partial(read, content))
        if self.standardized:
            spread = features.std(axis=0)
            features = (features - features.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
        names, places = np.unique(labels, return_inverse=True)
        self._require_classes(names)
        return Samples(features, places, np.unique(groups, return_inverse=True)[1])

    def _require_classes(self, names: NDArray[np.generic]) -> None:
        """Raise where labels are numbers that no class has; remember them where they are not 0, 1, ... themselves."""
        if names.dtype.kind not in "fiub":
            return  # words
        numbers = names.astype(np.float64)
        measured = numbers[numbers != np.round(numbers)]  # not a number counts too
        if len(measured):
            raise SpecificationError(
                f"{self.path!r}: a label is {measured[0]:g}; labels name classes, so they must be words or whole"
                " numbers. Regression on measured values is not supported; for least squares,"
                " QuadraticArrays takes each node's A^T A / m and its minimizer."
            )
        if (numbers != np.arange(len(numbers))).any():
            shown = ", ".join(f"{number:g}" for number in numbers[:5]) + (", ..." if len(numbers) > 5 else "")
            object.__setattr__(self, "_label_names", shown)  # a memo beside the frozen fields: no part of the value

    def label_names(self) -> str | None:
        self.load()
        return self.__dict__.get("_label_names")

    def _read_csv(self, content: bytes) -> tuple[NDArray[np.float64], list[str | float], list[str | float]]:
        lines = csv.reader(io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", newline=""))
        header = [name.strip() for name in next(lines, [])]
        label = self._column(header, self.label, "label")
        group = None if self.group is None else self._column(header, self.group, "group")
        columns = [column for column in range(len(header)) if column not in (label, group)]
        if (nameless := next((column for column in columns if not header[column]), None)) is not None:
            raise SpecificationError(
                f"{self.path!r}: column {nameless + 1} has no name in line 1; pandas writes its index so, which is no"
                " feature. Save with index=False, or name the column."
            )
        if not columns:
            raise SpecificationError(
                f"{self.path!r} has no column besides {', '.join(header)}; samples need features. Add columns of"
                " numbers."
            )
        features: list[list[float]] = []
        labels: list[str] = []
        groups: list[str] = []
        for cells in lines:
            if not cells:
                continue
            if len(cells) != len(header):
                raise SpecificationError(
                    f"{self.path!r}, line {lines.line_num}: {len(cells)} cells; the header has {len(header)}."
                    " Complete the line or remove it."
                )
            features.append([self._number(cells[column], header[column], lines.line_num) for column in columns])
            labels.append(cells[label].strip())
            if not labels[-1]:
                raise SpecificationError(
                    f"{self.path!r}, line {lines.line_num}: the label is empty; each sample must have one. Complete the"
                    " line or remove it."
                )
            groups.append("" if group is None else cells[group].strip())
        if not features:
            raise SpecificationError(
                f"{self.path!r} has no samples; at least one line must follow the header. Add lines."
            )
        return np.array(features), _numeric(labels), _numeric(groups)

    def _column(self, header: list[str], name: str, field: str) -> int:
        if name not in header:
            raise SpecificationError(
                f"Table({field}) is {name!r}, and {self.path!r} has no such column in line 1; {nearest(name, header)}"
                f" Give {field}=..., or rename it."
            )
        if header.count(name) > 1:
            raise SpecificationError(
                f"Table({field}) is {name!r}, and {self.path!r} has {header.count(name)} such columns in line 1; one would be"
                " taken for a feature. Rename or remove the others."
            )
        return header.index(name)

    def _number(self, cell: str, column: str, line: int) -> float:
        try:
            value = float(cell)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise SpecificationError(
                f"{self.path!r}, line {line}, column {column!r}: {cell!r}; features must be finite numbers. Correct"
                " the cell or remove the line."
            )
        return value

    def _read_npz(self, content: bytes) -> tuple[NDArray[np.float64], NDArray[np.generic], NDArray[np.generic]]:
        arrays = arrays_in(io.BytesIO(content), ("features", "labels", "groups"))
        missing = [name for name in ("features", "labels") if name not in arrays]
        if missing:
            raise SpecificationError(
                f"{self.path!r} has no array {missing[0]!r}; it must hold `features` and `labels`. Save it"
                " with numpy.savez(path, features=..., labels=...)."
            )
        features, labels = arrays["features"], arrays["labels"]
        groups = arrays["groups"] if "groups" in arrays else np.zeros(labels.shape)
        if features.ndim != 2 or labels.shape != (len(features),) or groups.shape != labels.shape or not features.size:
            raise SpecificationError(
                f"{self.path!r}: features {features.shape}, labels {labels.shape}, groups {groups.shape}; these must"
                " be (samples, features),"
                " (samples,) and (samples,). Reshape the arrays."
            )
        if features.dtype.kind not in "iuf":
            raise SpecificationError(
                f"{self.path!r}: features are {features.dtype}; they must be real numbers. Save them as float64."
            )
        for name, array in (("labels", labels), ("groups", groups)):
            if array.dtype.kind not in "biufUS":
                raise SpecificationError(
                    f"{self.path!r}: {name} are {array.dtype}; they must be numbers or words. Save them so."
                )
        features = features.astype(np.float64)
        broken = np.flatnonzero(~np.isfinite(features).all(axis=1))
        if len(broken):
            raise SpecificationError(
                f"{self.path!r}, row {broken[0]} of `features` is not finite; features must be finite numbers."
                " Correct the row or remove it."
            )
        return features, labels, groups


def _numeric(cells: list[str]) -> list[str | float]:
    """Cells as numbers where all are numbers, so that 10 sorts after 9."""
    try:
        return [float(cell) for cell in cells]
    except ValueError:
        return list(cells)
