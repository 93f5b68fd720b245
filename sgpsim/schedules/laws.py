"""Laws: what holds for every schedule, as checks that anyone can run on a schedule of their own.

The rule: each law is one assertion that ends in one sentence; a schedule that passes can be used by every algorithm on
every backend. Laws that only valid schedules obey (shares sum to 1, each node keeps one) are left out where the
schedule says that it is not `checked`.
"""

from __future__ import annotations

import importlib
import inspect
import math
import pkgutil
from collections.abc import Callable, Iterator

import networkx as nx
import numpy as np

import sgpsim.schedules
from sgpsim.errors import SpecificationError
from sgpsim.schedules.complete import Complete
from sgpsim.schedules.erdos_renyi import ErdosRenyiDigraph
from sgpsim.schedules.graph_file import GraphFile
from sgpsim.schedules.graph_schedule import GraphSchedule
from sgpsim.schedules.matrices import Matrices, UncheckedMatrices
from sgpsim.schedules.matrix_file import MatrixFile
from sgpsim.schedules.one_peer_exponential import OnePeerExponential
from sgpsim.schedules.periodic import Periodic
from sgpsim.schedules.random_regular import RandomRegular
from sgpsim.schedules.rotating_star import RotatingStar
from sgpsim.schedules.schedule import Schedule
from sgpsim.schedules.switched import Switched
from sgpsim.schedules.torus import Torus
from sgpsim.specification.arguments import checked
from sgpsim.specification.ranges import Whole

MOST_STEPS = 24
"""Steps looked at unless told otherwise."""


@checked
def check_schedule(schedule: Schedule, steps: Whole | None = None) -> None:
    """Raise AssertionError, with a sentence that names the schedule and the step, unless all laws hold for the first
    `steps` steps.

    Steps one and two periods later are looked at too, so a period that is none is found.
    """
    name = f"{type(schedule).__name__}(size={schedule.size})"
    assert schedule.size >= 1, f"{name}: a schedule has at least one node"
    assert hash(schedule) == hash(schedule) and schedule == schedule, (
        f"{name}: a schedule is a value, with equality and hash"
    )
    period = schedule.period
    assert period is None or period >= 1, f"{name}: period is {period}, it must be None or at least 1"
    for step in range(MOST_STEPS if steps is None else steps):
        _check_shares(name, schedule, step)
        _check_phase(name, schedule, step)
        _check_round(name, schedule, step)
        _check_graph(name, schedule, step)


def _everything(schedule: Schedule, step: int) -> list[list[tuple[int, float]]]:
    return [list(schedule.shares(sender, step).items()) for sender in range(schedule.size)]


def _check_shares(name: str, schedule: Schedule, step: int) -> None:
    assert _everything(schedule, step) == _everything(schedule, step), (
        f"{name}: asked twice for step {step}, shares differ"
    )
    for sender in range(schedule.size):
        shares = schedule.shares(sender, step)
        where = f"{name}, step {step}, sender {sender}"
        assert all(receiver in range(schedule.size) for receiver in shares), (
            f"{where}: receivers must lie in 0..{schedule.size - 1}"
        )
        assert all(math.isfinite(share) for share in shares.values()), f"{where}: shares must be finite"
        if schedule.checked:
            assert shares.get(sender, 0.0) > 0.0, f"{where}: a node must keep a share of its own"
            assert all(share > 0.0 for share in shares.values()), f"{where}: shares must be above 0"
            total = math.fsum(shares.values())
            assert abs(total - 1.0) <= 1e-12 * len(shares), f"{where}: shares sum to {total!r}, not to 1"


def _check_phase(name: str, schedule: Schedule, step: int) -> None:
    phase, period = schedule.phase(step), schedule.period
    assert 0 <= phase <= step, f"{name}: phase({step}) is {phase}, it must be an earlier step or the same"
    assert schedule.phase(phase) == phase, (
        f"{name}: phase({phase}) is {schedule.phase(phase)}, but {phase} is a phase itself"
    )
    assert _everything(schedule, phase) == _everything(schedule, step), (
        f"{name}: step {step} has phase {phase}, but other shares"
    )
    if period is not None:
        assert phase < period, f"{name}: phase({step}) is {phase}, beyond the period {period}"
        for later in (step + period, step + 2 * period):
            assert _everything(schedule, later) == _everything(schedule, step), (
                f"{name}: steps {step} and {later} differ; period {period} is none"
            )
            assert schedule.phase(later) == phase, (
                f"{name}: phases of steps {step} and {later} differ, though the period is {period}"
            )


