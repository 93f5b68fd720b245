"""Experiment: what is computed, as one frozen value. Where and when it runs is the backend's matter.

The rule: an experiment that exists can run. Everything that could make it fail half-way for a reason known beforehand
(sizes that differ, shares that lose mass, a method that the schedule cannot carry) is refused here, with the value, the
rule and the cure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sgpsim.algorithms.algorithm import Algorithm
from sgpsim.budget import Budget, Steps, most_steps
from sgpsim.descents.descent import Descent
from sgpsim.errors import SpecificationError, require_count, require_positive
from sgpsim.objectives.objective import Objective
from sgpsim.objectives.unresolved import Unresolved
from sgpsim.schedules.schedule import Schedule
from sgpsim.schedules.validation import require_valid


@dataclass(frozen=True)
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
    seeds: tuple[int, ...] = (0,)
    start: float | tuple[float, ...] | tuple[tuple[float, ...], ...] | None = None
    message_bytes: float | None = None
    measure_every: int = 1
    dtype: Literal["float64", "float32"] = "float64"

    def __post_init__(self) -> None:
        for name, kind, wanted in (
            ("algorithm", Algorithm, "an algorithm. Give one such as SGP()."),
            ("objective", Objective, "an objective. Give one such as Quadratic(nodes=8)."),
            ("schedule", Schedule, "a schedule. Give one such as OnePeerExponential(8)."),
            ("budget", Budget, "a budget. Give one such as Steps(100)."),
        ):
            if not isinstance(getattr(self, name), kind):
                raise SpecificationError(f"Experiment({name}) is {getattr(self, name)!r}; it must be {wanted}")
        if self.schedule.size != self.objective.nodes:
            raise SpecificationError(
                f"{type(self.schedule).__name__}(size={self.schedule.size}) with an objective of"
                f" {self.objective.nodes} nodes; both must be equal."
                f" Give size={self.objective.nodes}, or an objective of {self.schedule.size} nodes."
            )
        if isinstance(self.seeds, int):
            object.__setattr__(self, "seeds", (self.seeds,))
        object.__setattr__(self, "seeds", tuple(self.seeds) if isinstance(self.seeds, Iterable) else ())
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise SpecificationError(
                f"Experiment(seeds) is {self.seeds!r}; seeds must be at least one, all different. Give such as (0, 1,"
                " 2)."
            )
        for seed in self.seeds:
            require_count("Experiment(seeds): each seed", seed, least=0)
        require_count("Experiment(measure_every)", self.measure_every)
        if self.message_bytes is not None:
            require_positive("Experiment(message_bytes)", self.message_bytes)
        if self.dtype not in ("float64", "float32"):
            raise SpecificationError(
                f"Experiment(dtype) is {self.dtype!r}; it must be 'float64' or 'float32'. Give one of these."
            )
        descent = getattr(self.algorithm, "descent", None)
        if isinstance(descent, Descent):
            descent.step_size.check(self.nodes, most_steps(self.budget, self.nodes))
        if self.algorithm.uses_schedule:
            require_valid(self.schedule, type(self.algorithm).__name__, self.algorithm.needs_own_shares)
            self.algorithm.check(self.schedule)
        if self.start is not None and not isinstance(self.start, int | float):
            object.__setattr__(self, "start", _as_tuples(self.start))
        if not isinstance(self.objective, Unresolved):  # which is described, and never run
            self.starts()

    @property
    def nodes(self) -> int:
        return self.objective.nodes

    @property
    def message_size(self) -> float:
        """Bytes of one message on the network."""
        if self.message_bytes is not None:
            return float(self.message_bytes)
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


def _as_tuples(
    start: Sequence[float] | Sequence[Sequence[float]] | NDArray[np.float64],
) -> tuple[float, ...] | tuple[tuple[float, ...], ...]:
    """Arrays and lists as nested tuples, so that experiments compare and hash by value."""
    try:
        listed = np.asarray(start, dtype=np.float64)
    except (TypeError, ValueError):
        raise SpecificationError(
            f"Experiment(start) is {start!r}; it must hold numbers, in rows of equal length. Give a number, a point, or"
            " a point per node."
        ) from None
    if listed.ndim == 2:
        return tuple(tuple(row) for row in listed.tolist())
    return tuple(listed.reshape(-1).tolist())
