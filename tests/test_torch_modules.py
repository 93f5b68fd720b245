"""Torch modules as objectives: against the same models written with arrays, and what is refused."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sgpsim.errors import SpecificationError
from sgpsim.files.plain_data import from_plain, to_plain
from sgpsim.objectives import laws
from sgpsim.objectives.datasets import Digits, SyntheticClassification
from sgpsim.objectives.objective import Objective
from sgpsim.objectives.observed import observed_constants
from sgpsim.objectives.softmax import SoftmaxRegression
from sgpsim.objectives.split import DirichletSplit
from sgpsim.objectives.torch_module import Perceptron, TorchModule
from sgpsim.streams import stream

torch = pytest.importorskip("torch")

DATA = SyntheticClassification(samples=60, features=4, classes=3)


def square(outputs: Any, labels: Any) -> Any:
    return ((outputs[:, 0] - labels) ** 2).mean()


def linear() -> TorchModule:
    return TorchModule(4, lambda: torch.nn.Linear(4, 3, bias=False), data=DATA, split=DirichletSplit(0.3), batch=5)


@pytest.mark.parametrize("sampling", ["replacement", "epochs"])
def test_laws(sampling: str) -> None:
    perceptron = Perceptron(3, (5, 4), "tanh", DATA, DirichletSplit(0.3), sampling=sampling)  # pyright: ignore[reportArgumentType]
    laws.check_objective(perceptron, spread=0.3, same_bits=False)


def test_a_linear_module_is_softmax_regression() -> None:
    module, plain = linear(), SoftmaxRegression(4, DATA, DirichletSplit(0.3), batch=5, bias=False)
    nodes = np.arange(8) % 4
    taken = laws._draws(plain, nodes, 0)
    points = stream(0, "test").standard_normal((8, plain.dimension))
    assert np.array_equal(taken, laws._draws(module, nodes, 0))
    for kind, slack in ((np.float64, 1e-13), (np.float32, 1e-5)):
        found = module.gradients(nodes, points.astype(kind), taken)
        assert found.dtype == kind and np.allclose(found, plain.gradients(nodes, points, taken), atol=slack)
    assert np.allclose(module.loss(points), plain.loss(points), rtol=1e-12)
    assert np.allclose(module.full_gradient(points), plain.full_gradient(points), atol=1e-13)
    assert np.array_equal(np.asarray(module.accuracy(points)), plain.accuracy(points))
    everywhere = points.reshape(2, 4, -1)
    assert np.allclose(module.local_gradients(everywhere), plain.local_gradients(everywhere), atol=1e-13)
    assert np.allclose(module.variances(points[:4]), plain.variances(points[:4]), rtol=1e-9)


def test_tensors_and_read_only_arrays(recwarn: pytest.WarningsRecorder) -> None:
    objective = linear()
    taken = laws._draws(objective, np.arange(4), 0)
    points = np.tile(objective.start(), (4, 1))
    points.flags.writeable = False
    found = objective.gradients(np.arange(4), torch.tensor(points), taken)
    assert isinstance(found, torch.Tensor)
    assert np.array_equal(found.numpy(), objective.gradients(np.arange(4), points, taken))
    assert objective.loss(torch.tensor(points, dtype=torch.float32)).dtype == torch.float64
    assert not list(recwarn)


def test_starts_follow_the_seed_and_leave_torch_alone() -> None:
    before = torch.random.get_rng_state()
    one, same, other = Perceptron(2, data=DATA), Perceptron(2, data=DATA), Perceptron(2, data=DATA, seed=1)
    assert torch.equal(before, torch.random.get_rng_state())
    assert np.array_equal(one.start(), same.start()) and not np.array_equal(one.start(), other.start())
    given = torch.nn.Linear(4, 3)
    objective = TorchModule(2, given, data=DATA)
    flat = torch.cat([value.reshape(-1) for value in given.parameters()]).detach().numpy()
    assert np.array_equal(objective.start(), flat.astype(np.float64))
    objective.start()[:] = 0
    assert np.array_equal(objective.start(), flat.astype(np.float64))


class Shifted(torch.nn.Module):
    """With a buffer that stays what it is."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = torch.nn.Linear(4, 1)
        self.register_buffer("shift", torch.full((4,), 0.3))

    def forward(self, features: Any) -> Any:
        return self.inside(features + self.shift)


