"""`python -m theory mixing`: what it finds, what it prints, and how it ends."""

from __future__ import annotations

import json
import pickle
import time
from collections.abc import Callable
from pathlib import Path

import mixing_by_hand as by_hand
import networkx as nx
import numpy as np
import pytest
import scipy.sparse
from matplotlib.figure import Figure

from sgpsim.algorithms.carriers import require_averaging
from sgpsim.errors import SpecificationError
from sgpsim.schedules.erdos_renyi import ErdosRenyiDigraph
from sgpsim.schedules.graph_schedule import GraphSchedule
from sgpsim.schedules.matrices import Matrices, UncheckedMatrices
from sgpsim.schedules.one_peer_exponential import MPeerExponential, OnePeerExponential
from sgpsim.schedules.random_peer import CyclingPeer, RandomPeer
from sgpsim.schedules.ring import DirectedRing, UndirectedRing
from sgpsim.schedules.schedule import Schedule
from sgpsim.schedules.shares import Metropolis
from sgpsim.schedules.validation import require_valid
from theory.__main__ import main
from theory.mixing import Mixing, mixing

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
    assert found.profile is not None and found.exact == (4, 4)
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
    assert found.profile is not None and found.exact == (None, None)
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
    assert found.passed and found.profile is not None and found.exact == (0, 0)


def status(found: Mixing) -> dict[str, str]:
    return {application.claim: application.status for application in found.applications}


def test_the_proved_time_counts_where_few_rounds_are_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    """A directed ring of 256 needs 255 rounds, more than the 128 looked at; its claims apply all the same."""
    found = mixing(DirectedRing(256), "ring")
    assert found.rounds < 255 and found.time == found.time_bound == 255 and found.contraction is not None
    assert found.contraction.least == pytest.approx(2.0**-255, rel=1e-9)
    claims = status(found)
    assert claims["kernel contraction"] == claims["positivity time"] == "applies" and claims["D1"] == "needs"
    assert sum(one == "fails" for one in claims.values()) <= 5  # other graphs' closed forms
    assert found.spectral_gap == pytest.approx(1 - np.cos(np.pi / 256), rel=1e-6)


def test_what_only_more_rounds_can_decide_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert asked("random-peer", "--size", "24", "--rounds", "4", "--with", "seed=1") in (0, 1)
    told = " ".join(capsys.readouterr().out.split())
    assert "Claims that apply once more rounds are looked at" in told and "needs more rounds" in told
    claims = status(mixing(RandomPeer(24, 1), "many rounds", 40))
    assert claims["kernel contraction"] == "applies"


@pytest.mark.parametrize("nodes", [2, 5])
def test_a_primitive_matrix_without_own_shares_gets_its_time(nodes: int) -> None:
    """Wielandt's matrix is the slowest of all primitive ones: (n-1)^2 + 1."""
    matrix = np.roll(np.eye(nodes), 1, axis=0)
    matrix[:, -1] = 0.0
    matrix[:2, -1] = 0.5
    found = mixing(UncheckedMatrices((matrix,)), "Wielandt")
    assert found.time == found.time_bound == (nodes - 1) ** 2 + 1 and found.contraction is not None and not found.passed
    swaps = mixing(UncheckedMatrices((np.roll(np.eye(nodes), 1, axis=0),)), "a permutation")
    assert swaps.time is None and swaps.time_bound is None and swaps.spectral_gap == 0.0 and swaps.profile is None


def test_negative_entries_rule_out_all_that_divides_by_weights() -> None:
    claims = status(mixing(UncheckedMatrices((np.array([[1.2, 0.5], [-0.2, 0.5]]),)), "negative"))
    named = [name for name in claims if name[:2] in ("I3", "I4", "I5", "I6", "I7", "I8")]
    assert len(named) == 6 and all(claims[name] == "fails" for name in named)


@pytest.mark.parametrize("power", [1, 3, 6])
def test_the_gap_of_exact_averaging_is_1_and_no_root_of_rounding(power: int) -> None:
    found = mixing(OnePeerExponential(2**power), "one-peer")
    assert found.spectral_gap == 1.0 and found.exact == (power, power)
    assert found.singular[power - 1 :].tolist() == [0.0] * (len(found.singular) - power + 1)
    assert (found.singular[: power - 1] > 0.1).all()
    control = mixing(OnePeerExponential(2 ** min(power, 4) + 1), "not a power of two")
    assert control.exact == (None, None) and control.spectral_gap is not None and control.spectral_gap < 0.99


