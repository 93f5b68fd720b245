"""Tests that what a user's class gives in the place of seconds, draws, gradients and losses is refused in one sentence
where it is none, on every backend, and taken where it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from sgpsim import SGP, AllReduceSGD, Cluster, Experiment, Quadratic, Simulated, Steps, Vectorized
from sgpsim.backends.backend import Backend
from sgpsim.clusters.collective import Collective, Ring
from sgpsim.clusters.compute_time import BLOCK, ComputeTime
from sgpsim.clusters.network import Network, Wire, Wires
from sgpsim.clusters.straggler import Straggler
from sgpsim.errors import SpecificationError
from sgpsim.schedules.ring import DirectedRing

KINDS: list[Any] = [Simulated, Vectorized]


@dataclass(frozen=True)
class Takes(Collective):
    """An all-reduce of `odd` seconds."""

    odd: Any

    def seconds(self, nodes: int, size: float, latency: float, seconds_per_byte: float) -> float:
        return self.odd

    def partners(self, nodes: int) -> Iterator[tuple[int, int]]:
        return Ring().partners(nodes)

    def share(self, nodes: int) -> float:
        return 1.0


@dataclass(frozen=True)
class Wired(Network, Wires):
    """Messages that cost `odd`."""

    odd: Any

    def attach(self, graph: Any) -> Wires:
        return self

    def wire(self, sender: int, receiver: int, size: float) -> Wire:
        return self.odd


@dataclass(frozen=True)
class Given(ComputeTime, Straggler):
    """Compute times, and factors, of the blocks that are given, the last of them for ever unless `ends`."""

    blocks: tuple[Any, ...]
    ends: bool = False
    late: float = 0.0

    @property
    def mean(self) -> float:
        return 1.0

    @property
    def since(self) -> float:
        return self.late

    def touches(self, node: int) -> bool:
        return True

    def check(self, nodes: int) -> None:
        return

    def durations(self, node: int, generator: np.random.Generator) -> Iterator[Any]:
        yield from self.blocks
        while not self.ends:
            yield self.blocks[-1]

    def factors(self, node: int, generator: np.random.Generator) -> Iterator[Any]:
        return self.durations(node, generator)


def run(kind: Any, cluster: Cluster, algorithm: Any = None, steps: int = 5) -> Any:
    nodes = cluster.nodes
    task = Experiment(algorithm or SGP(), Quadratic(nodes, dimension=1), DirectedRing(nodes), Steps(steps))
    return kind(cluster).run(task)


ODD = [np.nan, np.inf, -1.0, None, "1", 1j, True, np.ones(2), np.array(1.0), 10**400]
NAMES = ["nan", "inf", "negative", "None", "word", "complex", "bool", "array", "array of no axis", "integer"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("odd", ODD, ids=NAMES)
def test_seconds_of_collectives_and_wires_are_finite_numbers(kind: Any, odd: Any) -> None:
    with pytest.raises(SpecificationError, match=r"Takes\.seconds\(3 nodes, .* must be one finite number of at least 0"):
        run(kind, Cluster(3, collective=Takes(odd)), AllReduceSGD())
    for wire in (Wire(0.0, odd), Wire(odd, 0.0), Wire(odd, odd)[:1], odd if np.shape(odd) != (2,) else None):
        with pytest.raises(SpecificationError, match=r"wire from node \d to node \d .* must be (finite and at least 0|a Wire of two)"):
            run(kind, Cluster(3, network=Wired(wire)))
        with pytest.raises(SpecificationError, match=r"wire from node \d to node \d"):
            run(kind, Cluster(3, network=Wired(wire)), AllReduceSGD())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sound", [0, 0.5, np.float32(0.5), np.int64(1)])
def test_seconds_of_any_real_type_are_taken_and_clocks_stay_in_float64(kind: Any, sound: Any) -> None:
    same = run(kind, Cluster(3, network=Wired(Wire(float(sound), 0.1))))
    odd = run(kind, Cluster(3, network=Wired(Wire(sound, 0.1))))
    assert np.array_equal(same.final.clocks, odd.final.clocks) and odd.final.clocks.dtype == np.float64
    assert run(kind, Cluster(3, collective=Takes(sound)), AllReduceSGD()).final.clocks[0, 0] == 5 * (1 + sound)
    assert run(kind, Cluster(1, collective=Takes(np.nan)), AllReduceSGD()).outcome == "finished", "one node asks nobody"


WHOLE = np.ones(BLOCK)
BLOCKS: list[Any] = [None, 1.0, [1.0] * BLOCK, np.ones(0), np.ones((BLOCK, 1))]
BLOCKS += [WHOLE.astype(kind) for kind in (complex, str, bool, object)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("nodes", [1, 3])
@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_blocks_of_seconds_and_factors_are_arrays_of_numbers(kind: Any, nodes: int, block: Any) -> None:
    for given in (Given((block,)), Given((WHOLE[:2], block))):
        with pytest.raises(SpecificationError, match=r"Given\.durations for node \d gave .* a block is an array"):
            run(kind, Cluster(nodes, given))
    for late in (0.0, 1.5):
        with pytest.raises(SpecificationError, match=r"Given\.factors for node \d gave .* a block is an array"):
            run(kind, Cluster(nodes, stragglers=(Given((block,), late=late),)))


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_that_end_are_refused_when_they_do_and_factors_are_no_less_than_0(kind: Any) -> None:
    ending = Given((WHOLE[:3],), ends=True)
    assert run(kind, Cluster(3, ending), steps=3).outcome == "finished"
    with pytest.raises(SpecificationError, match=r"Given\.durations for node \d came to an end"):
        run(kind, Cluster(3, ending), steps=4)
    for late in (0.0, 1.5):
        cause = Given((WHOLE,), ends=True, late=late)
        with pytest.raises(SpecificationError, match=r"Given\.factors for node \d came to an end"):
            run(kind, Cluster(1, stragglers=(cause,)), steps=BLOCK + 1)
        for odd in (np.nan, np.inf, -1.0):
            with pytest.raises(SpecificationError, match=r"factors must be finite and at least 0"):
                run(kind, Cluster(3, stragglers=(Given((WHOLE * odd,), late=late),)))
    with pytest.raises(SpecificationError, match="equally long"):
        run(kind, Cluster(3, stragglers=(Given((WHOLE[:2],)),)))


@dataclass(frozen=True)
class Odd(Quadratic):
    """A quadratic of which one method gives what `change` makes of its answer."""

    method: str = ""
    change: str = ""

    def _changed(self, method: str, value: Any) -> Any:
        return CHANGES[self.change](value) if method == self.method else value

    def loss(self, at: Any) -> Any:
        return self._changed("loss", super().loss(at))

    def full_gradient(self, at: Any) -> Any:
        return self._changed("full_gradient", super().full_gradient(at))

    def accuracy(self, at: Any) -> Any:
        return self._changed("accuracy", super().loss(at))

    def gradients(self, nodes: Any, points: Any, draws: Any) -> Any:
        return self._changed("gradients", super().gradients(nodes, points, draws))

    def draws(self, node: int, generator: Any) -> Any:
        return self._changed("draws", super().draws(node, generator))


CHANGES: dict[str, Any] = {
    "none": lambda value: None,
    "complex": lambda value: value * 1j,
    "words": lambda value: value.astype(str),
    "objects": lambda value: value.astype(object),
    "one axis more": lambda value: value[..., None],
    "one number": lambda value: value.sum(),
    "one too many": lambda value: np.concatenate([value, value[:1]]),
    "an iterator's end": lambda value: iter([next(value)[:2]]),
    "a list": lambda value: [1.0],
    "another type": lambda value: value.astype(np.float32),
    "same": lambda value: value,
}
METHODS = ["loss", "full_gradient", "accuracy", "gradients"]
BACKENDS: dict[str, Any] = {
    "Simulated": lambda nodes: Simulated(Cluster(nodes)),
    "Vectorized": lambda nodes: Vectorized(),
}


def odd(backend: Backend, method: str, change: str, nodes: int, dimension: int, seeds: tuple[int, ...]) -> Any:
    objective = Odd(nodes, dimension=dimension, method=method, change=change)
    return backend.run(Experiment(SGP(), objective, DirectedRing(nodes), Steps(4), seeds=seeds))


@pytest.mark.parametrize("kind", BACKENDS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("change", ["none", "complex", "words", "objects", "one axis more", "one number", "one too many"])
def test_what_an_objective_gives_has_its_shape_and_is_real(kind: str, method: str, change: str) -> None:
    for nodes, dimension, seeds in ((1, 1, (0,)), (3, 1, (0,)), (3, 2, (0, 5))):
        backend: Backend = BACKENDS[kind](nodes)
        if change == "none" and method == "accuracy":
            assert "accuracy" not in odd(backend, method, change, nodes, dimension, seeds).metrics["metric"]
            continue
        with pytest.raises(SpecificationError, match=rf"^Odd\.{method} gave .* at points of shape \(\d, (\d, )?\d?.*must") as refused:
            odd(backend, method, change, nodes, dimension, seeds)
        assert "\n" not in str(refused.value) and ("NoneType" in str(refused.value)) == (change == "none")


@pytest.mark.parametrize("kind", BACKENDS)
def test_what_fits_is_taken(kind: str) -> None:
    for nodes, dimension, seeds in ((1, 1, (0,)), (2, 1, (0, 5)), (7, 2, (0,))):
        backend = BACKENDS[kind](nodes)
        plain = odd(backend, "", "same", nodes, dimension, seeds)
        for method in METHODS:
            same = odd(backend, method, "same", nodes, dimension, seeds)
            assert same.metrics.equals(plain.metrics) and np.array_equal(same.final.values, plain.final.values)
            assert odd(backend, method, "another type", nodes, dimension, seeds).outcome == "finished"


@pytest.mark.parametrize("kind", BACKENDS)
@pytest.mark.parametrize("nodes", [1, 3])
def test_draws_are_endless_blocks(kind: str, nodes: int) -> None:
    given = (("none", "of the class NoneType"), ("a list", "of the class list"), ("an iterator's end", "came to an end"))
    for change, words in given:
        with pytest.raises(SpecificationError, match=rf"^Odd\.draws for node \d .*{words}"):
            odd(BACKENDS[kind](nodes), "draws", change, nodes, 2, (0,))
