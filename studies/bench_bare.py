"""Bare loops: the same mathematics as sgpsim's runs, as fast as we can write it in plain numpy, torch and SimPy.

The rule: a loop is what somebody writes who wants this one result quickly and nothing else: no monitor, no messages, no
clock unless the clock is the result. Draws come in blocks, gathers and products write into arrays made once, chunks fit
the cache. Two constants are folded into the data before the loop starts: logistic regression's features are halved and
scaled, so that a step is 1 - tanh of a margin and nothing is multiplied; one-peer rounds are two slices added, since
their weights stay 1. A test holds every loop to sgpsim's own result, so it is the same job.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any

import numpy as np
import simpy
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse._sparsetools import csr_matvecs  # pyright: ignore[reportAttributeAccessIssue]
from simpy.events import Timeout

from sgpsim.backends.events.instant import wake_at

Rows = NDArray[np.float64]
Draws = Iterator[NDArray[np.int64]]
"""Per round, the rows of the features that make every node's batch: (nodes * seeds, batch)."""

CHUNK_BYTES = 1 << 19
"""Gathered features held at a time: a quarter of a second-level cache."""


def block_draws(nodes: int, samples: int, batch: int, seeds: int = 1) -> Draws:
    """Draws with replacement, many rounds at a time, out of one generator."""
    generator, owned = np.random.default_rng(0), np.repeat(np.arange(nodes) * samples, seeds)[:, None]
    length = max(1, (1 << 15) // (nodes * seeds * batch))
    while True:
        yield from generator.integers(0, samples, (length, nodes * seeds, batch)) + owned


def logistic_pull(
    features: Rows, fleet: int, step_size: float, batch: int, draws: Draws
) -> tuple[float, Callable[[Rows, Rows], None]]:
    """(scale, pull): `pull(points, into)` writes one round's -gamma g of all nodes, of points that are scale * x.

    With c = gamma / batch, features sqrt(c) b / 2 and points x / sqrt(c), the margins are b.x / 2 and -gamma g is
    sum of (1 - tanh(margin)) times the features.
    """
    root = np.sqrt(step_size / batch)
    held = features * (0.5 * root)
    length = max(1, min(fleet, CHUNK_BYTES // (batch * held.shape[1] * 8)))
    room, slopes = np.empty((length, batch, held.shape[1])), np.empty((length, batch))

    def chunk(rows: NDArray[np.int64], points: Rows, into: Rows) -> None:
        gathered, slope = (room, slopes) if len(rows) == length else (room[: len(rows)], slopes[: len(rows)])
        held.take(rows, axis=0, out=gathered, mode="clip")
        np.matvec(gathered, points, out=slope)
        np.tanh(slope, out=slope)
        np.subtract(1.0, slope, out=slope)
        np.vecmat(slope, gathered, out=into)

    def pull(points: Rows, into: Rows) -> None:
        drawn = next(draws)
        if len(points) <= length:
            return chunk(drawn, points, into)
        for start in range(0, len(points), length):
            chunk(drawn[start : start + length], points[start : start + length], into[start : start + length])
        return None

    return 1.0 / root, pull


def dpsgd(
    features: Rows, mixing: csr_array, step_size: float, batch: int, draws: Draws, rounds: int, seeds: int = 1
) -> Rows:
    """X <- W X - gamma G(X): the last points, (nodes * seeds, dimension)."""
    nodes, width = mixing.shape[0], seeds * features.shape[1]
    scale, pull = logistic_pull(features, nodes * seeds, step_size, batch, draws)
    points, others = (np.zeros((nodes * seeds, features.shape[1])) for _ in range(2))
    dense, mixed = (mixing.toarray(), np.empty((nodes, width))) if nodes * width <= 4000 else (None, None)
    pointers, indices, shares = mixing.indptr, mixing.indices, mixing.data
    for _ in range(rounds):
        pull(points, others)
        if dense is not None:
            np.dot(dense, points.reshape(nodes, width), out=mixed)
            others += mixed.reshape(others.shape)  # pyright: ignore[reportOptionalMemberAccess]
        else:  # adds W X to what is there
            csr_matvecs(nodes, nodes, width, pointers, indices, shares, points.reshape(-1), others.reshape(-1))
        points, others = others, points
    return points / scale


def shift(points: Rows, hop: int, into: Rows) -> None:
    """into_i = points_i + points_(i - hop)."""
    np.add(points[hop:], points[:-hop], out=into[hop:])
    np.add(points[:hop], points[-hop:], out=into[:hop])


def sgp(features: Rows, nodes: int, step_size: float, batch: int, draws: Draws, rounds: int) -> Rows:
    """X <- P (X - gamma G(X)) on the one-peer exponential graph, whose weights stay 1."""
    scale, pull = logistic_pull(features, nodes, step_size, batch, draws)
    points, moved = (np.zeros((nodes, features.shape[1])) for _ in range(2))
    period = (nodes - 1).bit_length()
    for step in range(rounds):
        pull(points, moved)
        moved += points
        moved *= 0.5
        shift(moved, 1 << step % period, points)
    return points / scale


def wide_sgp(features: Rows, nodes: int, step_size: float, batch: int, draws: Draws, rounds: int) -> Rows:
    """The same for points so long that a batch does not fit the cache: rows are used where they lie, node by node."""
    half = 0.5 * step_size / batch  # the own share, folded into the move
    points, moved = (np.zeros((nodes, features.shape[1])) for _ in range(2))
    flat, period, pointers = features.reshape(-1), (nodes - 1).bit_length(), np.array([0, batch])
    slopes = np.empty(batch)
    for step in range(rounds):
        for at, into, drawn in zip(points, moved, next(draws), strict=True):
            for place, row in enumerate(drawn.tolist()):
                slopes[place] = features[row].dot(at)
            slopes = half / (1.0 + np.exp(slopes))
            np.multiply(at, 0.5, out=into)
            csr_matvecs(1, len(features), len(at), pointers, drawn, slopes, flat, into)  # adds slopes times rows
        shift(moved, 1 << step % period, points)
    return points


def overlap_sgp(features: Rows, nodes: int, step_size: float, batch: int, draws: Draws, rounds: int) -> Rows:
    """SGP whose messages are mixed in one round late. All nodes have one weight: half the last and half the one before."""
    scale, pull = logistic_pull(features, nodes, step_size, batch, draws)
    points, ratio, moved, late = (np.zeros((nodes, features.shape[1])) for _ in range(4))
    period, weight, before, hop = (nodes - 1).bit_length(), 1.0, 0.0, 1
    for step in range(rounds):
        pull(np.divide(points, weight, out=ratio), moved)
        moved += points
        moved *= 0.5
        np.add(moved[hop:], late[:-hop], out=points[hop:])
        np.add(moved[:hop], late[-hop:], out=points[:hop])
        moved, late, hop = late, moved, 1 << step % period
        weight, before = 0.5 * (weight + before), weight
    points[hop:] += late[:-hop]  # what is still under way
    points[:hop] += late[-hop:]
    return points / scale


def allreduce_sgd(features: Rows, nodes: int, step_size: float, batch: int, draws: Draws, rounds: int) -> Rows:
    """x <- x - (gamma / n) sum_i g_i(x): one point for all nodes, so a round is one long batch."""
    root = np.sqrt(step_size / (batch * nodes))
    held = features * (0.5 * root)
    length = max(1, CHUNK_BYTES // (held.shape[1] * 8))
    room, slopes = np.empty((length, held.shape[1])), np.empty(length)
    point, sums = np.zeros(held.shape[1]), np.empty(held.shape[1])
    for _ in range(rounds):
        drawn, at = next(draws).reshape(-1), point.copy()
        for start in range(0, len(drawn), length):
            rows = drawn[start : start + length]
            gathered, slope = room[: len(rows)], slopes[: len(rows)]
            held.take(rows, axis=0, out=gathered, mode="clip")
            np.dot(gathered, at, out=slope)
            np.tanh(slope, out=slope)
            np.subtract(1.0, slope, out=slope)
            point += np.dot(slope, gathered, out=sums)
    return np.broadcast_to(point * root, (nodes, len(point)))


def torch_sgp(features: Rows, nodes: int, step_size: float, batch: int, draws: Draws, rounds: int) -> Rows:
    """`sgp` on torch tensors on the CPU."""
    import torch

    root = float(np.sqrt(step_size / batch))
    held = torch.from_numpy(features * (0.5 * root))
    points, moved = (torch.zeros((nodes, held.shape[1]), dtype=torch.float64) for _ in range(2))
    length, period = max(1, CHUNK_BYTES // (batch * held.shape[1] * 8)), (nodes - 1).bit_length()
    room, slopes = (torch.empty((length, batch, width), dtype=torch.float64) for width in (held.shape[1], 1))
    for step in range(rounds):
        drawn = torch.from_numpy(next(draws))
        for start in range(0, nodes, length):
            piece = slice(start, start + length)
            count = min(length, nodes - start)
            gathered, slope = room[:count], slopes[:count]
            torch.index_select(held, 0, drawn[piece].reshape(-1), out=gathered.view(-1, held.shape[1]))
            torch.bmm(gathered, points[piece, :, None], out=slope)
            slope.tanh_().neg_().add_(1.0)
            torch.baddbmm(points[piece, None], slope.mT, gathered, out=moved[piece, None])
        moved *= 0.5
        hop = 1 << step % period
        torch.add(moved[hop:], moved[:-hop], out=points[hop:])
        torch.add(moved[:hop], moved[-hop:], out=points[:hop])
    return points.numpy() * root


def block_seconds(nodes: int, rounds: int) -> list[list[float]]:
    """Log-normal compute times of every node with mean 1 and deviation 0.05 of the logarithm."""
    drawn = np.random.default_rng(1).standard_normal((nodes, rounds))
    drawn *= 0.05
    drawn -= 0.5 * 0.05**2
    return np.exp(drawn, out=drawn).tolist()


def events(seconds: list[list[float]], occupancy: float, latency: float) -> list[float]:
    """The clocks of SGP on the one-peer exponential graph as SimPy processes that wait on instants: one event per node
    and step, at the instant at which the node's next gradient is ready. Returns when each node has its last message."""
    nodes = len(seconds)
    environment, period = simpy.Environment(), (nodes - 1).bit_length()
    boxes: list[dict[int, float]] = [{} for _ in range(nodes)]
    waiting: list[tuple[int, float, simpy.Event] | None] = [None] * nodes

    def node(rank: int) -> Iterator[simpy.Event]:
        box, port = boxes[rank], 0.0
        yield Timeout(environment, seconds[rank][0])
        for step, after in enumerate([*seconds[rank][1:], 0.0]):
            now = environment.now
            port = (now if now > port else port) + occupancy
            receiver = (rank + (1 << step % period)) % nodes
            waits = waiting[receiver]
            if waits is not None and waits[0] == step:
                waiting[receiver] = None
                arrival = port + latency
                wake_at(environment, waits[2], (arrival if arrival > waits[1] else waits[1]) + seconds_after[receiver])
            else:
                boxes[receiver][step] = port + latency
            event = simpy.Event(environment)
            if step in box:
                arrival = box.pop(step)
                yield wake_at(environment, event, (arrival if arrival > now else now) + after)
            else:
                waiting[rank], seconds_after[rank] = (step, now, event), after
                yield event
        ends[rank] = environment.now

    seconds_after, ends = [0.0] * nodes, [0.0] * nodes
    for rank in range(nodes):
        environment.process(node(rank))  # pyright: ignore[reportArgumentType]
    environment.run()
    return ends


class Exchange:
    """What AD-PSGD's loop is given: compute times, whom an active node asks, noise times -gamma, all by node and step."""

    def __init__(self, seconds: list[list[float]], asked: list[list[int]], noise: Rows) -> None:
        self.seconds, self.asked, self.noise = seconds, asked, noise

    @classmethod
    def drawn(cls, nodes: int, rounds: int, deviation: float, dimension: int) -> Exchange:
        """On a ring: even nodes ask one of their two neighbours."""
        generator = np.random.default_rng(2)
        sides = generator.integers(0, 2, (nodes, rounds)) * 2 - 1
        asked = ((np.arange(nodes)[:, None] + sides) % nodes).tolist()
        noise = generator.standard_normal((nodes, rounds, dimension))
        noise *= deviation
        return cls(block_seconds(nodes, rounds), asked, noise)


def adpsgd(centers: Rows, pull: Rows, given: Exchange, occupancy: float, latency: float) -> Rows:
    """AD-PSGD on a ring, gradients h (x - b) + noise; pull: -gamma h. Even nodes ask, odd nodes answer. An active node
    waits for one instant a step: its gradient's end or its answer's arrival, whichever is later."""
    environment, nodes = simpy.Environment(), len(centers)
    points: list[Any] = [np.zeros(centers.shape[1]) for _ in range(nodes)]
    ports = [0.0] * nodes

    def move(rank: int, step: int) -> Rows:
        found = points[rank] - centers[rank]
        found *= pull
        found += given.noise[rank, step]
        return found

    def sent(rank: int) -> float:
        ports[rank] = max(environment.now, ports[rank]) + occupancy
        return ports[rank] + latency

    def answer(request: Any) -> None:
        passive, half, ready, event = request.value
        own = points[passive] * 0.5
        points[passive] = own + half
        wake_at(environment, event, max(sent(passive), ready), own)

    def node(rank: int) -> Generator[simpy.Event, Any]:
        for step, (seconds, asked) in enumerate(zip(given.seconds[rank], given.asked[rank], strict=True)):
            moved = move(rank, step)
            if rank % 2:
                yield Timeout(environment, seconds)
                points[rank] = points[rank] + moved
            else:
                half, event, request = points[rank] * 0.5, simpy.Event(environment), simpy.Event(environment)
                request.callbacks = [answer]
                wake_at(environment, request, sent(rank), (asked, half, environment.now + seconds, event))
                own = yield event
                points[rank] = half + own + moved

    for rank in range(nodes):
        environment.process(node(rank))  # pyright: ignore[reportArgumentType]
    environment.run()
    return np.stack(points)
