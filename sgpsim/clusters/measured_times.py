"""Compute times from a file of measured seconds.

The rule: the file is read once, when the specification is built; a broken line is an error that names the file and the
line. `digest` becomes part of the value, so an experiment that is kept as text knows which measurements it meant, and
reading it again next to a changed file is an error instead of other numbers.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
import re
from collections.abc import Iterator, Mapping
from typing import NoReturn, cast

import numpy as np
from numpy.typing import NDArray

from sgpsim.clusters.compute_time import BLOCK, ComputeTime
from sgpsim.errors import SpecificationError, nearest, shown
from sgpsim.specification.input_files import content_of
from sgpsim.specification.specification import specification

OTHER_UNITS = frozenset({"ms", "us", "ns", "msec", "usec", "milliseconds", "microseconds", "nanoseconds", "minutes", "hours"})
"""Words in a column's name that say that it holds no seconds."""
EVERYBODY = -1
"""Key of the durations that belong to no node in particular."""


@specification
class MeasuredTimes(ComputeTime):
    """Durations drawn from, or replayed out of, a CSV file of measured seconds.

    path: the file. It holds one column of seconds, or two columns node,seconds; a header line is optional. With more
    columns a header is needed: nodes are read from the column `node`, if there is one, and seconds from `column`. A
    column that may be meant for nodes and is called otherwise is refused.
    column: name of the column of seconds in the header; empty: `seconds`, or the only column there is.
    replay: False draws with replacement (bootstrap), independently for every node; True replays the lines in order and
    begins again at the end. Without a column of nodes all nodes draw from the same lines, and replay the same sequence.
    digest: SHA-256 of the file; filled in when left empty, compared when given.

    `mean` is the sample mean, with nodes the mean of their means.
    """

    path: str
    column: str = ""
    replay: bool = False
    digest: str = ""

    def __post_init__(self) -> None:
        content = content_of("MeasuredTimes(path)", self.path)
        found = hashlib.sha256(content).hexdigest()
        if self.digest not in ("", found):
            raise SpecificationError(
                f"MeasuredTimes: {self.path} has digest {found[:12]}..., not {self.digest[:12]}...: the file changed."
                " Bring the old file back, or leave `digest` out to use the new one."
            )
        object.__setattr__(self, "digest", found)
        object.__setattr__(self, "_samples", _read(self.path, content, self.column))

    @property
    def samples(self) -> Mapping[int, NDArray[np.float64]]:
        """The seconds as read, in file order, by node; under EVERYBODY where the file has no column of nodes."""
        return cast("dict[int, NDArray[np.float64]]", self.__dict__["_samples"])

    def check(self, nodes: int) -> None:
        missing = [node for node in range(nodes) if node not in self.samples and EVERYBODY not in self.samples]
        if missing:
            raise SpecificationError(
                f"MeasuredTimes: {self.path} has no line for node {missing[0]}, and the cluster has nodes"
                f" 0..{nodes - 1}. Add its measurements, or give a file with one column that all nodes share."
            )

    def durations(self, node: int, generator: np.random.Generator) -> Iterator[NDArray[np.float64]]:
        samples = self.samples[EVERYBODY if EVERYBODY in self.samples else node]
        begin = 0
        while True:
            if self.replay:
                yield np.take(samples, np.arange(begin, begin + BLOCK), mode="wrap")
                begin += BLOCK
            else:
                yield samples[generator.integers(len(samples), size=BLOCK)]

    @property
    def mean(self) -> float:
        means = [float(seconds.mean()) for seconds in self.samples.values()]
        return math.fsum(means) / len(means)


def _read(path: str, content: bytes, column: str) -> dict[int, NDArray[np.float64]]:
    """Seconds by node from the text of a CSV file."""
    try:
        reader = csv.reader(io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", newline=""))
        lines = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(cell.strip() for cell in row)]
    except (UnicodeDecodeError, csv.Error) as reason:
        raise SpecificationError(f"MeasuredTimes: {path} is not a CSV text file ({reason}). Save it as UTF-8.") from None
    header = lines.pop(0)[1] if lines and all(cell[:1].isalpha() and not _is_number(cell) for cell in lines[0][1]) else []
    if not lines:
        raise SpecificationError(f"MeasuredTimes: {path} holds no measurement. Write one number of seconds per line.")
    width = len(header) if header else len(lines[0][1])
    seconds_at, node_at = _columns(path, header, width, column)
    found: dict[int, list[float]] = {}
    for number, cells in lines:
        if len(cells) != width:
            _broken(path, number, cells, f"has {len(cells)} cells where {width} are expected")
        if not _is_number(cells[seconds_at]) or not 0 < float(cells[seconds_at]) < math.inf:
            _broken(path, number, cells, "must give finite seconds above 0")
        if node_at is not None and not (cells[node_at].isdecimal() and len(cells[node_at]) < 10):
            _broken(path, number, cells, "must give a node number 0, 1, ...")
        node = EVERYBODY if node_at is None else int(cells[node_at])
        found.setdefault(node, []).append(float(cells[seconds_at]))
    return {node: np.array(seconds) for node, seconds in sorted(found.items())}


def _columns(path: str, header: list[str], width: int, column: str) -> tuple[int, int | None]:
    """Where the seconds are, and where the nodes, if anywhere."""
    if not header:
        if column or width > 2:
            raise SpecificationError(
                f"MeasuredTimes: {path} has {width} columns without names"
                + (f", so column {column!r} cannot be found." if column else "; which holds the seconds is unknown.")
                + " Add a header line such as node,seconds."
            )
        return width - 1, 0 if width == 2 else None
    wanted = column or ("seconds" if width > 1 else header[0])
    if not column and OTHER_UNITS & set(re.split(r"[^a-z]+", wanted.lower())):
        raise SpecificationError(
            f"MeasuredTimes: {path} calls its column {wanted!r}, and seconds are read. Convert it to seconds, or name it"
            " (column) if seconds are what it holds."
        )
    if wanted not in header:
        raise SpecificationError(
            f"MeasuredTimes(column): {path} has no column {shown(wanted)}; {nearest(wanted, header)}"
        )
    others = [name for name in header if name != wanted]
    for name in (*others, wanted):
        if header.count(name) > 1:
            raise SpecificationError(
                f"MeasuredTimes: {path} has {header.count(name)} columns {name!r}; which counts is unknown. Rename them."
            )
    if "node" in others:
        return header.index(wanted), header.index("node")
    meant = others if len(others) == 1 and not column else [name for name in others if name.lower() == "node"]
    if meant:
        raise SpecificationError(
            f"MeasuredTimes: {path} has a column {meant[0]!r} beside {wanted!r}; a column of nodes is called node. Rename"
            " it, or name the column of seconds if nodes do not matter."
        )
    return header.index(wanted), None


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _broken(path: str, number: int, cells: list[str], rule: str) -> NoReturn:
    raise SpecificationError(
        f"MeasuredTimes: line {number} of {path} ({','.join(cells)[:60]!r}) {rule}. Correct the line or delete it."
    )