def test_other_losses_and_buffers() -> None:
    objective = TorchModule(3, lambda: torch.nn.Sequential(Shifted(), torch.nn.Dropout(0.0)), square, DATA)
    laws.check_objective(objective, spread=0.2, same_bits=False)
    assert objective.accuracy(objective.start()) is None
    assert objective.constants().lowest.evidence == "unknown"


def test_constants_are_unknown_until_observed() -> None:
    objective = Perceptron(2, (3,), data=DATA)
    known = objective.constants()
    assert {known.smoothness.evidence, known.variance.evidence, known.heterogeneity.evidence} == {"unknown"}
    assert known.lowest.value == 0
    seen = observed_constants(
        objective, objective.start() + 0.1 * stream(0, "test").standard_normal((3, objective.dimension))
    )
    assert seen.smoothness.evidence == seen.variance.evidence == seen.heterogeneity.evidence == "observed"


def test_perceptron_learns_digits() -> None:
    objective = Perceptron(1, batch=64)
    at = objective.start()
    for taken in laws._draws(objective, np.zeros(150, dtype=np.int64), 0):
        at = at - 0.5 * objective.gradients(np.zeros(1, dtype=np.int64), at[None], taken[None])[0]
    before, after = (float(np.asarray(objective.accuracy(point))) for point in (objective.start(), at))
    assert before < 0.3 < 0.9 < after


def test_specifications_survive_plain_data() -> None:
    objective = Perceptron(2, (3, 3), "tanh", DATA, seed=4)
    assert from_plain(to_plain(objective), Objective) == objective


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: TorchModule(2, lambda: torch.nn.Linear(5, 3), data=DATA), "4 features and 3 classes"),
        (lambda: TorchModule(2, lambda: torch.nn.Linear(4, 2), data=DATA), "one score per class"),
        (lambda: TorchModule(2, lambda: "net", data=DATA), "gave a str"),
        (lambda: TorchModule(2, torch.nn.ReLU(), data=DATA), "without parameters"),
        (lambda: TorchModule(2, lambda: torch.nn.Linear(4, 3), lambda outputs, labels: outputs, DATA), "one number"),
        (lambda: Perceptron(2, (0,)), "hidden"),
        (lambda: Perceptron(2, activation="sine"), "activation"),  # pyright: ignore[reportArgumentType]
        (lambda: Perceptron(2000), "2000 nodes for 1797 samples"),
    ],
)
def test_bad_values_are_refused(build: Callable, words: str) -> None:
    with pytest.raises(SpecificationError, match=words):
        build()


def test_without_torch_the_cure_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    for build in (lambda: Perceptron(2), lambda: TorchModule(2, lambda: None, data=Digits())):
        with pytest.raises(SpecificationError, match=r"pip install 'sgpsim\[torch\]'"):
            build()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("objective", [linear(), SoftmaxRegression(4, DATA, batch=5)], ids=["module", "softmax"])
def test_on_a_gpu(objective: Objective) -> None:
    nodes = np.arange(4)
    taken = laws._draws(objective, nodes, 0)
    points = stream(0, "test").standard_normal((4, objective.dimension))
    tensor = torch.tensor(points, device="cuda")
    found = objective.gradients(nodes, tensor, taken)
    assert found.device.type == "cuda"
    assert np.allclose(found.cpu().numpy(), objective.gradients(nodes, points, taken), atol=1e-12)
    assert np.allclose(objective.loss(tensor).cpu().numpy(), objective.loss(points))
