"""`theory mixing` on random matrices of every kind against plain loops: no traceback, no number that differs."""

from __future__ import annotations

import io
import json
import math
import warnings
from collections import Counter

import mixing_by_hand as by_hand
import networkx as nx
import numpy as np
import pytest
from rich.console import Console

from sgpsim.schedules.erdos_renyi import ErdosRenyiDigraph
from sgpsim.schedules.graph_schedule import GraphSchedule
from sgpsim.schedules.matrices import UncheckedMatrices
from sgpsim.schedules.one_peer_exponential import MPeerExponential, OnePeerExponential
from sgpsim.schedules.random_matching import RandomMatching
from sgpsim.schedules.random_peer import RandomPeer
from sgpsim.schedules.schedule import Schedule
from sgpsim.schedules.shares import Metropolis
from theory.mixing import Mixing, mixing
from theory.mixing_report import plain, show

KINDS = (
    "dense", "sparse", "float32", "float16", "decimals", "rows", "zero row", "zero column", "negative", "blocks",
    "permutations", "no own shares", "averaging", "stack", "schedule", "graph", "never repeats",
)  # fmt: skip


def drawn(seed: int) -> tuple[str, Schedule, int | None]:
    """The kind, the schedule, and how many rounds are asked for (None: the command's own choice)."""
    generator = np.random.default_rng(seed)
    kind = KINDS[seed % len(KINDS)]
    nodes = int(generator.choice([1, 2, 3, 4, 5, 7, 9]))
    rounds = None if generator.random() < 0.5 else int(generator.integers(2, 40))

    def columns(density: float, own: bool = True) -> np.ndarray:
        found = generator.random((nodes, nodes)) * (generator.random((nodes, nodes)) < density)
        if own:
            np.fill_diagonal(found, generator.uniform(0.1, 1, nodes))
        else:
            np.fill_diagonal(found, 0.0)
            found[(np.arange(nodes) + 1) % nodes, np.arange(nodes)] += 0.5
        return found / found.sum(axis=0)

    match kind:
        case "dense":
            matrices = [columns(1.0)]
        case "sparse" | "stack":
            matrices = [columns(generator.uniform(0, 0.6)) for _ in range(1 if kind == "sparse" else int(generator.integers(2, 5)))]
        case "float32" | "float16":
            matrices = [np.asarray(columns(0.7).astype(kind), dtype=np.float64) for _ in range(int(generator.integers(1, 3)))]
        case "decimals":
            matrices = [np.round(columns(1.0), int(generator.integers(2, 14)))]
        case "rows":
            matrices = [columns(0.6).T]
        case "zero row" | "zero column":
            matrices = [columns(0.8), columns(0.5)]
            matrices[0][(0, slice(None)) if kind == "zero row" else (slice(None), 0)] = 0.0
        case "negative":
            matrices = [columns(1.0)]
            matrices[0][0] -= 0.2
            matrices[0][-1] += 0.2
        case "blocks":
            matrices = [np.kron(np.eye(2), columns(0.8)) for _ in range(int(generator.integers(1, 3)))]
        case "permutations":
            matrices = [np.eye(nodes)[generator.permutation(nodes)] for _ in range(int(generator.integers(1, 4)))]
        case "no own shares":
            matrices = [columns(generator.uniform(0, 0.5), own=False) for _ in range(int(generator.integers(1, 3)))]
        case "averaging":
            column = columns(1.0)[:, :1]
            matrices = [np.eye(nodes), np.repeat(column, nodes, axis=1), columns(0.5)][: int(generator.integers(2, 4))]
            generator.shuffle(matrices)
        case "schedule":
            named = (OnePeerExponential(nodes), MPeerExponential(nodes + 1, 2 if nodes > 1 else 1), ErdosRenyiDigraph(nodes, 0.5, seed))
            return kind, named[int(generator.integers(3))], rounds
        case "graph":
            graph = nx.gnp_random_graph(nodes, generator.uniform(), seed=seed)
            return kind, GraphSchedule((graph,), Metropolis()), rounds
        case _:
            return kind, (RandomPeer(nodes, seed) if nodes > 1 and seed % 2 else RandomMatching(nodes + 1, seed)), rounds or 40
    return kind, UncheckedMatrices(tuple(np.asarray(matrix, dtype=np.float64) for matrix in matrices)), rounds


