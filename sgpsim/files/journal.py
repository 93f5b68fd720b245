"""The journal: what a simulated run measures, on disk while the run goes on, so that whoever kills the program loses at
most its last second.

The rule: a run that lasts over a second has a hidden folder beside the run folders, `.sgpsim-running-...`, under a lock.
It holds the experiment and one line for each cut measured; nothing waits for the disk. A run that ends by itself, is
interrupted or fails is kept as its run folder and removes the journal. A journal whose lock nobody holds belongs to a
program that was killed: `recover`, which the next command with the same `--out` calls, makes a run of it, which knows
its metrics and nothing of where the nodes stood.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from sgpsim.backends.backend import Backend
from sgpsim.cost import memory
from sgpsim.errors import require_folder_name
from sgpsim.experiment import Experiment
from sgpsim.files.run_folders import NO_FILES, read_run, require_sizes, write_results, write_task
from sgpsim.files.whole_folders import beside, left_behind, locked_folder, put
from sgpsim.results.metrics import SCHEMA, Row
from sgpsim.results.run import Final, Outcome, provenance, without_rows
from sgpsim.specification.input_files import content_of, whole_lines

PREFIX = ".sgpsim-running-"
Places = Callable[[str, str, Outcome], Iterable[Path]]
EVERY = 1.0
"""Seconds between two writings, and before the first."""
MOST_PLACES = 1 << 26
"""Coordinates of all nodes and seeds up to which a run is made of a journal, which has to write that it knows none."""


class Journal:
    """The journal of one run. parent: the folder of the run folders. about: name and key of the run. files: as in
    `write_task`."""

    def __init__(
        self,
        parent: Path,
        experiment: Experiment,
        backend: Backend,
        about: Mapping[str, str],
        files: Mapping[str, bytes] = NO_FILES,
    ) -> None:
        self.parent, self.experiment, self.backend, self.about = parent, experiment, backend, about
        self.files = files
        self.folder: Path | None = None
        self._lock = -1
        self._waiting: list[Sequence[Row]] = []
        self._due = time.monotonic() + EVERY
        self._broken = False

    def __call__(self, rows: Sequence[Row]) -> None:
        """Take the rows of one cut, to be written within the second."""
        if self._broken:
            return
        self._waiting.append(rows)
        if time.monotonic() >= self._due:
            self._write()

    def _write(self) -> None:
        """Write what waits. A disk that is full ends the journal, not the run."""
        try:
            if self.folder is None:
                self._begin()
            assert self.folder is not None
            with (self.folder / "rows").open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(rows) + "\n" for rows in self._waiting)
        except OSError:
            self._broken = True
        self._waiting.clear()
        self._due = time.monotonic() + EVERY

    def _begin(self) -> None:
        self.folder, self._lock = locked_folder(self.parent, PREFIX)
        write_task(self.folder, self.experiment, self.backend, self.files)
        objective = self.experiment.objective
        begun = {
            **self.about,
            "backend": type(self.backend).__name__,
            "shape": [objective.nodes, len(self.experiment.seeds), objective.dimension],
            "seeds": list(self.experiment.seeds),
            **provenance(self.backend.machines()),
        }
        unfinished = self.folder / "begun.part"
        unfinished.write_text(json.dumps(begun), encoding="utf-8")
        os.replace(unfinished, self.folder / "begun.json")  # whoever finds this file finds the whole task

    def close(self) -> None:
        """Remove the journal: the run is kept, or there is none."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
            os.close(self._lock)
            self.folder = None


def recover(parent: Path, places: Places) -> list[str]:
    """Make `interrupted` runs of the journals in `parent` that killed programs left; a sentence for each. places: where
    the run of a name, a key and an outcome may lie, the first that is free is taken. A journal is only read, and removed
    once its run lies there whole: whoever wrote it, it changes nothing outside, and what ends this program loses
    nothing."""
    sentences: list[str] = []
    for folder in left_behind(parent, PREFIX):
        try:
            place = _made(folder, parent, places)
        except OSError as error:
            trouble = error.strerror or error
            sentences.append(f"an earlier run was killed; what was measured stays in {folder}, since it cannot be saved ({trouble})")
            continue
        except (ValueError, LookupError, TypeError, RecursionError, MemoryError, pl.exceptions.PolarsError):
            place = None  # killed before its first second was over, or damaged
        shutil.rmtree(folder, ignore_errors=True)
        sentences += [f"an earlier run was killed; what was measured lies in {place}"] if place else []
    return sentences


def _made(journal: Path, parent: Path, places: Places) -> Path:
    """The run folder in `parent` that now holds what `journal` does."""
    begun = json.loads(_content(journal / "begun.json"))
    name, key = str(begun["name"]), str(begun["key"])
    require_folder_name("the name of the run", name)
    if not re.fullmatch("[0-9a-f]{64}", key):
        raise ValueError(f"{key!r} is no key")
    outcome: Outcome = "interrupted"
    sentence = f"the program was killed: what it measured in its last {EVERY:g} s or less, and where the nodes ended, is lost"
    shape = tuple(int(extent) for extent in begun.pop("shape"))
    task = _content(journal / "experiment.json")
    require_sizes(journal, json.loads(task), shape)
    if math.prod(shape) * 8 > memory():
        raise ValueError(f"no run of shape {shape} fits this machine")
    if math.prod(shape) > MOST_PLACES:
        raise OSError(f"it has {math.prod(shape):,} coordinates, and at most {MOST_PLACES:,} are written")
    nothing = np.full(shape, np.nan)
    seeds = [int(seed) for seed in begun.pop("seeds", ())]
    table = pl.DataFrame(_rows(journal / "rows"), schema=SCHEMA, orient="row")
    with beside(parent / name) as folder:
        (folder / "experiment.json").write_bytes(task)
        for file in sorted((journal / "inputs").glob("*")):
            (folder / "inputs").mkdir(exist_ok=True)
            (folder / "inputs" / file.name).write_bytes(_content(file))
        write_results(
            folder,
            table.unique(maintain_order=True),  # seeds that went on alone
            Final(nothing, nothing[:, :, 0].copy(), nothing[:, :, 0].copy()),
            {**begun, "outcome": outcome, "remarks": [sentence, *without_rows(seeds, table)], "statistics": {}},
        )
        read_run(folder)
        for place in places(name, key, outcome):
            try:
                put(folder, place)
            except OSError:
                if not os.path.lexists(place):
                    raise
            else:
                return place
    raise AssertionError("there is always another number")


def _content(file: Path) -> bytes:
    """The bytes of a regular file: whatever else lies there may never end."""
    return content_of("a journal", file)


def _rows(file: Path) -> list[Row]:
    """The rows of all whole lines; the program may have been killed while it wrote the last one."""
    return [tuple(row) for line in whole_lines("a journal", file) for row in json.loads(line)]
