"""Collectives in closed form: seconds from the last arrival to the end of an all-reduce.

The rule: an all-reduce starts when the last node has come and all nodes leave together. Time is linear in the bytes,
T = A + bytes / (fitted_efficiency * bandwidth) * c, so an efficiency can be read off a measured time
(`implied_efficiency`). `fitted_efficiency` is a share of the bandwidth fitted to such times, and named so; at 1 the
closed forms are the literature's (Thakur, Rabenseifner and Gropp 2005; Patarasuk and Yuan 2009; all recalled), without
the time of the additions. On a graph the slowest pair that talks sets the pace of all; this is no bound, since messages
that cross one link in the same step do not share it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

from sgpsim.errors import SpecificationError, require_count, require_positive
from sgpsim.specification.ranges import Count, NotNegative, Part
from sgpsim.specification.specification import specification


class Collective(ABC):
    """How an all-reduce is carried out."""

    @abstractmethod
    def seconds(self, nodes: int, size: float, latency: float, seconds_per_byte: float) -> float:
        """Seconds of one all-reduce of `size` bytes over `nodes` nodes; 0 for one node."""

    @abstractmethod
    def partners(self, nodes: int) -> Iterator[tuple[int, int]]:
        """(sender, receiver) of all messages that the all-reduce consists of, each pair once or more."""

    @abstractmethod
    def share(self, nodes: int) -> float:
        """The bytes that one all-reduce sends per entry of `partners`, over the bytes of the message."""


def rounds(nodes: int) -> int:
    """ceil(log2(nodes)), exactly: how often a group must double to hold `nodes`."""
    return (nodes - 1).bit_length()


@specification
class Ring(Collective):
    """Bandwidth-optimal ring: 2 (n - 1) (alpha + size / (n * efficiency * bandwidth)).

    fitted_efficiency: share of the bandwidth that the collective reaches, fitted to measured times; 1 is the closed
    form. step_overhead: seconds of software per step, added to the latency. The ring runs 0, 1, ..., n - 1, 0.
    """

    fitted_efficiency: Part = 1.0
    step_overhead: NotNegative = 0.0

    def seconds(self, nodes: int, size: float, latency: float, seconds_per_byte: float) -> float:
        return 2 * (nodes - 1) * (latency + self.step_overhead + size * seconds_per_byte / (nodes * self.fitted_efficiency))

    def partners(self, nodes: int) -> Iterator[tuple[int, int]]:
        return ((node, (node + 1) % nodes) for node in range(nodes) if nodes > 1)

    def share(self, nodes: int) -> float:
        return 2 * (nodes - 1) / nodes


@specification
class RecursiveDoubling(Collective):
    """ceil(log2 n) (alpha + size / (efficiency * bandwidth)): in round r nodes that differ in bit r swap everything.

    Least latency, but every round moves the whole message. Exact for powers of two; for other n it counts the rounds
    that a doubling needs, and leaves out the two by which implementations first fold the surplus nodes in.
    fitted_efficiency, step_overhead: as for `Ring`.
    """

    fitted_efficiency: Part = 1.0
    step_overhead: NotNegative = 0.0

    def seconds(self, nodes: int, size: float, latency: float, seconds_per_byte: float) -> float:
        return rounds(nodes) * (latency + self.step_overhead + size * seconds_per_byte / self.fitted_efficiency)

    def partners(self, nodes: int) -> Iterator[tuple[int, int]]:
        pairs = ((node, node ^ (1 << bit)) for bit in range(rounds(nodes)) for node in range(nodes))
        return ((node, other) for node, other in pairs if other < nodes)

    def share(self, nodes: int) -> float:
        return 1.0


@specification
class PipelinedTree(Collective):
    """Binary tree, reduce then broadcast, in k segments: (2 ceil(log2 n) + 2k - 2) (alpha + size / (k * efficiency * bandwidth)).

    segments: k, into how many pieces the message is cut; 1 is the plain tree. Idealised: a node serves both of its
    children within one step. fitted_efficiency, step_overhead: as for `Ring`.
    """

    segments: Count = 1
    fitted_efficiency: Part = 1.0
    step_overhead: NotNegative = 0.0

    def seconds(self, nodes: int, size: float, latency: float, seconds_per_byte: float) -> float:
        if nodes == 1:
            return 0.0
        step = latency + self.step_overhead + size * seconds_per_byte / (self.segments * self.fitted_efficiency)
        return 2 * (rounds(nodes) + self.segments - 1) * step

    def partners(self, nodes: int) -> Iterator[tuple[int, int]]:
        links = ((child, (child - 1) // 2) for child in range(1, nodes))
        return (pair for child, parent in links for pair in ((child, parent), (parent, child)))

    def share(self, nodes: int) -> float:
        return 1.0


def implied_efficiency(
    nodes: int, size: float, seconds: float, latency: float, bandwidth: float, collective: Collective | None = None
) -> float:
    """Which share of `bandwidth` an all-reduce of `size` bytes among `nodes` nodes reached that took `seconds`.

    Inverts the closed form of `collective` (None: Ring()), to whose own efficiency the answer is relative. Above 1: the
    collective hid part of its time behind other work, or was another one.
    """
    form = Ring() if collective is None else collective
    require_count("implied_efficiency(nodes)", nodes, least=2)
    for name, value in (("size", size), ("seconds", seconds), ("bandwidth", bandwidth)):
        require_positive(f"implied_efficiency({name})", value)
    idle = form.seconds(nodes, 0.0, latency, 1.0 / bandwidth)
    if seconds <= idle:
        raise SpecificationError(
            f"implied_efficiency(seconds) is {seconds!r}; the latency of {nodes} nodes alone takes {idle:.3g} s."
            " Give the whole time of one all-reduce, or a smaller latency."
        )
    return (form.seconds(nodes, size, latency, 1.0 / bandwidth) - idle) / (seconds - idle)
