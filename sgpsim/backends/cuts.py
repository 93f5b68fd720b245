"""Cuts: what the nodes of an event simulation report, put together into looks at the whole fleet.

The rule: a step cut is complete when every node has reported the same step; what is under way at it is what was sent in
earlier steps and not yet received by the receivers' own step, so the cut is a consistent one although nodes reach it at
different times. Methods whose nodes do not run in step, or whose numbers depend on timing, are looked at by time
instead: all nodes at one instant, in all `measure_every` * nodes gradients.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgpsim.backends.flight import Flight, Passage
from sgpsim.backends.monitor import Monitor
from sgpsim.experiment import Experiment
from sgpsim.mass import Mass, wide_sum
from sgpsim.metrics import Measurements
from sgpsim.run import Trajectory


class StepCuts:
    """Collects reports by step. One row per node; complete cuts go to the monitor, and every `measure_every`-th is
    measured."""

    def __init__(self, experiment: Experiment, monitor: Monitor, measurements: Measurements, keep: bool) -> None:
        self.experiment, self.monitor, self.measurements = experiment, monitor, measurements
        self.shape = (experiment.nodes, experiment.objective.dimension)
        self.dtype = np.dtype(experiment.dtype)
        self.open: dict[int, _Cut] = {}
        self.spare: list[_Cut] = []
        self.flight = Flight(self.shape[1])
        self.under_way_now = self.flight.total()
        self.sent_bytes = 0.0
        self.moves_total: Any = np.zeros(self.shape[1])
        self.start_total: Any = None
        self.before: Any = 0.0
        self.latest = -1
        self.last: _Cut | None = None
        self.measured = -1
        self.kept: list[tuple[Any, ...]] | None = [] if keep else None
        self.flying = experiment.algorithm.leaves_in_flight
        monitor.schedule = experiment.schedule if experiment.algorithm.uses_schedule else None

    def report(self, rank: int, step: int, mass: Mass, move: Any, now: float, size: float) -> bool:
        """One node's report; True where it completed a cut."""
        cut = self.open.get(step) or self._opened(step)
        cut.values[rank], cut.weights[rank] = mass
        if move is None:
            cut.moves[rank] = 0.0
        else:
            cut.moves[rank] = move
        cut.times[rank] = now
        cut.bytes += size
        cut.missing -= 1
        if cut.missing:
            return False
        del self.open[step]
        self._complete(cut)
        return True

    def _opened(self, step: int) -> _Cut:
        """A fresh cut at `step`."""
        cut = self.open[step] = self.spare.pop() if self.spare else _Cut(self.shape, self.dtype)
        cut.begin(step)
        return cut

    def under_way(self, step: int, passages: list[Passage]) -> None:
        """What a node sent and received between its reports of `step` - 1 and `step`."""
        cut = self.open.get(step) or self._opened(step)
        cut.passages += passages

    def moved_earlier(self, step: int, moved: Any, magnitude: Any) -> None:
        """What one node added in the steps from the last cut to `step`, where nothing was looked at between: the sum
        of its moves, and that of their magnitudes, in float64."""
        cut = self.open.get(step) or self._opened(step)
        cut.moved = cut.moved + moved
        cut.magnitude = cut.magnitude + magnitude

    def gradient(self, rank: int, step: int, gradient: Any) -> None:
        """Remember a gradient for the trajectory, at the cut that it leads to."""
        cut = self.open.get(step) or self._opened(step)
        if cut.gradients is None:
            cut.gradients = np.zeros(self.shape, self.dtype)
        cut.gradients[rank] = gradient

    def _complete(self, cut: _Cut) -> None:
        before, self.last = self.last, cut
        with np.errstate(all="ignore"):
            held = wide_sum(cut.values)
            moved = wide_sum(cut.moves) + cut.moved
            before_flight = self.under_way_now[0]
            if self.flying:
                self.flight.add(cut.passages)
                self.under_way_now = self.flight.total()
                held = held + self.under_way_now[0]
            weight = float(cut.weights.sum()) + self.under_way_now[1]
            self.sent_bytes += cut.bytes
            self.moves_total += moved
            if not np.isfinite(held).all():
                self.monitor.finite(cut.step, cut.values[:, None])
            if self.monitor.policy != "off":
                after = wide_sum(np.abs(cut.values))
                if self.start_total is None:
                    self.monitor.total, self.monitor.total_weight = held, weight
                else:
                    magnitude = self.before + after + wide_sum(np.abs(cut.moves)) + cut.magnitude
                    if self.flying:
                        magnitude = magnitude + np.abs(before_flight) + np.abs(self.under_way_now[0])
                    rounds = cut.step - (before.step if before is not None else 0)
                    self.monitor.round(cut.step, held, weight, moved, magnitude, self.latest, rounds)
                self.before = after
            if self.start_total is None:
                self.start_total = held
        cut.average = held / len(cut.values)
        cut.total_weight = weight
        if self.kept is not None:
            gradients = cut.gradients if cut.gradients is not None else np.zeros(self.shape, self.dtype)
            self.kept.append(
                (
                    cut.values.copy(),
                    cut.weights.copy(),
                    gradients,
                    cut.moves.copy(),
                    *self.under_way_now,
                    cut.times.copy(),
                )
            )
            cut.gradients = None
        if before is not None:
            self.spare.append(before)
        if cut.step % self.experiment.measure_every == 0:
            self.measure_last()

    def measure_last(self) -> None:
        """Measure the cut completed last, unless that was done."""
        cut = self.last
        if cut is None or self.measured == cut.step or self.start_total is None:
            return
        self.measured = cut.step
        points = cut.values / cut.weights.astype(self.dtype)[:, None]
        defect = np.abs(cut.average * len(cut.values) - self.start_total - self.moves_total).max(initial=0.0)
        defect = max(float(defect), abs(cut.total_weight - len(cut.values)))
        unsound = self.measurements.measure(
            "step",
            cut.step,
            np.array([cut.times.max()]),
            cut.average[None],
            points[:, None],
            np.array([defect]),
            np.array([self.sent_bytes]),
        )
        self.monitor.measured(cut.step, unsound)

    def trajectory(self) -> Trajectory | None:
        """All cuts, stacked, with a seeds axis of one."""
        if not self.kept:
            return None
        values, weights, gradients, moves, flights, flight_weights, clocks = (
            np.array(part) for part in zip(*self.kept, strict=True)
        )
        return Trajectory(
            values[:, :, None],
            weights,
            gradients[1:, :, None],
            moves[1:, :, None],
            flights[:, None],
            flight_weights,
            clocks[:, :, None],
        )