def test_exact_averaging_is_told_from_round_0_and_from_any_start(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    average, rest = np.full((3, 3), 1 / 3), np.eye(3)
    assert mixing(UncheckedMatrices((average, rest, rest)), "late starts wait").exact == (1, 3)
    assert asked("--matrix", saved(tmp_path, np.stack((average, rest, rest)))) == 0
    assert "after 1 rounds from round 0, after 3 rounds from any start" in capsys.readouterr().out


SHARES = {
    "13 digits": lambda matrix: np.round(matrix, 13),
    "12 digits": lambda matrix: np.round(matrix, 12),
    "float32, mended": lambda matrix: (wide := matrix.astype(np.float32).astype(np.float64)) / wide.sum(axis=0),
}


@pytest.mark.parametrize("rounded", SHARES.values(), ids=SHARES)
@pytest.mark.parametrize(("nodes", "peers"), [(3, 2), (9, 2), (125, 4), (7, 6)])
def test_exact_averaging_survives_rounded_shares(nodes: int, peers: int, rounded: Callable[[np.ndarray], np.ndarray]) -> None:
    """n = (m+1)^l averages exactly after l rounds, however the thirds and fifths were printed; a ring never does."""
    power = round(np.log(nodes) / np.log(peers + 1))
    schedule = MPeerExponential(nodes, peers)
    rounds = tuple(rounded(schedule.matrix(step).toarray()) for step in range(power))
    found = mixing(Matrices(rounds), "rounded", 4 * power)
    assert found.exact == (power, power) and found.exact_to is not None and found.exact_to <= 1e-6
    uneven = np.random.default_rng(nodes).random((2, nodes, nodes))
    controls = [rounded(matrix / matrix.sum(axis=0)) for matrix in uneven]  # far from equal, a tenth closer per round
    assert mixing(Matrices(tuple(controls)), "control", 60).exact == (None, None)


@pytest.mark.parametrize("nodes", [1, 2, 5, 24])
def test_exact_averaging_with_uneven_weights_is_to_rounding(nodes: int) -> None:
    """One round that throws the mass of all together in uneven parts, then any others: all hold the mean from then on."""
    parts = np.random.default_rng(nodes).uniform(0.01, 1.0, nodes)
    together = np.outer(parts / parts.sum(), np.ones(nodes))
    spread = np.random.default_rng(1).random((nodes, nodes))
    rounds = (spread / spread.sum(axis=0), together, np.eye(nodes))
    exact = mixing(UncheckedMatrices(rounds), "uneven").exact
    assert exact == ((0, 0) if nodes == 1 else (2, 3))


def test_rounded_input_is_recognised_with_its_cure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    matrix = np.random.default_rng(0).random((7, 7))
    matrix /= matrix.sum(axis=0)
    inputs = {"float32": matrix.astype(np.float32), "6 decimals": np.round(matrix, 6), "float16": matrix.astype(np.float16)}
    for words, rounded in inputs.items():
        assert asked("--matrix", saved(tmp_path, rounded)) == 1
        told = " ".join(capsys.readouterr().out.replace("│", " ").split())
        assert f"look rounded to {words}" in told and "P / P.sum(axis=0)" in told
        with pytest.raises(SpecificationError, match=f"look rounded to {words}"):
            require_valid(Matrices((rounded,)))
        wide = rounded.astype(np.float64)
        assert asked("--matrix", saved(tmp_path, wide / wide.sum(axis=0))) == 0  # the cure
        capsys.readouterr()
    assert asked("--matrix", saved(tmp_path, matrix * 0.999)) == 1  # lost mass is no rounding
    assert "look rounded" not in capsys.readouterr().out


def test_rounded_matrices_given_by_rows_or_symmetric_have_their_own_cure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    matrix = np.random.default_rng(0).random((7, 7))
    by_rows = np.round(matrix / matrix.sum(axis=1, keepdims=True), 7)
    assert np.abs(by_rows.sum(axis=1) - 1).max() > 1e-8  # the rows do not quite sum to 1, too
    assert asked("--matrix", saved(tmp_path, by_rows)) == 1
    told = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "rows sum to 1 instead, but for rounding to 7 decimals" in told and "transpose" in told
    assert asked("--matrix", saved(tmp_path, by_rows.T / by_rows.T.sum(axis=0))) == 0
    capsys.readouterr()
    graph = nx.gnm_random_graph(7, 11, seed=3)
    rounded: np.ndarray = np.round(GraphSchedule(graph, Metropolis()).matrix(0).toarray(), 7)
    assert asked("--matrix", saved(tmp_path, rounded)) == 1
    assert "P + np.diag(1 - P.sum(axis=0))" in " ".join(capsys.readouterr().out.replace("│", " ").split())
    require_averaging("D-PSGD", Matrices((rounded + np.diag(1 - rounded.sum(axis=0)),)))
    with pytest.raises(SpecificationError, match=r"is given shares that sum to 0\.9999999"):  # control: dividing is no cure here
        require_averaging("D-PSGD", Matrices((rounded / rounded.sum(axis=0),)))


def test_claims_with_one_reason_stand_together(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert asked("--matrix", saved(tmp_path, GOOD.T)) == 1
    told = capsys.readouterr().out
    assert told.count("every column sums to 1 (largest") == 1 and "MB of memory" in told


def test_rounds_that_do_not_fit_into_memory_are_refused() -> None:
    assert asked("rotating-star", "--size", "2000") == 2


@pytest.mark.slow
def test_a_thousand_nodes_take_seconds() -> None:
    began = time.process_time()
    found = mixing(OnePeerExponential(1024), "one-peer")
    assert time.process_time() - began < 30
    assert found.time == 10 and found.exact == (10, 10) and found.spectral_gap == 1.0 and found.profile is not None
    assert (found.profile.first, found.profile.second) == pytest.approx((9.0, 10.0))
    assert found.starts == (10, 10) and found.singular[:9] == pytest.approx(np.ones(9), abs=1e-3)


LARGE = (ErdosRenyiDigraph(160, 0.05), OnePeerExponential(150), RandomPeer(140), UndirectedRing(131))


@pytest.mark.slow
@pytest.mark.parametrize("schedule", LARGE, ids=repr)
def test_iterated_norms_are_those_of_dense_matrices(schedule: Schedule) -> None:
    """Beyond 128 nodes norms are iterated; the same by singular value decomposition, for the starts looked at."""
    found = mixing(schedule, "large", 30)
    rounds = [schedule.matrix(step).toarray() for step in range(31)]
    mass = by_hand.weights(rounds, 30)
    assert found.profile is not None and found.starts[0] >= 1
    starts = np.unique(np.linspace(0, found.starts[1] - 1, found.starts[0]).round().astype(int))
    for length in (1, 2, 5):
        norm = max(np.linalg.norm(by_hand.away(rounds, mass, start, length), 2) for start in starts if start + length <= 30)
        assert found.profile.norms[length] == pytest.approx(norm, rel=1e-8)
    if schedule.period is not None:
        period = rounds[: schedule.period]
        assert found.singular[1] == pytest.approx(by_hand.second_singular_value(period, True, 2), rel=1e-8)
        assert found.spectral_gap == pytest.approx(by_hand.gap(period), abs=1e-8)
        assert found.time == by_hand.positivity_time(period, True, 200)


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


@pytest.mark.parametrize("text", ["0.5, 0.25\n0.5, 0.75\n", "# P\n0.5 0.25\n0.5 0.75"])
def test_a_matrix_may_be_plain_text(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    for name in ("p.csv", "p.txt"):
        (tmp_path / name).write_text(text)
        assert asked("--matrix", str(tmp_path / name), "--json") == 0
        assert json.loads(capsys.readouterr().out)["spectral_gap"] == pytest.approx(0.75)
        (tmp_path / name).write_text(text.replace("0.25", "a quarter"))
        assert asked("--matrix", str(tmp_path / name)) == 2
        told = capsys.readouterr().err
        assert len(told.splitlines()) == 1 and f"cannot be read as .{name[-3:]}" in told and "no header" in told


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("nodes", [1, 2, 7])
@pytest.mark.parametrize("size", [1e308, -1e308, 1e200, 1e20, 0.0, 5e-324])
def test_entries_beyond_all_measure_are_reported_without_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], nodes: int, size: float
) -> None:
    for number, matrix in enumerate((np.full((nodes, nodes), size), np.eye(nodes) * size)):
        stack = np.stack((matrix, np.eye(nodes)))[: number + 1]
        assert asked("--matrix", saved(tmp_path, stack)) == 1
        assert "cure: divide column" in " ".join(capsys.readouterr().out.replace("│", " ").split())
        assert asked("--matrix", saved(tmp_path, stack), "--json") == 1
        json.loads(capsys.readouterr().out, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


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


@pytest.mark.parametrize(
    ("schedule", "headline", "zeros"), [("OnePeerExponential", "exact after 3 rounds", True), ("DirectedRing", "a factor", False)]
)
def test_a_figure_shows_what_is_zero(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, schedule: str, headline: str, zeros: bool
) -> None:
    drawn: list[Figure] = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *more, **options: (drawn.append(self), save(self, *more, **options)))
    asked(schedule, "--size", "8", "--figure", str(tmp_path / "figure.png"))
    (axes,) = drawn[0].axes
    assert headline in axes.get_title()
    assert ("0, up to rounding" in axes.get_legend_handles_labels()[1]) is zeros


@pytest.mark.parametrize("nodes", [2, 5, 7])
def test_what_is_close_to_the_mean_beyond_rounding_is_not_exact(nodes: int) -> None:
    for off, exact in ((0.0, (1, 1)), (1e-8, (None, None)), (1e-3, (None, None))):
        matrix = (1 - off) / nodes + off * np.eye(nodes)
        assert mixing(Matrices((matrix,)), "close", 12).exact == exact, off
