"""Cuts: what the nodes of an event simulation, or the records of real processes, report, put together into cuts of the
whole fleet for `Watch`.

The rule: a step cut is complete when every node has reported the same step; what is in flight at it is what was sent in
earlier steps and not yet received in the receivers' own step, so the cut is a consistent one although nodes reach it at
different times. Methods whose nodes do not run in step, or whose numbers depend on timing, are looked at by time
instead: all nodes at one instant, in all `measure_every` * nodes gradients.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgpsim.backends.watch.flight import Flight, Passage
from sgpsim.backends.watch.watch import Cut, Watch
from sgpsim.experiment import Experiment
from sgpsim.mass import Mass, wide_sum


class StepCuts:
    """Collects reports by step, one row per node. seen: whether complete cuts are looked at, and every
    `measure_every`-th measured. keep: whether they are kept for the trajectory."""

    def __init__(self, experiment: Experiment, watch: Watch, seen: bool, keep: bool) -> None:
        self.experiment, self.watch, self.seen, self.keep = experiment, watch, seen, keep
        self.shape = (experiment.nodes, experiment.objective.dimension)
        self.dtype = np.dtype(experiment.dtype)
        self.flight = Flight(self.shape[1])
        self.latest = -1
        self.last: _Reports | None = None
        self._open: dict[int, _Reports] = {}
        self._spare: list[_Reports] = []
        self._in_flight = self.flight.total()
        self._sent = 0.0
        self._flying = experiment.algorithm.leaves_in_flight
        self._measured = True

    def report(self, rank: int, step: int, mass: Mass, move: Any, now: float, size: float) -> bool:
        """One node's report; True where it completed a cut."""
        reports = self._at(step)
        reports.values[rank], reports.weights[rank] = mass
        if move is None:
            reports.moves[rank] = 0.0
        else:
            reports.moves[rank] = move
        reports.times[rank] = now
        reports.bytes += size
        reports.missing -= 1
        if reports.missing:
            return False
        del self._open[step]
        self._complete(reports)
        return True

    def _at(self, step: int) -> _Reports:
        """The reports of `step`."""
        reports = self._open.get(step)
        if reports is None:
            reports = self._open[step] = self._spare.pop() if self._spare else _Reports(self.shape, self.dtype)
            reports.begin(step)
        return reports

    def in_flight(self, step: int, passages: list[Passage]) -> None:
        """What a node sent and received between its reports of `step` - 1 and `step`."""
        self._at(step).passages += passages

    def moved_earlier(self, step: int, moved: Any, magnitude: Any) -> None:
        """What one node added in the steps from the last cut to `step`, where nothing was looked at between: the sum
        of its moves, and that of their magnitudes, in float64."""
        reports = self._at(step)
        reports.moved = reports.moved + moved
        reports.magnitude = reports.magnitude + magnitude

    def gradient(self, rank: int, step: int, gradient: Any) -> None:
        """Remember a gradient for the trajectory, at the cut that it leads to."""
        reports = self._at(step)
        if reports.gradients is None:
            reports.gradients = np.zeros(self.shape, self.dtype)
        reports.gradients[rank] = gradient

    def _complete(self, reports: _Reports) -> None:
        before, self.last = self.last, reports
        if self._flying:
            self.flight.add(reports.passages)
            self._in_flight = self.flight.total()
        self._sent += reports.bytes
        rounds = reports.step - (before.step if before is not None else 0)
        with np.errstate(all="ignore"):
            moved = wide_sum(reports.moves) + reports.moved
            magnitude = wide_sum(np.abs(reports.moves)) + reports.magnitude
        cut = self._cut(reports, moved, magnitude, rounds)
        if self.seen:
            self._measured = reports.step % self.experiment.measure_every == 0
            self.watch.see(cut, measure=self._measured)
        if self.keep:
            gradients = None if reports.gradients is None else reports.gradients[:, None]
            self.watch.keep(cut, gradients, reports.moves[:, None], reports.times[:, None])
            reports.gradients = None
        if before is not None:
            self._spare.append(before)

    def measure_last(self) -> None:
        """Measure the cut completed last, unless that was done."""
        if not self._measured and self.last is not None:
            self._measured = True
            self.watch.see(self._cut(self.last, 0.0, 0.0, 0), measure=True, check=False)

    def _cut(self, reports: _Reports, moved: Any, magnitude: Any, rounds: int) -> Cut:
        return Cut(
            "step",
            reports.step,
            np.array([reports.times.max()]),
            reports.values[:, None],
            reports.weights[:, None],
            self._in_flight[0][None],
            self._in_flight[1],
            moved,
            magnitude,
            rounds,
            self.latest,
            self._sent,
        )


