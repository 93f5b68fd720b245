"""Experiment: what is computed, as one frozen value. Where and when it runs is the backend's matter.

The rule: an experiment that exists can run. Everything that could make it fail half-way for a reason known beforehand
(sizes that differ, shares that lose mass, a method that the schedule cannot carry) is refused here, with the value, the
rule and the cure.
"""

from __future__ import annotations

import inspect
from copy import copy
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from sgpsim.algorithms.algorithm import Algorithm
from sgpsim.budget import Budget, Steps, most_steps
from sgpsim.cost import say_edges
from sgpsim.descents.descent import Descent
from sgpsim.errors import SpecificationError, shown
from sgpsim.objectives.objective import Objective
from sgpsim.objectives.unresolved import Unresolved
from sgpsim.schedules.schedule import Schedule
from sgpsim.schedules.validation import require_valid
from sgpsim.specification.ranges import OWN, Count, Quantity, Seed, Several
from sgpsim.specification.single_values import array_of_numbers
from sgpsim.specification.specification import specification

SEEDS = "Give seeds=({},), in a file seeds = [{}], for the one seed {}; seeds=range({}) for the {} seeds from 0 on."


@specification
class Experiment:
    """algorithm: the method. objective: the functions f_i. schedule: who pushes to whom. budget: how long. seeds: one
    independent run each.

    start: None (the objective's own start), one number, a point (dimension,), or a point per node (nodes, dimension).
    message_bytes: size of one message as the network sees it (None: that of the numerics, value and weight).
    measure_every: steps between measurements. dtype: of values.
    """

    algorithm: Algorithm
    objective: Objective
    schedule: Schedule
    budget: Budget = Steps(100)
    seeds: Annotated[tuple[Seed, ...], Several(SEEDS)] = (0,)
    start: Annotated[float | tuple[float, ...] | tuple[tuple[float, ...], ...] | None, OWN] = None
    message_bytes: Quantity | None = None
    measure_every: Count = 1
    dtype: Literal["float64", "float32"] = "float64"

    def __post_init__(self) -> None:
        if self.schedule.size != self.objective.nodes:
            given = "size" in inspect.signature(type(self.schedule)).parameters  # else arrays or a file hold it
            raise SpecificationError(
                f"{type(self.schedule).__name__}(size={self.schedule.size}) with an objective of"
                f" {self.objective.nodes} nodes; both must be equal."
                f" Give {'size=' if given else 'a schedule of size '}{self.objective.nodes}, or an objective of"
                f" {self.schedule.size} nodes."
            )
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise SpecificationError(
                f"Experiment(seeds) is {shown(self.seeds)}; seeds must be at least one, all different. Give such as"
                " (0, 1, 2)."
            )
        for part in self.algorithm.parts():
            if isinstance(part, Descent):
                part.step_size.check(self.nodes, most_steps(self.budget, self.nodes))
        if self.algorithm.uses_schedule:
            say_edges(self.schedule)
            require_valid(self.schedule, type(self.algorithm).__name__, self.algorithm.needs_own_shares)
            self.algorithm.check(self.schedule)
        object.__setattr__(self, "start", _settled_start(self.start))
        if not isinstance(self.objective, Unresolved):  # which is described, and never run
            self.starts()

    def only(self, seeds: tuple[int, ...]) -> Experiment:
        """The same with some of its seeds, which nothing has to be checked for again."""
        some = copy(self)
        object.__setattr__(some, "seeds", seeds)
        return some

    @property
    def nodes(self) -> int:
        return self.objective.nodes

    @property
    def message_size(self) -> float:
        """Bytes of one message on the network."""
        if self.message_bytes is not None:
            return self.message_bytes
        return float(self.objective.dimension * np.dtype(self.dtype).itemsize + 8)

    def starts(self) -> NDArray[np.float64]:
        """Where each node starts: (nodes, dimension), in `dtype`."""
        shape = (self.nodes, self.objective.dimension)
        given = np.asarray(self.objective.start() if self.start is None else self.start, dtype=np.float64)
        with np.errstate(over="ignore"):
            given = given.astype(self.dtype)
        if given.shape not in ((), shape[1:], shape):
            raise SpecificationError(
                f"Experiment(start) has shape {given.shape}; it must be a number, a point {shape[1:]}, or a point per"
                f" node {shape}. Give one of these."
            )
        if not np.isfinite(given).all():
            raise SpecificationError(
                f"Experiment(start) has entries that are not finite in {self.dtype}; a run must start somewhere."
                " Give finite numbers."
            )
        return np.array(np.broadcast_to(given, shape))


def _settled_start(start: Any) -> Any:
    """A start as None, one float, or nested tuples of floats, so that experiments compare and hash by value."""
    if start is None:
        return None
    given = array_of_numbers(start)
    if given is None or given.ndim > 2:
        raise SpecificationError(
            f"Experiment(start) is {shown(start)}; it must hold numbers that float64 holds, in rows of equal length."
            " Give a number, a point, or a point per node."
        )
    listed = given.tolist()
    if isinstance(listed, float):
        return listed
    return tuple(tuple(row) if isinstance(row, list) else row for row in listed)

