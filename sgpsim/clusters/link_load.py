"""Link load: whether the bytes of a run could have crossed the cables within its time.

The rule: networks here let messages pass one another on a link as if each had it alone, so on a physical graph a run can
end sooner than its traffic allows. At its end the bytes over every link and direction (an undirected edge is full
duplex: its bandwidth each way) are held against bandwidth * efficiency * seconds of the run, and where they exceed it,
the run says so. This sees averages over the whole run: a link that is flooded in bursts and idle in between passes.
Several best routes of a pair (equal in latency, width and number of links) carry equal parts of its bytes.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import NamedTuple

from sgpsim.clusters.cluster import Cluster

Pair = tuple[int, int]
SHOWN = 3
"""Overloaded links that a remark names."""
OVERLOADED = "LINKS OVERLOADED"
"""How a remark of an overloaded run begins."""
LINK_LOAD = "link_load"
"""The statistic of a run on a graph that `busiest` gives."""
PLACES = frozenset({"x", "y", "z", "lat", "lon", "latitude", "longitude"})
"""Attributes of machines that say where they are drawn."""
ROUNDING = 1e-9
"""A link may be exactly full: by so much more than its capacity nothing is said."""


class Traffic(NamedTuple):
    """What one seed sent. messages: how many, by (sender, receiver). collectives: how many all-reduces. seconds: when the
    last node ended."""

    seed: int
    messages: Mapping[Pair, float]
    collectives: int
    seconds: float


class Overload(NamedTuple):
    """A link whose bytes may not fit. seconds: what they need at its capacity, bytes per second; elapsed: what the run
    took."""

    begin: Hashable
    end: Hashable
    bytes: float
    capacity: float
    elapsed: float
    seed: int

    @property
    def seconds(self) -> float:
        return self.bytes / self.capacity

    @property
    def factor(self) -> float:
        """Seconds needed over seconds of the run."""
        if self.seconds == 0:
            return 0.0  # of a link without limit, in a run that may have taken no time
        return self.seconds / self.elapsed if self.elapsed > 0 else float("inf")


def overloads(cluster: Cluster, size: float, traffic: Iterable[Traffic]) -> list[Overload]:
    """Every overloaded link of the cluster's graph at its worst seed, the worst first. size: bytes of a message."""
    worst: dict[tuple[Hashable, Hashable], Overload] = {}
    for load in _loads(cluster, size, traffic):
        known = worst.get(load[:2])
        if load.factor > 1 + ROUNDING and (known is None or load.factor > known.factor):
            worst[load[:2]] = load
    return sorted(worst.values(), key=lambda overload: (-overload.factor, repr(overload[:2])))


def busiest(cluster: Cluster, size: float, traffic: Iterable[Traffic]) -> dict[str, float]:
    """How many times the run the busiest link needs for its bytes, of the seed where it is least: a lower bound for every
    seed. As a run's statistic; none where no link has a limit."""
    worst: dict[int, float] = {}
    for load in _loads(cluster, size, traffic):
        if math.isfinite(load.factor) and load.capacity < math.inf:
            worst[load.seed] = max(worst.get(load.seed, 0.0), load.factor)
    return {LINK_LOAD: min(worst.values())} if worst else {}


def _loads(cluster: Cluster, size: float, traffic: Iterable[Traffic]) -> Iterator[Overload]:
    """What crossed every link, full or not, by seed."""
    for seed, messages, collectives, elapsed in traffic if cluster.graph is not None else ():
        sent: Counter[Pair] = Counter()
        for pair, count in messages.items():
            sent[pair] += count * size  # pyright: ignore[reportArgumentType]
        if collectives:
            each = collectives * cluster.collective.share(cluster.nodes) * size
            for pair in cluster.collective.partners(cluster.nodes):
                sent[pair] += each  # pyright: ignore[reportArgumentType]
        for load in cluster.loads(sent):
            yield Overload(*load, elapsed, seed)


def _forgotten(cluster: Cluster, size: float, traffic: Iterable[Traffic]) -> tuple[str, ...]:
    """A remark on links that were free because they name no bandwidth, where others name one: more likely left out than
    meant."""
    links = {load[:2]: load for load in _loads(cluster, size, traffic) if load.bytes > 0}
    free = [
        link
        for link, load in links.items()
        if load.capacity == float("inf") and cluster.graph is not None and "bandwidth" not in cluster.graph.edges[link]
    ]
    if not free or all(load.capacity == float("inf") for load in links.values()):
        return ()
    begin, end = min(free, key=repr)
    more = f" and {len(free) - 1} more links" if len(free) > 1 else ""
    return (
        f"{begin!r} -> {end!r}{more} had no limit, because the graph gives no `bandwidth` there, as it does elsewhere. Give"
        " it, inf if no limit is meant, or a bandwidth of the network for all links without their own.",
    )


def _unread(cluster: Cluster) -> tuple[str, ...]:
    """A remark on figures of the machines that nothing reads, where no machine has a pace: `speed`, say."""
    machines = [] if cluster.graph is None else [cluster.graph.nodes[node] for node in range(cluster.nodes)]
    if any("pace" in attributes for attributes in machines):
        return ()
    values: dict[str, set[float]] = {}
    for attributes in machines:
        for name, value in attributes.items():
            if isinstance(value, int | float):
                values.setdefault(str(name), set()).add(value)
    names = sorted(name for name, unlike in values.items() if len(unlike) > 1 and name not in PLACES)
    if not names:
        return ()
    return (
        f"all machines compute alike: the graph's {', '.join(map(repr, names[:SHOWN]))} of a machine is not read. Give"
        " `pace`, which multiplies its compute times (2 is half as fast).",
    )


def _overruled(cluster: Cluster) -> tuple[str, ...]:
    """A remark on a latency or bandwidth that the network was given and no link takes, as each has its own."""
    network, edges = cluster.network, [] if cluster.graph is None else [edge for *_, edge in cluster.graph.edges(data=True)]
    known = dataclasses.fields(network) if dataclasses.is_dataclass(network) and edges else ()
    names = [
        field.name
        for field in known
        if field.name in ("latency", "bandwidth")
        and getattr(network, field.name) != field.default
        and all(field.name in edge for edge in edges)
    ]
    if not names:
        return ()
    return (
        f"the network's {' and '.join(f'{name} of {getattr(network, name):g}' for name in names)} changed nothing: every link"
        " of the graph has its own. Leave it out of the network, or out of the links that should have it.",
    )


def load_check(cluster: Cluster, size: float, traffic: Iterable[Traffic]) -> tuple[str, ...]:
    """`overloads` as a remark of the run; none where every link could carry its bytes. Before it, what the graph seems to
    say and does not: links without a limit, machines without a pace, a network that no link asks."""
    traffic = list(traffic)
    found, unsaid = overloads(cluster, size, traffic), _unread(cluster) + _overruled(cluster) + _forgotten(cluster, size, traffic)
    if not found:
        return unsaid
    sentences = [
        f"{load.begin!r} -> {load.end!r}: the {load.bytes / 1e9:.4g} GB that crossed it need {load.seconds:.4g} s at"
        f" {load.capacity / 1e6:.4g} MB/s, {load.factor:.3g} times the {load.elapsed:.4g} s of the run (seed {load.seed})"
        for load in found[:SHOWN]
    ]
    more = f"; and {len(found) - SHOWN} more links" if len(found) > SHOWN else ""
    return (
        *unsaid,
        f"{OVERLOADED}, so the times of this run are too short: {'; '.join(sentences)}{more}. Messages do not share links"
        " here. Take the seconds needed as a lower bound, or send less.",
    )
