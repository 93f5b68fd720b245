"""Cluster: the machines an experiment is simulated on, as one frozen value.

The rule: the physical graph is a networkx graph whose nodes and edges carry the attributes; without one, all nodes hang
on one switch that never blocks. Node attribute `pace` multiplies a node's compute times (2.0: half as fast); edge
attributes `latency` (s) and `bandwidth` (bytes/s) replace the network's own. Nodes that compute are 0..nodes-1; other
names are switches. Two clusters are equal when their contents are, the graph's included.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from sgpsim.clusters.collective import Collective, Ring
from sgpsim.clusters.compute_time import BLOCK, ComputeTime, ConstantTime
from sgpsim.clusters.faults import Fault
from sgpsim.clusters.hockney import Hockney
from sgpsim.clusters.network import Load, Network, Wire, Wires, require_sound
from sgpsim.clusters.physical_graph import cabling, contents
from sgpsim.clusters.straggler import Straggler
from sgpsim.errors import SpecificationError, kind_of, require_seconds, shown
from sgpsim.specification.ranges import Nodes
from sgpsim.specification.specification import specification
from sgpsim.streams import endless, stream


@specification(eq=False)
class Cluster:
    """nodes: how many compute. compute: seconds per gradient. network: seconds per message. collective: how all-reduces
    are done. stragglers: causes of slowness, multiplied. graph: the physical graph, or None for one full switch.
    faults: what empties messages."""

    nodes: Nodes
    compute: ComputeTime = ConstantTime(1.0)
    network: Network = Hockney()
    collective: Collective = Ring()
    stragglers: tuple[Straggler, ...] = ()
    graph: nx.Graph | None = None
    faults: tuple[Fault, ...] = ()

    def __post_init__(self) -> None:
        for straggler in self.stragglers:
            straggler.check(self.nodes)
        for fault in self.faults:
            fault.check(self.nodes)
        self.compute.check(self.nodes)
        if self.graph is not None:
            object.__setattr__(self, "graph", cabling(self.graph, self.nodes))

    def _value(self) -> tuple[Any, ...]:
        cables = None if self.graph is None else contents(self.graph)
        return self.nodes, self.compute, self.network, self.collective, self.stragglers, cables, self.faults

    def __eq__(self, other: object) -> bool:
        return self._value() == other._value() if isinstance(other, Cluster) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._value())

    def _wires(self) -> Wires:
        found: Wires | None = self.__dict__.get("_attached")
        if found is None:
            found = self.network.attach(self.graph)
            if not isinstance(found, Wires):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise SpecificationError(
                    f"{type(self.network).__name__}.attach gives {shown(found)}; it must give Wires. Give an object of a"
                    " class that derives from sgpsim.clusters.network.Wires."
                )
            object.__setattr__(self, "_attached", found)  # a memo beside the frozen fields: no part of the value
        return found

    @property
    def uniform(self) -> bool:
        """Whether the wire of one pair of nodes is the wire of all."""
        uniform = self.network.uniform
        if not isinstance(uniform, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise SpecificationError(
                f"{type(self.network).__name__}.uniform is {shown(uniform)}; it must be true or false. Make it a property"
                " that says whether all pairs of nodes have one wire."
            )
        return self.graph is None and uniform

    def wire(self, sender: int, receiver: int, size: float) -> Wire:
        """The wire from `sender` to `receiver` for messages of `size` bytes; SpecificationError without a path, or where
        the network gives what are no seconds."""
        return require_sound(self._wires().wire(sender, receiver, size), sender, receiver)

    def loads(self, sent: Mapping[tuple[int, int], float]) -> list[Load]:
        """What every link of the graph carries, where `sent` bytes went from sender to receiver, by pair."""
        loads = self._wires().loads(sent)
        if isinstance(loads, list) and all(isinstance(load, Load) for load in loads):  # pyright: ignore[reportUnnecessaryIsInstance]
            return loads
        raise SpecificationError(
            f"the wires of {type(self.network).__name__} carry {shown(loads)}; loads must be a list of Load. Give [] where"
            " there are no links."
        )

    def require_paths(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Raise SpecificationError unless every (sender, receiver) of `pairs` is joined by a wire."""
        for sender, receiver in pairs:
            self.wire(sender, receiver, 0.0)

    def require_collective(self) -> None:
        """Raise SpecificationError unless all nodes that an all-reduce lets talk are joined by paths."""
        self.require_paths(self.collective.partners(self.nodes))

    def collective_seconds(self, size: float) -> float:
        """Seconds of one all-reduce of `size` bytes among all nodes, from the last arrival on.

        On a graph the slowest pair that talks sets latency and bandwidth, for every message of the collective. That is
        no bound: it is too long where only few messages go between that pair, and too short where several messages of a
        step cross one link, as they do not share it. The bytes are in the load check at a run's end (`link_load.py`).
        """
        if self.nodes == 1:
            return 0.0
        memo: dict[float, Wire] = self.__dict__.get("_slowest", {})
        if size not in memo:
            pairs = [(0, 1)] if self.uniform else self.collective.partners(self.nodes)
            lines = [self._line(sender, receiver, size) for sender, receiver in pairs]
            memo[size] = Wire(max(line.occupancy for line in lines), max(line.latency for line in lines))
            object.__setattr__(self, "_slowest", memo)
        seconds = self.collective.seconds(self.nodes, size, memo[size].latency, memo[size].occupancy)
        return require_seconds(f"{type(self.collective).__name__}.seconds({self.nodes} nodes, {size:g} bytes)", seconds)

    def _line(self, sender: int, receiver: int, size: float) -> Wire:
        """What an empty message costs (as latency) and every byte more (as occupancy), which is all that the closed form
        of a collective knows of a wire; SpecificationError where the wire's seconds are no such line up to `size`."""
        empty, whole = self.wire(sender, receiver, 0.0), self.wire(sender, receiver, size)
        if empty.occupancy == 0.0:
            per_byte = self.wire(sender, receiver, 1.0).occupancy
        else:
            per_byte = (whole.occupancy - empty.occupancy) / size
        for length in (size / self.nodes, size):  # a ring cuts the message into so many pieces
            wire = self.wire(sender, receiver, length)
            line = empty.occupancy + length * per_byte
            if not math.isclose(line, wire.occupancy, rel_tol=1e-6) or wire.latency != empty.latency:
                raise SpecificationError(
                    f"{type(self.network).__name__} takes {wire.occupancy:.6g} s on the port and {wire.latency:.6g} s of"
                    f" latency from node {sender} to node {receiver} for {length:.6g} bytes, which is not a fixed time"
                    f" plus a time per byte ({line:.6g} s, {empty.latency:.6g} s); {type(self.collective).__name__}'s"
                    " closed form needs that. Use a network such as Hockney, or a method that sends messages."
                )
        return Wire(per_byte, empty.latency + empty.occupancy)

    def pace(self, node: int) -> float:
        """What multiplies the compute times of `node`."""
        return 1.0 if self.graph is None else float(self.graph.nodes[node].get("pace", 1.0))

    def durations(self, node: int, seed: int) -> Iterator[NDArray[np.float64]]:
        """Endless blocks of `node`'s compute times: base times pace times the factors of stragglers that hold from the
        start. Base times are drawn at (seed, compute, node), whatever else the cluster has."""
        pace = self.pace(node)
        causes = [blocks for since, blocks in self._causes(node, seed) if since <= 0.0]
        drawn = self.compute.durations(node, stream(seed, "compute", node))
        for block in _blocks(self.compute, "durations", node, drawn):
            found = block * pace
            for blocks in causes:
                factors = next(blocks)
                if factors.shape != found.shape:
                    raise SpecificationError(
                        f"{type(self.compute).__name__} gives node {node} blocks of {len(found)} compute times, and a"
                        f" straggler blocks of {len(factors)} factors; both must be equally long. Give {BLOCK}."
                    )
                found = found * factors
            if not (found >= 0.0).all() or not np.isfinite(found).all():
                raise SpecificationError(
                    f"{type(self.compute).__name__} and the stragglers give node {node} compute times of {_odd(found)} s;"
                    " they must be finite and at least 0. Give such seconds."
                )
            yield found

    def late_causes(self, node: int, seed: int) -> list[tuple[float, Iterator[NDArray[np.float64]]]]:
        """Stragglers of `node` that begin later: (instant, endless blocks of factors)."""
        return [(since, factors) for since, factors in self._causes(node, seed) if since > 0.0]

    def _causes(self, node: int, seed: int) -> list[tuple[float, Iterator[NDArray[np.float64]]]]:
        """(instant, factors) of every straggler of `node`. Each draws from a stream named after its class and its place
        among the stragglers of that class, so that adding a cause of another class leaves its draws alone."""
        found: list[tuple[float, Iterator[NDArray[np.float64]]]] = []
        seen: dict[str, int] = {}
        for cause in self.stragglers:
            kind = type(cause).__name__
            seen[kind] = seen.get(kind, 0) + 1
            if cause.touches(node):
                drawn = cause.factors(node, stream(seed, f"{kind} {seen[kind]}", node))
                found.append((cause.since, _factors(cause, node, drawn)))
        return found


