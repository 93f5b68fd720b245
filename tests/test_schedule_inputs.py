"""Schedules from graphs, share rules, matrices and files: what is read, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array, save_npz

from sgpsim.errors import SpecificationError
from sgpsim.files.toml_files import read
from sgpsim.schedules.erdos_renyi import ErdosRenyiDigraph
from sgpsim.schedules.graph_file import GraphFile
from sgpsim.schedules.graph_schedule import GraphSchedule
from sgpsim.schedules.laws import check_schedule, examples
from sgpsim.schedules.matrices import Matrices, UncheckedMatrices
from sgpsim.schedules.matrix_file import MatrixFile
from sgpsim.schedules.rotating_star import RotatingStar
from sgpsim.schedules.schedule import Schedule
from sgpsim.schedules.shares import GivenShares, Lazy, Metropolis, ShareRule, Uniform


def name(schedule: Schedule) -> str:
    return f"{type(schedule).__name__}-{schedule.size}"


GRAPHS = st.builds(
    lambda size, probability, seed, directed: nx.gnp_random_graph(size, probability, seed=seed, directed=directed),
    st.integers(1, 9),
    st.floats(0, 1),
    st.integers(0, 999),
    st.booleans(),
)


@settings(max_examples=40, deadline=None)
@given(GRAPHS, st.sampled_from([Uniform(), Lazy(), Lazy(0.9)]))
def test_share_rules_follow_the_graph_on_any_graph(graph: nx.Graph, rule: ShareRule) -> None:
    schedule = GraphSchedule((graph,), rule)
    check_schedule(schedule, steps=2)
    arcs = {(sender, receiver) for sender, receiver in schedule.graph(0).edges if sender != receiver}
    assert arcs == set(graph.to_directed().edges)


@settings(max_examples=40, deadline=None)
@given(GRAPHS)
def test_metropolis_shares_are_symmetric_hence_doubly_stochastic(graph: nx.Graph) -> None:
    graph = graph.to_undirected()
    schedule = GraphSchedule((graph,), Metropolis())
    check_schedule(schedule, steps=1)
    matrix = schedule.matrix(0).toarray()
    assert np.array_equal(matrix, matrix.T)
    for one, other in graph.edges:
        assert matrix[one, other] == min(1 / (1 + graph.degree[one]), 1 / (1 + graph.degree[other]))


@pytest.mark.parametrize("schedule", [s for s in examples(8) if s.checked and s.period], ids=name)
def test_given_shares_bring_any_schedule_back_from_its_own_graphs(schedule: Schedule) -> None:
    again = GraphSchedule(tuple(schedule.graph(step) for step in range(schedule.period or 1)), GivenShares())
    for step in range(2 * (schedule.period or 1)):
        assert np.array_equal(again.matrix(step).toarray(), schedule.matrix(step).toarray())


def test_given_shares_leave_the_rest_to_the_sender() -> None:
    graph = nx.DiGraph()
    graph.add_weighted_edges_from([(0, 1, 0.25), (1, 2, 1 / 3), (2, 0, 0.0), (2, 1, 1.0)], weight="share")
    schedule = GraphSchedule((graph,), GivenShares())
    assert dict(schedule.shares(0, 0)) == {0: 0.75, 1: 0.25}
    assert dict(schedule.shares(2, 0)) == {1: 1.0}


def test_an_edge_may_go_one_way_or_both() -> None:
    assert GraphSchedule(nx.path_graph(3)).round(0).senders == ((1,), (0, 2), (1,))
    assert GraphSchedule(nx.path_graph(3, nx.DiGraph)).round(0).senders == ((), (0,), (1,))


def test_graph_schedules_are_values_that_later_changes_do_not_reach() -> None:
    graph = nx.cycle_graph(5)
    one, other = GraphSchedule(graph), GraphSchedule((nx.cycle_graph(5),), Uniform())
    graph.add_edge(0, 2)
    assert one == other and hash(one) == hash(other) and one != GraphSchedule(graph) and one != GraphSchedule(nx.cycle_graph(5), Lazy())
    assert 2 not in one.shares(0, 0)
    with pytest.raises(nx.NetworkXError):
        one.graphs[0].add_edge(0, 2)


@pytest.mark.parametrize(
    ("graphs", "rule", "sentence"),
    [
        (nx.MultiDiGraph([(0, 1), (1, 0)]), Uniform(), r"MultiDiGraph; which of several edges.*nx\.DiGraph\(graph\)"),
        (nx.random_k_out_graph(5, 2, 0.5, seed=1), Uniform(), "MultiDiGraph"),
        (nx.MultiGraph([(0, 1)]), Uniform(), r"nx\.Graph\(graph\)"),
        (nx.relabel_nodes(nx.path_graph(3), {0: "a"}), Uniform(), "'a'; nodes must be the numbers 0..n-1"),
        (nx.path_graph(range(1, 4)), Uniform(), "3; nodes must be the numbers"),
        (nx.Graph(), Uniform(), "has 0 nodes"),
        ((), Uniform(), "is empty"),
        (7, Uniform(), "7; it must be a networkx graph"),
        (("graph",), Uniform(), r"\[0\] is 'graph'; it must be a networkx graph"),
        ((nx.path_graph(3), nx.path_graph(4)), Uniform(), r"\[3, 4\] nodes"),
        (nx.path_graph(3, nx.DiGraph), Metropolis(), "0 sends to 1, but 1 not to 0"),
        (nx.path_graph(3), GivenShares(), "share=None"),
        (nx.path_graph(3), "uniform", r"\(rule\).type: 'uniform' is unknown; did you mean 'Uniform'"),
    ],
)
def test_graphs_that_cannot_be_a_schedule(graphs: object, rule: ShareRule, sentence: str) -> None:
    with pytest.raises(SpecificationError, match=sentence):
        GraphSchedule(graphs, rule)  # pyright: ignore[reportArgumentType]


def shared_digraph() -> nx.DiGraph:
    schedule = ErdosRenyiDigraph(7, 0.4, seed=3)
    return schedule.graph(0)


def test_graph_files_of_every_format_hold_the_same_schedule(tmp_path: Path) -> None:
    graph = shared_digraph()
    nx.write_graphml(graph, tmp_path / "graph.graphml")
    nx.write_gml(graph, tmp_path / "graph.gml")
    (tmp_path / "graph.json").write_text(json.dumps(nx.node_link_data(graph)))
    (tmp_path / "old.json").write_text(json.dumps(nx.node_link_data(graph, edges="links")))
    (tmp_path / "graph.edgelist").write_text("# who to whom\n\n" + "\n".join(f"{i} {j} {s!r}" for i, j, s in graph.edges(data="share")))
    (tmp_path / "graph.edges").write_text("\n".join(f"{i}, {j}, {s!r}  # comment" for i, j, s in graph.edges(data="share")))
    expected = GraphSchedule((graph,), GivenShares())
    for path in sorted(tmp_path.iterdir()):
        schedule = GraphFile(str(path), GivenShares())
        check_schedule(schedule, steps=2)
        assert schedule.round(0).pushes == expected.round(0).pushes, path.name
        assert schedule == GraphFile(str(path), GivenShares(), sha256=schedule.sha256)


def test_a_graph_file_may_hold_a_sequence_and_edge_lists_both_ways(tmp_path: Path) -> None:
    rounds = [RotatingStar(5).graph(step) for step in range(5)]
    path = tmp_path / "rounds.json"
    path.write_text(json.dumps([nx.node_link_data(graph) for graph in rounds]))
    schedule = GraphFile(str(path), GivenShares())
    assert schedule.period == 5 and all(schedule.round(step).pushes == RotatingStar(5).round(step).pushes for step in range(7))
    path = tmp_path / "path.edges"
    path.write_text("0 1\n1 2\n")
    assert GraphFile(str(path)).round(0).senders == ((), (0,), (1,))
    assert GraphFile(str(path), directed=False).round(0).senders == ((1,), (0, 2), (1,))


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("missing.gml", None, "cannot be read .*No such file"),
        ("graph.xls", b"", "ending must be one of .graphml, .gml"),
        ("graph.graphml", b"<graph", "cannot be read as .graphml"),
        ("graph.gml", b"graph [ node", "cannot be read as .gml"),
        ("graph.json", b"{", "cannot be read as .json"),
        ("graph.json", b"[1]", "cannot be read as .json"),
        ("graph.edges", b"0 1\n1 0 0.5 7\n", "line 2 has 4 columns"),
        ("graph.edges", b"0 1\n0 1\n", "line 2 repeats"),
        ("graph.edges", b"\xff\xfe", "cannot be read as .edges"),
        ("graph.edges", b"zero one\n", "cannot be read as .edges"),
        ("graph.edges", b"", "has 0 nodes"),
        ("graph.json", b'{"multigraph": true, "directed": true, "nodes": [{"id": 0}], "edges": []}', "MultiDiGraph"),
    ],
)
def test_graph_files_that_cannot_be_read(tmp_path: Path, name: str, content: bytes | None, sentence: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(SpecificationError, match=sentence):
        GraphFile(str(tmp_path / name))


def test_a_file_that_has_changed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "graph.edges"
    path.write_text("0 1\n1 0\n")
    before = GraphFile(str(path))
    path.write_text("0 1\n1 2\n2 0\n")
    assert GraphFile(str(path)) != before
    with pytest.raises(SpecificationError, match="the file has changed"):
        GraphFile(str(path), sha256=before.sha256)


def test_matrices_dense_sparse_one_or_many_are_the_same_value() -> None:
    rounds = [RotatingStar(5).matrix(step) for step in range(5)]
    sparse, dense = Matrices(rounds), Matrices([found.toarray() for found in rounds])  # pyright: ignore[reportArgumentType]
    stacked, lists = Matrices(np.stack(dense.matrices)), Matrices([found.tolist() for found in dense.matrices])  # pyright: ignore[reportArgumentType]
    assert sparse == dense == stacked == lists and len({sparse, dense, stacked, lists}) == 1
    assert sparse != Matrices(rounds[:4]) and sparse != UncheckedMatrices(rounds)  # pyright: ignore[reportArgumentType]
    assert all(sparse.round(step).pushes == RotatingStar(5).round(step).pushes for step in range(7))
    one = dense.matrices[0]
    assert Matrices(one) == Matrices((one,)) == Matrices(rounds[0]) == Matrices(one.tolist())  # pyright: ignore[reportArgumentType]
    assert not one.flags.writeable


def test_matrix_files_are_read_as_they_were_saved(tmp_path: Path) -> None:
    rounds = [found.toarray() for found in (RotatingStar(5).matrix(step) for step in range(5))]
    np.save(tmp_path / "one.npy", rounds[0])
    np.save(tmp_path / "many.npy", np.stack(rounds))
    np.savez(tmp_path / "many.npz", *rounds)
    np.savez_compressed(tmp_path / "mixed.npz", first=np.stack(rounds[:3]), later=np.stack(rounds[3:]))
    save_npz(tmp_path / "sparse.npz", csr_array(rounds[0]))
    for file, count in (("one.npy", 1), ("many.npy", 5), ("many.npz", 5), ("mixed.npz", 5), ("sparse.npz", 1)):
        schedule = MatrixFile(str(tmp_path / file))
        check_schedule(schedule, steps=6)
        assert schedule.period == count
        assert [schedule.round(step).pushes for step in range(5)] == [RotatingStar(5).round(step % count).pushes for step in range(5)]
        assert schedule == MatrixFile(str(tmp_path / file), schedule.sha256)
    with pytest.raises(SpecificationError, match="the file has changed"):
        MatrixFile(str(tmp_path / "one.npy"), sha256="0" * 64)


BAD_MATRICES: list[tuple[object, str]] = [
    (np.ones((2, 3)), r"shape \(2, 3\); it must be square"),
    (np.ones(4), r"shape \(4,\); it must be square"),
    (np.ones((0, 0)), "it must be square"),
    (np.array([[0.5, np.nan], [0.5, 1.0]]), "entry nan in row 0, column 1; entries must be finite"),
    (np.array([[0.5, 0.0], [np.inf, 1.0]]), "entry inf in row 1, column 0"),
    (np.array([[1j]]), "type complex128"),
    (np.array([["a"]]), "type <U1"),
]


@pytest.mark.parametrize(("matrix", "sentence"), BAD_MATRICES)
def test_matrices_must_be_square_finite_and_real(tmp_path: Path, matrix: object, sentence: str) -> None:
    for kind in (Matrices, UncheckedMatrices):
        with pytest.raises(SpecificationError, match=sentence):
            kind(matrix)  # pyright: ignore[reportArgumentType]
    np.save(tmp_path / "bad.npy", np.asarray(matrix))
    with pytest.raises(SpecificationError, match=sentence):
        MatrixFile(str(tmp_path / "bad.npy"))


@pytest.mark.parametrize(
    ("matrices", "sentence"),
    [
        ((), "is empty"),
        ((np.eye(2), np.eye(3)), r"\[2, 3\] rows"),
        (3.0, "cannot be read as matrices"),
        ([[1.0, 0.0], [1.0]], "cannot be read as a matrix"),
        ([[[1.0, 0.0], [1.0]]], "cannot be read as"),
        ((np.eye(2), csr_array(np.ones((2, 3)))), "number 1, has shape"),
    ],
)
def test_sequences_of_matrices_must_fit_together(matrices: object, sentence: str) -> None:
    with pytest.raises(SpecificationError, match=sentence):
        Matrices(matrices)  # pyright: ignore[reportArgumentType]


def test_matrix_files_that_cannot_be_read(tmp_path: Path) -> None:
    def refuses(file: str, sentence: str) -> None:
        with pytest.raises(SpecificationError, match=sentence):
            MatrixFile(str(tmp_path / file))

    refuses("missing.npy", "No such file")
    refuses("matrix.xls", "ending must be one of .npy, .npz, .csv, .txt")
    np.save(tmp_path / "pickle.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    refuses("pickle.npy", "Object arrays cannot be loaded")
    np.savez(tmp_path / "pickle.npz", a=np.array([{"a": 1}], dtype=object), allow_pickle=True)
    refuses("pickle.npz", "cannot be read")
    (tmp_path / "noise.npy").write_bytes(b"noise")
    refuses("noise.npy", "cannot be read")
    (tmp_path / "noise.npz").write_bytes(b"noise")
    refuses("noise.npz", "cannot be read")
    np.save(tmp_path / "whole.npy", np.eye(4))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "whole.npy").read_bytes()[:-9])
    refuses("cut.npy", "cannot be read")
    save_npz(tmp_path / "sparse.npz", csr_array(np.ones((2, 3))))
    refuses("sparse.npz", "it must be square")
    np.savez(tmp_path / "empty.npz")
    refuses("empty.npz", "is empty")
    (tmp_path / "folder.npy").mkdir()
    refuses("folder.npy", "cannot be read")


@pytest.mark.parametrize("nodes", [1, 2, 5])
def test_matrices_are_read_from_plain_text(tmp_path: Path, nodes: int) -> None:
    matrix = RotatingStar(nodes).matrix(0).toarray() if nodes > 1 else np.ones((1, 1))
    expected = Matrices((matrix,)).round(0).pushes
    np.savetxt(tmp_path / "comma.csv", matrix, delimiter=",", header="P[receiver, sender], one per line")
    np.savetxt(tmp_path / "blank.csv", matrix)
    np.savetxt(tmp_path / "tab.txt", matrix, delimiter="\t", fmt="%.17g")
    lines = "\n".join(" , ".join(map(repr, row)) for row in matrix.tolist())
    (tmp_path / "bom.txt").write_text(f"\n\n{lines}  # end\r\n", "utf-8-sig")
    for path in sorted(tmp_path.iterdir()):
        schedule = MatrixFile(str(path))
        check_schedule(schedule, steps=2)
        assert schedule.round(0).pushes == expected and schedule.period == 1, path.name
        assert schedule == MatrixFile(str(path), schedule.sha256)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "cannot be read as .csv .it holds no number.*no header"),
        (b"# P, of nobody\n\n", "it holds no number"),
        (b"a,b\n0.5,0.5\n0.5,0.5\n", "cannot be read as .csv .could not convert string 'a'.*no header"),
        (b"0.5,0.5\n0.5\n", "cannot be read as .csv"),
        (b"0.5,0.5,\n0.5,0.5,\n", "cannot be read as .csv"),
        (b"0.5;0.5\n0.5;0.5\n", "cannot be read as .csv"),
        (b"0.5 0.5\n", r"shape \(1, 2\); it must be square"),
        (b"0.5,nan\n0.5,1\n", "entry nan in row 0, column 1"),
        (b"0.5,1e400\n0.5,1\n", "entry inf in row 0, column 1"),
        (b"0.5,1j\n0.5,1\n", "cannot be read as .csv"),
        (b"\xff\xfe0", "cannot be read as .csv"),
        (np.random.default_rng(0).bytes(400), "MatrixFile"),
    ],
)
def test_text_that_holds_no_matrix_is_refused_in_one_line(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "p.csv").write_bytes(content)
    with pytest.raises(SpecificationError, match=sentence) as refused:
        MatrixFile(str(tmp_path / "p.csv"))
    assert "\n" not in str(refused.value)


# -- weights on edges --------------------------------------------------------------------------------------------------


def star_of_bluefog(size: int) -> nx.DiGraph:
    """Bluefog's StarGraph: weight W[i, j] on the edge i -> j, self-loops included (topology_util.py at 9ee376a)."""
    weights = np.diag(np.full(size, 1 - 1 / size))
    weights[0, :] = weights[:, 0] = 1 / size
    return nx.from_numpy_array(weights, create_using=nx.DiGraph)


