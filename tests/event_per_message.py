"""A second event simulation, written apart: one event per message and port, no numerics, the standard library's heap.

The rule: nothing here computes an arrival ahead of time. A message waits in its sender's queue, holds the port, leaves
it, travels, and is put into a box; a node wakes when its box is full. Only compute times and wires are asked of the
cluster, by their definitions.
"""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgpsim.algorithms.allreduce_sgd import AllReduceSGD
from sgpsim.algorithms.dpsgd import DPSGD
from sgpsim.algorithms.overlap_sgp import OverlapSGP
from sgpsim.algorithms.push_sum import PushSum
from sgpsim.clusters.cluster import Cluster
from sgpsim.experiment import Experiment

Deed = tuple[str, int]
"""What a node does next: ("compute", step), ("send", round), ("await", round), ("meet", step) or ("done", step)."""


def deeds(experiment: Experiment, steps: int) -> Iterator[Deed]:
    """What every node of the method does, in order."""
    method = experiment.algorithm
    sent = taken = 0
    for step in range(steps):
        if isinstance(method, PushSum):
            yield from (("send", step), ("await", step))
        elif isinstance(method, AllReduceSGD):
            yield from (("compute", step), ("meet", step))
        elif isinstance(method, DPSGD) and method.order == "combine-then-adapt":
            yield from (("send", step), ("compute", step), ("await", step))
        elif isinstance(method, OverlapSGP):
            yield "compute", step
            if (step + 1) % method.every == 0:
                yield "send", sent
                sent += 1
            if step - method.delay >= 0 and (step - method.delay + 1) % method.every == 0:
                yield "await", taken
                taken += 1
        else:
            yield from (("compute", step), ("send", step), ("await", step))
        yield "done", step + 1
    if taken < sent:
        for late in range(taken, sent):
            yield "await", late
        yield "done", steps + 1


class EventPerMessage:
    """Runs one seed; `clocks` maps cut -> (nodes,) seconds, `events` counts what happened."""

    def __init__(self, experiment: Experiment, cluster: Cluster, seed: int, steps: int) -> None:
        self.experiment, self.cluster, self.seed = experiment, cluster, seed
        nodes = experiment.nodes
        self.size = experiment.message_size
        self.heap: list[tuple[float, int, Any]] = []
        self.events = 0
        self.programs = [deeds(experiment, steps) for _ in range(nodes)]
        self.computes = [self._durations(node) for node in range(nodes)]
        self.late = [
            [(since, (factor for block in blocks for factor in block.tolist())) for since, blocks in found]
            for found in (cluster.late_causes(node, seed) for node in range(nodes))
        ]
        self.queues: list[deque[tuple[int, int]]] = [deque() for _ in range(nodes)]
        self.port_busy = [False] * nodes
        self.boxes: defaultdict[tuple[int, int], int] = defaultdict(int)
        self.awaited: dict[int, int] = {}
        self.met = 0
        self.clocks: defaultdict[int, NDArray[np.float64]] = defaultdict(lambda: np.zeros(nodes))
        self.clocks[0] = np.zeros(nodes)
        for node in range(nodes):
            self._at(0.0, lambda now, node=node: self._go_on(node, now))
        while self.heap:
            now, _, happens = heapq.heappop(self.heap)
            happens(now)

    def _durations(self, node: int) -> Iterator[float]:
        for block in self.cluster.durations(node, self.seed):
            yield from block.tolist()

    def _at(self, time: float, happens: Any) -> None:
        self.events += 1
        heapq.heappush(self.heap, (time, self.events, happens))

    def _go_on(self, node: int, now: float) -> None:
        for deed, number in self.programs[node]:
            if deed == "done":
                self.clocks[number][node] = now
            elif deed == "send":
                # In the order of the sender's shares, the own one left out.
                receivers = [to for to in self.experiment.schedule.shares(node, number) if to != node]
                self.queues[node].extend((to, number) for to in receivers)
                self._serve(node, now)
            elif deed == "compute":
                seconds = next(self.computes[node])
                for since, factors in self.late[node]:
                    factor = next(factors)
                    seconds = seconds * factor if now >= since else seconds
                return self._at(now + seconds, lambda then: self._go_on(node, then))
            elif deed == "await":
                self.awaited[node] = number
                if not self._full(node):
                    return None
                del self.awaited[node]
            else:
                self.met += 1
                if self.met == self.experiment.nodes:
                    self.met = 0
                    over = now + self.cluster.collective_seconds(self.size)
                    for other in range(self.experiment.nodes):
                        self._at(over, lambda then, other=other: self._go_on(other, then))
                return None
        return None

    def _serve(self, node: int, now: float) -> None:
        """The port takes the next message, if it is free and one waits."""
        if self.port_busy[node] or not self.queues[node]:
            return
        to, number = self.queues[node].popleft()
        wire = self.cluster.wire(node, to, self.size)
        self.port_busy[node] = True
        self._at(now + wire.occupancy, lambda then: self._leave(node, to, number, wire.latency, then))

    def _leave(self, node: int, to: int, number: int, latency: float, now: float) -> None:
        self.port_busy[node] = False
        self._at(now + latency, lambda then: self._arrive(to, number, then))
        self._serve(node, now)

    def _arrive(self, to: int, number: int, now: float) -> None:
        self.boxes[to, number] += 1
        if self.awaited.get(to) == number and self._full(to):
            del self.awaited[to]
            self._go_on(to, now)

    def _full(self, node: int) -> bool:
        schedule, number = self.experiment.schedule, self.awaited[node]
        due = sum(node in schedule.shares(sender, number) for sender in range(schedule.size) if sender != node)
        return self.boxes[node, number] == due
