"""FleetNode: all machines and all seeds as the one node that an algorithm's text sees.

The rule: as in Node, without a rank, and with arrays shaped (nodes, seeds, dimension); what a text does per node happens here
in one array operation, in the same order of additions. Gradients of all nodes and seeds are one batch. The monitor
looks every few rounds, since what it sums is linear in the rounds.
(A long file for the same reason as SimulatedNode.)
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from sgpsim.backends.backend import Progress, refuse_round, require_activity, require_report
from sgpsim.backends.fleet.clock import FleetClock
from sgpsim.backends.fleet.mixing import FleetRounds, KeptShare
from sgpsim.backends.fleet.trace import FleetTrace
from sgpsim.backends.gradient_batch import draws_of, gradients_at, require_point
from sgpsim.backends.stopping import require_progress
from sgpsim.backends.watch.steps_taken import StepsTaken
from sgpsim.backends.watch.watch import Cut, Watch
from sgpsim.budget import Seconds, TargetLoss, most_steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.errors import Deadlock, SpecificationError
from sgpsim.experiment import Experiment
from sgpsim.mass import Array, Mass, on_host, ordered_mean, ordered_sum, typed_as, wide_sum
from sgpsim.node import Letter, Node
from sgpsim.results.metrics import Keep
from sgpsim.results.run import Final
from sgpsim.streams import FleetReader

if TYPE_CHECKING:
    from sgpsim.backends.fleet.vectorized import Vectorized


class FleetNode(Node):
    """size, schedule as in Node."""

    def __init__(
        self, backend: Vectorized, experiment: Experiment, progress: Progress | None, keep: Keep | None = None
    ) -> None:
        self.size, self.schedule = experiment.nodes, experiment.schedule
        self.dimension = experiment.objective.dimension
        self.refusal: SpecificationError | None = None
        self.taken = StepsTaken()
        self.experiment, self.backend, self.progress = experiment, backend, progress
        self.algorithm, self.objective, self.seeds = experiment.algorithm, experiment.objective, experiment.seeds
        self.shape = (self.size, len(self.seeds), self.objective.dimension)
        self.flat_shape = (self.shape[0] * self.shape[1], self.shape[2])
        dtype = np.dtype(experiment.dtype)
        cluster = backend.cluster if backend.cluster is not None else Cluster(self.size)
        self.timed = backend.cluster is not None
        traced = backend.trace and self.timed
        self.clock = FleetClock(cluster, self.schedule, self.seeds, experiment.message_size, traced)
        self.rounds = FleetRounds(self.schedule, dtype, backend.device)
        self.watch = Watch(experiment, self.seeds, backend.monitor, keep)
        streams = [draws_of(self.objective, node, seed) for node in range(self.size) for seed in self.seeds]
        self.draws = FleetReader(streams, (self.size * len(self.seeds),))
        self.owners = np.repeat(np.arange(self.size), len(self.seeds))
        self.watched = backend.monitor != "off"
        self.message_size, self.measure_every = experiment.message_size, experiment.measure_every
        self.flying = self.algorithm.leaves_in_flight
        self.trace = FleetTrace(self.clock, self.seeds[0], experiment.message_size) if traced else None
        self.bytes = 0.0
        self.gradients = 0
        self.pushed: dict[int, Mass] = {}
        self.mass = Mass(None, 1.0)
        self.step = self.reported = -1
        self.reported_at = self.clock.now
        self.nothing = np.zeros((len(self.seeds), self.shape[2]))
        self.moves: list[Any] = []  # their sums over nodes, one per report since the last check
        self.magnitudes: list[Any] = []
        self.since_check = 0
        self.measured = -1
        self.latest = -1
        self.in_flight: dict[int, tuple[Any, float]] = {}  # sums over the messages of a round
        self.last_gradient: Any = None
        self.like: Any = np.empty(self.shape, dtype)  # of whose shape and type all values are
        self.target = experiment.budget.loss if isinstance(experiment.budget, TargetLoss) else None
        self.reached_at = float("inf")
        self.limit = experiment.budget.limit if isinstance(experiment.budget, Seconds) else float("inf")

    # -- what the text asks --

    @property
    def steps(self) -> Iterator[int]:
        most, step = most_steps(self.experiment.budget, self.size), 0
        while most is None or step < most:
            if self.target is not None and self.watch.last_loss <= self.target:
                self.reached_at, self.target = float(self.clock.now.max()), None
                if not self.timed:
                    self.taken.over = True
                    return  # without machines all nodes are at the same step
            if min(self.limit, self.reached_at) < float("inf"):
                first = float(self.clock.now.min())
                require_progress(self.experiment.budget, step, float(self.clock.now.max()))
                if first >= self.limit or first > self.reached_at:
                    self.taken.over = True
                    return
            self.step = step
            self.taken.begun += 1
            yield step
            step += 1
        self.taken.over = True

    def begin(self) -> Mass:
        starts = np.array(np.broadcast_to(self.experiment.starts()[:, None, :], self.shape), order="C")
        mass = Mass(self._placed(starts), self.rounds.ones())
        self.like = mass.value
        self.report(0, mass, None)
        return mass

    async def gradient(self, at: Array) -> Array:
        require_point(self.algorithm, at, self.like)
        flat = at.reshape(self.flat_shape)
        found = gradients_at(self.objective, self.owners, flat, self.draws.take())
        if found.dtype != flat.dtype:
            found = typed_as(found, flat)
        found = found.reshape(self.shape)
        if self.timed:
            before = self.clock.now
            self.clock.compute()
            if self.trace is not None:
                self.trace.computed(self.step, before)
        self.gradients += len(flat)
        if self.backend.keep_trajectory:
            self.last_gradient = found
        return found

    def scatter(self, step: int, mass: Mass) -> Mass:
        mass = Mass(*mass)
        if step <= self.latest:
            sender = next((node for node, sent in enumerate(self.schedule.round(step).pushes) if sent), 0)
            refuse_round(self.algorithm, self.schedule.round(step), sender, step, self.latest)
        self.pushed[step] = mass
        if isinstance(mass.value, np.ndarray):
            mass.value.flags.writeable = False
        self.latest = step
        if self.timed:
            messages = self.clock.scatter(step)
            if self.trace is not None:
                self.trace.sent(step)
        else:
            messages = self.schedule.round(step).messages
        self.bytes += messages * self.message_size
        kept = KeptShare(step, mass, lambda: self.rounds.own(step, mass))
        if self.flying:
            value, weight = self.nothing, 0.0
            for values, weights in self.rounds.sent(step, mass):
                value, weight = value + on_host(self._sum(values)), weight + float(weights.sum())
            self.in_flight[step] = value, weight
        return kept  # pyright: ignore[reportReturnType]

    async def gather(self, step: int, kept: Mass) -> Mass:
        if step not in self.pushed:
            raise Deadlock(
                f"deadlock: all nodes wait at step {self.step} for messages of round {step}, which were"
                f" {'received before' if step <= self.latest else 'never sent'}. Every send needs a receive of the same"
                " round at the other end."
            )
        mass = self.pushed.pop(step)
        mixed = self.rounds.mix(step, kept, mass)
        self.in_flight.pop(step, None)
        if self.timed:
            before = self.clock.now
            self.clock.gather(step)
            if self.trace is not None:
                self.trace.waited(self.step, step, before)
        return mixed

    async def mean(self, value: Array) -> Array:
        found = ordered_mean(value)[None]
        if self.timed:
            before = self.clock.now
            self.clock.mean()
            if self.trace is not None:
                self.trace.met(self.step, before)
        self.bytes += 2 * (self.size - 1) * self.experiment.message_size
        return found

    def report(self, step: int, mass: Mass, move: Array | None) -> None:
        require_report(self.algorithm, step, self.reported, mass, self.like)
        self.taken.report(step)
        self.mass, self.reported, self.reported_at = mass, step, self.clock.now
        if isinstance(mass.value, np.ndarray) and not math.isfinite(np.vdot(mass.value, mass.value)):
            self.watch.monitor.finite(step, mass.value)  # squares may overflow where no value does
        if self.watched and step:
            self.since_check += 1
            if move is not None:
                self.moves.append(self._sum(move))
                self.magnitudes.append(self._sum(abs(move)))
        check, measure = self.watched and self.since_check >= self.backend.check_every, step % self.measure_every == 0
        if check or measure or self.backend.keep_trajectory:
            cut = self._cut(step, mass)
            if check or measure:
                self.watch.see(cut, measure, check)
            if self.backend.keep_trajectory:
                self.watch.keep(cut, self.last_gradient, move, self.clock.now)
                self.last_gradient = None
        if check:
            self.moves.clear()
            self.magnitudes.clear()
            self.since_check = 0
        if measure:
            self.measured = step
            if self.progress is not None:
                most = most_steps(self.experiment.budget, self.size) or 0
                self.progress(step * self.size * len(self.seeds), most * self.size * len(self.seeds))

    # -- what has no meaning for all nodes at once --

    @property
    def rank(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        self.refuse("reads node.rank, but here one text moves all nodes at once and is none of them")

    def note(self, metric: str, value: float) -> None:
        self.refuse("calls node.note, but here one text moves all nodes at once and has no figure of one node")

    def generator(self, purpose: str) -> np.random.Generator:
        self.refuse("calls node.generator, but here one text moves all nodes at once and has no stream of one node")

    def catch_up(self, step: int, kept: Mass) -> Awaitable[Mass]:
        self.refuse("calls node.catch_up, but what has arrived depends on timing, and here no event ever happens")

    def send(self, to: int, mass: Mass, channel: str = "push") -> None:
        self._refuse_letters("send")

    def receive(self, sender: int, channel: str = "push") -> Awaitable[Letter]:
        self._refuse_letters("receive")

    def receive_any(self, channel: str, senders: tuple[int, ...]) -> AsyncIterator[Letter]:
        self._refuse_letters("receive_any")

    def farewell(self, to: int, channel: str) -> None:
        self._refuse_letters("farewell")

    def spawn(self, activity: Coroutine[Any, Any, None]) -> Any:
        require_activity(self.algorithm, activity).close()
        self.refuse("calls node.spawn, but here one text moves all nodes at once and has no second activity")

    def join(self, activity: Any) -> Awaitable[None]:
        self.refuse("calls node.join, but here one text moves all nodes at once and has no second activity")

    def _refuse_letters(self, call: str) -> NoReturn:
        self.refuse(f"calls node.{call}, but here one text moves all nodes at once, by rounds of the schedule only")

    def refuse(self, deed: str, cure: str = "Use Simulated(cluster).") -> NoReturn:
        """Refuse a text for what it does, and remember it, as the text may catch what is raised here."""
        self.refusal = SpecificationError(
            f"Vectorized cannot run {type(self.algorithm).__name__}: its text {deed}. {cure}"
        )
        raise self.refusal

    # -- watching and measuring --

    def _cut(self, step: int, mass: Mass) -> Cut:
        """All nodes now, after `step` steps."""
        in_flight, weight_in_flight = self.nothing, 0.0
        for value, weight in self.in_flight.values():
            in_flight, weight_in_flight = in_flight + value, weight_in_flight + weight
        return Cut(
            "step",
            step,
            self.clock.now.max(axis=0),
            mass.value,
            mass.weight[:, :, 0],
            in_flight,
            weight_in_flight,
            self._total(self.moves),
            self._total(self.magnitudes),
            self.since_check,
            self.latest,
            self.bytes,
        )

    def end(self) -> None:
        """The last look and measurement, and the law of the end: nothing is left under way."""
        if self.pushed:
            self.watch.monitor.leak(f"mass left in flight at the end: round {min(self.pushed)} was never received")
        check, measure = self.watched and self.since_check > 0, self.measured != self.reported
        if check or measure:
            self.watch.see(self._cut(self.reported, self.mass), measure, check)

    def final(self) -> Final:
        weights = np.broadcast_to(on_host(self.mass.weight)[:, :, 0], self.shape[:2])
        return Final(np.array(on_host(self.mass.value)), np.array(weights), np.array(self.reported_at))

    def _sum(self, value: Any) -> Any:
        """Sum over nodes, in float64; a value that is the same for all nodes has one row. Stays on the device, which
        would have to wait."""
        return wide_sum(value) * self.size if len(value) == 1 else wide_sum(value)

    def _total(self, sums: list[Any]) -> Any:
        """Sums over nodes, one per report, added up on the host."""
        if not sums:
            return self.nothing
        return ordered_sum(np.array(sums)) if isinstance(sums[0], np.ndarray) else on_host(sum(sums))

    def _placed(self, array: Any) -> Any:
        if self.backend.device is None:
            return array
        import torch

        return torch.as_tensor(array, device=self.backend.device)

