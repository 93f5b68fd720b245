"""A fuzzer of the functions and methods that a user calls: one or two arguments of a good call become odd, and the call
must end in an answer or in one sentence.

The rule: a case is a seed and a number, which decide everything, so that a finding is a line to run again. What can be
no argument of any function but those that take anything (WRONG) must be refused, and the sentence must name its
parameter; all else may be taken.
"""

from __future__ import annotations

import inspect
import os
import random
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from fuzz_constructors import ODD, Finding, Hostile, _limited, kinds

import sgpsim
from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.choice import best_for
from sgpsim.backends.events.simulated import Simulated
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.backends.processes.torch_distributed import TorchDistributed
from sgpsim.budget import Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.hockney import Hockney
from sgpsim.clusters.presets import preset
from sgpsim.descents.sgd import SGD
from sgpsim.errors import NotSaved, SpecificationError, shown
from sgpsim.experiment import Experiment
from sgpsim.files.keys import key
from sgpsim.files.store import Store, load, load_all
from sgpsim.files.toml_files import read
from sgpsim.launch import launch, launch_all, launch_file
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.reports.comparison import cautions, goal, target_figure, time_to_target
from sgpsim.reports.plots import figure, points, save, three_axes
from sgpsim.reports.report import Section, of_runs, opening, page, table, write
from sgpsim.reports.summary import about, ending, shown_remarks
from sgpsim.reports.timeline import gantt
from sgpsim.results.run import Run
from sgpsim.results.trace import write_chrome
from sgpsim.schedules.ring import DirectedRing
from sgpsim.specification.single_values import is_number
from sgpsim.testing import check_algorithm, check_network, check_objective, check_schedule

WRONG: tuple[Callable[[], Any], ...] = (
    object,
    Hostile,
    lambda: SGD,
    lambda: np.ma.masked,
    lambda: np.timedelta64(1),
    lambda: pl.DataFrame({"a": [1]}),
    lambda: np.array(None),
    lambda: DirectedRing(5),
    lambda: lambda *_: None,
)
USUAL: tuple[Callable[[], Any], ...] = (
    *(lambda value=value: value for value in (None, True, False, 0, 1, 2, 3, -1, 0.0, 0.5, 1.0, 2.5, np.nan, np.inf)),
    *(lambda value=value: value for value in ("", "x", "loss", "time", "accuracy", "bytes_sent", "step", (), (0,))),
    *(lambda value=value: value for value in (np.float32(0.5), np.int8(1))),
    *(lambda value=value: dict(value) for value in ({}, {"a": 1})),
    lambda: [],
    lambda: [1],
)
TEXT = """nodes = 2
algorithm = "SGP"
objective = "Quadratic"
schedule = "DirectedRing"
budget = {type = "Steps", count = 2}
"""


class Door(NamedTuple):
    """A function, and arguments with which it can be called. refused: whether that call is refused in the end (it would
    start processes). anything: parameters that WRONG may fit."""

    function: Callable[..., Any]
    good: Mapping[str, Any]
    refused: bool = False
    anything: frozenset[str] = frozenset()