def second_eigenvalue(schedule: Schedule) -> float:
    return float(np.sort(np.abs(np.linalg.eigvals(schedule.matrix(0).toarray())))[-2])


def test_weights_on_edges_are_the_shares(tmp_path: Path) -> None:
    star = star_of_bluefog(16)
    nx.write_graphml(star, tmp_path / "star.graphml")
    nx.write_gml(star, tmp_path / "star.gml")
    (tmp_path / "star.json").write_text(json.dumps(nx.node_link_data(star)))
    for schedule in (GraphSchedule((star,)), *(GraphFile(str(path)) for path in sorted(tmp_path.iterdir()))):
        assert np.array_equal(schedule.matrix(0).toarray(), nx.to_numpy_array(star).T)
        assert 1 - second_eigenvalue(schedule) == pytest.approx(0.0625)
        check_schedule(schedule, steps=1)
    assert 1 - second_eigenvalue(GraphSchedule((star,), Uniform())) == pytest.approx(0.5)  # the control
    assert 1 - second_eigenvalue(GraphSchedule((star,), GivenShares("weight"))) == pytest.approx(0.0625)


def test_weights_that_say_nothing_and_shares_beside_weights() -> None:
    for size in (1, 2, 7):
        adjacency = nx.from_numpy_array(np.ones((size, size)) - np.eye(size), create_using=nx.DiGraph)
        assert GraphSchedule((adjacency,)) == GraphSchedule((nx.complete_graph(size),))
    both = nx.DiGraph()
    both.add_edge(0, 1, weight=5.0, share=0.25)
    both.add_edge(1, 0, weight=7.0, share=0.5)
    assert dict(GraphSchedule((both,)).shares(0, 0)) == {0: 0.75, 1: 0.25}


