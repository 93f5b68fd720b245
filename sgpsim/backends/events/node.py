"""SimulatedNode: one machine of a simulation, as an algorithm sees it.

The rule: every waiting is one SimPy event, and every wait says for whom it waits, so that a deadlock can be told.
Messages of the schedule's rounds are kept by round and sender, since their arrival is known when they are sent; single
messages travel through channels, one event each. Numbers: own share first, then ascending senders, in place on an array
of the node's own.
(A long file: Node is one interface, and its calls share their state.)
"""

from __future__ import annotations

import types
from collections import Counter, deque
from collections.abc import AsyncIterator, Coroutine, Generator, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import simpy
from simpy.events import Timeout

from sgpsim.backends.backend import refuse_round, require_activity, require_report, require_ticket
from sgpsim.backends.due_rounds import DueRounds
from sgpsim.backends.events.activities import Activity
from sgpsim.backends.events.instant import wake_at
from sgpsim.backends.events.mailbox import FAREWELL, Letters
from sgpsim.backends.events.waits import Wait, Waits
from sgpsim.backends.watch.flight import Passage
from sgpsim.backends.watch.monitor import lost
from sgpsim.backends.watch.steps_taken import StepsTaken
from sgpsim.errors import SpecificationError, shown
from sgpsim.mass import Array, Mass
from sgpsim.node import Letter, Node
from sgpsim.results.metrics import require_note
from sgpsim.streams import own_stream

if TYPE_CHECKING:
    from sgpsim.backends.events.simulated import Simulation


