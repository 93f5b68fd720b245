"""Labels: runs under names that are short and tell them apart, the same in tables and figures.

The rule: a label says what differs, in words: first what was computed (method, nodes, schedule, objective, budget, ...), then
on what (backend, machines), of these as few as tell all runs apart, and of a specification only the fields that differ.
Runs that differ in nothing of this keep the names of their folders.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from sgpsim.results.run import Run
from sgpsim.specification.wording import bytes_told, concise, content

LONGEST = 60
"""Letters of a label; what is longer is cut in the middle where that still tells all apart."""
END = 20
"""Letters that are kept of the end, so that no label reads as the beginning of another one."""

PARTS = ("algorithm", "schedule", "objective", "budget")
"""Parts of an experiment whose classes are the most telling."""
ABSENT = {"faults": "no faults"}
"""What is said of a run without an item of `Run.machines` that others have, where that is no `usual ...`."""
Column = list[str]
"""What one aspect is called in every run."""


def labels(runs: Mapping[str, Run]) -> dict[str, Run]:
    """The runs under their labels, in their order."""
    if len(runs) == 1:
        return {type(run.experiment.algorithm).__name__: run for run in runs.values()}
    several = list(runs.values())
    chosen: list[Column] = []
    for column in differences(several):
        if _distinct([*chosen, column]) > _distinct(chosen):
            chosen.append(column)
    whole = [", ".join(word for word in row if word) for row in zip(*chosen, strict=True)]
    names = [str(run.provenance.get("name", "")) for run in several]
    for told in ([_cut(label) for label in whole], names, list(runs)):
        if len(set(told)) == len(runs) and all(told):
            return dict(zip(told, several, strict=True))
    return dict(runs)


def differences(runs: Sequence[Run]) -> list[Column]:
    """Every aspect in which the runs differ, the most telling first."""
    experiments = [run.experiment for run in runs]

    def of(name: str, title: str = "") -> list[Column]:
        return _apart(title, [getattr(experiment, name) for experiment in experiments])

    columns = [
        *(column for name in PARTS for column in _unlike([type(getattr(experiment, name)).__name__ for experiment in experiments])),
        *of("algorithm"),
        *_unlike([f"{experiment.nodes} nodes" for experiment in experiments]),
        *(column for name in ("schedule", "objective", "budget") for column in of(name)),
        *_unlike([f"messages of {bytes_told(experiment.message_size)}" for experiment in experiments]),
        *(column for name in ("dtype", "start", "seeds", "measure_every") for column in of(name, name)),
        *_unlike([run.backend for run in runs]),
    ]
    return [*columns, *machine_differences(runs).values()]


def machine_differences(runs: Sequence[Run]) -> dict[str, Column]:
    """The items of `Run.machines` that are not the same in all runs: what each says there."""
    items = dict.fromkeys(item for run in runs for item in run.machines)
    found: dict[str, Column] = {}
    for item in items:
        absent = ABSENT.get(item, f"usual {item}")
        found[item] = [run.machines.get(item, run.machines.get("machines", absent)) for run in runs]
    return {item: column for item, column in found.items() if len(set(column)) > 1}


def _unlike(column: Column) -> list[Column]:
    return [column] if len(set(column)) > 1 else []


def _distinct(columns: Sequence[Column]) -> int:
    return len(set(zip(*columns, strict=True))) if columns else 1


def _apart(title: str, values: Sequence[Any]) -> list[Column]:
    """In what values differ: their classes, and within a class the fields. title: the name of the field that holds them;
    empty at the top, where a class of one field is told whole."""
    words = [concise(value) for value in values]
    if len(set(words)) == 1:
        return []
    kinds = [type(value).__name__ for value in values]
    if len(set(kinds)) > 1:
        columns = [[f"{title} {kind}".replace("_", " ").strip() for kind in kinds]]
        for kind in dict.fromkeys(kinds):
            members = [place for place, one in enumerate(kinds) if one == kind]
            for column in _apart(title, [values[place] for place in members]):
                inside = dict(zip(members, column, strict=True))
                columns.append([inside.get(place, "") for place in range(len(values))])
        return columns
    fields = [field.name for field in dataclasses.fields(values[0]) if field.init] if dataclasses.is_dataclass(values[0]) else []
    if not fields:
        return [[f"{title} {word}".replace("_", " ").strip() for word in words]]
    alone = len(fields) == 1 and not dataclasses.is_dataclass(getattr(values[0], fields[0]))
    if alone and not title:
        return [words]
    name = title if alone else ""
    return [column for field in fields for column in _apart(name or field, [content(value, field) for value in values])]


def _cut(label: str) -> str:
    return label if len(label) <= LONGEST else f"{label[: LONGEST - END - 3]}...{label[-END:]}"