def compare(seed: int) -> tuple[str, Mixing]:
    kind, schedule, asked = drawn(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = mixing(schedule, f"{kind} {seed}", asked)
        show(found, Console(file=io.StringIO(), width=150))
        json.dumps(plain(found), allow_nan=False)
    repeats = schedule.period is not None
    rounds = [schedule.matrix(step).toarray() for step in range(schedule.period or found.rounds)]
    nodes, where = schedule.size, f"{kind}, seed {seed}"
    sums = np.array([matrix.sum(axis=0) for matrix in rounds])
    stochastic = bool((np.abs(sums - 1) <= 1e-12 * np.array([np.maximum(1, (m != 0).sum(axis=0)) for m in rounds])).all())
    nonnegative = all((matrix >= 0).all() for matrix in rounds)
    assert [one.passed for one in found.assumptions[:3]] == [
        nonnegative, stochastic, all((np.diag(matrix) > 0).all() for matrix in rounds)
    ], where  # fmt: skip
    assert found.window == by_hand.window(rounds, repeats), where
    assert found.row_sums == pytest.approx((min(m.sum(axis=1).min() for m in rounds), max(m.sum(axis=1).max() for m in rounds)), abs=1e-12)
    for length, value in enumerate(found.singular, start=1):
        expected = by_hand.second_singular_value(rounds, repeats, length)
        assert value == pytest.approx(expected, rel=1e-6, abs=1e-13 * max(1.0, np.abs(np.array(rounds)).max() ** length * nodes**2)), where
    if nonnegative and found.window is not None:
        assert found.time == by_hand.positivity_time(rounds, repeats, max(found.time_looked_at, found.time or 0)), where
        assert found.time is None or found.time_bound is None or found.time <= found.time_bound, where
    else:
        assert found.time is None, where
    if repeats and stochastic:
        assert found.spectral_gap is not None
        exact = found.exact is not None and found.exact[1] is not None
        assert found.spectral_gap == 1.0 if exact else found.spectral_gap == pytest.approx(by_hand.gap(rounds), abs=2e-5), where
    else:
        assert found.spectral_gap is None, where
    if not (nonnegative and stochastic):
        assert found.weights is None and found.contraction is None and found.profile is None and found.exact is None, where
        return kind, found
    mass = by_hand.weights(rounds, found.rounds)
    if found.weights is not None:
        assert found.weights == pytest.approx((mass.min(), mass.max()), rel=1e-10), where
    if found.contraction is not None:
        assert found.time is not None
        assert found.contraction.least == pytest.approx(by_hand.smallest_entry(rounds, repeats, found.time), rel=1e-9), where
        assert found.contraction.factor == pytest.approx(max(0.0, 1 - nodes * found.contraction.least), abs=1e-15)
    if found.profile is not None:
        longest = max(1, found.rounds // 2)
        looked_at = range(0, found.rounds - longest + 1, max(1, found.rounds // 60))
        for length in range(min(5, len(found.profile.norms))):
            seen = max(float(np.linalg.norm(by_hand.away(rounds, mass, start, length), 2)) for start in range(found.rounds - length + 1))
            assert found.profile.norms[length] == pytest.approx(seen, rel=1e-9, abs=1e-13), where
        assert found.profile.first >= sum(found.profile.norms[1:]) - 1e-12 and found.starts[0] == found.starts[1]
        assert found.exact is not None
        assert found.exact[0] == by_hand.exact_from(rounds, mass, 0, longest), where
        exact = [by_hand.exact_from(rounds, mass, start, longest) for start in looked_at]
        if found.exact[1] is None:
            assert None in exact, where
        else:
            assert None not in exact and max(one for one in exact if one is not None) <= found.exact[1], where
            every = [by_hand.exact_from(rounds, mass, start, longest) for start in range(min(len(rounds), found.rounds - longest + 1))]
            assert found.exact[1] >= max(one for one in every if one is not None), where
    return kind, found


def test_every_number_is_that_of_plain_loops() -> None:
    for seed in range(len(KINDS)):
        compare(seed)


@pytest.mark.slow
def test_every_number_is_that_of_plain_loops_in_many_cases() -> None:
    kinds = Counter(compare(seed)[0] for seed in range(100, 700))
    print(f"{kinds.total()} cases: {dict(kinds)}")
    assert kinds.total() == 600 and min(kinds.values()) > 30


def test_the_comparison_notices_a_wrong_number() -> None:
    """The control: each figure by hand differs from that of other rounds."""
    one, other = [np.array([[0.5, 0.2], [0.5, 0.8]])], [np.array([[0.5, 0.0], [0.5, 1.0]])]
    assert by_hand.gap(one) != pytest.approx(by_hand.gap(other), abs=2e-5)
    assert by_hand.window(other, True) is None and by_hand.positivity_time(other, True, 9) is None
    assert by_hand.second_singular_value(one, True, 1) != pytest.approx(by_hand.second_singular_value(other, True, 1))
    assert by_hand.exact_from(one, by_hand.weights(one, 20), 0, 9) is None
    halves = [np.full((2, 2), 0.5)]
    assert by_hand.exact_from(halves, by_hand.weights(halves, 20), 0, 9) == 1 and math.isclose(by_hand.gap(halves), 1.0)
