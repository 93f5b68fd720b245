"""What a text may ask of one node only: the array program refuses it in a sentence, and never runs another method
instead."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import pytest

from sgpsim.algorithms.algorithm import Algorithm
from sgpsim.backends.events.simulated import Simulated
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.budget import Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.errors import SpecificationError
from sgpsim.experiment import Experiment
from sgpsim.node import Node
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.schedules.complete import Complete
from sgpsim.schedules.one_peer_exponential import OnePeerExponential


@dataclass(frozen=True)
class Asks(Algorithm):
    """Push-sum whose node asks for `what` at step 2, and goes on as if nothing had been asked."""

    what: str = "nothing"

    async def run(self, node: Node) -> None:
        mass = node.begin()
        for step in node.steps:
            before, after = (1, 1) if node.size == 2 else (-1, 1)
            if step == 2:
                match self.what:
                    case "rank":
                        if node.rank == 0:
                            mass = 1.0 * mass
                    case "hasattr":
                        assert hasattr(node, "rank")
                    case "note":
                        node.note("staleness", 1.0)
                    case "generator":
                        node.generator("coin").random()
                    case "send" | "receive" | "receive_any" | "farewell":
                        half = 0.5 * mass
                        if self.what in ("send", "receive"):
                            mass = half
                            if self.what == "receive":
                                node.receive(0, "mail")
                            node.send((node.rank + after) % node.size, half, "mail")
                            mass = mass + (await node.receive((node.rank + before) % node.size, "mail")).mass
                        else:
                            if self.what == "receive_any":
                                node.receive_any("mail", (0,))
                            node.farewell((node.rank + after) % node.size, "mail")
                            async for _ in node.receive_any("mail", ((node.rank + before) % node.size,)):
                                pass
                    case "spawn":
                        await node.join(node.spawn(self._nothing()))
                    case "join":
                        await node.join(None)
                    case _:
                        pass
            kept = node.scatter(step, mass)
            mass = await (node.catch_up if self.what == "catch_up" else node.gather)(step, kept)
            node.report(step + 1, mass, None)

    async def _nothing(self) -> None:
        return

    @property
    def source(self) -> str:
        return "a control"


ASKED = ["rank", "hasattr", "note", "generator", "send", "receive", "receive_any", "farewell", "spawn", "join", "catch_up"]


def experiment(method: Algorithm, nodes: int) -> Experiment:
    start = tuple((float(node), -1.0) for node in range(nodes))
    return Experiment(method, Quadratic(nodes, 2), OnePeerExponential(nodes), Steps(5), start=start)


@pytest.mark.parametrize("nodes", [1, 2, 7])
@pytest.mark.parametrize("what", ASKED)
def test_a_fleet_refuses_what_only_one_node_has(what: str, nodes: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no coroutine is left behind unawaited
        with pytest.raises(SpecificationError, match=r"Vectorized cannot run Asks: .*Use Simulated\(cluster\)") as refusal:
            Vectorized(Cluster(nodes)).run(experiment(Asks(what), nodes))
    word = "rank" if what in ("rank", "hasattr") else what
    assert f"node.{word}" in str(refusal.value) or what in ("send", "receive_any", "farewell")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("nodes", [2, 7])
@pytest.mark.parametrize("what", ["nothing", "rank", "hasattr", "generator", "spawn", "catch_up"])
def test_one_node_is_given_it_and_the_numbers_are_equal(what: str, nodes: int) -> None:
    plain = Simulated(Cluster(nodes)).run(experiment(Asks(), nodes))
    asking = Simulated(Cluster(nodes)).run(experiment(Asks(what), nodes))
    np.testing.assert_array_equal(asking.final.values, plain.final.values)
    np.testing.assert_array_equal(Vectorized(Cluster(nodes)).run(experiment(Asks(), nodes)).final.values, plain.final.values)


@dataclass(frozen=True)
class ServesParameters(Algorithm):
    """A parameter server that forgot to declare anything: node 0 holds the model, the others send it their gradients."""

    async def run(self, node: Node) -> None:
        mass = node.begin()
        for step in node.steps:
            gradient = await node.gradient(mass.ratio)
            if node.rank == 0:
                mass = mass.shifted(-0.1 * gradient)
            node.report(step + 1, mass, None if node.rank else -0.1 * gradient)

    @property
    def source(self) -> str:
        return "a control"


def test_a_parameter_server_does_not_run_as_local_steps() -> None:
    asked = Experiment(ServesParameters(), Quadratic(4), Complete(4), Steps(5))
    with pytest.raises(SpecificationError, match=r"reads node\.rank"):
        Vectorized().run(asked)
    assert Simulated(Cluster(4), monitor="record").run(asked).outcome == "finished"