def _blocks(owner: object, call: str, node: int, drawn: Iterator[NDArray[Any]]) -> Iterator[NDArray[np.float64]]:
    """The blocks that `owner` draws for `node`, in float64; SpecificationError where they end, or one is no block."""
    what = f"{type(owner).__name__}.{call} for node {node}"
    for block in endless(what, drawn):
        if not isinstance(block, np.ndarray) or block.ndim != 1 or not len(block) or block.dtype.kind not in "fiu":  # pyright: ignore[reportUnnecessaryIsInstance]
            raise SpecificationError(
                f"{what} gave {kind_of(block)}; a block is an array of shape ({BLOCK},) of real numbers. Give such as"
                f" np.full({BLOCK}, 1.0)."
            )
        yield block.astype(np.float64, copy=False)


def _factors(cause: Straggler, node: int, drawn: Iterator[NDArray[Any]]) -> Iterator[NDArray[np.float64]]:
    """The blocks of a straggler's factors; SpecificationError for what slows nothing down."""
    for block in _blocks(cause, "factors", node, drawn):
        if not (block >= 0.0).all() or not np.isfinite(block).all():
            raise SpecificationError(
                f"{type(cause).__name__}.factors for node {node} gave {_odd(block)}; factors must be finite and at least 0."
                " Give such as 2.0."
            )
        yield block


def _odd(numbers: NDArray[np.float64]) -> str:
    """The first of `numbers` that are no seconds or factors."""
    return str(numbers[~(np.isfinite(numbers) & (numbers >= 0.0))][0])