@pytest.mark.parametrize(
    ("edges", "sentence"),
    [
        ([(0, 1, 5.0), (1, 0, 2.0)], "node 0 carry weights that sum to 5; .*name a rule: Uniform()"),
        ([(0, 1, -0.5), (1, 0, 0.5)], "node 0 carry weights that sum to -0.5"),
        ([(0, 0, 0.5), (0, 1, 0.25), (1, 0, 0.5), (1, 1, 0.75)], "sum to 0.75.*turn the edges round"),
        ([(0, 1, 0.5), (1, 0, None)], "the edge 1 -> 0 carries weight=None"),
        ([(0, 1, "far"), (1, 0, 0.5)], "weight='far'"),
        ([(0, 1, float("nan")), (1, 0, 0.5)], "weight=nan"),
        ([(0, 1, "0.5"), (1, 0, "0.5")], "weight='0.5', a text; every edge needs a finite number.*Turn texts into numbers"),
        ([(0, 1, "1"), (1, 0, "1")], "weight='1', a text"),  # 1 says nothing, "1" would have been a share of everything
        ([(0, 1, 10**400), (1, 0, 0.5)], "weight=a whole number of|weight=1000"),
    ],
)
def test_weights_that_cannot_be_shares_are_refused(edges: list[tuple[int, int, object]], sentence: str) -> None:
    graph = nx.DiGraph()
    graph.add_nodes_from(range(2))
    for sender, receiver, weight in edges:
        graph.add_edge(sender, receiver, **({} if weight is None else {"weight": weight}))
    with pytest.raises(SpecificationError, match=sentence):
        GraphSchedule((graph,))
    assert GraphSchedule((graph,), Uniform()).size == 2  # a rule that was named looks at no weight


