"""Texts that make less or more of their budget than it is, and texts, schedules and objectives that give what is none: a
remark, or one sentence, in the same words on every backend."""

from __future__ import annotations

import asyncio
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest

import sgpsim
from sgpsim.algorithms.algorithm import Algorithm
from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.backend import Backend
from sgpsim.backends.events.simulated import Simulated
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.backends.watch.steps_taken import StepsTaken
from sgpsim.budget import Seconds, Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.errors import SpecificationError
from sgpsim.experiment import Experiment
from sgpsim.node import Node
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.schedules.graph_schedule import GraphSchedule
from sgpsim.schedules.ring import DirectedRing
from sgpsim.schedules.schedule import Schedule
from sgpsim.schedules.shares import GivenShares
from sgpsim.streams import PURPOSES
from sgpsim.testing import check_objective

NODES = 3
BACKENDS: tuple[Backend, ...] = (Simulated(Cluster(NODES)), Vectorized(Cluster(NODES)))


@dataclass(frozen=True)
class Local(Algorithm):
    """Steps on every node alone, but for `deed`."""

    deed: str = ""

    async def run(self, node: Node) -> None:
        mass = node.begin()
        steps: Iterable[int] = range(60) if self.deed == "goes on" else range(12) if self.deed == "counts" else node.steps
        for step in steps:
            if (self.deed == "early" or (self.deed == "one early" and node.rank == 2)) and step == 7:
                return
            move = -0.1 * await node.gradient(mass.value)
            mass = mass.shifted(move)
            if self.deed == "silent" or (self.deed == "every other" and step % 2 == 0):
                continue
            node.report(step + 1, mass, None if self.deed == "every other" else move)

    @property
    def source(self) -> str:
        return "here"


def experiment(text: Algorithm, budget: Any = None, **changed: Any) -> Experiment:
    return Experiment(text, Quadratic(NODES, 3), DirectedRing(NODES), budget or Steps(12), **changed)


ODD = {
    "": (),
    "counts": (),
    "early": ("seed 0: every node's text ended after 7 of 12 steps",),
    "silent": ("seed 0: every node's text reported 0 of 12 steps",),
    "every other": ("seed 0: every node's text reported 6 of 12 steps",),
    "goes on": ("seed 0: every node's text went on for 60 steps, and its budget was 12",),
}


@pytest.mark.parametrize("deed", ODD)
@pytest.mark.parametrize("kind", [Simulated, Vectorized])
def test_a_text_that_makes_something_else_of_its_budget_is_remarked(kind: Any, deed: str) -> None:
    run = kind(Cluster(NODES), monitor="off").run(experiment(Local(deed)))
    assert run.outcome == "finished" and run.remarks == ODD[deed]


def test_one_node_that_ends_early_is_named_and_a_limit_in_seconds_is_a_budget_too() -> None:
    run = BACKENDS[0].run(experiment(Local("one early")))
    assert run.remarks == ("seed 0: node 2's text ended after 7 of 12 steps",)
    assert not BACKENDS[1].run(experiment(Local(), Seconds(5.0))).remarks
    for backend in BACKENDS:
        (remark,) = backend.run(experiment(Local("early"), Seconds(50.0))).remarks
        assert remark == "seed 0: every node's text ended after 7 steps, before its budget was used up"


@dataclass(frozen=True)
class Asks(Algorithm):
    """Does `deed`."""

    deed: str

    async def run(self, node: Node) -> None:
        node.begin()
        match self.deed:
            case "asyncio":
                await asyncio.sleep(0)
            case "spawns a number":
                node.spawn(3)  # pyright: ignore[reportArgumentType]
            case "spawns a function":
                node.spawn(self.run)  # pyright: ignore[reportArgumentType]
            case _:
                await node.join(3)

    @property
    def source(self) -> str:
        return "here"


@dataclass(frozen=True)
class NoCoroutine(Algorithm):
    """`run` is a plain function, or one with yield."""

    form: str

    def run(self, node: Node) -> Any:
        return iter([1]) if self.form == "generator" else None

    @property
    def source(self) -> str:
        return "here"


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("deed", ["asyncio", "spawns a number", "spawns a function", "joins"])
def test_what_is_no_activity_is_refused_in_one_sentence(backend: Backend, deed: str) -> None:
    with pytest.raises(SpecificationError, match=r"Asks (awaits what is none|spawns|joins)|its text calls node.join") as refusal:
        backend.run(experiment(Asks(deed)))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("form", ["function", "generator"])
def test_a_run_that_is_no_coroutine_is_refused_in_one_sentence(backend: Backend, form: str) -> None:
    with pytest.raises(SpecificationError, match=r"NoCoroutine\.run gives .*async def"):
        backend.run(experiment(NoCoroutine(form)))


