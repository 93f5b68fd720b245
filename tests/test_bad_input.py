"""Bad input, as objects: refused when built, or before anything runs, in a sentence with value, rule and cure.

(What concerns files and the command line is tested with these.)
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import networkx as nx
import numpy as np
import pytest

from sgpsim.algorithms.adpsgd import ADPSGD
from sgpsim.algorithms.allreduce_sgd import AllReduceSGD
from sgpsim.algorithms.dpsgd import DPSGD
from sgpsim.algorithms.overlap_sgp import OverlapSGP
from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.events.simulated import Simulated
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.budget import Gradients, Seconds, Steps, TargetLoss
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.hockney import Hockney
from sgpsim.descents.adam import Adam
from sgpsim.descents.momentum import Momentum
from sgpsim.descents.sgd import SGD
from sgpsim.descents.step_sizes import Constant, RootNodesOverSteps, StepDecay, WarmUp
from sgpsim.errors import SpecificationError
from sgpsim.experiment import Experiment
from sgpsim.objectives.datasets import SyntheticClassification
from sgpsim.objectives.logistic import LogisticRegression
from sgpsim.objectives.quadratic import Quadratic, QuadraticArrays
from sgpsim.objectives.softmax import SoftmaxRegression
from sgpsim.schedules.complete import Complete
from sgpsim.schedules.erdos_renyi import ErdosRenyiDigraph
from sgpsim.schedules.graph_schedule import GraphSchedule
from sgpsim.schedules.matrices import Matrices, UncheckedMatrices
from sgpsim.schedules.one_peer_exponential import OnePeerExponential
from sgpsim.schedules.ring import DirectedRing, UndirectedRing
from sgpsim.schedules.schedule import Schedule
from sgpsim.schedules.switched import Switched


def wrong(value: Any) -> Any:
    """A value of a type that does not belong where it is given."""
    return value


CURE = r"\b(Give|Replace|Use|Add|Correct|Divide|Put|Make|Name|Take|Exchange|Reshape|Convert|Build|Renumber|Raise|Lower|Run|did you mean)\b"


def built(schedule: Schedule | None = None, method: Any = None, **more: Any) -> Experiment:
    schedule = DirectedRing(4) if schedule is None else schedule
    return Experiment(SGP() if method is None else method, more.pop("objective", Quadratic(4, 3)), schedule, **more)


def columns(*rows: list[float]) -> Matrices:
    return Matrices((np.array(rows, dtype=float),))


def two_islands() -> nx.Graph:
    return nx.Graph([(0, 1), (2, 3)])


def hollow_ring(nodes: int) -> np.ndarray:
    """Half to either neighbour, nothing kept."""
    one = np.roll(np.eye(nodes), 1, axis=0)
    return (one + one.T) / 2


def cases() -> Iterator[tuple[str, Callable[[], object], str, str]]:
    """(name, what is refused, the value told, the rule told)."""
    quadratic = Quadratic(4, 3)
    yield "matrix not square", lambda: columns([1, 0, 0], [0, 1, 0]), "(2, 3)", "must be square"
    yield "matrix not finite", lambda: columns([1, math.nan], [0, 1]), "nan in row 0, column 1", "must be finite"
    yield "matrix infinite", lambda: UncheckedMatrices((np.array([[np.inf]]),)), "inf", "must be finite"
    yield "matrix of words", lambda: Matrices(wrong([["a", "b"], ["c", "d"]])), "<U1", "real numbers"
    yield (
        "columns do not sum to 1",
        lambda: built(columns([0.5, 0, 0, 0.5], [0.4, 0.5, 0, 0], [0, 0.5, 0.5, 0], [0, 0, 0.5, 0.5])),
        "node 0 gives away shares that sum to 0.9",
        "must sum to 1",
    )
    yield (
        "negative share",
        lambda: built(columns([1.5, 0, 0, 0.5], [-0.5, 0.5, 0, 0], [0, 0.5, 0.5, 0], [0, 0, 0.5, 0.5])),
        "gives node 1 the share -0.5",
        "not negative",
    )
    yield (
        "no self-loop",
        lambda: built(columns([0.5, 0, 0, 0.5], [0.5, 0, 0, 0], [0, 1, 0.5, 0], [0, 0, 0.5, 0.5])),
        "node 1 keeps no share",
        "every node must",
    )
    yield (
        "not strongly connected",
        lambda: built(columns([0.5, 0, 0, 0], [0.5, 0.5, 0, 0], [0, 0.5, 0.5, 0.5], [0, 0, 0.5, 0.5])),
        "nothing gets from node",
        "must be strongly connected",
    )
    yield "two islands", lambda: built(GraphSchedule((two_islands(),))), "from node 0 to node 2", "strongly connected"
    yield (
        "multigraph",
        lambda: GraphSchedule((nx.MultiDiGraph([(0, 1), (0, 1), (1, 0)]),)),
        "MultiDiGraph",
        "several edges",
    )
    yield (
        "k-out multigraph",
        lambda: GraphSchedule((nx.random_k_out_graph(5, 2, 1, seed=1),)),
        "MultiDiGraph",
        "several edges",
    )
    yield "too sparse", lambda: ErdosRenyiDigraph(30, 0.01), "probability=0.01", "none strongly"
    yield "other size", lambda: built(DirectedRing(5)), "size=5", "both must be equal"
    for backend in (Simulated, Vectorized):
        name = backend.__name__
        yield (
            f"cluster of 5, {name}",
            lambda run=backend: run(Cluster(5)).run(built()),
            "for 4 nodes on a Cluster of 5",
            "must be equal",
        )
        for method in (SGP(), AllReduceSGD()):
            wired = Cluster(4, network=Hockney(), graph=two_islands())
            yield (
                f"no path, {type(method).__name__}, {name}",
                lambda run=backend, how=method, on=wired: run(on).run(built(method=how)),
                "no path from node 1 to node 2",
                "they must talk",
            )
        yield (
            f"no path after the switch, {name}",
            lambda run=backend: run(Cluster(4, graph=two_islands())).run(
                built(Switched(GraphSchedule((nx.DiGraph([(0, 1), (1, 0), (2, 3), (3, 2)]),)), DirectedRing(4), at=500))
            ),
            "no path from node 1 to node 2",
            "they must talk",
        )
    for bad in (0, -0.1, math.nan, math.inf, True, "0.1", None):
        yield (
            f"step size {bad!r}",
            lambda size=bad: Constant(wrong(size)),
            f"step_size) is {bad!r}",
            "finite number above 0",
        )
        yield (
            f"decay {bad!r}",
            lambda size=bad: StepDecay(0.1, (3,), wrong(size)),
            f"factor) is {bad!r}",
            "finite number above 0",
        )
    yield "warm-up of no steps", lambda: WarmUp(Constant(0.1), 0), "is 0", "at least 1"
    yield (
        "root for other nodes",
        lambda: built(method=SGP(SGD(RootNodesOverSteps(8, 100)))),
        "nodes=8",
        "must be the experiment's own",
    )
    yield (
        "root in a warm-up",
        lambda: built(method=SGP(SGD(WarmUp(RootNodesOverSteps(4, 99), 3)))),
        "steps=99",
        "the experiment's own",
    )
    yield "momentum of 1", lambda: Momentum(momentum=1.0), "1.0", "in [0, 1)"
    yield "momentum of nan", lambda: Momentum(momentum=math.nan), "nan", "in [0, 1)"
    yield "Adam's decay", lambda: Adam(second=1.0), "1.0", "in [0, 1)"
    yield "Adam's epsilon", lambda: Adam(epsilon=0.0), "0.0", "above 0"
    few = SyntheticClassification(samples=6)
    for model in (LogisticRegression, SoftmaxRegression):
        yield f"few samples, {model.__name__}", lambda make=model: make(8, few), "8", "sample"
    yield (
        "D-PSGD on an irregular digraph",
        lambda: built(ErdosRenyiDigraph(4, 0.4, seed=0), DPSGD()),
        "is given shares that sum to",
        "must sum to 1 as well",
    )
    yield (
        "D-PSGD, irregular after the switch",
        lambda: built(Switched(UndirectedRing(4), ErdosRenyiDigraph(4, 0.4, seed=0), at=1000), DPSGD()),
        "at step 1000",
        "must sum to 1 as well",
    )
    yield (
        "D-PSGD where two only swap",
        lambda: built(Matrices((np.eye(4)[[1, 0, 3, 2]], np.eye(4)[[3, 2, 1, 0]])), DPSGD()),
        "keeps no share",
        "in circles",
    )
    yield (
        "D-PSGD on an even ring without own shares",
        lambda: built(Matrices((hollow_ring(4),)), DPSGD()),
        "keeps no share",
        "in circles",
    )
    yield (
        "AD-PSGD on a directed ring",
        lambda: built(DirectedRing(4), ADPSGD()),
        "gives 0 the share 0 and gets 0.5 back",
        "must be equal",
    )
    yield (
        "AD-PSGD on an odd ring",
        lambda: built(UndirectedRing(5), ADPSGD(), objective=Quadratic(5, 3)),
        "odd cycle",
        "bipartite",
    )
    yield (
        "AD-PSGD on arrays",
        lambda: Vectorized(Cluster(4)).run(built(UndirectedRing(4), ADPSGD())),
        "ADPSGD",
        "when messages arrive",
    )
    yield "D-PSGD's order", lambda: DPSGD(order=wrong("both")), "'both'", "must be"
    yield "delay below 0", lambda: OverlapSGP(delay=-1), "-1", "at least 0"
    yield "delay of 1.5", lambda: OverlapSGP(delay=wrong(1.5)), "1.5", "whole number"
    yield "every 0 steps", lambda: OverlapSGP(every=0), "is 0", "at least 1"
    yield "mixing", lambda: OverlapSGP(mixing=wrong("late")), "'late'", "must be"
    yield "steps below 0", lambda: Steps(-1), "-1", "at least 0"
    yield "no gradients", lambda: Gradients(0), "is 0", "at least 1"
    yield "events without machines", lambda: Simulated(wrong(None)), "is None", "must be a Cluster"
    yield "no seconds", lambda: Seconds(0.0), "0.0", "above 0"
    yield "endless", lambda: Seconds(math.inf), "inf", "finite"
    yield "no steps to the target", lambda: TargetLoss(0.5, 0), "is 0", "at least 1"
    yield "target of nan", lambda: TargetLoss(math.nan, 5), "nan", "finite"
    for field, bad, rule in (
        ("seeds", (), "at least one"),
        ("seeds", (1, 1), "all different"),
        ("seeds", (-1,), "at least 0"),
        ("seeds", (0.5,), "whole number"),
        ("seeds", None, "must be a list"),
        ("seeds", 5, "for the one seed 5; seeds=range(5) for the 5 seeds"),
        ("seeds", "5", "must be a list"),
        ("seeds", (2**63,), "at most 9223372036854775807"),
        ("start", True, "must hold numbers"),
        ("start", (1.0, True, 1.0), "must hold numbers"),
        ("start", 10**400, "that float64 holds"),
        ("start", math.nan, "not finite"),
        ("start", (1.0, 2.0), "a point (3,)"),
        ("start", ((1.0, 2.0), (3.0,)), "rows of equal length"),
        ("start", "here", "must hold numbers"),
        ("message_bytes", 0, "above 0"),
        ("message_bytes", math.inf, "finite"),
        ("measure_every", 0, "at least 1"),
        ("dtype", "float16", "must be 'float64' or 'float32'"),
        ("budget", 100, "must be one of Steps, Gradients, Seconds, TargetLoss"),
    ):
        yield f"{field} {bad!r}", lambda name=field, value=bad: built(**wrong({name: value})), field, rule
    yield (
        "start beyond float32",
        lambda: built(start=1e300, dtype="float32"),
        "not finite in float32",
        "a run must start",
    )
    yield "a class for a method", lambda: built(method=SGP), "SGP", "must be an Algorithm"
    yield "a name for a schedule", lambda: Experiment(SGP(), quadratic, wrong("ring")), "'ring'", "is unknown; did you mean 'DirectedRing'?"
    yield "no objective", lambda: Experiment(SGP(), wrong(None), DirectedRing(4)), "None", "must be an Objective"
    yield (
        "Hessian not definite",
        lambda: QuadraticArrays(-np.eye(2), np.zeros((3, 2))),
        "hessians",
        "eigenvalues above 0",
    )
    yield (
        "seconds without machines",
        lambda: Vectorized().run(built(budget=Seconds(1.0))),
        "cluster=None",
        "no time passes",
    )
    yield "no GPU here", lambda: Vectorized(device="cuda:99").run(built()), "cuda:99", "torch sees"
    yield "no such device", lambda: Vectorized(device="gpu").run(built()), "'gpu'", "it must be 'cpu' or 'cuda'"
    yield (
        "trajectory without steps",
        lambda: Simulated(Cluster(4), keep_trajectory=True).run(built(UndirectedRing(4), ADPSGD())),
        "ADPSGD",
        "in step",
    )
    yield "check_every 0", lambda: Vectorized(check_every=0), "check_every) is 0", "at least 1"
    yield "monitor", lambda: Vectorized(monitor=wrong("shout")), "'shout'", "must be"
    yield "monitor, simulated", lambda: Simulated(Cluster(4), monitor=wrong("shout")), "'shout'", "must be"
    yield "a number for a cluster", lambda: Simulated(wrong(4)), "is 4", "must be a Cluster"
    yield "a network for a cluster", lambda: Vectorized(wrong(Hockney())), "Hockney", "must be a Cluster"


CASES = list(cases())


@pytest.mark.parametrize(("build", "value", "rule"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_bad_input_is_refused_with_value_rule_and_cure(build: Callable[[], object], value: str, rule: str) -> None:
    with pytest.raises(SpecificationError) as refused:
        build()
    told = str(refused.value)
    assert value in told and rule in told
    assert told.endswith((".", "?")) and "\n" not in told, "sentences"
    assert re.search(CURE, told), told


def test_the_neighbours_of_these_cases_are_fine() -> None:
    """What lies just on the other side of each rule runs."""
    for schedule, method in (
        (Complete(4), DPSGD()),
        (DirectedRing(4), DPSGD()),
        (UndirectedRing(4), ADPSGD()),
        (OnePeerExponential(4), OverlapSGP(delay=0)),
        (columns([0.9, 0, 0, 0.5], [0.1, 0.5, 0, 0], [0, 0.5, 0.5, 0], [0, 0, 0.5, 0.5]), SGP(Momentum(momentum=0.0))),
        (Switched(Complete(4), UndirectedRing(4), at=1000), DPSGD()),
    ):
        assert Simulated(Cluster(4)).run(built(schedule, method, budget=Steps(3))).outcome == "finished"
    path = nx.Graph([(0, 1), (1, 2), (2, 3)])
    assert Simulated(Cluster(4, graph=path)).run(built(budget=Steps(3))).outcome == "finished"
    assert LogisticRegression(6, SyntheticClassification(samples=6)).nodes == 6
