"""Texts from outside sgpsim, held against nodes that run apart before a fleet runs them.

The rule: a text whose classes are not sgpsim's own (the algorithm, or anything in its fields, such as a descent) is
run for a few steps on the array program and on the event simulation, over a quadratic with unlike nodes and starts,
and must give the same numbers to the bit. That shows what guarded arrays cannot see: generators, counters and caches of
its own. It costs some hundred node-steps; a fleet beyond LARGEST says in its remarks that this was not looked at.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from sgpsim.backends.events.simulated import Simulated
from sgpsim.budget import Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.errors import SpecificationError
from sgpsim.experiment import Experiment
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.results.run import Run
from sgpsim.streams import stream

HOUSE = frozenset(
    f"sgpsim.{module}"
    for module in (
        *(f"algorithms.{name}" for name in ("adpsgd", "allreduce_sgd", "dpsgd", "overlap_sgp", "push_sum", "sgp")),
        *(f"descents.{name}" for name in ("adam", "momentum", "sgd", "step_sizes")),
    )
)
"""Modules whose texts are held against the event simulation by sgpsim's own tests."""
LARGEST = 512, 1 << 22
"""The most nodes, and numbers of all nodes, of a fleet that is looked at."""


def from_outside(value: Any) -> bool:
    """Whether `value` (an algorithm), or anything in its fields, is of a class that is not sgpsim's own."""
    if value is None or isinstance(value, str | int | float):
        return False
    if isinstance(value, tuple):
        return any(map(from_outside, value))
    if type(value).__module__ not in HOUSE or not dataclasses.is_dataclass(value):
        return True
    return any(from_outside(getattr(value, field.name)) for field in dataclasses.fields(value))


def not_looked_at(experiment: Experiment) -> tuple[str, ...]:
    """A remark where the text is from outside, and the fleet beyond LARGEST."""
    if not from_outside(experiment.algorithm) or not _too_large(experiment):
        return ()
    return (
        f"{type(experiment.algorithm).__name__} was not held against nodes that run apart, as there are more than"
        f" {LARGEST[0]} of them or {LARGEST[1]} numbers; a generator or counter of its own would make it another method"
        " here. Try it on fewer nodes first",
    )


def _too_large(experiment: Experiment) -> bool:
    return experiment.nodes > LARGEST[0] or experiment.nodes * experiment.objective.dimension > LARGEST[1]


def require_same_numbers(experiment: Experiment, run_fleet: Callable[[Experiment], Run]) -> None:
    """Raise SpecificationError where the text gives other numbers on a fleet (by `run_fleet`) than on nodes that run
    apart. Looked at once per experiment."""
    if _too_large(experiment):
        return
    if "_refusal" not in experiment.__dict__:
        refusal: SpecificationError | None = None
        try:
            _compare(experiment, run_fleet)
        except SpecificationError as error:
            refusal = error
        object.__setattr__(experiment, "_refusal", refusal)  # a memo beside the frozen fields: no part of the value
    refusal = experiment.__dict__["_refusal"]
    if refusal is not None:
        raise refusal


def _compare(experiment: Experiment, run_fleet: Callable[[Experiment], Run]) -> None:
    steps = max(2, min(4, LARGEST[0] // experiment.nodes))
    short = _shortened(experiment, steps)
    name = type(experiment.algorithm).__name__
    try:
        fleet = run_fleet(short)
    except (SpecificationError, KeyboardInterrupt):
        raise
    except BaseException:  # sys.exit() among them
        return  # which the run itself will meet, and tell
    try:
        apart = Simulated(Cluster(short.nodes), monitor="off", trace=False).run(short)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise SpecificationError(
            f"Vectorized cannot run {name}: its text ends in {type(error).__name__} on nodes that run apart"
            f" ({' '.join(str(error).split())[:200]}), and not on all at once. Correct it for Simulated(cluster) first."
        ) from None
    for part in ("values", "weights"):
        here, there = getattr(fleet.final, part), getattr(apart.final, part)
        if not np.array_equal(here, there, equal_nan=True):
            difference = float(np.nanmax(np.abs(here - there), initial=0.0))
            raise SpecificationError(
                f"Vectorized cannot run {name}: after {steps} steps of a trial its {part} differ by {difference:.3g} from"
                " those of nodes that run apart, so its text takes something that each node has of its own (a generator,"
                " a counter, a cache) once for all. Use Simulated(cluster)."
            )


def _shortened(experiment: Experiment, steps: int) -> Experiment:
    """The same text on the same schedule for `steps` steps, where whatever can differ does. Made without the checks of
    a new experiment: they cost much, and step sizes made for one horizon would refuse another."""
    nodes, dimension = experiment.nodes, experiment.objective.dimension
    short = copy.copy(experiment)
    start = stream(0, "trial of a text").standard_normal((nodes, dimension)) * 3.0
    objective = Quadratic(nodes, dimension, structure="diagonal", unequal=True, seed=1)
    changed = {"objective": objective, "budget": Steps(steps), "seeds": (5,), "start": start, "measure_every": 1 << 30}
    for name, value in changed.items():
        object.__setattr__(short, name, value)
    return short