def doors(folder: Path) -> dict[str, Door]:
    """Every function and method that a user calls, by name; files are written to `folder`."""
    experiment = Experiment(SGP(), Quadratic(2, 2), DirectedRing(2), Steps(2))
    machines, backend = Cluster(2), Vectorized(Cluster(2))
    run = Simulated(machines).run(experiment)
    place = Store(folder / "stored").save("run", run, Simulated(machines))
    (folder / "job.toml").write_text(TEXT)
    (folder / "busy").mkdir()
    store, out = Store(folder / "runs"), folder / "out"
    network, sleeping, callback = Hockney(), TorchDistributed(), frozenset({"progress"})
    content = {name: getattr(run, name) for name in inspect.signature(Run).parameters}
    found = [
        Door(load, {"path": place, "trust": False}),
        Door(load_all, {"paths": [place]}),
        Door(Store, {"folder": folder / "runs"}),
        Door(store.find, {"experiment": experiment, "backend": backend}),
        Door(store.run, {"name": "a", "experiment": experiment, "backend": backend, "progress": None}, anything=callback),
        Door(store.save, {"name": "a", "run": run, "backend": backend, "known": "0" * 64}),
        Door(best_for, {"experiment": experiment, "cluster": machines}),
        Door(preset, {"name": "ethernet_10g", "nodes": 2, "job": "resnet50_v100x8", "noise": 0.1, "stragglers": (), "faults": ()}),
        Door(Run, content, anything=frozenset({"provenance", "metrics"})),
        Door(run.curve, {"metric": "loss", "cut": "step"}),
        Door(run.time_to, {"target": 0.5, "metric": "loss", "at_least": None}),
        Door(
            check_algorithm,
            {"algorithm": SGP(), "schedule": DirectedRing(2), "reference": None},
            anything=frozenset({"schedule", "reference"}),
        ),
        Door(check_network, {"network": network, "nodes": 2, "graph": None}),
        Door(check_objective, {"objective": Quadratic(2, 2), "seed": 0, "points": 2, "spread": 1.0, "same_bits": True}),
        Door(check_schedule, {"schedule": DirectedRing(2), "steps": 3}, anything=frozenset({"schedule"})),
        Door(time_to_target, {"runs": {"a": run}, "target": 0.5, "metric": "loss"}),
        Door(cautions, {"runs": {"a": run}, "target": 0.5, "metric": "loss"}),
        Door(target_figure, {"runs": {"a": run}, "target": 0.5, "metric": "loss"}),
        Door(goal, {"target": 0.5, "metric": "loss", "above": ">=", "below": "<="}),
        Door(three_axes, {"runs": {"a": run}, "metric": "loss"}),
        Door(points, {"run": run, "metric": "loss", "axis": "time"}),
        Door(figure, {"width": 3.0, "height": 2.0}),
        Door(save, {"drawn": figure(0.3, 0.3), "place": out / "figure"}),
        Door(gantt, {"trace": run.trace, "start": 0.0, "end": 1.0, "nodes": [0], "mark": 0.5, "note": "x", "seed": 0}),
        Door(page, {"title": "a", "sections": [Section("b")], "lead": "c"}),
        Door(write, {"place": out / "r.html", "title": "a", "sections": [Section("b")], "lead": "c"}),
        Door(table, {"found": pl.DataFrame({"a": [1]})}, anything=frozenset({"found"})),
        Door(of_runs, {"runs": {}}),
        Door(opening, {"run": run, "gradients": 3}),
        Door(read, {"path": folder / "job.toml", "overrides": ("start=1.0",)}),
        Door(write_chrome, {"trace": run.trace, "path": folder / "trace.json", "seed": 0}),
        Door(key, {"experiment": experiment, "backend": backend}),
        Door(about, {"run": run}),
        Door(ending, {"run": run}),
        Door(shown_remarks, {"run": run, "most": 3}),
        *(Door(machine.check, {"experiment": experiment}) for machine in (Simulated(machines), backend)),
        *(
            Door(machine.run, {"experiment": experiment, "progress": None, "keep": None}, anything=callback | {"keep"})
            for machine in (Simulated(machines), backend)
        ),
        Door(
            launch,
            {"experiment": experiment, "processes": 3, "timeout": 9.0, "compute": "real", "cluster": None, "monitor": "raise"}
            | {"trace": True, "keep_trajectory": False, "progress": None},
            refused=True,
            anything=callback,
        ),
        Door(
            launch_all,
            {"cases": [(experiment, sleeping)], "processes": 3, "progress": None, "folder": None, "name": ""},
            refused=True,
            anything=callback,
        ),
        Door(
            launch_file,
            {"path": folder / "job.toml", "processes": 3, "timeout": 9.0, "out": None, "overrides": (), "progress": None},
            refused=True,
            anything=callback,
        ),
    ]
    return {f"{door.function.__qualname__} {number}": door for number, door in enumerate(found)}


