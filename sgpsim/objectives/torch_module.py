"""Torch modules on data shared among nodes: your own module with your own loss, and a multilayer perceptron that a file can name.

Both need the extra `torch`; without it building one raises SpecificationError with the command that installs it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from sgpsim.errors import SpecificationError, require_count
from sgpsim.objectives.datasets import Dataset, Digits
from sgpsim.objectives.finite_sum import Sampling, Shards, require_sampling
from sgpsim.objectives.objective import Constant
from sgpsim.objectives.split import EvenSplit, Split
from sgpsim.objectives.stacked_module import StackedModule, require_torch
from sgpsim.streams import stream

NOT_NEGATIVE = Constant(0.0, "certified", "cross-entropy is not negative: a lower bound, not the minimum")


def initialized(objective: str, seed: int, make: Callable[[], Any]) -> Any:
    """What `make` returns, with torch's global generator set to an address of our own meanwhile and put back
    afterwards."""
    torch = require_torch(objective)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(stream(seed, "initialization").integers(1 << 62)))
        return make()


@dataclass(frozen=True)
class TorchModule(StackedModule):
    """f_i = mean over node i's samples of loss(module(features), label), for a torch.nn.Module of parameters alone.

    nodes: how many. module: a function without arguments that returns a module (called once, with torch's generator
    seeded by `seed`), or a module, whose parameters as they are become the start. loss: (outputs, labels) -> mean over
    the batch; None: cross-entropy of the outputs as scores. data: labelled samples; the module gets (batch, features).
    split: who holds which. batch: samples per gradient. sampling: draws with replacement, or shuffled epochs.

    Refused with SpecificationError: what `trainable.py` lists, among it dropout with p > 0 and batch norm; labels that
    are no classes, or, with a loss of your own, numbers other than 0, 1, ... A random or mode-dependent function inside
    the module is seen only if a trial pass over three samples shows it.
    """

    nodes: int
    module: Callable[[], Any] | Any
    loss_function: Callable[[Any, Any], Any] | None = None
    data: Dataset = Digits()
    split: Split = EvenSplit()
    batch: int = 16
    sampling: Sampling = "replacement"  # pyright: ignore[reportIncompatibleMethodOverride]
    seed: int = 0

    def __post_init__(self) -> None:
        torch = require_torch("TorchModule")
        require_count("TorchModule(nodes)", self.nodes)
        require_count("TorchModule(seed)", self.seed, least=0)
        require_sampling("TorchModule", self.batch, self.sampling)
        given = self.module
        module = (
            copy.deepcopy(given) if isinstance(given, torch.nn.Module) else initialized("TorchModule", self.seed, given)
        )
        if not isinstance(module, torch.nn.Module):
            raise SpecificationError(
                f"TorchModule(module) gave a {type(module).__name__}; it must be a torch.nn.Module or a function that"
                " returns one."
                " Give such as lambda: torch.nn.Linear(64, 10)."
            )
        names = self.data.label_names()
        if self.loss_function is not None and names is not None:
            raise SpecificationError(
                f"TorchModule(loss_function) with labels {names}; the loss would be given their places 0, 1, ... in that"
                " order instead. Label the samples 0, 1, ... and translate them in the loss."
            )
        object.__setattr__(self, "shards", Shards.of(self.data, self.split, self.nodes, bias=False))
        self.place("TorchModule", module, scores=self.loss_function is None)

    def criterion(self, outputs: Any, labels: Any) -> Any:
        if self.loss_function is not None:
            return self.loss_function(outputs, labels)
        return require_torch("TorchModule").nn.functional.cross_entropy(outputs, labels)

    @property
    def lowest(self) -> Constant:
        return NOT_NEGATIVE if self.loss_function is None else Constant.unknown("nothing is known of an arbitrary loss")


@dataclass(frozen=True)
class Perceptron(StackedModule):
    """Cross-entropy of a multilayer perceptron: features -> hidden layers -> one score per class.

    nodes: how many. hidden: widths of the hidden layers (none: softmax regression). activation: between layers. data:
    labelled samples. split: who holds which. batch: samples per gradient. sampling: draws with replacement, or shuffled
    epochs. seed: of the initial parameters (torch's own initialization).
    """

    nodes: int
    hidden: tuple[int, ...] = (32,)
    activation: Literal["relu", "tanh"] = "relu"
    data: Dataset = Digits()
    split: Split = EvenSplit()
    batch: int = 16
    sampling: Sampling = "replacement"  # pyright: ignore[reportIncompatibleMethodOverride]
    seed: int = 0

    def __post_init__(self) -> None:
        require_count("Perceptron(nodes)", self.nodes)
        require_count("Perceptron(seed)", self.seed, least=0)
        require_sampling("Perceptron", self.batch, self.sampling)
        for width in self.hidden:
            require_count("Perceptron(hidden): each width", width)
        if self.activation not in ("relu", "tanh"):
            raise SpecificationError(
                f"Perceptron(activation) is {self.activation!r}; it must be 'relu' or 'tanh'. Give one of these."
            )
        object.__setattr__(self, "shards", Shards.of(self.data, self.split, self.nodes, bias=False))
        self.place("Perceptron", initialized("Perceptron", self.seed, self._layers), scores=True)

    def _layers(self) -> Any:
        layers = require_torch("Perceptron").nn
        widths = (self.shards.features.shape[1], *self.hidden, self.shards.classes)
        found: list[Any] = []
        for before, after in pairwise(widths):
            found += [layers.ReLU() if self.activation == "relu" else layers.Tanh()] if found else []
            found.append(layers.Linear(before, after))
        return layers.Sequential(*found)

    def criterion(self, outputs: Any, labels: Any) -> Any:
        return require_torch("Perceptron").nn.functional.cross_entropy(outputs, labels)

    @property
    def lowest(self) -> Constant:
        return NOT_NEGATIVE
