"""Record: what one real process writes down while it runs, so that what was computed outlives the process.

The rule: rows (what the node holds and what it added) go to one file, lines of JSON (what was done when, and figures of
the node's own) to another. Small rows are written at once, which takes microseconds. Large ones the node only copies
into memory, and a thread writes them, so that the node's clock shows no disk; where the disk can't keep up the node
waits, and the seconds are told. Lines follow a twentieth of a second later. Rows are those of the cuts that are
measured, and of all steps where that takes little room. A row or line cut short by a sudden end is left out on reading.
Bytes are in the machine's own order.
"""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgpsim.budget import most_steps
from sgpsim.experiment import Experiment
from sgpsim.mass import Mass
from sgpsim.specification.input_files import whole_lines

LITTLE = 1 << 24
"""Bytes of a node's rows up to which all steps are kept, measured or not."""
HELD = 1 << 26
"""Bytes that wait in memory for the writing thread before the node itself waits."""
SMALL = 1 << 16
"""Bytes of a row up to which the node writes it itself."""
PAUSE = 0.05
"""Seconds that the writing thread gathers lines for."""


def spacing(experiment: Experiment, keep: bool) -> int:
    """Steps from one row to the next: 1 where everything is kept, is measured, or takes little room."""
    steps = most_steps(experiment.budget, experiment.nodes) or 0
    little = _kind(experiment, keep, summed=False).itemsize * (steps + 1) <= LITTLE
    return 1 if keep or little else experiment.measure_every


def row_type(experiment: Experiment, keep: bool) -> np.dtype[Any]:
    """One row: step, time (s), bytes sent since the last row, number of the last round begun, weight, value and move
    (dimension,); where steps lie between rows move is the sum since the last row, in float64, and moved that of
    magnitudes; flight: sent less taken in since the last row, in float64, and flight_rest: what its roundings left,
    where the method leaves mass in flight;
    gradient, where everything is kept."""
    return _kind(experiment, keep, summed=spacing(experiment, keep) > 1)


def _kind(experiment: Experiment, keep: bool, summed: bool) -> np.dtype[Any]:
    vector, shape = experiment.dtype, (experiment.objective.dimension,)
    fields: list[Any] = [("step", np.int64), ("time", np.float64), ("bytes", np.float64), ("round", np.int64)]
    fields += [("weight", np.float64), ("flight_weight", np.float64), ("value", vector, shape)]
    fields += [("move", np.float64 if summed else vector, shape)]
    if summed:
        fields.append(("moved", np.float64, shape))
    if experiment.algorithm.leaves_in_flight:
        fields += [("flight", np.float64, shape), ("flight_rest", np.float64, shape)]
    if keep:
        fields.append(("gradient", vector, shape))
    return np.dtype(fields)


def record_paths(folder: Path, case: int, seed: int, rank: int) -> tuple[Path, Path]:
    """Where process `rank` writes its rows and its lines of run number `case` with `seed`."""
    name = f"case-{case}-seed-{seed}-node-{rank}"
    return folder / f"{name}.rows", folder / f"{name}.lines"


class Record:
    """Writes rows and lines. row: the one being filled; whoever sends, takes in or computes adds to it. every: steps
    from one row to the next. waited: seconds that the node waited for the disk."""

    def __init__(self, paths: tuple[Path, Path], kind: np.dtype[Any], every: int = 1) -> None:
        self.row: NDArray[Any] = np.zeros((), kind)
        self.waited = 0.0
        self._every, self._summed = every, "moved" in (kind.names or ())
        self._reported: tuple[int, float, Mass] | None = None
        self._rows = paths[0].open("wb", buffering=0)
        self._lines = paths[1].open("w")
        self._changed = threading.Condition()
        self._waiting_rows: list[NDArray[Any]] = []
        self._waiting_lines: list[tuple[Any, ...]] = []
        self._held = 0  # bytes of rows not yet written, those being written included
        self._busy = self._closing = False
        self._error: OSError | None = None
        self._writer = threading.Thread(target=self._write, name="sgpsim record", daemon=True)
        self._writer.start()

    def report(self, step: int, time: float, mass: Mass, move: Any) -> None:
        """What the node holds after `step` steps, at `time`, and what it added to it (None: nothing)."""
        if move is None:
            if not self._summed:
                self.row["move"] = 0.0
        elif self._summed:
            for name, added in (("move", move), ("moved", np.abs(move))):
                total = self.row[name]
                np.add(total, added, out=total)
        else:
            self.row["move"] = move
        self._reported = (step, time, mass)
        if step % self._every == 0:
            self._end_row()

    def _end_row(self) -> None:
        if self._reported is None:
            return
        row = self.row
        row["step"], row["time"], (row["value"], row["weight"]) = self._reported
        self._reported = None
        self.row = np.zeros((), row.dtype)
        self.row["round"] = row["round"]
        if row.nbytes <= SMALL:
            self._write_row(row)
            return
        with self._changed:
            if self._held > HELD:
                begin = time.perf_counter()
                self._changed.wait_for(lambda: self._held <= HELD or self._error is not None)
                self.waited += time.perf_counter() - begin
            if self._error is not None:
                raise self._error
            self._waiting_rows.append(row)
            self._held += row.nbytes
            self._changed.notify_all()

    def line(self, *told: Any) -> None:
        """Write down a fact: its kind, and what there is to say."""
        with self._changed:
            self._waiting_lines.append(told)

    def _write_row(self, row: NDArray[Any]) -> None:
        left = memoryview(row.reshape(1).view(np.uint8).data)
        while left:
            left = left[self._rows.write(left) :]

    def _write(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or bool(self._waiting_rows), PAUSE)
                rows, self._waiting_rows = self._waiting_rows, []
                lines, self._waiting_lines = self._waiting_lines, []
                self._busy, closing = bool(rows or lines), self._closing
            try:
                for row in rows:
                    self._write_row(row)
                self._lines.writelines(json.dumps(told) + "\n" for told in lines)
                self._lines.flush()
            except OSError as error:
                self._error = error
            with self._changed:
                self._held -= sum(row.nbytes for row in rows)
                self._busy = False
                self._changed.notify_all()
            if closing and not (rows or lines):
                return

    def flush(self, patience: float = 5.0) -> None:
        """Wait until all that was reported so far is in the files."""
        with self._changed:
            self._changed.wait_for(lambda: not (self._waiting_rows or self._waiting_lines or self._busy), patience)

    def close(self) -> None:
        """Write the last row, and all else. Raises OSError where something could not be written."""
        try:
            self._end_row()
            if self.waited:
                self.line("waited", self.waited)
        finally:
            with self._changed:
                self._closing = True
                self._changed.notify_all()
            self._writer.join()
            self._rows.close()
            self._lines.close()
        if self._error is not None:
            raise self._error


def read_rows(path: Path, kind: np.dtype[Any]) -> NDArray[Any]:
    """All whole rows of a file, mapped into memory; none where there is no file."""
    whole = path.stat().st_size // kind.itemsize if path.exists() else 0
    return np.memmap(path, kind, "r", shape=(whole,)) if whole else np.zeros(0, kind)


def read_lines(path: Path) -> list[list[Any]]:
    """All whole lines of a file; none where there is no file."""
    return [json.loads(line) for line in whole_lines("a record", path)] if path.exists() else []
