"""Study: a question, its cases, its figure, its answer in one sentence.

The rule: what a study measured is one tidy table, and all else (figure, answer, printed tables) is made from that table
alone, so it can be tested, written to a file and drawn again. Running a study writes NAME.png, NAME.pdf and NAME.csv;
the same study makes the same files each time, up to what it measures of real clocks.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, final

import polars as pl
from matplotlib.figure import Figure
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from sgpsim.errors import SpecificationError
from studies import figure

Progress = Callable[[float, float], None]
"""Called now and then with (work done, all work), in any unit."""


@dataclass(frozen=True, eq=False)
class StudyResult:
    """name, question: of the study. answer: one sentence. data: what was measured. tables: to be printed. png, pdf,
    csv: where files lie. seconds: how long it took. fast: whether fewer and smaller cases were measured.
    """

    name: str
    question: str
    answer: str
    data: pl.DataFrame
    tables: tuple[Table, ...]
    png: Path
    pdf: Path
    csv: Path
    seconds: float
    fast: bool


class Study(ABC):
    """A question that runs answer. Concrete studies have no fields; what differs between the quick and the whole study
    is in `cases`."""

    question: ClassVar[str]

    @abstractmethod
    def cases(self, fast: bool) -> Sequence[Any]:
        """What is run, as values; with `fast` fewer or smaller ones."""

    @abstractmethod
    def measure(self, cases: Sequence[Any], progress: Progress) -> pl.DataFrame:
        """One tidy table for all cases."""

    @abstractmethod
    def draw(self, data: pl.DataFrame) -> Figure:
        """The figure, from the table alone."""

    @abstractmethod
    def answer(self, data: pl.DataFrame) -> str:
        """The answer to the question in one sentence, from the table alone."""

    def tables(self, data: pl.DataFrame) -> Sequence[Table]:
        """Tables printed beside the answer, from the table alone; by default none."""
        return ()

    @property
    def name(self) -> str:
        """The name of its file."""
        return type(self).__module__.rpartition(".")[2]

    @final
    def run(self, fast: bool = False, out: Path | str = "out/studies", progress: Progress | None = None) -> StudyResult:
        """Measure, draw, answer; write NAME.png, NAME.pdf and NAME.csv into `out`. Raises SpecificationError where that
        cannot be written to."""
        began = time.perf_counter()
        folder = _writable(Path(out))
        data = self.measure(self.cases(fast), progress or (lambda done, total: None))
        png, pdf, csv = (folder / f"{self.name}.{suffix}" for suffix in ("png", "pdf", "csv"))
        data.write_csv(csv)
        with figure.style():
            figure.save(self.draw(data), png, pdf)
        tables = tuple(self.tables(data))
        return StudyResult(self.name, self.question, self.answer(data), data, tables, png, pdf, csv, time.perf_counter() - began, fast)


def show(result: StudyResult) -> None:
    """Print the tables, each as wide as it needs, and the answer."""
    for table in result.tables:
        free = Console(width=10_000)
        width = Measurement.get(free, free.options, table).maximum
        Console(width=max(Console().width, width), highlight=False, soft_wrap=True).print(table)
    print(result.answer)


def _writable(folder: Path) -> Path:
    """`folder`, made if need be; tried before anything is measured."""
    probe = folder / ".writable"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        sentence = f"--out {folder} cannot be written to ({error.strerror}); studies write their files there."
        raise SpecificationError(f"{sentence} Give another folder.") from None
    return folder
