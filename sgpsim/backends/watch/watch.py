"""Watch: what is looked at while a run goes on, once for all backends: is everything finite, is mass conserved, what is
measured, what is kept.

The rule: a backend says what its nodes hold as a `Cut`, in the order of its cuts; here the mass in flight is added, and
nothing else is known of the machine. The defect of mass is what all nodes hold, plus what is in flight, less the start
and all moves, in float64. A cut that is not sound ends the run by Diverged or Leaking, and the watch keeps what it saw.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sgpsim.backends.watch.monitor import Monitor, MonitorPolicy
from sgpsim.experiment import Experiment
from sgpsim.mass import on_host, wide_sum
from sgpsim.results.metrics import Keep, Measurements
from sgpsim.results.run import Trajectory


@dataclass(slots=True)
class Cut:
    """All nodes after the same number of steps (`step`), or at one instant (`time`: step is gradients so far over n).

    values: x, (nodes, seeds, dimension), or one row that all nodes share; weights: (nodes, seeds or 1); times: (seeds,),
    s, when the last node got there. in_flight, weight_in_flight: sums over all messages in flight of x, (seeds,
    dimension), and of w. moved, magnitude: sums over nodes of what they added since the last cut that was checked, and
    of its magnitudes, (seeds, dimension), float64; rounds: how many rounds that is. latest: number of the schedule's
    last round that any node began. sent: bytes sent by all nodes so far.
    """

    kind: Literal["step", "time"]
    step: int
    times: NDArray[np.float64]
    values: Any
    weights: Any
    in_flight: Any
    weight_in_flight: float
    moved: Any
    magnitude: Any
    rounds: int
    latest: int
    sent: float


class Watch:
    """Sees the cuts of one run, all its `seeds`. keep: given what is measured, cut by cut."""

    def __init__(
        self, experiment: Experiment, seeds: tuple[int, ...], policy: MonitorPolicy, keep: Keep | None = None
    ) -> None:
        self.measurements = Measurements(experiment.objective, seeds, keep)
        self.monitor = Monitor(policy, experiment.nodes, np.dtype(experiment.dtype))
        self.monitor.schedule = experiment.schedule if experiment.algorithm.uses_schedule else None
        self.nodes, self.seeds = experiment.nodes, seeds
        starts = experiment.starts()[:, None, :]
        with np.errstate(all="ignore"):
            self.start = self.monitor.total = np.repeat(wide_sum(starts), len(seeds), axis=0)
            self.before: Any = np.repeat(wide_sum(np.abs(starts)), len(seeds), axis=0)
        self.monitor.total_weight = float(self.nodes)
        self.moved: Any = np.zeros_like(self.start)
        self._kept: list[tuple[Any, ...]] = []

    def see(self, cut: Cut, measure: bool, check: bool = True) -> None:
        """Look at a cut: whether all is finite, and as asked for whether mass is conserved, and what is measured of it.
        Raises Diverged, or Leaking where the policy says so."""
        with np.errstate(all="ignore"):
            held = self._summed(cut.values) + cut.in_flight
            weight = float(cut.weights.sum()) + cut.weight_in_flight
            if not np.isfinite(held).all():
                self.monitor.finite(cut.step, on_host(cut.values))
            moved = self.moved + cut.moved
            if check and cut.rounds:
                self._check(cut, held, weight)
                self.moved = moved
        if measure:
            self._measure(cut, held, weight, moved)

    def _check(self, cut: Cut, held: Any, weight: float) -> None:
        """The law of the round."""
        if self.monitor.policy == "off":
            return
        after = self._summed(abs(cut.values)) + np.abs(cut.in_flight)
        magnitude = self.before + after + cut.magnitude
        if cut.rounds > 1:
            magnitude = 2.0 * magnitude  # x may have been larger at the cuts between
        self.before = after
        self.monitor.round(cut.step, held, weight, cut.moved, magnitude, cut.latest, cut.rounds)

    def _measure(self, cut: Cut, held: Any, weight: float, moved: Any) -> None:
        with np.errstate(all="ignore"):
            values, weights = on_host(cut.values), on_host(cut.weights)
            if cut.kind == "time":  # a node may have sent all it has, and x = 0 with it
                weights = np.where(weights > 0, weights, 1.0)
            points = values / weights.astype(values.dtype)[..., None]
            defect = np.maximum(np.abs(held - self.start - moved).max(axis=-1, initial=0.0), abs(weight - self.nodes))
            average = held / self.nodes
        if self.monitor.policy == "off":
            defect = np.full_like(defect, np.nan)  # it was not looked at
        sent = np.full(len(self.seeds), cut.sent)
        unsound = self.measurements.measure(cut.kind, cut.step, cut.times, average, points, defect, sent)
        self.monitor.measured(cut.step, unsound)

    def _summed(self, values: Any) -> Any:
        """The sum over nodes, in float64; one row stands for all of them."""
        total = on_host(wide_sum(values))
        return total * self.nodes if len(values) == 1 else total

    def keep(self, cut: Cut, gradients: Any, moves: Any, clocks: Any) -> None:
        """Keep a cut for the trajectory, with what led to it (None: nothing): gradients and moves, (nodes, seeds,
        dimension); clocks: (nodes, seeds), s."""
        values = np.array(on_host(cut.values))
        shape = (self.nodes, *values.shape[1:])
        gradients, moves = (
            np.zeros(shape, values.dtype) if part is None else np.array(np.broadcast_to(on_host(part), shape), values.dtype)
            for part in (gradients, moves)
        )
        weights = np.array(np.broadcast_to(on_host(cut.weights), (self.nodes, *cut.weights.shape[1:])))[:, 0]
        self._kept.append(
            (np.array(np.broadcast_to(values, shape)), weights, gradients, moves, np.array(cut.in_flight),
             cut.weight_in_flight, np.array(clocks))
        )

    @property
    def last_loss(self) -> float:
        """The loss measured last."""
        return self.measurements.last_loss

    def table(self) -> pl.DataFrame:
        """All that was measured."""
        return self.measurements.table()

    def trajectory(self) -> Trajectory | None:
        """All cuts that were kept, if any were."""
        if not self._kept:
            return None
        values, weights, gradients, moves, flights, flight_weights, clocks = (
            np.array(part) for part in zip(*self._kept, strict=True)
        )
        return Trajectory(values, weights, gradients[1:], moves[1:], flights, flight_weights, clocks)
