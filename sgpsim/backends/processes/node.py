"""TorchNode: one real process as an algorithm sees it, over gloo.

The rule: the same words do the same additions in the same order as on a simulated machine (own share first, then
ascending senders, numpy throughout; torch only carries bytes), so the numbers are equal to the bit. No await ever
hands control back: a call that must wait blocks the process, and says for whom it waits. Times are seconds since all
processes set out.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from sgpsim.backends.backend import refuse_round, require_activity, require_report
from sgpsim.backends.due_rounds import DueRounds
from sgpsim.backends.gradient_batch import draws_of, gradients_at, require_point
from sgpsim.backends.losses import Losses
from sgpsim.backends.processes.liveness import EVERYBODY, Activity, PulseWriter
from sgpsim.backends.processes.records import Record
from sgpsim.backends.processes.transport import Arrived, PeerLost, Post
from sgpsim.backends.watch.flight import add_with_rest
from sgpsim.backends.watch.steps_taken import StepsTaken
from sgpsim.budget import most_steps
from sgpsim.errors import SpecificationError
from sgpsim.experiment import Experiment
from sgpsim.mass import Array, Mass
from sgpsim.node import Letter, Node
from sgpsim.results.metrics import require_note
from sgpsim.streams import Reader, own_stream

if TYPE_CHECKING:
    from sgpsim.backends.processes.torch_distributed import TorchDistributed


class TorchNode(Node):
    """rank, size, schedule as in Node. post: its messages. record: where it writes down what it reports. pulse: by
    which others see it move.

    mean_of_all: the collective, called with a fresh array that it may write into.
    """

    def __init__(
        self,
        backend: TorchDistributed,
        experiment: Experiment,
        seed: int,
        post: Post,
        record: Record,
        pulse: PulseWriter,
        mean_of_all: Callable[[NDArray[Any]], NDArray[Any]],
        clock: Callable[[], float],
        trace: bool,
    ) -> None:
        self.rank = post.rank
        self.size, self.schedule = post.size, experiment.schedule
        self.dimension = experiment.objective.dimension
        self._backend, self._experiment, self._seed = backend, experiment, seed
        self._post, self._record, self._pulse, self._mean, self._clock, self._trace = (
            post,
            record,
            pulse,
            mean_of_all,
            clock,
            trace,
        )
        self._draws = Reader(draws_of(experiment.objective, self.rank, seed))
        self._me = np.array([self.rank])
        self._like = experiment.starts()[self.rank]
        self._reported = -1
        self.taken = StepsTaken()
        self.losses = Losses(backend.cluster)
        self._durations = _Durations(backend, self.rank, seed) if backend.compute == "sleep" else None
        self._flying = experiment.algorithm.leaves_in_flight
        self._step = 0
        self.gradients = 0
        self._sent_round = -1
        self._due = DueRounds(self.schedule, self.rank)
        self.leaks: list[str] = []

    @property
    def steps(self) -> Iterator[int]:
        most = most_steps(self._experiment.budget, self.size)
        assert most is not None, "check() keeps budgets in time off real processes"
        for step in range(most):
            self._step = step
            self._pulse.step(step)
            self.taken.begun += 1
            yield step
        self.taken.over = True

    def begin(self) -> Mass:
        self._record.row["round"] = -1
        mass = Mass(self._experiment.starts()[self.rank], 1.0)
        self.report(0, mass, None)
        return mass

    async def gradient(self, at: Array) -> Array:
        begin = self._clock()
        draw = np.array([self._draws.take()])
        require_point(self._experiment.algorithm, at, self._like)
        objective, points = self._experiment.objective, at[None]
        gradient = gradients_at(objective, self._me, points, draw)[0].astype(at.dtype, copy=False)
        self.gradients += 1
        if self._durations is not None:
            self._durations.sleep(begin, self._clock)
        if self._trace:
            self._record.line("span", "compute", "gradient", self._step, begin, self._clock())
        if self._backend.keep_trajectory:
            self._record.row["gradient"] = gradient
        return gradient

    # -- rounds of the schedule

    def scatter(self, step: int, mass: Mass) -> Mass:
        value, weight = mass
        round_ = self.schedule.round(step)
        if step <= self._sent_round:
            refuse_round(self._experiment.algorithm, round_, self.rank, step, self._sent_round)
        self._sent_round = step
        self._record.row["round"] = step
        for receiver, share in round_.pushes[self.rank]:
            product, part = value * share, weight * share
            begin = self._clock()
            number = self._post.send(
                receiver, step, product, part, lose=self.losses.takes(self.rank, receiver, step)
            )
            if self._trace:
                self._record.line("sent", receiver, number, step, begin, self._clock())
            self._record.row["bytes"] += self._experiment.message_size
            self._under_way(product, part, 1.0)
        return Mass(value * round_.kept[self.rank], weight * round_.kept[self.rank])

    async def gather(self, step: int, kept: Mass) -> Mass:
        senders = self.schedule.round(step).senders[self.rank]
        value, weight = kept
        owned = False
        box = self._wait_for(step, senders)
        for sender in senders:
            message = box[sender]
            self._take(sender, step, message)
            if owned:
                value += message.value
            else:
                value, owned = value + message.value, True
            weight += message.weight
        return Mass(value, weight)

    async def catch_up(self, step: int, kept: Mass) -> Mass:
        taken: list[tuple[int, int, int, Arrived]] = []
        for due, senders in self._due.up_to(step):
            box = self._wait_for(due, senders)
            taken += [(sender, message.number, due, message) for sender, message in box.items()]
        for round_, sender, message in self._post.arrived():
            self._due.received_early(round_, sender)
            taken.append((sender, message.number, round_, message))
        value, weight = kept
        for sender, _, round_, message in sorted(taken, key=lambda entry: entry[:2]):
            self._take(sender, round_, message)
            value = value + message.value
            weight += message.weight
        return Mass(value, weight)

    def _wait_for(self, step: int, senders: tuple[int, ...]) -> dict[int, Arrived]:
        begin = self._clock()
        box = self._post.round(step, senders)
        if self._trace and any(message.arrival > begin for message in box.values()):
            self._record.line("span", "wait", f"round {step}", self._step, begin, self._clock())
        return box

    def _take(self, sender: int, step: int, message: Arrived) -> None:
        """The law of transit: consecutive numbers per pair."""
        account = self._post.taken[sender]
        if message.number != account.count:
            self.leaks.append(
                f"message {message.number} from node {sender} to node {self.rank} at round {step} came where number"
                f" {account.count} was due"
            )
        account.add(message.value, message.weight)
        if self._trace:
            self._record.line("taken", sender, message.number, message.arrival)
        self._under_way(message.value, message.weight, -1.0)

    def _under_way(self, value: NDArray[Any], weight: float, sign: float) -> None:
        if self._flying:
            row = self._record.row
            add_with_rest(row["flight"], row["flight_rest"], value * sign)
            row["flight_weight"] += weight * sign

    # -- the rest

    async def mean(self, value: Array) -> Array:
        begin = self._clock()
        self._pulse.move(Activity.WAITING, EVERYBODY)
        try:
            found = self._mean(np.array(value))
        except RuntimeError as error:
            raise PeerLost(None, str(error)) from None
        self._pulse.move(Activity.COMPUTING)
        self._record.row["bytes"] += 2 * (self.size - 1) / self.size * self._experiment.message_size
        if self._trace:
            self._record.line("span", "receive", "all-reduce", self._step, begin, self._clock())
        return found

    def report(self, step: int, mass: Mass, move: Array | None) -> None:
        require_report(self._experiment.algorithm, step, self._reported, mass, self._like)
        self._reported = step
        self.taken.report(step)
        self._record.report(step, self._clock(), mass, move)

    def note(self, metric: str, value: float) -> None:
        self._record.line("note", self._step + 1, self._clock(), metric, require_note(metric, value))

    def generator(self, purpose: str) -> np.random.Generator:
        return own_stream(self._seed, purpose, self.rank)

    def send(self, to: int, mass: Mass, channel: str = "push") -> None:
        self._refuse()

    async def receive(self, sender: int, channel: str = "push") -> Letter:
        self._refuse()

    async def receive_any(self, channel: str, senders: tuple[int, ...]) -> AsyncIterator[Letter]:
        self._refuse()
        yield  # makes this an asynchronous generator

    def farewell(self, to: int, channel: str) -> None:
        self._refuse()

    def spawn(self, activity: Coroutine[Any, Any, None]) -> Any:
        require_activity(self._experiment.algorithm, activity).close()
        self._refuse()

    async def join(self, activity: Any) -> None:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise SpecificationError(
            f"{type(self._experiment.algorithm).__name__} sends single messages or runs a second activity, which"
            " TorchDistributed does not carry yet; it carries rounds of the schedule and means. Use Simulated(cluster)."
        )


class _Durations:
    """Stretches each gradient to the time that the cluster's machine would take for it."""

    def __init__(self, backend: TorchDistributed, rank: int, seed: int) -> None:
        assert backend.cluster is not None, "TorchDistributed makes sure of that"
        self._seconds = Reader(backend.cluster.durations(rank, seed))
        self._late = [(since, Reader(factors)) for since, factors in backend.cluster.late_causes(rank, seed)]

    def sleep(self, begin: float, clock: Callable[[], float]) -> None:
        """Sleep until the gradient begun at `begin` has taken its time."""
        seconds = float(self._seconds.take())
        for since, factors in self._late:
            factor = float(factors.take())
            if begin >= since:
                seconds *= factor
        remaining = begin + seconds - clock()
        if remaining > 0:
            time.sleep(remaining)
