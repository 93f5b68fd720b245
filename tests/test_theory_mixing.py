"""`python -m theory mixing`: what it finds, what it prints, and how it ends."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse

from sgpsim.schedules.erdos_renyi import ErdosRenyiDigraph
from sgpsim.schedules.matrices import UncheckedMatrices
from sgpsim.schedules.one_peer_exponential import OnePeerExponential
from sgpsim.schedules.random_peer import CyclingPeer, RandomPeer
from sgpsim.schedules.ring import DirectedRing, UndirectedRing
from theory.__main__ import main
from theory.mixing import mixing

GOOD = np.array([[0.5, 0.0, 0.3], [0.5, 0.6, 0.0], [0.0, 0.4, 0.7]])


def saved(folder: Path, array: np.ndarray, name: str = "matrix.npy") -> str:
    path = folder / name
    np.save(path, array)
    return str(path)


def asked(*arguments: str) -> int:
    return main(["mixing", *arguments])


# -- what it finds -----------------------------------------------------------------------------------------------------


def test_one_peer_exponential() -> None:
    found = mixing(OnePeerExponential(16), "n = 16")
    assert found.passed and found.doubly_stochastic and found.window == 4 and found.period == 4
    assert found.contraction is not None and found.contraction.time == 4 and found.contraction.factor == 0
    assert found.profile is not None and found.profile.exact_after == 4
    assert (found.profile.first, found.profile.second) == pytest.approx((3.0, 4.0))
    assert found.singular[:4] == pytest.approx([1, 1, 1, 0], abs=1e-7)
    assert found.spectral_gap == pytest.approx(1.0)
    status = {application.claim: application.status for application in found.applications}
    assert status["one-peer exact averaging"] == "applies" and status["kernel contraction"] == "applies"
    assert status["D1"] == "needs" and status["profile sums"] == "fails" and status["static exponential gap"] == "fails"


def test_irregular_digraph_has_weights_away_from_one() -> None:
    found = mixing(ErdosRenyiDigraph(8, 0.3), "irregular")
    assert found.passed and not found.doubly_stochastic
    assert found.weights is not None and found.weight_bound is not None and found.contraction is not None
    assert found.weight_bound <= found.weights[0] < 1 < found.weights[1]
    assert found.profile is not None and found.profile.exact_after is None
    assert found.time_bound is not None and found.contraction.time <= found.time_bound


@pytest.mark.parametrize("nodes", [4, 7, 12])
def test_rings_have_the_gap_of_the_textbook(nodes: int) -> None:
    directed = mixing(DirectedRing(nodes), "ring").spectral_gap
    assert directed == pytest.approx(1 - np.cos(np.pi / nodes))
    undirected = mixing(UndirectedRing(nodes), "ring").spectral_gap
    assert undirected == pytest.approx(1 - abs(1 + 2 * np.cos(2 * np.pi / nodes)) / 3, abs=1e-9)


def test_both_singular_values_of_five_rounds_at_32_nodes() -> None:
    """The paper's appendix lists squares: 0 for the deterministic exponential graph, about 0.6 for cycling over all hops."""
    assert mixing(OnePeerExponential(32), "exponential", 40).singular[4] == pytest.approx(0.0, abs=1e-7)
    cycling = UncheckedMatrices(tuple(CyclingPeer(32).matrix(step).toarray() for step in range(5)))
    value = np.linalg.svd(np.linalg.multi_dot([cycling.matrix(step).toarray() for step in range(4, -1, -1)]))[1][1]
    assert (value, value**2) == pytest.approx((0.761, 0.58), abs=2e-3)


def test_a_schedule_that_never_repeats_is_looked_at_for_some_rounds() -> None:
    found = mixing(RandomPeer(6), "random", 80)
    assert found.period is None and found.rounds == 80 and found.spectral_gap is None and found.passed


def test_one_node_averages_with_itself() -> None:
    found = mixing(OnePeerExponential(1), "alone")
    assert found.passed and found.profile is not None and found.profile.exact_after == 0


# -- how it ends -------------------------------------------------------------------------------------------------------


