"""Texts and objectives of a user's own that are wrong, or only unusual: every backend gives the same numbers, or a
sentence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from sgpsim.algorithms.algorithm import Algorithm
from sgpsim.backends.backend import Backend
from sgpsim.backends.events.simulated import Simulated
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.budget import Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.compute_time import ComputeTime
from sgpsim.clusters.network import Network, Wire, Wires
from sgpsim.errors import SpecificationError
from sgpsim.experiment import Experiment
from sgpsim.node import Node
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.schedules.ring import DirectedRing
from sgpsim.testing import Still

NODES = 3
BACKENDS: tuple[Backend, ...] = (Simulated(Cluster(NODES)), Vectorized(Cluster(NODES)))


@dataclass(frozen=True)
class Text(Algorithm):
    """SGP with the gradient before the last one in its step; `deed` is done to it in a step."""

    deed: str = ""

    async def run(self, node: Node) -> None:
        mass = node.begin()
        before = mass.value * 0.0
        for step in node.steps:
            match self.deed:
                case "narrow":
                    gradient = await node.gradient(mass.ratio[..., :1])
                case "wide":
                    gradient = await node.gradient(np.float64(1.0) * mass.ratio)
                case _:
                    gradient = await node.gradient(mass.ratio)
            if self.deed == "begins again":
                node.begin()
            move = -0.1 * (2.0 * gradient - before)
            before = gradient
            mass = mass.shifted(move)
            mass = await node.gather(step, node.scatter(step, mass))
            match self.deed:
                case "step":
                    node.report(step, mass, move)
                case "ratio":
                    node.report(step + 1, mass.ratio, move)  # pyright: ignore[reportArgumentType]
                case _:
                    node.report(step + 1, mass, move)
            if self.deed == "twice":
                node.report(step + 1, mass, None)

    @property
    def source(self) -> str:
        return "here"


@dataclass(frozen=True)
class Points(Still):
    """f = |x|^2 / 2, whose gradients are its points; `form` says how they are given."""

    form: str = "copied"

    def gradients(self, nodes: Any, points: Any, draws: Any) -> Any:
        match self.form:
            case "copied":
                return points.copy()
            case "narrow":
                return points[..., :1]
            case "flat":
                return points.reshape(-1)
            case "list":
                return points.tolist()
            case _:
                return points


def experiment(text: Algorithm, objective: Any = None, **changed: Any) -> Experiment:
    objective = objective or Quadratic(NODES, 3)
    return Experiment(text, objective, DirectedRing(NODES), Steps(6), start=1.0, **changed)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_gradient_stays_what_it_was_when_the_next_one_begins(backend: Backend) -> None:
    """The event clock wrote the next point over a gradient that was a view of the points."""
    runs = [backend.run(experiment(Text(), Points(NODES, 3, form))) for form in ("copied", "the points")]
    assert np.array_equal(runs[0].final.values, runs[1].final.values)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("deed", "dtype"), [("narrow", "float64"), ("wide", "float32")])
def test_a_gradient_at_what_is_no_point_is_refused(backend: Backend, deed: str, dtype: str) -> None:
    with pytest.raises(SpecificationError, match=r"Text asks for a gradient at an array of shape"):
        backend.run(experiment(Text(deed), dtype=dtype))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("form", ["narrow", "flat", "list"])
def test_gradients_of_another_shape_are_refused(backend: Backend, form: str) -> None:
    with pytest.raises(SpecificationError, match=r"Points\.gradients gave an (array|object)"):
        backend.run(experiment(Text(), Points(NODES, 3, form)))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("deed", ["step", "twice", "ratio", "begins again"])
def test_what_is_no_report_is_refused(backend: Backend, deed: str) -> None:
    """A second report of one node completed the cut of all: a division by zero, a leak that was none, or nothing."""
    with pytest.raises(SpecificationError, match=r"Text reports"):
        backend.run(experiment(Text(deed)))


@dataclass(frozen=True)
class Asks(Algorithm):
    """One node's own call, `deed`."""

    deed: str

    async def run(self, node: Node) -> None:
        mass = node.begin()
        match self.deed:
            case "note of a loss":
                node.note("loss", 0.0)
            case "note of a word":
                node.note("words", "none")  # pyright: ignore[reportArgumentType]
            case "send below":
                node.send(node.rank - 1, mass)
            case _:
                node.send(node.size, mass)

    @property
    def source(self) -> str:
        return "here"


@pytest.mark.parametrize("deed", ["note of a loss", "note of a word", "send below", "send above"])
def test_a_note_is_a_number_of_another_name_and_a_receiver_is_a_node(deed: str) -> None:
    """A noted loss ended runs with a target; node -1 was the last one."""
    with pytest.raises(SpecificationError, match=r"node"):
        BACKENDS[0].run(experiment(Asks(deed)))


@dataclass(frozen=True)
class Seconds(ComputeTime):
    """Compute times of 1 s, but for the second, which is `odd`."""

    odd: float

    @property
    def mean(self) -> float:
        return 1.0

    def durations(self, node: int, generator: np.random.Generator) -> Iterator[Any]:
        while True:
            yield np.array([1.0, self.odd])


@dataclass(frozen=True)
class OddWires(Network, Wires):
    """Messages take `odd` seconds."""

    odd: float

    def attach(self, graph: Any) -> Wires:
        return self

    def wire(self, sender: int, receiver: int, size: float) -> Wire:
        return Wire(0.0, self.odd)


@pytest.mark.parametrize("kind", [Simulated, Vectorized])
@pytest.mark.parametrize("odd", [np.nan, np.inf, -0.5])
def test_seconds_that_are_none_are_refused(kind: Any, odd: float) -> None:
    """Clocks ended at NaN, or ran backward, in a run called finished."""
    for cluster in (Cluster(NODES, Seconds(odd)), Cluster(NODES, network=OddWires(odd))):
        with pytest.raises(SpecificationError, match=r"must be finite and at least 0"):
            kind(cluster).run(experiment(Text()))
