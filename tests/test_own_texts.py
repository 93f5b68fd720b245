"""Texts of a user's own on a fleet: what treats every node alike runs there with the same bits, all else is refused in a
sentence, and `best_for` then takes the event simulation."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from sgpsim.algorithms.algorithm import Algorithm
from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.choice import best_for
from sgpsim.backends.events.simulated import Simulated
from sgpsim.backends.fleet import own_text
from sgpsim.backends.fleet.own_text import from_outside
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.budget import Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.descents.descent import Descent
from sgpsim.descents.sgd import SGD
from sgpsim.descents.step_sizes import Constant
from sgpsim.errors import SpecificationError
from sgpsim.experiment import Experiment
from sgpsim.mass import Mass
from sgpsim.node import Node
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.schedules.one_peer_exponential import OnePeerExponential
from sgpsim.schedules.ring import UndirectedRing
from sgpsim.testing import check_algorithm

Change = Callable[[Any, Any, int], Any]
"""Of a gradient, the node's value and the step, what takes the gradient's place."""
GENERATOR = np.random.default_rng(3)


def masked(g: Any) -> Any:
    g = g * 1.0
    g[abs(g) > 1.0] = 0.5
    g[..., :1] = 0.0
    return g


def largest_only(g: Any) -> Any:
    least = np.partition(abs(g), -1, axis=-1)[..., -1:]
    return np.where(abs(g) >= least, g, 0.0)


FINE: dict[str, Change] = {
    "operators": lambda g, x, k: 2 * g - 0.5 * x + (-g) / (1.0 + abs(g)) ** 2,
    "clip by value": lambda g, x, k: np.clip(g, -1.0, 1.0),
    "clip by norm": lambda g, x, k: g / np.maximum(1.0, np.linalg.norm(g, axis=-1, keepdims=True)),
    "methods": lambda g, x, k: g.clip(-2.0, 2.0) - g.mean(axis=-1, keepdims=True) + g.copy().astype(g.dtype),
    "signs": lambda g, x, k: np.sign(g) * np.abs(g).sum(axis=-1, keepdims=True),
    "where": lambda g, x, k: np.where(g > 0.0, g, np.zeros_like(g)),
    "one axis": lambda g, x, k: g * np.arange(1.0, 1.0 + g.shape[-1], dtype=g.dtype) + np.ones(g.shape[-1], g.dtype),
    "in place": lambda g, x, k: masked(g),
    "largest": lambda g, x, k: largest_only(g),
    "scalars": lambda g, x, k: np.float32(0.5) * g if k % 2 else g * 1,
    "reduce": lambda g, x, k: g - np.add.reduce(g, axis=-1, keepdims=True),
    "copied": lambda g, x, k: copy.deepcopy(g),
    "told": lambda g, x, k: (f"{g} {g!r}", g)[1],
}


def caught(g: Any) -> Any:
    try:
        return g if g.max() > 0.0 else -g
    except ValueError:
        return g


def filled(g: Any) -> Any:
    state = np.zeros(4)
    state[:] = g
    return state


WRONG: dict[str, Change] = {
    "max": lambda g, x, k: g * 0.1 if abs(g).max() > 1 else g,
    "norm": lambda g, x, k: g / np.linalg.norm(g),
    "entry": lambda g, x, k: g.__setitem__(0, 0.0) or g,
    "number": lambda g, x, k: g * float(g.sum()),
    "item": lambda g, x, k: g * g.sum(axis=-1, keepdims=True).item(),
    "length": lambda g, x, k: g / len(g),
    "shape": lambda g, x, k: g / g.shape[0],
    "axes": lambda g, x, k: g / (g.ndim + g.size),
    "unpacked": lambda g, x, k: g / sum(g.shape),
    "listed": lambda g, x, k: g * sorted(g)[0],
    "all": lambda g, x, k: -g if (g > 0).all() else g,
    "truth": lambda g, x, k: -g if g[..., :1] > 0 else g,
    "one entry": lambda g, x, k: g - g[..., 0],
    "axis alone": lambda g, x, k: g - g.mean(axis=-1),
    "first axis": lambda g, x, k: g - g.mean(axis=0, keepdims=True),
    "product": lambda g, x, k: g * np.dot(g, x),
    "matrix": lambda g, x, k: g @ np.eye(4),
    "einsum": lambda g, x, k: g * np.einsum("...d,...d->...", g, x),
    "asarray": lambda g, x, k: np.asarray(g) / np.asarray(g).max(),
    "filled": lambda g, x, k: filled(g),
    "sorted": lambda g, x, k: np.flip(g),
    "reshaped": lambda g, x, k: g.reshape(-1),
    "transposed": lambda g, x, k: g.T,
    "caught": lambda g, x, k: caught(g),
    "late": lambda g, x, k: g if k < 7 else g / g.max(),
    "draws": lambda g, x, k: g + np.random.default_rng(k).standard_normal(np.shape(g * 1.0)),
    "own draws": lambda g, x, k: g + GENERATOR.standard_normal(g.shape[-1]),
    "small own draws": lambda g, x, k: g + 1e-13 * GENERATOR.standard_normal(g.shape[-1]),
    "a matrix of its own": lambda g, x, k: g + np.ones((3, 1, 4)),
}


@dataclass(frozen=True)
class Changing(Descent):
    """SGD on changed gradients."""

    what: str = "operators"
    step_size: Constant = Constant(0.1)

    def start(self, value: Any) -> Any:
        return value * 0.0

    def move(self, gradient: Any, state: Any, step: int) -> tuple[Any, Any]:
        gradient = (FINE | WRONG)[self.what](gradient, state, step)
        return gradient * -0.1, state + gradient


@dataclass(frozen=True)
class Text(Algorithm):
    """SGP on changed gradients."""

    what: str = "operators"

    async def run(self, node: Node) -> None:
        mass = node.begin()
        for step in node.steps:
            move = (FINE | WRONG)[self.what](await node.gradient(mass.ratio), mass.value, step) * -0.1
            mass = await node.gather(step, node.scatter(step, mass.shifted(move)))
            node.report(step + 1, mass, move)

    @property
    def source(self) -> str:
        return "here"


@dataclass(frozen=True)
class Wrapping(Algorithm):
    """A house method under another name."""

    inner: Algorithm = SGP()

    async def run(self, node: Node) -> None:
        await self.inner.run(node)

    @property
    def source(self) -> str:
        return "here"


def experiment(method: Algorithm, nodes: int = 3, seeds: int = 2, dtype: Any = "float64") -> Experiment:
    objective = Quadratic(nodes, 4, unequal=True, seed=2)
    return Experiment(method, objective, OnePeerExponential(nodes), Steps(9), tuple(range(seeds)), 1.0, dtype=dtype)


def require_equal(asked: Experiment) -> None:
    cluster = Cluster(asked.nodes)
    backend, why = best_for(asked, cluster)
    assert isinstance(backend, Vectorized), why
    here, there = backend.run(asked), Simulated(cluster).run(asked)
    assert here.outcome == there.outcome == "finished"
    assert np.array_equal(here.final.values, there.final.values)
    assert np.array_equal(here.final.weights, there.final.weights)


@pytest.mark.parametrize("what", FINE)
def test_what_treats_every_node_alike_runs_on_a_fleet_with_the_same_bits(what: str) -> None:
    require_equal(experiment(Text(what)))
    require_equal(experiment(SGP(Changing(what)), nodes=7 if what == "operators" else 1, seeds=1, dtype="float32"))


@pytest.mark.parametrize("what", WRONG)
def test_what_looks_across_nodes_is_refused_and_simulated_runs_it(what: str) -> None:
    for method in (Text(what), Wrapping(SGP(Changing(what)))):
        asked = experiment(method)
        with pytest.raises(SpecificationError, match=r"^Vectorized cannot run \w+: .*Simulated\(cluster\)") as refusal:
            Vectorized(Cluster(3)).run(asked)
        assert "\n" not in str(refusal.value)
        if what != "late":  # a trial cannot know what the text does later; then the run is refused
            backend, why = best_for(asked, Cluster(3))
            assert isinstance(backend, Simulated) and str(refusal.value) in why


def test_house_methods_are_not_guarded() -> None:
    assert not from_outside(SGP())
    assert not from_outside(SGP(SGD(Constant(0.1))))
    assert from_outside(Wrapping())
    assert from_outside(SGP(Changing()))
    require_equal(experiment(Wrapping()))


@dataclass(frozen=True)
class Weights(Algorithm):
    """Push-sum that meets its weight with values of either type, averages by a collective, and makes masses itself."""

    async def run(self, node: Node) -> None:
        mass = node.begin()
        for step in node.steps:
            gradient = await node.gradient(mass.value / mass.weight)
            before = mass.value
            mass = Mass((mass.value - 0.1 * gradient) / (mass.weight * 2.0) * (mass.weight + mass.weight), mass.weight)
            move = mass.value - before
            kept = node.scatter(step, mass)
            value, weight = kept
            mass = await node.gather(step, Mass(value * 1.0, weight))
            if step == 4:
                before = mass.value
                mass = Mass(await node.mean(mass.ratio), 1.0)
                move = move + (mass.value - before)
            node.report(step + 1, mass, move)

    @property
    def source(self) -> str:
        return "here"


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_weights_are_numbers_of_a_node_and_means_are_points(dtype: str) -> None:
    require_equal(experiment(Weights(), nodes=7, dtype=dtype))


@dataclass(frozen=True)
class OfMeans(Algorithm):
    """Steps whose length is a figure of a collective's mean, and of a power of the weight."""

    async def run(self, node: Node) -> None:
        mass = node.begin()
        for step in node.steps:
            mean = await node.mean(await node.gradient(mass.ratio))
            move = mean.astype(np.float32) * (np.nansum(mean, axis=-1, keepdims=True) * (0.01 / (1.0 + mass.weight**3)))
            move = move.astype(mass.value.dtype)
            mass = await node.gather(step, node.scatter(step, mass.shifted(move)))
            node.report(step + 1, mass, move)

    @property
    def source(self) -> str:
        return "here"


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_mean_is_laid_out_as_that_of_a_node(dtype: Any) -> None:
    asked = Experiment(OfMeans(), Quadratic(5, 37, unequal=True), UndirectedRing(5), Steps(9), (0,), 1.0, dtype=dtype)
    require_equal(asked)


