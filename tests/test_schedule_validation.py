"""Validation: every rule has a schedule that breaks it, and what is valid passes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import networkx as nx
import numpy as np
import pytest

from sgpsim.algorithms.carriers import require_averaging, require_undirected
from sgpsim.errors import SpecificationError
from sgpsim.schedules.bipartite_exponential import BipartiteExponential
from sgpsim.schedules.complete import Complete
from sgpsim.schedules.graph_schedule import GraphSchedule
from sgpsim.schedules.matrices import Matrices, UncheckedMatrices
from sgpsim.schedules.one_peer_exponential import OnePeerExponential
from sgpsim.schedules.periodic import Periodic
from sgpsim.schedules.precision import rounded_to
from sgpsim.schedules.random_matching import RandomMatching
from sgpsim.schedules.rotating_star import RotatingStar
from sgpsim.schedules.schedule import Schedule
from sgpsim.schedules.switched import Switched
from sgpsim.schedules.validation import require_valid


def name(schedule: Schedule) -> str:
    return f"{type(schedule).__name__}-{schedule.size}"


HALVES = [[0.5, 0.0, 0.5], [0.5, 0.5, 0.0], [0.0, 0.5, 0.5]]


def altered(*changes: tuple[int, int, float]) -> Matrices:
    """A directed ring of three at step 0, and at step 1 with some entries (row, column, value) changed."""
    matrix = np.array(HALVES)
    for row, column, value in changes:
        matrix[row, column] = value
    return Matrices((np.array(HALVES), matrix))


def path_then(schedule: Schedule) -> Schedule:
    return Switched(GraphSchedule(nx.path_graph(schedule.size, nx.DiGraph)), schedule, at=5)


@dataclass(frozen=True)
class Beyond(Schedule):
    """A ring that forgot to close."""

    size: int

    @property
    def period(self) -> int:
        return 1

    def shares(self, sender: int, step: int) -> Mapping[int, float]:
        return {sender: 0.5, sender + 1: 0.5}


@pytest.mark.parametrize(
    ("schedule", "sentence"),
    [
        (
            altered((1, 0, 0.4)),
            "SGP on Matrices.* step 1 node 0 gives away shares that sum to 0.9; they must sum to 1.*Divide column 0",
        ),
        (altered((1, 0, 0.5 + 1e-9)), "sum to 1.000000001"),
        (
            altered((0, 0, 1.5), (1, 0, -0.5)),
            "step 1 node 0 gives node 1 the share -0.5; shares must be finite and not negative",
        ),
        (altered((0, 0, 0.0), (1, 0, 1.0)), "step 1 node 0 keeps no share.*Put a share above 0 in row 0, column 0"),
        (Matrices(RotatingStar(4).matrix(0).toarray().T), "sum to 1.75.*transpose P if its rows sum to 1"),  # pyright: ignore[reportArgumentType]
        (Beyond(4), r"sends from 3 to 4; receivers must lie in 0\.\.3"),
        (
            GraphSchedule(nx.path_graph(4, nx.DiGraph)),
            "within steps 0 to 0 nothing gets from node 1 to node 0.*strongly connected",
        ),
        (GraphSchedule(nx.empty_graph(2)), "from node 0 to node 1"),
        (
            GraphSchedule((nx.Graph([(0, 1), (2, 3)]), nx.Graph([(2, 3), (1, 0)]))),
            "within steps 0 to 1 nothing gets from node 0 to node 2",
        ),
        (path_then(GraphSchedule(nx.path_graph(4, nx.DiGraph))), "within steps 5 to 5"),
        (Switched(altered((1, 0, 0.4)), Complete(3), at=9), "step 1 node 0"),
        (Switched(Complete(3), altered((1, 0, 0.4)), at=9), "step 10 node 0"),
        (Periodic((Complete(3), altered((1, 0, 0.4)))), "step 3 node 0"),
        (Switched(RandomMatching(4), GraphSchedule(nx.empty_graph(4)), at=9), "from node 0 to node 1"),
    ],
)
def test_validation_refuses(schedule: Schedule, sentence: str) -> None:
    with pytest.raises(SpecificationError, match=sentence):
        require_valid(schedule, "SGP")


@dataclass(frozen=True)
class Parted(Schedule):
    """Never repeats, says so, and never crosses from one half to the other."""

    size: int

    @property
    def period(self) -> None:
        return None

    def shares(self, sender: int, step: int) -> Mapping[int, float]:
        return {sender: 0.5, sender ^ 1: 0.5}


def test_validation_gives_up_on_a_schedule_that_never_repeats_after_a_window() -> None:
    with pytest.raises(SpecificationError, match="within steps 0 to 71 nothing gets from node 0 to node 2"):
        require_valid(Parted(4))


def test_validation_accepts_what_only_a_whole_period_connects() -> None:
    one_arc_each = [nx.DiGraph([(sender, (sender + 1) % 6)]) for sender in range(6)]
    for graph in one_arc_each:
        graph.add_nodes_from(range(6))
    require_valid(GraphSchedule(tuple(one_arc_each)))
    with pytest.raises(SpecificationError, match="strongly connected"):
        require_valid(GraphSchedule(tuple(one_arc_each[:5])))
    require_valid(path_then(Complete(4)))
    require_valid(altered((1, 0, 0.5 + 1e-14)))


@pytest.mark.parametrize(
    "schedule", [OnePeerExponential(1024), RandomMatching(1024), BipartiteExponential(1024), Complete(256)], ids=name
)
def test_validation_of_many_nodes(schedule: Schedule) -> None:
    require_valid(schedule)


@pytest.mark.slow
def test_a_hundred_thousand_nodes_are_compiled_and_looked_at_in_seconds() -> None:
    began = time.process_time()
    require_valid(OnePeerExponential(100_000))
    assert time.process_time() - began < 60


def test_unchecked_matrices_pass_and_so_does_whatever_holds_them() -> None:
    row_stochastic = UncheckedMatrices(RotatingStar(4).matrix(0).toarray().T)  # pyright: ignore[reportArgumentType]
    for schedule in (row_stochastic, Periodic((Complete(4), row_stochastic)), Switched(row_stochastic, Complete(4), 2)):
        assert not schedule.checked
        require_valid(schedule)
    with pytest.raises(SpecificationError):
        require_valid(Matrices(row_stochastic.matrices))


def doubly_stochastic(nodes: int, symmetric: bool, own: bool) -> np.ndarray:
    """Random shares whose rows and columns sum to 1 to the last bits; without own shares the diagonal is 0."""
    matrix = np.random.default_rng(nodes).uniform(0.1, 1.0, (nodes, nodes))
    matrix = (matrix + matrix.T) / 2 if symmetric else matrix
    if not own:
        np.fill_diagonal(matrix, 0.0)
    for _ in range(2000):
        matrix = matrix / matrix.sum(axis=1, keepdims=True)
        matrix = matrix / matrix.sum(axis=0)
    return (matrix + matrix.T) / 2 if symmetric else matrix


def followed(cure: str, matrix: np.ndarray) -> np.ndarray:
    """The matrix after the Python that a message ends with, run as it stands."""
    held = {"P": matrix.astype(np.float64), "np": np}
    if "for _ in" in cure:
        exec(cure[cure.index("for _ in") :], held)
        return held["P"]
    return eval(cure.rpartition("float64: ")[2], held)


@pytest.mark.parametrize("nodes", [3, 5, 9, 24])
@pytest.mark.parametrize("rounded", [lambda p: p.astype(np.float32), lambda p: np.round(p, 7), lambda p: np.round(p, 4)])
@pytest.mark.parametrize("kind", ["symmetric", "symmetric without own shares", "doubly stochastic", "column stochastic"])
def test_the_cure_for_rounded_matrices_works_when_followed(nodes: int, kind: str, rounded: Callable[[np.ndarray], np.ndarray]) -> None:
    own, symmetric = "without" not in kind, "symmetric" in kind
    nodes = nodes if own else nodes + 4  # few nodes without own shares leave no freedom
    if kind == "column stochastic":
        matrix = np.random.default_rng(nodes).random((nodes, nodes))
        matrix /= matrix.sum(axis=0)
    else:
        matrix = doubly_stochastic(nodes, symmetric, own)
    given = rounded(matrix)
    with pytest.raises(SpecificationError, match="all shares look rounded to") as refused:
        require_valid(Matrices((given,)), own_shares=own)
    cured = followed(str(refused.value), given)
    require_valid(Matrices((cured,)), own_shares=own)
    assert np.abs(cured - matrix).max() < 50 * np.abs(given - matrix).max()
    if kind == "column stochastic":
        return
    require_averaging("DPSGD", Matrices((cured,)))
    if symmetric:
        require_undirected("AD-PSGD", Matrices((cured,)))
    wide = given.astype(np.float64)
    if np.abs(wide.sum(axis=0) - wide.sum(axis=0)[0]).max() > 1e-11:  # control: dividing columns alone spoils the rows
        with pytest.raises(SpecificationError, match="is given shares that sum to"):
            require_averaging("DPSGD", Matrices((wide / wide.sum(axis=0),)))


def test_shares_beyond_all_measure_look_like_no_rounding() -> None:
    assert rounded_to(np.array([1e300, 1e300]), 1e-3, 2) is None
    assert rounded_to(np.array([0.33, 0.33, 0.33]), math.inf, 3) is None
    assert rounded_to(np.array([0.33, 0.33, 0.33]), 0.01, 3) == "2 decimals"  # control
