"""Torch modules on data shared among nodes: your own module with your own loss, and a multilayer perceptron that a file can name.

Both need the extra `torch`; without it building one raises SpecificationError with the command that installs it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import pairwise
from typing import Any, Literal

from sgpsim.errors import SpecificationError, shown
from sgpsim.objectives.datasets import Dataset, Digits
from sgpsim.objectives.finite_sum import Batch, Sampling, Shards
from sgpsim.objectives.objective import Constant
from sgpsim.objectives.split import EvenSplit, Split
from sgpsim.objectives.stacked_module import StackedModule, require_torch
from sgpsim.specification.input_files import reason_of
from sgpsim.specification.ranges import Count, Nodes, Seed, require_room
from sgpsim.specification.specification import specification
from sgpsim.streams import stream

NOT_NEGATIVE = Constant(0.0, "certified", "cross-entropy is not negative: a lower bound, not the minimum")


def initialized(objective: str, seed: int, make: Callable[[], Any]) -> Any:
    """What `make` returns, with torch's global generator set to an address of our own meanwhile and put back
    afterwards."""
    torch = require_torch(objective)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(stream(seed, "initialization").integers(1 << 62)))
        return make()


@specification
class TorchModule(StackedModule):
    """f_i = mean over node i's samples of loss(module(features), label), for a torch.nn.Module of parameters alone.

    nodes: how many. module: a function without arguments that returns a module (called once, with torch's generator
    seeded by `seed`), or a module, whose parameters as they are become the start. loss_function: (outputs, labels)
    -> mean over the batch; None: cross-entropy of the outputs as scores. data: labelled samples; the module gets (batch, features).
    split: who holds which. batch: samples per gradient. sampling: draws with replacement, or shuffled epochs.

    Refused with SpecificationError: what `trainable.py` lists, among it dropout with p > 0 and batch norm; labels that
    are no classes, or, with a loss of your own, numbers other than 0, 1, ... A random or mode-dependent function inside
    the module is seen only if a trial pass over three samples shows it.
    """

    nodes: Nodes
    module: Callable[[], Any] | Any
    loss_function: Callable[[Any, Any], Any] | None = None
    data: Dataset = Digits()
    split: Split = EvenSplit()
    batch: Batch = 16
    sampling: Sampling = "replacement"  # pyright: ignore[reportIncompatibleMethodOverride]
    seed: Seed = 0

    def __post_init__(self) -> None:
        torch = require_torch("TorchModule")
        given = self.module
        try:
            own = isinstance(given, torch.nn.Module)
            module = copy.deepcopy(given) if own else initialized("TorchModule", self.seed, given)
        except Exception as error:
            raise SpecificationError(
                f"TorchModule(module) is {shown(given)}; calling it without arguments ends in {type(error).__name__}:"
                f" {reason_of(error)}. Give a torch.nn.Module, or a function that returns one."
            ) from error
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


@specification
class Perceptron(StackedModule):
    """Cross-entropy of a multilayer perceptron: features -> hidden layers -> one score per class.

    nodes: how many. hidden: widths of the hidden layers (none: softmax regression). activation: between layers. data:
    labelled samples. split: who holds which. batch: samples per gradient. sampling: draws with replacement, or shuffled
    epochs. seed: of the initial parameters (torch's own initialization).
    """

    nodes: Nodes
    hidden: tuple[Count, ...] = (32,)
    activation: Literal["relu", "tanh"] = "relu"
    data: Dataset = Digits()
    split: Split = EvenSplit()
    batch: Batch = 16
    sampling: Sampling = "replacement"  # pyright: ignore[reportIncompatibleMethodOverride]
    seed: Seed = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "shards", Shards.of(self.data, self.split, self.nodes, bias=False))
        widths = self._widths
        require_room("Perceptron(hidden)", sum(before * after for before, after in pairwise(widths)))
        self.place("Perceptron", initialized("Perceptron", self.seed, self._layers), scores=True)

    @property
    def _widths(self) -> tuple[int, ...]:
        """Of all layers, the features first."""
        return self.shards.features.shape[1], *self.hidden, self.shards.classes

    def _layers(self) -> Any:
        layers = require_torch("Perceptron").nn
        found: list[Any] = []
        for before, after in pairwise(self._widths):
            found += [layers.ReLU() if self.activation == "relu" else layers.Tanh()] if found else []
            found.append(layers.Linear(before, after))
        return layers.Sequential(*found)

    def criterion(self, outputs: Any, labels: Any) -> Any:
        return require_torch("Perceptron").nn.functional.cross_entropy(outputs, labels)

    @property
    def lowest(self) -> Constant:
        return NOT_NEGATIVE
