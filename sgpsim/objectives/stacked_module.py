"""Torch modules as objectives: all nodes' parameters stacked, their gradients taken in one vectorized call.

The rule: a point is the module's parameters, flattened in the order of `named_parameters`; the module itself is only
structure, and never holds the numbers of a run. A gradient depends on point and draw alone; modules of which that is
not true, such as those with dropout or batch norm, are refused (see `trainable.py`). Parameters that do not require
gradients stay as they are, and tied ones are one. torch is imported when such an objective is built, not before.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgpsim.errors import SpecificationError
from sgpsim.mass import Array
from sgpsim.objectives.arrays import is_tensor, rows
from sgpsim.objectives.finite_sum import FiniteSum
from sgpsim.objectives.objective import Constant, Constants
from sgpsim.objectives.trainable import Pass, require_layers, require_one_function

STACK_BYTES = 1 << 26
"""Parameters and gradients held at a time on a CPU; sixteen times as much on an accelerator."""
PIECE = 4096
"""Samples that go through the module at a time where whole data sets do."""


def require_torch(objective: str) -> Any:
    """torch, imported now. Raises SpecificationError where it is not installed."""
    try:
        import torch
    except ImportError as error:
        raise SpecificationError(
            f"{objective} needs torch, which is not installed; it is an extra. Give: pip install 'sgpsim[torch]'."
        ) from error
    return torch


class StackedModule(FiniteSum):
    """f_i = mean over node i's samples of a loss of the module's outputs; gradients equal to rounding alone or in a
    batch.

    structure: the module. criterion: (outputs, labels) -> the mean loss of these samples, a scalar tensor.
    """

    structure: Any

    @abstractmethod
    def criterion(self, outputs: Any, labels: Any) -> Any:
        """The mean loss of a batch, a scalar tensor."""

    def place(self, objective: str, module: Any, scores: bool) -> None:
        """Take `module` (already initialized) as structure and start; `scores`: its outputs must be one score per
        class.

        Raises SpecificationError where it can't be trained on the data.
        """
        torch = require_torch(objective)
        module = module.eval()
        require_layers(objective, module)
        trained = {name: value.detach() for name, value in module.named_parameters() if value.requires_grad}
        shapes = [(name, tuple(value.shape), value.numel()) for name, value in trained.items()]
        dimension = sum(count for _, _, count in shapes)
        if not dimension:
            raise SpecificationError(
                f"{objective} was given a module without parameters to train; there is nothing to train. Give one with"
                " layers whose parameters require gradients."
            )
        flat = torch.cat([value.reshape(-1).double().cpu() for value in trained.values()])
        for name, value in (
            ("structure", module),
            ("dimension", dimension),
            ("_shapes", shapes),
            ("_start", flat.numpy()),
        ):
            object.__setattr__(self, name, value)  # made from the fields: no part of the value
        tried = flat.clone()
        features, labels = self._data(tried)
        if labels.is_floating_point():
            raise SpecificationError(
                f"{objective}: the labels are {labels.dtype}; they must be classes, whole numbers from 0 on. Regression"
                " on measured values is not supported."
            )

        def forward(structure: Any, samples: Any) -> Pass:
            values = self._values(tried)
            before = {name: value.clone() for name, value in values.items()}
            outputs = torch.func.functional_call(structure, values, (samples,))  # writes what it replaces to `values`
            return Pass(outputs, before, values)

        try:
            require_one_function(objective, module, forward, features[:3])
            value = self._mean_loss(tried, features[:2], labels[:2])
            shape = tuple(self._outputs(tried, features[:2]).shape)
        except SpecificationError:
            raise
        except Exception as error:
            raise SpecificationError(
                f"{objective}: the module can't take samples of {features.shape[1]} features and"
                f" {self.shards.classes} classes"
                f" ({type(error).__name__}: {str(error).splitlines()[0]}). Make its first layer take"
                f" {features.shape[1]} numbers and its last"
                f" give {self.shards.classes}."
            ) from error
        if value.ndim or not value.is_floating_point():
            raise SpecificationError(
                f"{objective}: the loss has shape {tuple(value.shape)}; it must be one number, the mean over the batch."
            )
        try:
            self.gradients(np.zeros(2, np.int64), torch.stack([tried, tried]), np.zeros((2, 1), np.int32))
        except Exception as error:
            raise SpecificationError(
                f"{objective}: torch can't take the gradients of several nodes in one call ({type(error).__name__}:"
                f" {str(error).splitlines()[0]}). Use operations that torch.func.vmap and torch.func.grad support."
            ) from error
        classifies = len(shape) == 2 and shape[1] == self.shards.classes
        if scores and not classifies:
            raise SpecificationError(
                f"{objective}: two samples give outputs of shape {shape}; cross-entropy needs (2,"
                f" {self.shards.classes}), one score per class. Change the last layer, or give a loss of your own."
            )
        object.__setattr__(self, "_classifies", classifies)

    def start(self) -> NDArray[np.float64]:
        """What the module was initialized to."""
        return self.__dict__["_start"].copy()

    def gradients(self, nodes: NDArray[np.int64], points: Array, draws: NDArray[np.int32]) -> Array:
        """grad of the mean loss over each draw, at each point: one vectorized call per piece of the stack."""
        torch = require_torch(type(self).__name__)
        stacked = points if is_tensor(points) else torch.tensor(points)
        features, labels = self._data(stacked)
        result = torch.empty_like(stacked)
        step = max(
            1,
            (STACK_BYTES if stacked.device.type == "cpu" else 16 * STACK_BYTES)
            // (4 * self.dimension * stacked.itemsize),
        )
        each = torch.func.vmap(torch.func.grad(self._mean_loss))
        for start in range(0, len(stacked), step):
            piece = slice(start, start + step)
            result[piece] = each(stacked[piece], rows(features, draws[piece]), rows(labels, draws[piece]))
        return result if is_tensor(points) else result.numpy()

    def loss(self, at: Array) -> Array:
        return self._over_points(at, partial(self._summed, self._mean_loss))

    def full_gradient(self, at: Array) -> Array:
        gradient = require_torch(type(self).__name__).func.grad(self._mean_loss)
        return self._over_points(at, partial(self._summed, gradient))

    def local_gradients(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        torch = require_torch(type(self).__name__)
        gradient = torch.func.grad(self._mean_loss)
        flat = torch.tensor(np.asarray(points, dtype=np.float64)).reshape(-1, self.nodes, self.dimension)
        features, labels = self._data(flat)
        result = torch.zeros_like(flat)
        for node in range(self.nodes):
            owned = self.shards.of_node(node)
            for piece in _pieces(owned):
                share = (piece.stop - piece.start) / (owned.stop - owned.start)
                for point in range(len(flat)):
                    result[point, node] += share * gradient(flat[point, node], features[piece], labels[piece])
        return result.numpy().reshape(points.shape)

    def accuracy(self, at: Array) -> Array | None:
        if not self.__dict__["_classifies"]:
            return None
        return self._over_points(at, self._share_right)

    def constants(self) -> Constants:
        unknown = Constant.unknown("nothing is known of an arbitrary module; see `observed_constants`")
        return Constants(unknown, unknown, unknown, unknown, self.lowest)

    @property
    @abstractmethod
    def lowest(self) -> Constant:
        """A lower bound of f, if there is one."""

    def _data(self, like: Any) -> tuple[Any, Any]:
        return self.placed("features", self.shards.features, like), self.placed("labels", self.shards.labels, like)

    def _values(self, flat: Any) -> dict[str, Any]:
        """The structure's tensors by name: trained ones out of `flat`, the others as they are, where and of what kind
        `flat` is."""
        values: dict[str, Any] = {}
        position = 0
        for name, shape, count in self.__dict__["_shapes"]:
            values[name] = flat[position : position + count].reshape(shape)
            position += count
        for name, value in (*self.structure.named_buffers(), *self.structure.named_parameters()):
            if name not in values:
                kind = flat.dtype if value.is_floating_point() else value.dtype
                values[name] = value.detach().to(device=flat.device, dtype=kind)
        return values

    def _outputs(self, flat: Any, features: Any) -> Any:
        torch = require_torch(type(self).__name__)
        return torch.func.functional_call(self.structure, self._values(flat), (features,))

    def _mean_loss(self, flat: Any, features: Any, labels: Any) -> Any:
        return self.criterion(self._outputs(flat, features), labels)

    def _summed(self, function: Any, flat: Any) -> Any:
        """(1/n) sum_i mean over node i's samples of `function`, in float64 at one point."""
        features, labels = self._data(flat)
        sizes = np.diff(self.shards.starts)
        even = bool((sizes == sizes[0]).all())  # then the mean over all samples is the mean over nodes
        owners = [slice(0, len(labels))] if even else [self.shards.of_node(node) for node in range(self.nodes)]
        total: Any = 0.0
        for owned in owners:
            for piece in _pieces(owned):
                share = (piece.stop - piece.start) / (owned.stop - owned.start) / len(owners)
                total = total + share * function(flat, features[piece], labels[piece])
        return total

    def _share_right(self, flat: Any) -> Any:
        features, labels = self._data(flat)
        pieces = _pieces(slice(0, len(labels)))
        right: Any = sum((self._outputs(flat, features[piece]).argmax(-1) == labels[piece]).sum() for piece in pieces)
        return right.double() / len(labels)

    def _over_points(self, at: Array, function: Any) -> Array:
        """`function` of every point of (..., dimension), in float64, as what `at` is."""
        torch = require_torch(type(self).__name__)
        stacked = (at if is_tensor(at) else torch.tensor(np.asarray(at))).double().reshape(-1, self.dimension)
        with torch.no_grad():
            found = torch.stack([function(flat) for flat in stacked])
        found = found.double().reshape(tuple(at.shape[:-1]) + tuple(found.shape[1:]))
        return found if is_tensor(at) else found.numpy()


def _pieces(owned: slice) -> Iterator[slice]:
    """`owned` in runs of at most PIECE rows."""
    for start in range(owned.start, owned.stop, PIECE):
        yield slice(start, min(start + PIECE, owned.stop))