def _check_round(name: str, schedule: Schedule, step: int) -> None:
    where, size = f"{name}, step {step}", schedule.size
    dense = np.zeros((size, size))
    senders: list[list[int]] = [[] for _ in range(size)]
    found = schedule.round(step)
    for sender in range(size):
        shares = schedule.shares(sender, step)
        assert found.kept[sender] == shares.get(sender, 0.0), (
            f"{where}: the round's own share of {sender} differs from `shares`"
        )
        sent = [(receiver, share) for receiver, share in shares.items() if receiver != sender]
        assert list(found.pushes[sender]) == sent, (
            f"{where}: the round's pushes of {sender} differ from `shares`, or their order does"
        )
        for receiver, share in shares.items():
            dense[receiver, sender] = share
            if receiver != sender:
                senders[receiver].append(sender)
    for receiver in range(size):
        assert schedule.senders(receiver, step) == tuple(sorted(senders[receiver])), (
            f"{where}: senders to {receiver} must be ascending, itself left out"
        )
        assert found.senders[receiver] == schedule.senders(receiver, step), (
            f"{where}: round and schedule differ in who sends to {receiver}"
        )
    matrix = schedule.matrix(step)
    assert np.array_equal(matrix.toarray(), dense), f"{where}: the matrix differs from the shares it is made of"
    assert np.array_equal(found.arriving.toarray(), dense - np.diag(np.diag(dense))), (
        f"{where}: `arriving` is not the matrix without diagonal"
    )
    for receiver in range(size):
        row = matrix.indices[matrix.indptr[receiver] : matrix.indptr[receiver + 1]].tolist()
        assert row == [receiver, *sorted(senders[receiver])], (
            f"{where}: row {receiver} must store its own share first, then ascending senders"
        )


def _check_graph(name: str, schedule: Schedule, step: int) -> None:
    graph = schedule.graph(step)
    assert graph.is_directed() and not graph.is_multigraph(), f"{name}: graph({step}) must be a DiGraph"
    assert set(graph) == set(range(schedule.size)), f"{name}: the nodes of graph({step}) must be 0..{schedule.size - 1}"
    arcs = {
        (sender, receiver): share
        for sender in range(schedule.size)
        for receiver, share in schedule.shares(sender, step).items()
    }
    assert {(one, other): share for one, other, share in graph.edges(data="share")} == arcs, (
        f"{name}: graph({step}) differs from the shares"
    )


def schedule_classes() -> Iterator[type[Schedule]]:
    """Every concrete schedule in this folder, by walking it, in the order of their names."""
    found: dict[str, type[Schedule]] = {}
    for module in pkgutil.iter_modules(sgpsim.schedules.__path__, "sgpsim.schedules."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if inspect.isclass(value) and issubclass(value, Schedule) and not inspect.isabstract(value):
                found[name] = value
    yield from (found[name] for name in sorted(found))


EXAMPLES: dict[type[Schedule], Callable[[int], Schedule] | None] = {
    ErdosRenyiDigraph: lambda size: ErdosRenyiDigraph(size, probability=0.5),
    GraphFile: None,
    GraphSchedule: lambda size: GraphSchedule((nx.path_graph(size), nx.cycle_graph(size, nx.DiGraph))),
    MatrixFile: None,
    Matrices: lambda size: Matrices(tuple(RotatingStar(size).matrix(step).toarray() for step in range(3))),
    Periodic: lambda size: Periodic((OnePeerExponential(size), RotatingStar(size), Complete(size)), each=2),
    RandomRegular: lambda size: RandomRegular(size, degree=2 + (size + 1) % 2),
    Switched: lambda size: Switched(Complete(size), OnePeerExponential(size), at=3),
    Torus: lambda size: Torus(size, rows=2),
    UncheckedMatrices: lambda size: UncheckedMatrices((RotatingStar(size).matrix(0).toarray().T,)),
}
"""How to make an example where more than the size must be given; None: only a file makes one. Every other class is made
from its size alone."""


def examples(size: int) -> Iterator[Schedule]:
    """One schedule of `size` nodes of every class here that exists at this size (half of all sizes have no bipartite
    matchings, say)."""
    for kind in schedule_classes():
        make = EXAMPLES.get(kind, kind)
        if make is not None:
            try:
                yield make(size)
            except SpecificationError:
                continue
