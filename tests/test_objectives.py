"""Objectives: the laws on all of them, then kernels and draws against independent ways to the same numbers."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable
from dataclasses import MISSING, fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from objective_examples import EXAMPLES, UNLIKE, examples

from sgpsim.errors import SpecificationError
from sgpsim.files.plain_data import from_plain, to_plain
from sgpsim.objectives import laws
from sgpsim.objectives.datasets import BreastCancer, Digits, SyntheticClassification
from sgpsim.objectives.finite_sum import FiniteSum
from sgpsim.objectives.logistic import LogisticRegression
from sgpsim.objectives.objective import Constant, Objective
from sgpsim.objectives.observed import observed_constants
from sgpsim.objectives.quadratic import Quadratic, QuadraticArrays
from sgpsim.objectives.sigmoid import SigmoidLoss
from sgpsim.objectives.softmax import SoftmaxRegression
from sgpsim.objectives.split import DirichletSplit, EvenSplit
from sgpsim.objectives.stacked_module import StackedModule
from sgpsim.specification.catalogue import implementations
from sgpsim.streams import stream

# Laws, on examples and on everything that can be made from a number of nodes alone.


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("spread", [0.3, 20.0])
def test_laws(name: str, spread: float) -> None:
    laws.check_objective(EXAMPLES[name], points=6, spread=spread)


def from_nodes_alone() -> list[type[Objective]]:
    """Implementations that have a default for everything but the number of nodes."""
    found: list[type[Objective]] = []
    for kind in implementations(Objective).values():
        if not kind.__module__.startswith("sgpsim.objectives."):
            continue  # other tests define objectives of their own
        needed = {field.name for field in fields(kind) if field.init and field.default is MISSING}  # pyright: ignore[reportArgumentType]
        found += [kind] if needed == {"nodes"} else []
    return found


@pytest.mark.parametrize("kind", from_nodes_alone())
def test_laws_of_defaults(kind: type[Objective]) -> None:
    if issubclass(kind, StackedModule):
        pytest.importorskip("torch")
    objective: Objective = kind(nodes=4)  # pyright: ignore[reportCallIssue]
    laws.check_objective(objective, points=2, spread=0.1, same_bits=not isinstance(objective, StackedModule))


def broken(objective: Objective, **methods: Callable) -> Objective:
    """`objective` with some methods replaced by wrong ones."""
    found = replace(objective)  # pyright: ignore[reportArgumentType]
    for name, method in methods.items():
        object.__setattr__(found, name, method)
    return found


SIGMOID = EXAMPLES["sigmoid"]
QUADRATIC = EXAMPLES["dense"]


def halved(objective: Objective, field: str) -> Callable:
    constants = objective.constants()
    constant = getattr(constants, field)
    return lambda: replace(constants, **{field: Constant(constant.value / 2, "certified", "wrong")})


ONE = stream(0, "one stream for all nodes")
SCALAR = EXAMPLES["scalar, one dimension, no noise"]


@pytest.mark.parametrize(
    ("objective", "words", "methods"),
    [
        (SIGMOID, "away from grad f_i", {"gradients": lambda n, p, d: SIGMOID.gradients(n, p, d) + 1e-6}),
        (SIGMOID, "the gradient says", {"full_gradient": lambda at: 1.001 * SIGMOID.full_gradient(at)}),
        (SIGMOID, "mean of local", {"local_gradients": lambda at: 1.001 * SIGMOID.local_gradients(at)}),
        (
            SIGMOID,
            "in a batch and alone",
            {"gradients": lambda n, p, d: SIGMOID.gradients(n, p, d) * (1 + 1e-15 * len(n))},
        ),
        (SIGMOID, "lengths", {"draws": lambda node, _: iter(np.zeros((9, 5 + node, 4), dtype=np.int32))}),
        (QUADRATIC, "when other nodes", {"draws": lambda node, _, one=ONE: QUADRATIC.draws(node, one)}),
        (QUADRATIC, "float64", {"gradients": lambda n, p, d: np.float64(QUADRATIC.gradients(n, p, d))}),
        (QUADRATIC, "L.2", {"constants": halved(QUADRATIC, "smoothness")}),
        (SCALAR, "zeta.2", {"constants": halved(SCALAR, "heterogeneity")}),
    ],
)
def test_laws_refute(objective: Objective, words: str, methods: dict[str, Callable]) -> None:
    with pytest.raises(AssertionError, match=words):
        laws.check_objective(broken(objective, **methods), points=6, spread=2.0)


# Bits.


@st.composite
def objectives(draw: st.DrawFn) -> Objective:
    nodes, width, batch = draw(st.integers(1, 6)), draw(st.integers(1, 33)), draw(st.integers(1, 20))
    kind = draw(st.sampled_from(["logistic", "softmax", "sigmoid", "quadratic"]))
    classes = draw(st.integers(2, 5)) if kind == "softmax" else 2
    data = SyntheticClassification(samples=draw(st.integers(classes * nodes, 80)), features=width, classes=classes)
    bias = draw(st.booleans())
    match kind:
        case "logistic":
            return LogisticRegression(nodes, data, DirichletSplit(0.5), batch, draw(st.sampled_from([0.0, 0.1])), bias)
        case "softmax":
            return SoftmaxRegression(nodes, data, EvenSplit(), batch, draw(st.sampled_from([0.0, 0.1])), bias)
        case "sigmoid":
            return SigmoidLoss(nodes, data, EvenSplit(), batch, None, bias)
        case _:
            shapes = [Quadratic(nodes, width, structure=kind) for kind in ("scalar", "diagonal", "dense")]
            return replace(draw(st.sampled_from(shapes)), unequal=draw(st.booleans()))


@settings(max_examples=60, deadline=None)
@given(objective=objectives(), count=st.integers(1, 40), data=st.data())
def test_a_gradient_has_the_same_bits_in_any_company(objective: Objective, count: int, data: st.DataObject) -> None:
    generator = np.random.default_rng(data.draw(st.integers(0, 99)))
    nodes = generator.integers(0, objective.nodes, count)
    taken = laws._draws(objective, nodes, seed=1)
    some = generator.permutation(count)[: data.draw(st.integers(1, count))]
    for kind in (np.float64, np.float32):
        points = generator.standard_normal((count, objective.dimension)).astype(kind)
        together = objective.gradients(nodes, points, taken)
        assert np.array_equal(objective.gradients(nodes[some], points[some], taken[some]), together[some])
        strided = np.repeat(points, 2, axis=0)[::2]
        assert np.array_equal(objective.gradients(nodes, strided, taken), together)
    fleet = np.repeat(np.arange(objective.nodes), 2)
    taken, points = laws._draws(objective, fleet, seed=2), generator.standard_normal((len(fleet), objective.dimension))
    order = generator.permutation(len(fleet))
    found = objective.gradients(fleet[order], points[order], taken[order])
    assert np.array_equal(objective.gradients(fleet, points, taken)[order], found)
    several = generator.standard_normal((3, objective.dimension))
    for method in (objective.loss, objective.full_gradient):  # metrics of one seed or of many
        assert np.array_equal(np.stack([method(point) for point in several]), method(several))


def test_bits_do_not_depend_on_chunks() -> None:
    objective = LogisticRegression(2, SyntheticClassification(64, 600), batch=64, bias=False)  # 300 KiB a gradient
    nodes = np.arange(9) % 2
    taken = laws._draws(objective, nodes, 0)
    points = stream(0, "test").standard_normal((9, 600))
    alone = [objective.gradients(nodes[m : m + 1], points[m : m + 1], taken[m : m + 1])[0] for m in range(9)]
    assert np.array_equal(objective.gradients(nodes, points, taken), np.stack(alone))


# Other ways to the same numbers.


@pytest.mark.parametrize("name", examples(FiniteSum))
def test_moments_by_every_possible_draw(name: str) -> None:
    """All M^batch draws with replacement: their mean is grad f_i, their variance is `variances`."""
    objective = EXAMPLES[name]
    assert isinstance(objective, FiniteSum)
    at = stream(0, "test").standard_normal((objective.nodes, objective.dimension))
    local, variances = objective.local_gradients(at), objective.variances(at)
    for node in range(objective.nodes):
        owned = objective.shards.of_node(node)
        every = np.array(list(itertools.product(range(owned.start, owned.stop), repeat=2)), dtype=np.int32)
        each = objective.gradients(np.full(len(every), node), np.tile(at[node], (len(every), 1)), every)
        assert np.allclose(each.mean(axis=0), local[node], rtol=1e-12, atol=1e-13)
        found = ((each - local[node]) ** 2).sum(axis=1).mean()
        assert np.isclose(found, variances[node] * objective.batch / 2, rtol=1e-9, atol=1e-15)


def test_two_classes_of_softmax_are_logistic() -> None:
    logistic = LogisticRegression(4, UNLIKE, DirichletSplit(0.5))
    softmax = SoftmaxRegression(4, UNLIKE, DirichletSplit(0.5))
    at = stream(0, "test").standard_normal((3, logistic.dimension))
    both = np.concatenate((-at / 2, at / 2), axis=-1)
    assert np.allclose(softmax.loss(both), logistic.loss(at), rtol=1e-13)
    assert np.allclose(
        softmax.full_gradient(both)[:, logistic.dimension :], logistic.full_gradient(at), rtol=1e-12, atol=1e-14
    )
    assert np.array_equal(softmax.accuracy(both), logistic.accuracy(at))


def test_scikit_learn_finds_the_same_minimum() -> None:
    from sklearn.linear_model import LogisticRegression as Fitted

    objective = LogisticRegression(1, BreastCancer(), regularization=0.01)
    samples = BreastCancer().load()
    features = np.column_stack((samples.features, np.ones(len(samples.labels))))
    fitted = Fitted(C=1 / (0.01 * len(features)), fit_intercept=False, tol=1e-10, max_iter=5000).fit(
        features, samples.labels
    )
    assert np.linalg.norm(objective.full_gradient(fitted.coef_[0])) < 1e-6
    assert objective.accuracy(fitted.coef_[0]) == fitted.score(features, samples.labels)
    assert objective.loss(fitted.coef_[0]) < objective.loss(objective.start())


@pytest.mark.parametrize("name", EXAMPLES)
def test_tensors_give_what_arrays_give(name: str) -> None:
    torch = pytest.importorskip("torch")
    objective = EXAMPLES[name]
    nodes = np.arange(12) % objective.nodes
    taken = laws._draws(objective, nodes, 0)
    points = stream(0, "test").standard_normal((12, objective.dimension))
    for kind, slack in ((torch.float64, 1e-12), (torch.float32, 1e-4)):
        tensor = torch.tensor(points, dtype=kind)
        found = objective.gradients(nodes, tensor, taken)
        assert found.dtype == kind
        assert np.allclose(found.numpy(), objective.gradients(nodes, points, taken), rtol=slack, atol=slack)
        assert objective.loss(tensor).dtype == torch.float64
    shaped = points.reshape(3, 4, -1)
    for method in (objective.loss, objective.full_gradient, objective.accuracy):
        expected = method(shaped)
        if expected is not None:
            assert np.allclose(np.asarray(method(torch.tensor(shaped))), expected, rtol=1e-12, atol=1e-14)


# Draws.


@settings(max_examples=40, deadline=None)
@given(batch=st.integers(1, 40), samples=st.integers(2, 50), nodes=st.integers(1, 2))
def test_epochs_are_whole_passes(batch: int, samples: int, nodes: int) -> None:
    data = SyntheticClassification(samples=samples, features=1)
    objective = LogisticRegression(nodes, data, batch=batch, sampling="epochs")
    for node in range(nodes):
        blocks = objective.draws(node, stream(0, "gradient", node))
        taken = np.concatenate([next(blocks).reshape(-1) for _ in range(3)])
        owned = objective.shards.of_node(node)
        size = owned.stop - owned.start
        passes = taken[: len(taken) // size * size].reshape(-1, size)
        assert (np.sort(passes, axis=1) == np.arange(owned.start, owned.stop)).all()
        assert size < 9 or (passes[0] != passes[1]).any()


def test_full_epochs_are_exact_gradients() -> None:
    objective = LogisticRegression(4, UNLIKE, batch=24, sampling="epochs")  # 24 samples a node
    at = stream(0, "test").standard_normal((4, objective.dimension))
    found = objective.gradients(np.arange(4), at, laws._draws(objective, np.arange(4), 0))
    assert np.allclose(found, objective.local_gradients(at), rtol=1e-12, atol=1e-14)


def test_draws_with_replacement_are_uniform() -> None:
    objective = LogisticRegression(3, UNLIKE, batch=16)
    blocks = [next(objective.draws(node, stream(0, "gradient", node))) for node in range(3)]
    for node, block in enumerate(blocks):
        owned = objective.shards.of_node(node)
        counts = np.bincount(block.reshape(-1), minlength=owned.stop)
        assert counts[: owned.start].sum() == 0 and len(counts) == owned.stop
        expected = block.size / (owned.stop - owned.start)
        assert (((counts[owned] - expected) ** 2).sum() / expected) < 2.5 * (owned.stop - owned.start)  # chi squared
    assert abs(np.corrcoef(blocks[0].reshape(-1), blocks[1].reshape(-1))[0, 1]) < 5 / np.sqrt(blocks[0].size)


# Specifications.


@pytest.mark.parametrize("name", EXAMPLES)
def test_specifications_survive_plain_data(name: str) -> None:
    objective = EXAMPLES[name]
    assert from_plain(to_plain(objective), Objective) == objective
    assert from_plain(to_plain(objective), type(objective)) == objective


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Quadratic(0), "nodes"),
        (lambda: Quadratic(2, noise=-1.0), "noise"),
        (lambda: Quadratic(2, spread=float("nan")), "spread"),
        (lambda: Quadratic(2, least_curvature=2.0), "Exchange"),
        (lambda: Quadratic(2, structure="sparse"), "structure"),  # pyright: ignore[reportArgumentType]
        (lambda: QuadraticArrays(np.eye(2), np.ones(2)), "centers"),
        (lambda: QuadraticArrays(np.eye(3), np.ones((4, 2))), "hessians"),
        (lambda: QuadraticArrays(-np.eye(2), np.ones((4, 2))), "eigenvalues"),
        (lambda: QuadraticArrays(np.array([[1.0, 1.0], [0.0, 1.0]]), np.ones((4, 2))), "symmetric"),
        (lambda: QuadraticArrays(np.eye(2), np.full((4, 2), np.inf)), "finite"),
        (lambda: LogisticRegression(600, BreastCancer()), "600 nodes for 569 samples"),
        (lambda: LogisticRegression(4, Digits()), "SoftmaxRegression"),
        (lambda: LogisticRegression(4, batch=0), "batch"),
        (lambda: LogisticRegression(4, sampling="once"), "sampling"),  # pyright: ignore[reportArgumentType]
        (lambda: LogisticRegression(4, regularization=-0.1), "regularization"),
        (lambda: SoftmaxRegression(4, regularization=float("inf")), "regularization"),
        (lambda: SigmoidLoss(4, scale=0.0), "scale"),
        (lambda: SigmoidLoss(32), "16 groups"),
        (lambda: SyntheticClassification(samples=3, groups=2), "each class needs a sample"),
        (lambda: SyntheticClassification(flipped=1.0), "flipped"),
        (lambda: DirichletSplit(alpha=0.0), "alpha"),
        (lambda: LogisticRegression(4, UNLIKE, DirichletSplit(least=30)), "least=24"),
        (lambda: observed_constants(QUADRATIC, np.zeros((3, 2))), "points"),
    ],
)
def test_bad_values_are_refused(build: Callable, words: str) -> None:
    with pytest.raises(SpecificationError, match=words):
        build()


def test_importing_objectives_imports_neither_torch_nor_scikit_learn() -> None:
    program = (
        "import sys, sgpsim.specification.catalogue as c; c.walk(); print([m for m in ('torch', 'sklearn') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