class _Reports:
    """Reports of one step, one row per node; used again once their cut was seen."""

    __slots__ = (
        "bytes",
        "gradients",
        "magnitude",
        "missing",
        "moved",
        "moves",
        "passages",
        "step",
        "times",
        "values",
        "weights",
    )

    def __init__(self, shape: tuple[int, int], dtype: np.dtype[Any]) -> None:
        self.values: NDArray[Any] = np.zeros(shape, dtype)
        self.moves: NDArray[Any] = np.zeros(shape, dtype)
        self.weights: NDArray[np.float64] = np.zeros(shape[0])
        self.times: NDArray[np.float64] = np.zeros(shape[0])
        self.gradients: NDArray[Any] | None = None

    def begin(self, step: int) -> None:
        self.step, self.missing = step, len(self.weights)
        self.bytes = 0.0
        self.moved: Any = 0.0
        self.magnitude: Any = 0.0
        self.passages: list[Passage] = []


class TimeCuts:
    """All nodes at one instant: held mass as each node last reported it, plus the mass in flight by then.

    What a node sent or received since its last report waits until it reports again: then both change at once.
    """

    def __init__(self, experiment: Experiment, watch: Watch) -> None:
        self.watch = watch
        nodes, dimension = experiment.nodes, experiment.objective.dimension
        # Known before any node begins, so whoever sends at once loses nothing.
        self.values: NDArray[Any] = np.array(experiment.starts(), order="C")
        self.weights: NDArray[np.float64] = np.ones(nodes)
        self.flight = Flight(dimension)
        self.nothing: NDArray[np.float64] = np.zeros(dimension)
        self.moved: Any = self.nothing
        self.magnitude: Any = self.nothing
        self.latest = -1
        self.sent_bytes = 0.0
        self.gradients = self.changes = 0
        self.looked_at = -1.0
        self.every = experiment.measure_every * nodes

    def hold(self, rank: int, mass: Mass, passages: list[Passage]) -> None:
        """Node `rank` holds `mass` now; passages: what it sent and received since its last report."""
        self.values[rank], self.weights[rank] = mass
        self.flight.add(passages)
        self.changes += 1

    def moved_by(self, move: Any) -> bool:
        """A node added `move`; True where that makes a look due."""
        self.moved = self.moved + move
        self.magnitude = self.magnitude + np.abs(move)
        self.gradients += 1
        return self.gradients % self.every == 0

    def look(self, now: float) -> None:
        """Check the law of mass at this instant, and measure; unless that was done and nothing changed since."""
        if now == self.looked_at and not self.changes:
            return
        self.looked_at = now
        flight, flight_weight = self.flight.total()
        cut = Cut(
            "time",
            self.gradients // len(self.values),
            np.array([now]),
            self.values[:, None],
            self.weights[:, None],
            flight[None],
            flight_weight,
            self.moved[None],
            self.magnitude[None],
            1 + self.changes,
            self.latest,
            self.sent_bytes,
        )
        self.moved = self.magnitude = self.nothing
        self.changes = 0
        self.watch.see(cut, measure=True)