class SimulatedNode(Node):
    """rank, size, schedule as in Node. held: what the node told last. now: its clock, seconds. step: its last begun."""

    def __init__(self, simulation: Simulation, rank: int) -> None:
        self.rank = rank
        self.size, self.schedule = simulation.size, simulation.schedule
        self.dimension = simulation.experiment.objective.dimension
        self._simulation, self._environment = simulation, simulation.environment
        self._durations, self._late = simulation.blocks_of_durations(rank), simulation.late_causes(rank)
        self._port = 0.0
        self.step = 0
        self._tracked = simulation.time_cuts is not None or simulation.algorithm.leaves_in_flight
        self._flight: list[Passage] = []  # what went under way and what came in since the last report
        self._bytes = 0.0
        self._rounds: dict[int, dict[int, tuple[float, Any, float, int]]] = {}
        self._awaited: tuple[int, int, simpy.Event] | None = None
        self.waits = Waits()
        self._sent_round = -1
        self._due = DueRounds(self.schedule, rank)
        self._numbers: dict[int, int] = {}  # messages of rounds sent, by receiver
        self._letters_sent: Counter[int] = Counter()
        self._expected: dict[int, deque[tuple[int, Any, float]]] = {}
        self.letters = Letters(self._environment, self.waits)
        self.held = Mass(simulation.starts[rank], 1.0)
        self._reported = -1
        self.taken = StepsTaken()
        self.now = 0.0

    @property
    def steps(self) -> Iterator[int]:
        stopping, environment = self._simulation.stopping, self._environment
        step = 0
        while stopping.may_begin(step, environment.now):
            self.step = step
            self.taken.begun += 1
            yield step
            step += 1
        self.taken.over = True

    def begin(self) -> Mass:
        mass = Mass(self._simulation.starts[self.rank].copy(), 1.0)
        simulation = self._simulation
        require_report(simulation.algorithm, 0, self._reported, mass, self.held.value)
        self._reported = 0
        if simulation.step_cuts is not None:
            completed = simulation.step_cuts.report(self.rank, 0, mass, None, 0.0, 0.0)
            if completed and simulation.time_cuts is None:
                simulation.tick()
        return mass

    @types.coroutine
    def gradient(self, at: Array) -> Generator[simpy.Event, Any, Array]:
        simulation, environment = self._simulation, self._environment
        begin = environment.now
        seconds = next(self._durations)
        for since, factors in self._late:
            factor = next(factors)
            if begin >= since:
                seconds *= factor
        simulation.batch.submit(self.rank, at)
        yield Timeout(environment, seconds)
        if simulation.trace is not None:
            simulation.trace.spans.append((self.rank, "compute", "gradient", self.step, begin, environment.now))
        gradient = simulation.batch.result(self.rank)
        if simulation.keep and simulation.step_cuts is not None:
            simulation.step_cuts.gradient(self.rank, self.step + 1, gradient)
        return gradient

    # -- rounds of the schedule --

    def scatter(self, step: int, mass: Mass) -> Mass:
        simulation = self._simulation
        if step <= self._sent_round:
            refuse_round(simulation.algorithm, self.schedule.round(step), self.rank, step, self._sent_round)
        self._sent_round = step
        value, weight = mass
        value.flags.writeable = False  # as on a fleet, where this very array is what arrives
        rank, size, trace = self.rank, simulation.message_size, simulation.trace
        now = self._environment.now
        port = now if now > self._port else self._port
        for cuts in (simulation.step_cuts, simulation.time_cuts):
            if cuts is not None and cuts.latest < step:
                cuts.latest = step
        product: Any = None
        known: float | None = None
        losses = simulation.losses if simulation.losses.faults else None
        for receiver, share, occupancy, latency in simulation.plan(step)[rank]:
            if share != known:
                product, known = value * share, share
                product.flags.writeable = False
            begin = port
            port = begin + occupancy
            arrival = port + latency
            number = self._numbers.get(receiver.rank, 0)
            self._numbers[receiver.rank] = number + 1
            carried = weight * share
            expected = receiver.expect(rank, number, product, carried)
            if losses is not None and losses.takes(rank, receiver.rank, step):
                receiver.arrive(rank, step, (arrival, np.zeros_like(product), 0.0, number))
            else:
                receiver.arrive(rank, step, (arrival, product, carried, number))
            if trace is not None:
                trace.messages.append((rank, receiver.rank, "round", step, begin, port, arrival, size))
            self._bytes += size
            self._under_way(expected, product, carried, 1)
        self._port = port
        kept = self.schedule.round(step).kept[rank]
        return Mass(product if kept == known else value * kept, weight * kept)

    def expect(self, sender: int, number: int, value: Any, weight: float) -> tuple[int, Any, float]:
        """The monitor's own note of what `sender` put on its way, before the network touches it."""
        found = self._expected.get(sender)
        if found is None:
            found = self._expected[sender] = deque()
        note = (number, value, weight)
        found.append(note)
        return note

    def arrive(self, sender: int, step: int, message: tuple[float, Any, float, int]) -> None:
        """A message of round `step`; wakes the node at the latest arrival if it was the last one awaited."""
        box = self._rounds.get(step)
        if box is None:
            box = self._rounds[step] = {}
        box[sender] = message
        awaited = self._awaited
        if awaited is not None and awaited[0] == step and len(box) == awaited[1]:
            self._awaited = None
            latest = max(entry[0] for entry in box.values())
            wake_at(self._environment, awaited[2], max(latest, self._environment.now))

    @types.coroutine
    def gather(self, step: int, kept: Mass) -> Generator[simpy.Event, Any, Mass]:
        senders = self.schedule.round(step).senders[self.rank]
        if not senders:
            return kept
        box = yield from self._complete_round(step, senders)
        value, weight = kept
        owned = False
        for sender in senders:
            _, arrived, arrived_weight, number = box[sender]
            self._take(sender, number, arrived, step, arrived_weight)
            if owned:
                value += arrived
            else:
                value, owned = value + arrived, True
            weight += arrived_weight
        return Mass(value, weight)

    def _complete_round(
        self, step: int, senders: tuple[int, ...]
    ) -> Generator[simpy.Event, Any, dict[int, tuple[float, Any, float, int]]]:
        """Wait until all messages of round `step` have arrived, and take them out."""
        environment = self._environment
        box = self._rounds.get(step)
        if box is None:
            box = self._rounds[step] = {}
        begin = environment.now
        if len(box) < len(senders):
            event = simpy.Event(environment)
            self._awaited = (step, len(senders), event)
            yield from self.waits.until(event, Wait("round", step, senders, box))
        latest = max((entry[0] for entry in box.values()), default=begin)
        if latest > environment.now:
            yield wake_at(environment, simpy.Event(environment), latest)
        trace = self._simulation.trace
        if trace is not None and environment.now > begin:
            trace.spans.append((self.rank, "wait", f"round {step}", self.step, begin, environment.now))
        del self._rounds[step]
        return box

    @types.coroutine
    def catch_up(self, step: int, kept: Mass) -> Generator[simpy.Event, Any, Mass]:
        taken: list[tuple[int, int, int, Any, float]] = []
        for due, senders in self._due.up_to(step):
            box = yield from self._complete_round(due, senders)
            taken += [(sender, number, due, value, weight) for sender, (_, value, weight, number) in box.items()]
        now = self._environment.now
        for round_, box in self._rounds.items():
            for sender in [sender for sender, message in box.items() if message[0] < now]:
                _, value, weight, number = box.pop(sender)
                self._due.received_early(round_, sender)
                taken.append((sender, number, round_, value, weight))
        value, weight = kept
        for sender, number, round_, arrived, arrived_weight in sorted(taken, key=lambda entry: entry[:2]):
            self._take(sender, number, arrived, round_, arrived_weight)
            value = value + arrived
            weight += arrived_weight
        return Mass(value, weight)

    def _take(self, sender: int, number: int, value: Any, step: int, weight: float) -> None:
        """The law of transit: consecutive numbers per pair, and the very object that was sent, with its weight."""
        note = self._expected[sender].popleft()
        expected, sent, sent_weight = note
        # What was sent is no longer under way, whatever came of it: what is missing shows in the law of the round.
        self._under_way(note, sent, sent_weight, -1)
        if expected != number or sent is not value or sent_weight != weight:
            monitor = self._simulation.watch.monitor
            if expected != number:
                monitor.leak(
                    f"message {number} from node {sender} to node {self.rank} at round {step} came where number"
                    f" {expected} was due"
                )
            else:
                monitor.leak(
                    f"message {number} from node {sender} to node {self.rank} at round {step} arrived altered:"
                    f" {lost(sent, value, sent_weight - weight)}"
                )

    def _under_way(self, message: object, value: Any, weight: float, sign: int) -> None:
        if self._tracked:
            self._flight.append((message, value, weight, sign))

    # -- the rest --
    # ----------------

    @types.coroutine
    def mean(self, value: Array) -> Generator[simpy.Event, Any, Array]:
        simulation, environment = self._simulation, self._environment
        begin = environment.now
        over = simulation.meet(self.rank, value)
        wait = Wait("collective", peers=tuple(range(self.size)), here=simulation.met)
        mean, start = yield from self.waits.until(over, wait)
        self._bytes += simulation.collective_bytes
        if simulation.trace is not None:
            if start > begin:
                simulation.trace.spans.append((self.rank, "wait", "barrier", self.step, begin, start))
            if environment.now > start:
                simulation.trace.spans.append((self.rank, "receive", "all-reduce", self.step, start, environment.now))
        return mean

    def report(self, step: int, mass: Mass, move: Array | None) -> None:
        simulation, now = self._simulation, self._environment.now
        require_report(simulation.algorithm, step, self._reported, mass, simulation.starts[self.rank])
        self._reported = step
        self.taken.report(step)
        self.held, self.now = mass, now
        flight = self._flight
        if flight:
            self._flight = []
        size, self._bytes = self._bytes, 0.0
        if simulation.time_cuts is not None:
            cuts = simulation.time_cuts
            cuts.sent_bytes += size
            cuts.hold(self.rank, mass, flight)
            if move is not None and cuts.moved_by(move):
                cuts.look(now)
                simulation.tick()
        if simulation.step_cuts is not None:
            if flight:
                simulation.step_cuts.in_flight(step, flight)
            completed = simulation.step_cuts.report(self.rank, step, mass, move, now, size)
            if completed and simulation.time_cuts is None:
                simulation.tick()

    def note(self, metric: str, value: float) -> None:
        self._simulation.watch.measurements.note(
            self._simulation.seed, self.step + 1, self.rank, self._environment.now, metric, require_note(metric, value)
        )

    def generator(self, purpose: str) -> np.random.Generator:
        return own_stream(self._simulation.seed, purpose, self.rank)

    def send(self, to: int, mass: Mass, channel: str = "push") -> None:
        simulation, environment = self._simulation, self._environment
        if not isinstance(to, int | np.integer) or not 0 <= to < self.size:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise SpecificationError(
                f"{type(simulation.algorithm).__name__} sends from node {self.rank} to node {shown(to)}; nodes are"
                f" 0..{self.size - 1}. Give one of these, as in (rank + 1) % size."
            )
        occupancy, latency = simulation.wire(self.rank, to)
        begin = max(environment.now, self._port)
        farewell = mass is FAREWELL
        self._port = begin if farewell else begin + occupancy
        arrival = self._port + latency
        if not farewell:
            # A message of its own each time; and a view could be changed through what it looks at.
            mass = Mass(mass.value if mass.value.base is None else mass.value.copy(), mass.weight)
            mass.value.flags.writeable = False
            self._bytes += simulation.message_size
            self._letters_sent[to] += 1
            self._under_way(mass, mass.value, mass.weight, 1)
            if simulation.trace is not None:
                simulation.trace.messages.append(
                    (self.rank, to, channel, self.step, begin, self._port, arrival, simulation.message_size)
                )
        receiver = simulation.nodes[to]
        delivery = simpy.Event(environment)
        delivery.callbacks = [lambda _: receiver.letters.deliver(self.rank, channel, arrival, mass)]  # pyright: ignore[reportUnknownLambdaType]
        wake_at(environment, delivery, arrival)

    async def receive(self, sender: int, channel: str = "push") -> Letter:
        begin = self._environment.now
        _, mass = await self.letters.take(channel, (sender,))
        trace = self._simulation.trace
        if trace is not None and self._environment.now > begin:
            trace.spans.append((self.rank, "receive", channel, self.step, begin, self._environment.now))
        self._under_way(mass, mass.value, mass.weight, -1)
        return Letter(sender, mass)

    async def receive_any(self, channel: str, senders: tuple[int, ...]) -> AsyncIterator[Letter]:
        waiting = set(senders)
        while waiting:
            sender, mass = await self.letters.take(channel, tuple(sorted(waiting)))
            if mass is FAREWELL:
                waiting.discard(sender)
                continue
            self._under_way(mass, mass.value, mass.weight, -1)
            yield Letter(sender, mass)

    def farewell(self, to: int, channel: str) -> None:
        self.send(to, FAREWELL, channel)

    def spawn(self, activity: Coroutine[Any, Any, None]) -> Activity:
        require_activity(self._simulation.algorithm, activity)
        return self._simulation.activities.begin(activity, self)

    @types.coroutine
    def join(self, activity: Activity) -> Generator[simpy.Event, Any, None]:
        require_ticket(self._simulation.algorithm, activity, Activity)
        yield from activity.joined(self.waits)

    def release(self) -> None:
        """Let go of the blocks of compute times."""
        self._durations, self._late = iter(()), []

    @property
    def sent(self) -> Counter[int]:
        """How many messages went to each receiver."""
        return self._letters_sent + Counter(self._numbers)

    def left_over(self) -> tuple[int, str] | None:
        """A message that was never received: (sender, what), if there is one."""
        for step, box in self._rounds.items():
            for sender in box:
                return sender, f"a message of round {step}"
        return self.letters.left_over()
