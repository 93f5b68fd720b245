"""The law suite: what every algorithm, schedule and objective must obey, for anyone to run on one of their own.

    from sgpsim.testing import check_algorithm, check_network, check_objective, check_schedule
    check_algorithm(MyMethod(), reference=recursion)     # AssertionError with a sentence, or nothing

The rule: laws are of three kinds. Probes know the answer beforehand: from an all-ones start and with zero gradients
every node must stay at 1, whatever is sent to whom and when. A reference, written apart from the method, says what runs
must go through; without one a warning says what could not be checked. Declarations (mass in flight, dependence on
timing, nodes in step, use of the schedule) are held against what runs do, in both directions. A network's wires are
asked pair by pair, and every backend that takes it must count the same seconds to the bit. Every class that the
catalogue finds is checked by sgpsim's own tests.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import warnings
from collections.abc import Iterator
from typing import Any

import networkx as nx
import numpy as np
import polars as pl
from numpy.typing import NDArray

from sgpsim.algorithms.algorithm import Algorithm
from sgpsim.algorithms.allreduce_sgd import AllReduceSGD
from sgpsim.algorithms.overlap_sgp import OverlapSGP
from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.events.simulated import Simulated
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.budget import Budget, Gradients, Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.compute_time import ConstantTime
from sgpsim.clusters.distributions import ExponentialTime
from sgpsim.clusters.hockney import Hockney
from sgpsim.clusters.network import Network, Wire
from sgpsim.clusters.stragglers import PersistentSlow
from sgpsim.descents.descent import Descent
from sgpsim.descents.momentum import Momentum
from sgpsim.descents.sgd import SGD
from sgpsim.descents.step_sizes import StepDecay
from sgpsim.errors import SpecificationError
from sgpsim.experiment import Experiment
from sgpsim.mass import Array
from sgpsim.objectives.laws import check_objective as check_objective
from sgpsim.objectives.objective import Constant, Constants, Objective
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.references import Expected as Expected
from sgpsim.references import Reference, require_as_expected
from sgpsim.results.run import Run
from sgpsim.schedules.bipartite_exponential import BipartiteExponential
from sgpsim.schedules.complete import Complete
from sgpsim.schedules.graph_schedule import GraphSchedule
from sgpsim.schedules.laws import check_schedule as check_schedule
from sgpsim.schedules.matrices import Matrices
from sgpsim.schedules.one_peer_exponential import OnePeerExponential
from sgpsim.schedules.schedule import Schedule
from sgpsim.schedules.shares import Metropolis
from sgpsim.specification.arguments import checked
from sgpsim.specification.ranges import Count, Nodes
from sgpsim.specification.specification import specification

NODES, STEPS = 4, 12
MESSAGE = 1e6
"""Bytes; on the networks below a message takes 0 or 0.7 seconds, where a gradient takes about one."""
SIZES = (0.0, 1.0, 1e3, MESSAGE, 1e9)
"""Bytes of the messages that a network's wires are asked about."""
DIRECTED = (
    ((0.5, 0.0, 0.25, 0.7), (0.5, 0.4, 0.0, 0.0), (0.0, 0.3, 0.75, 0.0), (0.0, 0.3, 0.0, 0.3)),
    ((0.2, 0.6, 0.0, 0.0), (0.0, 0.4, 0.5, 0.1), (0.8, 0.0, 0.3, 0.0), (0.0, 0.0, 0.2, 0.9)),
)
"""Two rounds whose columns sum to 1 and whose rows do not, so that weights differ from 1."""
TREE = ((0, 1), (1, 2), (1, 3), (3, 4))
"""An undirected graph of two colours, whose nodes have one to three neighbours."""


@checked
def uneven(nodes: int) -> Cluster:
    """Random compute times, one node three times slower, messages that take most of a gradient."""
    return Cluster(
        nodes, ExponentialTime(1.0), Hockney(0.1, MESSAGE / 0.6), stragglers=(PersistentSlow((nodes - 1,), 3.0),)
    )


