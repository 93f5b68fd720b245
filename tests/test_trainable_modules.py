"""Which torch modules are trained as what they are, and which are refused because they would not be."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sgpsim.errors import SpecificationError
from sgpsim.objectives import laws
from sgpsim.objectives.datasets import SyntheticClassification
from sgpsim.objectives.softmax import SoftmaxRegression
from sgpsim.objectives.table import Table
from sgpsim.objectives.torch_module import TorchModule

torch = pytest.importorskip("torch")
nn, functional = torch.nn, torch.nn.functional

DATA = SyntheticClassification(samples=60, features=4, classes=3)


class Wrapped(nn.Module):
    """A linear layer, and `act` on (module, features) before it. Buffer: `seen`, zero at first."""

    def __init__(self, act: Callable[[Any, Any], Any]) -> None:
        super().__init__()
        self.inside, self.act = nn.Linear(4, 3), act
        self.register_buffer("seen", torch.zeros(4))

    def forward(self, features: Any) -> Any:
        return self.inside(self.act(self, features))


def counts_in_place(module: Any, features: Any) -> Any:
    if module.training:
        module.seen.mul_(0.9).add_(0.1 * features.mean(0))
    return features


def counts_anew(module: Any, features: Any) -> Any:
    module.seen = module.seen + 1
    return features


def between(*layers: Any) -> Any:
    return nn.Sequential(nn.Linear(4, 6), nn.Sequential(*layers), nn.Linear(6, 3))


class Attending(nn.Module):
    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.attention, self.last = nn.MultiheadAttention(4, 2, dropout, batch_first=True), nn.Linear(4, 3)

    def forward(self, features: Any) -> Any:
        rows = features[:, None, :]
        return self.last(self.attention(rows, rows, rows, need_weights=False)[0][:, 0])


class Pair(nn.Linear):
    def forward(self, input: Any) -> Any:
        return super().forward(input), input


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: between(nn.BatchNorm1d(6)), r"layer '1.0' is BatchNorm1d, which normalizes by the whole batch"),
        (lambda: between(nn.BatchNorm1d(6, track_running_stats=False)), "BatchNorm1d"),
        (lambda: between(nn.SyncBatchNorm(6)), "SyncBatchNorm"),
        (lambda: between(nn.Unflatten(1, (2, 3)), nn.InstanceNorm1d(2, track_running_stats=True)), "running statistics"),
        (lambda: between(nn.Dropout(0.5)), r"Dropout, which drops a share 0.5 at random"),
        (lambda: between(nn.AlphaDropout(1e-6)), "a share 1e-06"),
        (lambda: between(nn.RReLU()), "slope at random"),
        (lambda: Attending(0.1), "MultiheadAttention, which drops a share 0.1"),
        (lambda: Wrapped(lambda module, at: functional.dropout(at, 0.5, module.training)), "other outputs in training"),
        (lambda: Wrapped(lambda _, at: functional.dropout(at, 0.5)), "functional dropout"),
        (lambda: Wrapped(lambda _, at: at + torch.randn_like(at)), "functional dropout"),
        (lambda: Wrapped(counts_in_place), "in training changes buffer 'seen'"),
        (lambda: Wrapped(counts_anew), "in evaluation changes buffer 'seen'"),
        (lambda: Wrapped(lambda _, at: at - at.mean(0)), "what else is in its batch"),
        (lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(4, 3)), "changes buffer"),
        (lambda: nn.LazyLinear(3), "not initialized yet"),
        (lambda: Pair(4, 3), "gives a tuple"),
        (lambda: nn.Sequential(nn.Embedding(5, 3), nn.Flatten(), nn.Linear(12, 3)), "can't take samples of 4 features"),
        (lambda: nn.Linear(4, 3).requires_grad_(False), "without parameters to train"),
        (lambda: nn.Linear(4, 3, dtype=torch.complex64), "must be real"),
        (lambda: Wrapped(lambda _, at: torch.stack([row * float(row.sum()) for row in at])), "gradients of several nodes"),
    ],
)
def test_what_would_be_trained_as_another_model_is_refused(make: Callable[[], Any], words: str) -> None:
    state = torch.random.get_rng_state()
    with pytest.raises(SpecificationError, match=words) as raised:
        TorchModule(2, make, data=DATA)
    assert torch.equal(state, torch.random.get_rng_state())
    assert "\n" not in str(raised.value)


def by_autograd(objective: TorchModule, module: Any, draw: np.ndarray) -> np.ndarray:
    """The gradient of the batch's cross-entropy, as torch trains: one optimizer's view, frozen parameters left out."""
    module = copy.deepcopy(module).double().train()
    features = torch.tensor(objective.shards.features[draw])
    functional.cross_entropy(module(features), torch.tensor(objective.shards.labels[draw])).backward()
    return torch.cat([value.grad.reshape(-1) for value in module.parameters() if value.requires_grad]).numpy()


def tied() -> Any:
    module = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Tanh(), nn.Linear(4, 4, bias=False), nn.Linear(4, 3))
    module[2].weight = module[0].weight
    return module


def frozen() -> Any:
    module = between(nn.Tanh())
    module[0].requires_grad_(False)
    return module


@pytest.mark.parametrize(
    "make",
    [
        lambda: between(nn.GroupNorm(2, 6), nn.LayerNorm(6), nn.Dropout(0.0), nn.ReLU()),
        lambda: between(nn.Unflatten(1, (2, 3)), nn.InstanceNorm1d(2), nn.Flatten()),
        lambda: Attending(0.0),
        lambda: nn.utils.parametrizations.weight_norm(nn.Linear(4, 3)),
        lambda: Wrapped(lambda module, at: at + module.seen),
        tied,
        frozen,
        lambda: between(nn.Tanh()).half(),
        lambda: between(nn.Tanh()).bfloat16(),
        lambda: between(nn.Tanh()).double(),
    ],
    ids=["norms", "instance", "attention", "weight norm", "buffer", "tied", "frozen", "half", "bfloat16", "double"],
)
def test_what_is_taken_has_the_gradients_of_plain_torch(make: Callable[[], Any]) -> None:
    torch.manual_seed(3)
    module = make()
    objective = TorchModule(2, module, data=DATA, batch=5)
    draw = np.array([[3, 0, 7, 7, 21]], dtype=np.int32)
    found = objective.gradients(np.zeros(1, dtype=np.int64), objective.start()[None], draw)
    assert np.allclose(found[0], by_autograd(objective, module, draw[0]), rtol=1e-9, atol=1e-12)
    assert objective.dimension == sum(value.numel() for value in module.parameters() if value.requires_grad)
    laws.check_objective(objective, spread=0.1, same_bits=False)


def test_frozen_parameters_stay_as_they_are_in_single_precision_too() -> None:
    module = frozen()
    objective = TorchModule(2, module, data=DATA)
    points = np.tile(objective.start(), (2, 1)).astype(np.float32)
    assert objective.gradients(np.arange(2), points, laws._draws(objective, np.arange(2), 0)).dtype == np.float32
    assert torch.equal(module[0].weight, objective.structure[0].weight)


def table(folder: Path, labels: list[Any]) -> Table:
    np.savez(folder / "own.npz", features=np.arange(float(2 * len(labels))).reshape(-1, 2), labels=np.array(labels))
    lines = [f"{number},{number % 3},{label}\n" for number, label in enumerate(labels)]
    (folder / "own.csv").write_text("one,two,label\n" + "".join(lines))
    return Table(str(folder / "own.npz"))


def square(outputs: Any, labels: Any) -> Any:
    return ((outputs[:, 0] - labels) ** 2).mean()


def test_measured_values_are_no_labels(tmp_path: Path) -> None:
    for data in (table(tmp_path, [0.5, 1.25, 0.5, 3.0]), Table(str(tmp_path / "own.csv"))):
        for build in (lambda data: TorchModule(2, lambda: nn.Linear(2, 1), square, data), lambda d: SoftmaxRegression(2, d)):
            with pytest.raises(SpecificationError, match=r"a label is 0\.5; labels name classes"):
                build(data)


def test_numbers_that_are_not_their_own_places_are_refused_to_a_loss_of_ones_own(tmp_path: Path) -> None:
    for labels in ([-1, 1, 1, -1], [-1.0, 1.0, -1.0, 1.0], [10, 20, 10, 20]):
        for data in (table(tmp_path, labels), Table(str(tmp_path / "own.csv"))):
            with pytest.raises(SpecificationError, match=f"labels {min(labels):g}, {max(labels):g}; the loss would be"):
                TorchModule(2, lambda: nn.Linear(2, 1), square, data)
            TorchModule(2, lambda: nn.Linear(2, 2), None, data)  # for cross-entropy they are names
    for labels in ([0, 1, 1, 0], [0.0, 1.0, 0.0, 1.0], ["cat", "dog", "cat", "dog"]):
        for data in (table(tmp_path, labels), Table(str(tmp_path / "own.csv"))):
            TorchModule(2, lambda: nn.Linear(2, 1), square, data)