@dataclass(frozen=True)
class Draws(Algorithm):
    """Asks for a stream."""

    purpose: Any

    async def run(self, node: Node) -> None:
        mass = node.begin()
        for step in node.steps:
            node.generator(self.purpose).random()
            node.report(step + 1, mass, None)

    @property
    def source(self) -> str:
        return "here"


@pytest.mark.parametrize("purpose", ["gradient", "compute", "MarkovSlow 1", "", 3])
def test_a_stream_of_sgpsims_own_is_refused(purpose: Any) -> None:
    with pytest.raises(SpecificationError, match=r"node\.generator\("):
        BACKENDS[0].run(experiment(Draws(purpose)))
    assert BACKENDS[0].run(experiment(Draws("coin"))).outcome == "finished"


def test_every_purpose_that_sgpsim_draws_for_is_listed() -> None:
    text = "".join(path.read_text() for path in Path(sgpsim.__file__).parent.rglob("*.py"))
    drawn = set(re.findall(r'[^_]stream\([^")]*, "([^"]+)"', text)) | set(re.findall(r'_chosen\([^")]*"([^"]+)"', text))
    assert "gradient" in drawn and drawn <= PURPOSES


@dataclass(frozen=True)
class Given(Schedule):
    """Shares as they are."""

    given: dict[Any, Any] = field(default_factory=dict[Any, Any])
    size: int = 2

    @property
    def period(self) -> int:
        return 1

    def shares(self, sender: int, step: int) -> Any:
        return self.given


@pytest.mark.parametrize("given", [{0: "0.5", 1: 0.5}, {"0": 0.5, 1: 0.5}, {0: 0.5, 1.0: 0.5}, {0: True}, {0: None}, {True: 1.0}])
def test_shares_of_a_wrong_type_are_refused(given: dict[Any, Any]) -> None:
    with pytest.raises(SpecificationError, match=r"must be a whole number and a share a number"):
        Given(given).round(0)


def test_shares_of_numpys_types_are_taken_and_strings_on_edges_are_not() -> None:
    assert Given({np.int64(0): np.float32(0.5), 1: 0.5}).round(0).kept == (0.5, 0.5)
    graph = nx.DiGraph()
    graph.add_edge(0, 1, share="0.5")
    graph.add_edge(1, 0, share=0.5)
    with pytest.raises(SpecificationError, match=r"needs a finite number"):
        GraphSchedule((graph,), GivenShares()).round(0)


@dataclass(frozen=True)
class Writing(Quadratic):
    """Moves the points that one of its functions is given."""

    where: str = ""

    def loss(self, at: Any) -> Any:
        found = super().loss(at)
        if self.where == "loss":
            at += 1.0
        return found

    def full_gradient(self, at: Any) -> Any:
        found = super().full_gradient(at)
        if self.where == "full_gradient":
            at += 1.0
        return found

    def gradients(self, nodes: Any, points: Any, draws: Any) -> Any:
        found = super().gradients(nodes, points, draws)
        if self.where == "gradients":
            points += 1.0
        return found


@pytest.mark.parametrize("where", ["loss", "full_gradient", "gradients"])
def test_an_objective_that_writes_into_its_points_is_named(where: str) -> None:
    with pytest.raises(AssertionError, match=rf"Writing\.{where} (writes into|changes) the points"):
        check_objective(Writing(2, 3, where=where))
    check_objective(Writing(2, 3))


@pytest.mark.parametrize("where", ["loss", "full_gradient", "gradients"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_and_a_run_does_not_go_on_with_what_it_wrote(backend: Backend, where: str) -> None:
    asked = Experiment(SGP(), Writing(NODES, 3, where=where), DirectedRing(NODES), Steps(3))
    with pytest.raises(SpecificationError, match=rf"Writing\.{where} writes into"):
        backend.run(asked)


def test_what_a_run_hands_out_read_only_gives_no_warning_on_tensors() -> None:
    pytest.importorskip("torch")
    asked = Experiment(SGP(), Quadratic(NODES, 3, unequal=True), DirectedRing(NODES), Steps(3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Vectorized(device="cpu").run(asked).outcome == "finished"


def test_one_step_too_few_or_two_too_many_are_said() -> None:
    """A report of the end counts as a step: 13 of 12 are all."""
    text = experiment(Local(""))
    for reported, reports, sentence in [
        (12, 12, None),
        (13, 13, None),
        (14, 14, "went on for 14 steps, and its budget was 12"),
        (12, 11, "reported 11 of 12 steps"),
        (12, 0, "reported 0 of 12 steps"),
    ]:
        assert StepsTaken(begun=12, over=True, reported=reported, reports=reports).sentence(text) == sentence
    assert StepsTaken(begun=11, over=False, reported=11, reports=11).sentence(text) == "ended after 11 of 12 steps"