# -- tensors -----------------------------------------------------------------------------------------------------------


def test_tensors_are_matrices_in_every_form() -> None:
    torch = pytest.importorskip("torch")
    rounds = [found.toarray() for found in (RotatingStar(4).matrix(step) for step in range(4))]
    one = torch.tensor(rounds[0])
    for kind in (Matrices, UncheckedMatrices):
        expected = kind(tuple(rounds))
        assert kind(one) == kind(one.clone().requires_grad_()) == kind(one.to_sparse()) == kind((rounds[0],))  # pyright: ignore[reportArgumentType]
        assert kind(torch.tensor(np.stack(rounds))) == expected  # pyright: ignore[reportArgumentType]
        assert kind([torch.tensor(found) for found in rounds]) == expected  # pyright: ignore[reportArgumentType]
    halves = torch.full((2, 2), 0.5, dtype=torch.bfloat16)
    assert Matrices(halves) == Matrices(np.full((2, 2), 0.5))  # pyright: ignore[reportArgumentType]
    with pytest.raises(SpecificationError, match="type complex64"):
        Matrices(torch.ones((2, 2), dtype=torch.complex64))  # pyright: ignore[reportArgumentType]
    with pytest.raises(SpecificationError, match=r"shape \(4,\)"):
        Matrices(torch.ones(4))  # pyright: ignore[reportArgumentType]


def test_graphml_of_several_graphs_is_refused_in_schedules_and_clusters(tmp_path: Path) -> None:
    one = '<graph id="G" edgedefault="directed"><node id="0"/><node id="1"/><edge source="0" target="1"/></graph>'
    for count in (0, 1, 2):
        (tmp_path / "g.graphml").write_text(f'<graphml xmlns="http://graphml.graphdrawing.org/xmlns">{one * count}</graphml>')
        (tmp_path / "job.toml").write_text(
            'nodes = 2\nalgorithm = "SGP"\nobjective = "Quadratic"\nschedule = "DirectedRing"\ncluster = {graph_file = "g.graphml"}\n'
        )
        for build in (lambda: GraphFile(str(tmp_path / "g.graphml")), lambda: read(tmp_path / "job.toml")):
            if count == 1:
                build()
                continue
            with pytest.raises(SpecificationError, match=f"it holds {count} graphs and must hold one"):
                build()