def unheld(known: Mapping[str, Door]) -> set[str]:
    """Names of sgpsim's `__all__` that neither this fuzzer nor that of constructors tries."""
    tried = {door.function.__qualname__ for door in known.values()} | {*kinds(), SpecificationError.__name__}
    return {name for name in sgpsim.__all__ if getattr(sgpsim, name).__qualname__ not in tried}  # pyright: ignore


def case(seed: int, number: int, known: Mapping[str, Door]) -> tuple[str, bool]:
    """Try one case; what was tried, and whether it was answered. Raises Finding."""
    chance = random.Random(f"{seed} {number}")
    name = chance.choice(list(known))
    door = known[name]
    given = dict(door.good)
    wrong: str | None = None
    for parameter in chance.sample(list(given), min(len(given), chance.choice((1, 1, 2)))):
        if chance.random() < 0.4:
            given[parameter] = chance.choice(WRONG)()
            wrong = wrong or (parameter if parameter not in door.anything else None)
        else:
            given[parameter] = chance.choice(chance.choice((USUAL, ODD)))()
        if parameter in ("steps", "points") and is_number(given[parameter]):
            given[parameter] = given[parameter] % 100  # what was asked for would take its time
        if door.refused and parameter == "processes" and (given[parameter] is None or type(given[parameter]) is int):
            given[parameter] = 3  # else processes may be started
        if parameter in door.anything and parameter in ("progress", "keep", "reference") and callable(given[parameter]):
            given[parameter] = 3  # what a function of the user's own raises is no finding
    told = ", ".join(f"{parameter}={shown(value)}" for parameter, value in given.items())
    words = f"seed {seed}, number {number}: {door.function.__qualname__}({told})"
    try:
        with _limited():
            door.function(**given)
    except (SpecificationError, NotSaved) as error:
        if "\n" in str(error) or not str(error) or len(str(error)) > 1200:
            raise Finding(f"{words} is refused by a message of many lines, or too long: {str(error)[:300]!r}") from error
        return words, False
    except OSError as error:
        if door.function.__name__ in ("write_chrome", "save") and isinstance(given.get("path", given.get("place")), str | Path):
            return words, False  # the place cannot be written to, which commands turn into an exit code of its own
        raise Finding(f"{words} ends in {type(error).__name__}: {str(error)[:200]}") from error
    except AssertionError as error:
        if door.function.__name__.startswith("check_") and str(error):
            return words, False
        raise Finding(f"{words} ends in AssertionError: {str(error)[:200]}") from error
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        raise Finding(f"{words} ends in {type(error).__name__}: {str(error)[:200]}") from error
    if wrong is not None:
        raise Finding(f"{words} takes {wrong}")
    return words, True


def fuzz(seed: int, cases: int, known: Mapping[str, Door] | None = None, first: int = 0) -> tuple[list[str], int]:
    """Findings of cases number first..first+cases-1, and how many of the cases were answered. Runs in a folder of its
    own, as some calls write to the place that they are given."""
    findings: list[str] = []
    answered = 0
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder, np.errstate(all="ignore"):
        os.chdir(folder)
        try:
            tried = doors(Path(folder)) if known is None else known
            for number in range(first, first + cases):
                try:
                    answered += case(seed, number, tried)[1]
                except Finding as finding:
                    findings.append(str(finding))
        finally:
            os.chdir(before)
    return findings, answered


if __name__ == "__main__":
    findings, answered = fuzz(int(sys.argv[1]), int(sys.argv[3]) if len(sys.argv) > 3 else 1, first=int(sys.argv[2]))
    print(*findings, f"{len(findings)} findings; {answered} answered", sep="\n")