class _Cut:
    """Reports of one step, one row per node; used again once measured."""

    __slots__ = (
        "average",
        "bytes",
        "gradients",
        "magnitude",
        "missing",
        "moved",
        "moves",
        "passages",
        "step",
        "times",
        "total_weight",
        "values",
        "weights",
    )

    def __init__(self, shape: tuple[int, int], dtype: np.dtype[Any]) -> None:
        self.values: NDArray[Any] = np.zeros(shape, dtype)
        self.moves: NDArray[Any] = np.zeros(shape, dtype)
        self.weights: NDArray[np.float64] = np.zeros(shape[0])
        self.times: NDArray[np.float64] = np.zeros(shape[0])
        self.gradients: NDArray[Any] | None = None
        self.passages: list[Passage] = []
        self.average: Any = None
        self.step = self.missing = 0
        self.bytes = self.total_weight = 0.0

    def begin(self, step: int) -> None:
        self.step, self.missing = step, len(self.weights)
        self.bytes = 0.0
        self.moved: Any = 0.0
        self.magnitude: Any = 0.0
        self.passages = []


class TimeCuts:
    """Looks at all nodes at one instant: held mass as each node last told it, plus the mass under way by then.

    What a node sent or received since it last told what it holds waits until it tells again: then both change at once.
    """

    def __init__(self, experiment: Experiment, monitor: Monitor, measurements: Measurements) -> None:
        self.experiment, self.monitor, self.measurements = experiment, monitor, measurements
        nodes, dimension = experiment.nodes, experiment.objective.dimension
        # Known before any node begins, so whoever sends at once loses nothing.
        self.values: NDArray[Any] = np.array(experiment.starts(), order="C")
        self.weights: NDArray[np.float64] = np.ones(nodes)
        self.flight = Flight(dimension)
        self.moved: Any = np.zeros(dimension)
        self.moved_since: Any = np.zeros(dimension)
        self.before: Any = 0.0
        self.latest = -1
        self.magnitude: Any = np.zeros(dimension)
        self.start_total: Any = wide_sum(self.values)
        self.sent_bytes = 0.0
        self.gradients = self.changes = 0
        self.looked_at = -1.0
        self.every = experiment.measure_every * nodes
        monitor.schedule = experiment.schedule if experiment.algorithm.uses_schedule else None
        monitor.total, monitor.total_weight = self.start_total, float(nodes)

    def hold(self, rank: int, mass: Mass, passages: list[Passage]) -> None:
        """Node `rank` holds `mass` now; passages: what it sent and received since it told so last."""
        self.values[rank], self.weights[rank] = mass
        self.flight.add(passages)
        self.changes += 1

    def moved_by(self, move: Any, now: float) -> bool:
        """A node added `move`; True where that led to a look."""
        self.moved_since = self.moved_since + move
        self.magnitude = self.magnitude + np.abs(move)
        self.gradients += 1
        return self.gradients % self.every == 0

    def look(self, now: float) -> None:
        """Check the law of mass at this instant, and measure; unless that was done and nothing changed since."""
        if now == self.looked_at and not self.changes:
            return
        self.looked_at = now
        with np.errstate(all="ignore"):
            step = self.gradients // len(self.values)
            flight, flight_weight = self.flight.total()
            held = wide_sum(self.values) + flight
            weight = float(self.weights.sum()) + flight_weight
            if not np.isfinite(held).all():
                self.monitor.finite(step, self.values[:, None])
            after = wide_sum(np.abs(self.values))
            after = after + np.abs(flight)
            magnitude = self.magnitude + self.before + after
            self.before = after
            if self.monitor.policy != "off":
                self.monitor.round(
                    step, held, weight, self.moved_since, magnitude, self.latest, rounds=1 + self.changes
                )
            self.moved = self.moved + self.moved_since
            self.moved_since = np.zeros_like(self.moved_since)
            self.magnitude = np.zeros_like(self.magnitude)
            self.changes = 0
            defect = max(
                float(np.abs(held - self.start_total - self.moved).max(initial=0.0)), abs(weight - len(self.values))
            )
            average = held / len(self.values)
            points = self.values / np.where(self.weights > 0, self.weights, 1.0).astype(self.values.dtype)[:, None]
        unsound = self.measurements.measure(
            "time",
            step,
            np.array([now]),
            average[None],
            points[:, None],
            np.array([defect]),
            np.array([self.sent_bytes]),
        )
        self.monitor.measured(step, unsound)
