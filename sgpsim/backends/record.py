"""Record: what one real process writes down while it runs, so that what was computed outlives the process.

The rule: a row per report (what the node holds and what it added) goes to a file at once; what was done when, and
figures of the node's own, follow as lines of JSON in bundles. A row or line cut short by a sudden end is left out on
reading. Bytes are in the machine's own order.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgpsim.experiment import Experiment

BUNDLE = 512
"""Lines kept back before they are written."""


def row_type(experiment: Experiment, keep: bool) -> np.dtype[Any]:
    """One row: step, time (s), bytes sent since the last row, number of the last round begun, weight, value and move
    (dimension,); flight: sent less taken in since the last row, in float64, where the method leaves mass in flight;
    gradient, where everything is kept."""
    vector, shape = experiment.dtype, (experiment.objective.dimension,)
    fields: list[Any] = [("step", np.int64), ("time", np.float64), ("bytes", np.float64), ("round", np.int64)]
    fields += [("weight", np.float64), ("flight_weight", np.float64), ("value", vector, shape), ("move", vector, shape)]
    if experiment.algorithm.leaves_in_flight:
        fields.append(("flight", np.float64, shape))
    if keep:
        fields.append(("gradient", vector, shape))
    return np.dtype(fields)


def record_paths(folder: Path, case: int, seed: int, rank: int) -> tuple[Path, Path]:
    """Where process `rank` writes its rows and its lines of run number `case` with `seed`."""
    name = f"case-{case}-seed-{seed}-node-{rank}"
    return folder / f"{name}.rows", folder / f"{name}.lines"


class Record:
    """Writes rows and lines."""

    def __init__(self, paths: tuple[Path, Path], kind: np.dtype[Any]) -> None:
        self.row: NDArray[Any] = np.zeros((), kind)
        self._rows = paths[0].open("wb", buffering=0)
        self._lines = paths[1].open("w")
        self._bundle: list[str] = []

    def write_row(self) -> None:
        """Write `row` as it is now."""
        self._rows.write(self.row.tobytes())

    def line(self, *told: Any) -> None:
        """Write down a fact: its kind, and what there is to say."""
        self._bundle.append(json.dumps(told))
        if len(self._bundle) >= BUNDLE:
            self.flush()

    def flush(self) -> None:
        self._lines.write("".join(f"{line}\n" for line in self._bundle))
        self._lines.flush()
        self._bundle.clear()

    def close(self) -> None:
        self.flush()
        self._rows.close()
        self._lines.close()


def read_rows(path: Path, kind: np.dtype[Any]) -> NDArray[Any]:
    """All whole rows of a file, mapped into memory; none where there is no file."""
    whole = path.stat().st_size // kind.itemsize if path.exists() else 0
    return np.memmap(path, kind, "r", shape=(whole,)) if whole else np.zeros(0, kind)


def read_lines(path: Path) -> list[list[Any]]:
    """All whole lines of a file; none where there is no file."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