def test_a_good_schedule_and_a_good_matrix_end_with_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert asked("one-peer-exponential", "--size", "8") == 0
    assert asked("ErdosRenyiDigraph", "--size", "6", "--with", "probability=0.5", "--with", "seed=2") == 0
    assert asked("--matrix", saved(tmp_path, GOOD)) == 0
    assert asked("--matrix", saved(tmp_path, np.stack((GOOD, np.eye(3))), "stack.npy")) == 0
    scipy.sparse.save_npz(tmp_path / "sparse.npz", scipy.sparse.csr_array(GOOD))
    assert asked("--matrix", str(tmp_path / "sparse.npz")) == 0
    told = capsys.readouterr().out
    for words in ("S1 and S2", "spectral gap", "every product positive", "singular value", "pass", "kernel contraction"):
        assert words in told


@pytest.mark.parametrize(
    ("matrix", "word"),
    [
        (GOOD.T, "transpose"),
        (GOOD * 0.9, "divide column"),
        (np.array([[1.2, 0.5], [-0.2, 0.5]]), "by 0 and divide"),
        (np.array([[0.0, 1.0], [1.0, 0.0]]), "share of its own"),
        (np.array([[1.0, 0.5], [0.0, 0.5]]), "ever reaches node 1"),
        (np.eye(3), "ever reaches"),
    ],
)
def test_a_failed_assumption_ends_with_1_and_says_what_to_change(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], matrix: np.ndarray, word: str
) -> None:
    assert asked("--matrix", saved(tmp_path, matrix)) == 1
    told = " ".join(capsys.readouterr().out.split())
    assert "FAIL" in told and word in told
    assert asked("--matrix", saved(tmp_path, matrix), "--json") == 1
    plain = json.loads(capsys.readouterr().out)
    assert not plain["passed"] and any(word in assumption["cure"] for assumption in plain["assumptions"])


def test_malformed_input_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evil = tmp_path / "evil.npy"
    np.save(evil, np.array([[object()]], dtype=object), allow_pickle=True)
    (tmp_path / "noise.npy").write_bytes(pickle.dumps([[1.0]]))
    lines = [
        ("--matrix", saved(tmp_path, np.ones((2, 3)), "wide.npy")),
        ("--matrix", saved(tmp_path, np.array([[np.nan, 0.5], [0.5, 0.5]]), "nan.npy")),
        ("--matrix", str(evil)),
        ("--matrix", str(tmp_path / "noise.npy")),
        ("--matrix", str(tmp_path / "missing.npy")),
        ("--matrix", str(tmp_path / "matrix.txt")),
        ("no-such-schedule", "--size", "8"),
        ("one-peer-exponential",),
        ("one-peer-exponential", "--size", "0"),
        ("one-peer-exponential", "--size", "8", "--with", "colour=red"),
        ("ErdosRenyiDigraph", "--size", "8"),
        ("one-peer-exponential", "--size", "8", "--rounds", "1"),
        ("one-peer-exponential", "--size", "8", "--matrix", "x.npy"),
        (),
    ]
    for line in lines:
        assert asked(*line) == 2, line
        told = capsys.readouterr().err
        assert told.startswith("theory: ") and len(told.strip().splitlines()) == 1 and "Traceback" not in told, line


# -- what it prints ----------------------------------------------------------------------------------------------------


def test_json_holds_every_quantity(capsys: pytest.CaptureFixture[str]) -> None:
    assert asked("rotating-star", "--size", "6", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["window"] == 1 and found["positivity_time"] == 5 and not found["same_union_graph_in_every_window"]
    assert found["profile"][0] > 1 and found["S1"] >= sum(found["profile"][1:])
    squares = [value**2 for value in found["second_singular_values"]]
    assert squares == pytest.approx(found["second_singular_values_squared"])
    assert {"claim", "status", "why"} == set(found["claims"][0])


@pytest.mark.parametrize("matrix", [GOOD, GOOD.T])
def test_a_figure_is_drawn(tmp_path: Path, matrix: np.ndarray) -> None:
    figure = tmp_path / "figure.png"
    asked("--matrix", saved(tmp_path, matrix), "--figure", str(figure))
    assert figure.read_bytes().startswith(b"\x89PNG") and figure.stat().st_size > 10_000
