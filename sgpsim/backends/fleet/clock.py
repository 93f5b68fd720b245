"""The fleet's clock: all nodes' times at once, as the exact max-plus recursion of what the event simulation does.

The rule, per node: gradient: now += c_k. scatter: begin = max(now, port), port = begin + occupancy, arrival = port +
latency, message by message in sending order. gather: now = max(now, arrivals). mean: now = max over nodes + collective.
It is exact where no receiver is contended and equals the event clock to the bit; it knows nothing of the numerics, so
it also runs alone, which is how cycle times are studied.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.link_load import Traffic
from sgpsim.schedules.schedule import Schedule
from sgpsim.streams import FleetReader, scalars

Times = NDArray[np.float64]
KEPT_PLANS = 512


class _Slot(NamedTuple):
    """The t-th message of every node that sends at least t messages. senders None: all nodes. edges: where their
    arrivals go."""

    senders: NDArray[np.int64] | None
    occupancy: Times
    latency: Times
    edges: NDArray[np.int64]


class _Plan(NamedTuple):
    """One round's messages, from `senders` to `towards`, by receiver, then sender. free: they cost no time. starts: where
    each receiver's edges begin; receivers None: all nodes, one edge each if `single`.

    Where all nodes send equally many messages, all slots stand together in `occupancy` (1 + turns, nodes, seeds), after
    a row of zeros, and `latency` (turns, nodes, 1), and `order` takes (turn, sender) to edges; else they are None.
    """

    free: bool
    senders: NDArray[np.int64]
    towards: NDArray[np.int64]
    slots: tuple[_Slot, ...]
    starts: NDArray[np.int64]
    receivers: NDArray[np.int64] | None
    single: bool
    messages: int
    occupancy: Times | None
    latency: Times | None
    order: NDArray[np.int64] | None

    def by_edge(self, times: Times) -> Times:
        """(turns, nodes, seeds) as (messages, seeds), by receiver, then sender."""
        flat = times.reshape(self.messages, -1)
        return flat if self.order is None else flat.take(self.order, axis=0)


class FleetClock:
    """now: (nodes, seeds), seconds. One instance is the clock of one run. traced: whether to remember, as `departures`,
    (begin, end) on the sender's port of every message scattered last, (messages, seeds) by receiver, then sender."""

    def __init__(
        self, cluster: Cluster, schedule: Schedule, seeds: tuple[int, ...], message_size: float, traced: bool = False
    ) -> None:
        self.traced = traced
        self.cluster, self.schedule, self.message_size = cluster, schedule, message_size
        nodes = cluster.nodes
        self.shape = (nodes, len(seeds))
        self.now: Times = np.zeros(self.shape)
        self.port: Times = np.zeros(self.shape)
        self._durations = FleetReader(
            [cluster.durations(node, seed) for node in range(nodes) for seed in seeds], self.shape
        )
        self._late = self._late_causes(seeds)
        self._under_way: dict[int, Times] = {}
        self._ports_held = False
        self.departures: tuple[Times, Times] | None = None
        self._plans: dict[int, _Plan] = {}
        self._recent: tuple[int, Any] = (-1, None)
        self._wires: dict[tuple[int, int], Any] = {}
        self._collective: float | None = None
        self._collectives = 0
        self._scattered: Counter[int] = Counter()  # how often each phase was, since the last `_flush`
        self._sent: csr_array | None = None

    def _late_causes(self, seeds: tuple[int, ...]) -> list[tuple[int, int, float, Iterator[float]]]:
        return [
            (node, column, since, scalars(blocks))
            for node in range(self.shape[0])
            for column, seed in enumerate(seeds)
            for since, blocks in self.cluster.late_causes(node, seed)
        ]

    def compute(self) -> None:
        """Every node computes one gradient."""
        seconds = self._durations.take()
        if self._late:
            seconds = seconds.copy()
            for node, column, since, factors in self._late:
                factor = next(factors)
                if self.now[node, column] >= since:
                    seconds[node, column] *= factor
        self.now = self.now + seconds

    def scatter(self, step: int) -> int:
        """Every node sends its messages of round `step`; returns how many there are."""
        plan = self._plan(step)
        if self.cluster.graph is not None:
            self._scattered[self.schedule.phase(step)] += 1
        if plan.free:
            ready = np.maximum(self.now, self.port) if self._ports_held else self.now
            self._under_way[step] = arrivals = ready[plan.senders]
            self.departures = (arrivals, arrivals) if self.traced else None
            return plan.messages
        self._ports_held = True
        if plan.occupancy is not None and plan.latency is not None:
            turns = plan.occupancy.copy()
            np.maximum(self.now, self.port, out=turns[0])
            np.add.accumulate(turns, axis=0, out=turns)  # one after the other, as the port does
            self.port = turns[-1]
            arrivals = turns[1:] + plan.latency
            self._under_way[step] = plan.by_edge(arrivals)
            if self.traced:
                self.departures = plan.by_edge(turns[:-1]), plan.by_edge(turns[1:])
            return plan.messages
        port = np.maximum(self.now, self.port)
        arrivals, begins, ends = (np.empty((plan.messages, self.shape[1])) for _ in range(3))
        for senders, occupancy, latency, edges in plan.slots:
            begin = port if senders is None else port[senders]
            end = begin + occupancy
            if senders is None:
                port = end
            else:
                port[senders] = end
            begins[edges], ends[edges], arrivals[edges] = begin, end, end + latency
        self.port = port
        self.departures = (begins, ends) if self.traced else None
        self._under_way[step] = arrivals
        return plan.messages

    def gather(self, step: int) -> None:
        """Every node waits for its messages of round `step`."""
        plan = self._plan(step)
        arrivals = self._under_way.pop(step)
        if plan.messages == 0:
            return
        latest = arrivals if plan.single else np.maximum.reduceat(arrivals, plan.starts, axis=0)
        if plan.receivers is None:
            self.now = np.maximum(self.now, latest)
        else:
            now = self.now.copy()
            now[plan.receivers] = np.maximum(now[plan.receivers], latest)
            self.now = now

    def mean(self) -> None:
        """Every node joins a collective mean."""
        self._collectives += 1
        if self._collective is None:
            self._collective = self.cluster.collective_seconds(self.message_size)
        self.now = np.broadcast_to(self.now.max(axis=0) + self._collective, self.shape)

    def traffic(self, seeds: tuple[int, ...], ended: tuple[int, ...]) -> Traffic:
        """What was sent so far (the same for all `seeds`), over the time of the one that came first of those that
        `ended`."""
        self._flush()
        ends = self.now.max(axis=0)
        column = min((seeds.index(seed) for seed in ended), key=lambda place: ends[place])
        sent: dict[tuple[int, int], float] = {}
        if self._sent is not None:
            pairs = self._sent.tocoo()
            sent = dict(zip(zip(pairs.row.tolist(), pairs.col.tolist(), strict=True), pairs.data.tolist(), strict=True))
        return Traffic(seeds[column], sent, self._collectives, float(ends[column]))

    def _flush(self) -> None:
        """Add the rounds scattered since the last call to the messages sent per pair, (sender, receiver)."""
        if not self._scattered:
            return
        plans = [(self._plans[phase], times) for phase, times in self._scattered.items()]
        senders, receivers = (np.concatenate([getattr(plan, of) for plan, _ in plans]) for of in ("senders", "towards"))
        counts = np.concatenate([np.full(plan.messages, float(times)) for plan, times in plans])
        added = coo_array((counts, (senders, receivers)), shape=(self.shape[0], self.shape[0])).tocsr()
        self._sent = added if self._sent is None else self._sent + added
        self._scattered.clear()

    def arrivals(self, step: int) -> Times:
        """Arrivals of the messages of round `step` that are under way, by receiver, then sender."""
        return self._under_way[step]

    def _plan(self, step: int) -> _Plan:
        if step == self._recent[0]:
            return self._recent[1]
        phase = self.schedule.phase(step)
        found = self._plans.get(phase)
        if found is None:
            if len(self._plans) >= KEPT_PLANS:
                self._flush()
                self._plans.clear()
            found = self._plans[phase] = self._compile(step)
        self._recent = step, found
        return found

    def _in_turn(self, slots: list[_Slot]) -> Times:
        """The occupancies of all slots after a row of zeros, written out for every seed."""
        stack = [np.zeros_like(slots[0].occupancy), *(slot.occupancy for slot in slots)]
        return np.stack(stack).repeat(self.shape[1], axis=2)

    def _wire(self, sender: int, receiver: int) -> Any:
        pair = (0, 1) if self.cluster.uniform else (sender, receiver)
        found = self._wires.get(pair)
        if found is None:
            found = self._wires[pair] = self.cluster.wire(sender, receiver, self.message_size)
        return found

    def _compile(self, step: int) -> _Plan:
        round_ = self.schedule.round(step)
        nodes = self.shape[0]
        edges = {
            (receiver, sender): number
            for number, (receiver, sender) in enumerate(
                (receiver, sender) for receiver in range(nodes) for sender in round_.senders[receiver]
            )
        }
        slots: list[_Slot] = []
        for turn in range(max((len(sent) for sent in round_.pushes), default=0)):
            senders = [sender for sender, sent in enumerate(round_.pushes) if len(sent) > turn]
            pairs = [(sender, round_.pushes[sender][turn][0]) for sender in senders]
            wires = [self._wire(sender, receiver) for sender, receiver in pairs]
            slots.append(
                _Slot(
                    None if len(senders) == nodes else np.array(senders),
                    np.array([[wire.occupancy] for wire in wires]),
                    np.array([[wire.latency] for wire in wires]),
                    np.array([edges[receiver, sender] for sender, receiver in pairs], dtype=np.int64),
                )
            )
        counts = np.array([len(senders) for senders in round_.senders])
        receivers = np.flatnonzero(counts)
        starts = np.concatenate(([0], np.cumsum(counts)))[receivers]
        even = bool(slots) and all(slot.senders is None for slot in slots)
        order = np.argsort(np.concatenate([slot.edges for slot in slots])) if even else None
        if order is not None and (order == np.arange(len(order))).all():
            order = None
        return _Plan(
            all(not slot.occupancy.any() and not slot.latency.any() for slot in slots),
            np.array([sender for senders in round_.senders for sender in senders], dtype=np.int64),
            np.repeat(np.arange(nodes), counts),
            tuple(slots),
            starts,
            None if len(receivers) == nodes else receivers,
            bool((counts <= 1).all()),
            len(edges),
            self._in_turn(slots) if even else None,
            np.stack([slot.latency for slot in slots]) if even else None,
            order,
        )