@checked
def even(nodes: int) -> Cluster:
    """Equal and constant compute times, a network that costs nothing."""
    return Cluster(nodes, ConstantTime(1.0), Hockney())


@specification
class Still(Objective):
    """f_i = 0: every gradient is zero, so nothing may move. Its loss says how far a point is from 1: |x - 1|^2."""

    nodes: Nodes
    dimension: Count = 3

    def draws(self, node: int, generator: np.random.Generator) -> Iterator[NDArray[np.float64]]:
        while True:
            yield np.zeros(8)

    def gradients(self, nodes: NDArray[np.int64], points: Array, draws: NDArray[Any]) -> Array:
        return points * 0.0

    def loss(self, at: Array) -> Array:
        return ((np.asarray(at, dtype=np.float64) - 1.0) ** 2).sum(axis=-1)

    def full_gradient(self, at: Array) -> Array:
        return np.zeros_like(np.asarray(at, dtype=np.float64))

    def local_gradients(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.zeros_like(points)

    def constants(self) -> Constants:
        zero = Constant(0.0, "certified", "the functions are zero")
        return Constants(zero, zero, zero, zero, zero)


@checked
def ones(algorithm: Algorithm, schedule: Schedule, dtype: Any = "float64", budget: Budget | None = None) -> Experiment:
    """The probe: everybody starts at 1, and no gradient ever moves anybody."""
    budget = budget or Steps(STEPS)
    return Experiment(algorithm, Still(schedule.size), schedule, budget, start=1.0, message_bytes=MESSAGE, dtype=dtype)


@checked
def check_stays_at_one(run: Run) -> None:
    """The law of the probe, for a run of `ones` on any backend: every node is at 1 at the end, and was at every
    measurement."""
    name = f"{type(run.experiment.algorithm).__name__} on {type(run.experiment.schedule).__name__}, {run.backend}"
    slack = 64 * float(np.finfo(run.experiment.dtype).eps)
    assert run.outcome == "finished", f"{name} {run.outcome}: {'; '.join(run.remarks)}"
    away = np.abs(run.final.points - 1.0).max()
    assert away <= slack, f"{name}: a node ended {away:.3g} away from 1; it must stay there"
    for metric in ("loss", "consensus_max"):
        worst = float(run.curve(metric)["value"].max())  # pyright: ignore[reportArgumentType]
        assert worst <= slack, f"{name}: in between, {metric} was {worst:.3g}; without gradients it must stay 0"


@checked
def carrier(algorithm: Algorithm, nodes: int = NODES) -> Schedule:
    """A small schedule that carries `algorithm`."""
    for schedule in (OnePeerExponential(nodes), BipartiteExponential(nodes)):
        try:
            algorithm.check(schedule)
        except SpecificationError:
            continue
        return schedule
    raise AssertionError(
        f"{type(algorithm).__name__} refuses OnePeerExponential and BipartiteExponential; give a schedule"
    )


@checked
def check_algorithm(
    algorithm: Algorithm, schedule: Schedule | None = None, fleet: bool = True, reference: Reference | None = None
) -> None:
    """All laws of algorithms, on `schedule` (a small one that carries it by default), the probe and the reference also
    on an irregular one that the method's `check` lets pass. Raises AssertionError with a sentence, and MassLeak where
    the mass monitor stops a run.

    fleet: whether the text must run on arrays of all nodes too, as what acts on each number alone, or with axis=-1,
    does; False for one that asks its rank or takes decisions of its own. reference: what `check_reference` holds the
    method against; without one a warning says what could not be checked.
    """
    schedule = schedule or carrier(algorithm)
    name = type(algorithm).__name__
    assert algorithm.source.strip(), f"{name}: `source` must say where the method is from"
    assert hash(algorithm) == hash(algorithm) and algorithm == algorithm, (
        f"{name}: a method is a value, with equality and hash"
    )
    if reference is None:
        warnings.warn(
            f"check_algorithm({name}) has no reference, so it cannot check that gradients are taken and steps made at"
            " the right point (x or z = x / w), with the right step size and shares: a wrong one that keeps mass passes."
            " Give reference=, a function (experiment, seed, steps) -> Expected written apart from the method.",
            stacklevel=3,  # past what checks the arguments
        )
    else:
        check_reference(algorithm, reference, schedule, fleet)
    if fleet:
        check_fleet(algorithm, schedule)
    for where in _schedules(algorithm, schedule):
        check_ones(algorithm, where, fleet)
    check_declarations(algorithm, schedule)
    check_machines_agree(algorithm, schedule, fleet)


@checked
def check_reference(
    algorithm: Algorithm, reference: Reference, schedule: Schedule | None = None, fleet: bool = True
) -> None:
    """Every run of the method is what `reference` says of it, to rounding: on `schedule` and on an irregular one that the
    method's `check` lets pass, and there also with SGD and momentum whose step size falls; from unequal starts, with
    noise; on the event clock and (`fleet`) on the array program where that takes it.

    reference: (experiment, seed, steps) -> Expected, float64, where the objective is a `Quadratic` (gradients are H_i (x
    - b_i) + noise / sqrt(dimension) * N(0, I), drawn one after another from stream(seed, "gradient", node)); a method
    that depends on timing has the run's trace as a fourth argument. Where nodes do not keep step, runs of 1, 2, 3 and
    12 steps are compared at their end. Monitors are off: mass that is lost is the reference's to find, too.
    Raises AssertionError with method, schedule, backend, step and node.
    """
    schedules = _schedules(algorithm, schedule or carrier(algorithm))
    cases = [(algorithm, where) for where in schedules]
    cases += [(other, schedules[-1]) for other in _with_other_descents(algorithm)]
    seeds = (5,) if algorithm.depends_on_timing or not algorithm.in_step else (5, 11)
    for method, where in cases:
        for steps in (STEPS,) if algorithm.in_step else (1, 2, 3, STEPS):
            experiment = _task(method, where, Steps(steps), seeds=seeds)
            simulated = Simulated(uneven(where.size), "off", keep_trajectory=algorithm.in_step)
            require_as_expected(simulated.run(experiment), reference, steps)
            vectorized = Vectorized(even(where.size), "off", keep_trajectory=True)
            if fleet and _takes(vectorized, experiment):
                require_as_expected(vectorized.run(experiment), reference, steps)


def _schedules(algorithm: Algorithm, given: Schedule) -> list[Schedule]:
    """The given schedule, and an irregular one that carries the method, if one does."""
    directed = Matrices(tuple(np.array(matrix) for matrix in DIRECTED))
    for irregular in (directed, GraphSchedule((nx.Graph(TREE),), Metropolis())):
        with contextlib.suppress(SpecificationError):
            algorithm.check(irregular)
            return [given, irregular]
    return [given]


def _with_other_descents(algorithm: Algorithm) -> Iterator[Algorithm]:
    """The method with descents by which a stale step size or state shows."""
    if not dataclasses.is_dataclass(algorithm):
        return
    names = [field.name for field in dataclasses.fields(algorithm) if isinstance(getattr(algorithm, field.name), Descent)]
    falling = StepDecay(0.2, tuple(range(1, STEPS)), 0.9)
    for descent in (SGD(falling), Momentum(falling, 0.5)) if names else ():
        with contextlib.suppress(SpecificationError, TypeError):  # a method may be made for one descent
            yield dataclasses.replace(algorithm, **dict.fromkeys(names, descent))


@checked
def check_fleet(algorithm: Algorithm, schedule: Schedule) -> None:
    """What neither depends on timing nor leaves the common step is one text for all nodes at once: `Vectorized` runs
    it."""
    if algorithm.depends_on_timing or not algorithm.in_step:
        return
    try:
        Vectorized(even(schedule.size), monitor="off").run(_task(algorithm, schedule, Steps(STEPS)))
    except SpecificationError as refusal:
        raise AssertionError(f"{refusal} If it is meant so: check_algorithm(..., fleet=False).") from None


@checked
def check_ones(algorithm: Algorithm, schedule: Schedule, fleet: bool = True) -> None:
    """The probe on both clocks, both machines and both types; messages late and in time. The mass monitor is on."""
    for dtype in ("float64", "float32"):
        experiment = ones(algorithm, schedule, dtype)
        for cluster in (even(schedule.size), uneven(schedule.size)):
            for run in _runs(experiment, cluster, fleet):
                check_stays_at_one(run)


@checked
def check_declarations(algorithm: Algorithm, schedule: Schedule) -> None:
    """What a method declares is what its runs do."""
    name, nodes = type(algorithm).__name__, schedule.size
    budget = Steps(STEPS) if algorithm.in_step else Gradients(STEPS * nodes)
    experiment = _task(algorithm, schedule, budget)
    calm, rough = (Simulated(cluster).run(experiment) for cluster in (even(nodes), uneven(nodes)))
    assert calm.outcome == rough.outcome == "finished", f"{name}: {'; '.join(calm.remarks + rough.remarks)}"
    same = np.array_equal(calm.final.values, rough.final.values)
    found = "the same" if same else "others"
    assert algorithm.depends_on_timing != same, (
        f"{name}: depends_on_timing is {algorithm.depends_on_timing}, but on machines of other speeds the numbers are"
        f" {found}"
    )
    assert rough.trace is not None
    if nodes > 1:
        sends = len(rough.trace.messages) > 0
        assert algorithm.uses_schedule == sends, (
            f"{name}: uses_schedule is {algorithm.uses_schedule}, but messages were {'' if sends else 'not '}sent."
            f" Let the property return {sends}, as that of {'SGP' if sends else 'AllReduceSGD'} does"
        )
    taken = rough.trace.spans.filter(pl.col("lane") == "compute").group_by("node").len()["len"]
    equal = taken.n_unique() <= 1
    if algorithm.in_step:
        assert equal, f"{name}: in_step is True, but nodes took {sorted(taken.to_list())} gradients"
    elif nodes > 1:
        assert not equal, f"{name}: in_step is False, but a node three times slower took as many gradients as others"
    if algorithm.in_step and nodes > 1:
        kept = Simulated(uneven(nodes), keep_trajectory=True).run(experiment).trajectory
        flying = kept is not None and bool(np.any(kept.flight_weights))
        found = "" if flying else "never "
        assert algorithm.leaves_in_flight == flying, (
            f"{name}: leaves_in_flight is {algorithm.leaves_in_flight}, but between steps mass was {found}under way"
        )


@checked
def check_machines_agree(algorithm: Algorithm, schedule: Schedule, fleet: bool = True) -> None:
    """The same numbers and times to the bit, run twice on the event clock, and on the array program where it takes the
    method."""
    name = type(algorithm).__name__
    for dtype in ("float64", "float32"):
        experiment = _task(algorithm, schedule, Steps(STEPS), dtype)
        runs = [*_runs(experiment, uneven(schedule.size), fleet), Simulated(uneven(schedule.size)).run(experiment)]
        for run in runs[1:]:
            for part in ("values", "weights", "clocks"):
                same = np.array_equal(getattr(run.final, part), getattr(runs[0].final, part))
                assert same, f"{name} ({dtype}): final {part} differ between {runs[0].backend} and {run.backend}"


@checked
def check_network(network: Network, nodes: int = NODES, graph: nx.Graph | None = None) -> None:
    """All laws of networks, among `nodes` machines on `graph` (None: one full switch). Raises AssertionError with a
    sentence."""
    cluster = Cluster(nodes, ExponentialTime(1.0), network, graph=graph)
    check_wires(cluster)
    for method in (SGP(), OverlapSGP(delay=2), AllReduceSGD()):
        for schedule in (OnePeerExponential(nodes), Complete(nodes)):
            check_seconds_agree(_task(method, schedule, Steps(STEPS)), cluster)


@checked
def check_wires(cluster: Cluster) -> None:
    """Wires are functions of sender, receiver and size, cost finite seconds of at least 0, keep every pair's messages in
    order whatever their sizes, and are all one wire where the network calls itself uniform."""
    name = type(cluster.network).__name__
    again = Cluster(cluster.nodes, network=cluster.network, graph=cluster.graph)
    first: dict[float, Wire] = {}
    for sender, receiver in itertools.permutations(range(cluster.nodes), 2):
        pair = f"{name}: from node {sender} to node {receiver}"
        try:
            wires = {size: cluster.wire(sender, receiver, size) for size in SIZES}
        except SpecificationError as error:
            assert "must be finite" not in str(error), f"{pair}: {error}"
            raise
        for size, wire in wires.items():
            for asked in (cluster, again):
                assert asked.wire(sender, receiver, size) == wire, (
                    f"{pair} {size:g} bytes take {wire} once, and {asked.wire(sender, receiver, size)} when asked again"
                )
            if cluster.uniform:
                assert first.setdefault(size, wire) == wire, (
                    f"{pair} {size:g} bytes take {wire} and elsewhere {first[size]}, but `uniform` is True"
                )
        for before, after in itertools.product(wires, repeat=2):
            assert sum(wires[after]) >= wires[before].latency, (
                f"{pair} a message of {after:g} bytes overtakes an earlier one of {before:g} bytes"
            )


@checked
def check_seconds_agree(experiment: Experiment, cluster: Cluster) -> None:
    """The same clocks and messages to the bit on every backend that takes experiment and cluster, in order per pair; a
    backend that does not must refuse with SpecificationError."""
    name = f"{type(cluster.network).__name__} under {type(experiment.algorithm).__name__}"
    runs: list[Run] = []
    for backend in (Simulated(cluster), Vectorized(cluster, trace=True)):
        try:
            runs.append(backend.run(experiment))
        except SpecificationError:
            continue
    for run in runs:
        assert run.trace is not None
        columns = ["sender", "receiver", "begin", "end", "arrival"]
        messages = run.trace.messages.sort("sender", "receiver", "step")
        for _, pair in messages.group_by("sender", "receiver"):
            late = pair.filter(pl.col("arrival").diff() < 0)
            assert late.is_empty(), f"{name} on {run.backend}: a message overtakes an earlier one: {late.row(0)}"
        known = runs[0].trace
        assert known is not None
        assert messages.select(columns).equals(known.messages.sort("sender", "receiver", "step").select(columns)), (
            f"{name}: messages leave or arrive at other instants on {runs[0].backend} than on {run.backend}"
        )
        clocks, others = runs[0].final.clocks, run.final.clocks
        assert np.array_equal(clocks, others), (
            f"{name}: the last clock is {clocks.max()} s on {runs[0].backend} and {others.max()} s on {run.backend}"
        )


def _task(
    algorithm: Algorithm, schedule: Schedule, budget: Budget, dtype: Any = "float64", seeds: tuple[int, ...] = (5,)
) -> Experiment:
    """A noisy quadratic with unlike nodes, from unlike starts: whatever can show in numbers shows."""
    objective = Quadratic(schedule.size, 3, unequal=True, seed=1)
    start = tuple(tuple(float(node - 2 * number) for number in range(3)) for node in range(schedule.size))
    return Experiment(algorithm, objective, schedule, budget, seeds, start, MESSAGE, dtype=dtype)


def _takes(backend: Vectorized, experiment: Experiment) -> bool:
    """Whether the array program takes the experiment."""
    try:
        backend.check(experiment)
    except SpecificationError:
        return False
    return True


def _runs(experiment: Experiment, cluster: Cluster, fleet: bool) -> Iterator[Run]:
    """The experiment on the event clock, and (`fleet`) on the array program where that takes it."""
    yield Simulated(cluster).run(experiment)
    if fleet and _takes(Vectorized(cluster), experiment):
        yield Vectorized(cluster, check_every=1).run(experiment)