@dataclass(frozen=True)
class Parcels(Algorithm):
    """Push-sum that uses the share it keeps as the mass that it is: looks into it, splits, adds, sends and reports it."""

    async def run(self, node: Node) -> None:
        mass = node.begin()
        step = 0
        for step in node.steps:
            first = node.scatter(2 * step, mass)
            kept = node.scatter(2 * step + 1, first)
            node.report(step + 1, kept, None)
            value, weight = kept
            assert len(kept) == 2
            parcels = (
                kept,
                Mass(value, weight),
                Mass(kept[0], kept[1]),
                Mass(kept.ratio * kept.weight, kept.weight),
                0.5 * kept + 0.5 * kept,
                kept.shifted(0.0 * kept.value),
                kept + 0.0 * first,
                0.0 * first + kept,
            )
            mass = await node.gather(2 * step, parcels[step % len(parcels)])
            mass = await node.gather(2 * step + 1, mass)
        node.report(step + 2, mass, None)

    @property
    def source(self) -> str:
        return "here"

    @property
    def leaves_in_flight(self) -> bool:
        return True


@pytest.mark.parametrize("guarded", [True, False])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_kept_share_is_a_mass(dtype: str, guarded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not guarded:
        monkeypatch.setattr("sgpsim.backends.fleet.vectorized.from_outside", lambda _: False)
    require_equal(experiment(Parcels(), nodes=7, dtype=dtype))


@pytest.mark.filterwarnings("ignore:.*has no reference")
def test_the_law_suite_names_what_a_fleet_would_do_otherwise() -> None:
    check_algorithm(Text("clip by norm"))
    check_algorithm(SGP(Changing("operators")))
    for method in (Text("norm"), Text("late"), SGP(Changing("own draws"))):
        with pytest.raises(AssertionError, match=r"Vectorized cannot run"):
            check_algorithm(method)


@pytest.mark.parametrize("limit", [(2, 1 << 20), (512, 10)])
def test_a_fleet_too_large_for_a_trial_says_so(monkeypatch: pytest.MonkeyPatch, limit: tuple[int, int]) -> None:
    monkeypatch.setattr(own_text, "LARGEST", limit)
    assert "was not held against" in Vectorized().run(experiment(Text())).remarks[0]
    assert not Vectorized().run(experiment(SGP())).remarks
