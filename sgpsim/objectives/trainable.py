"""Trainable: what a torch module must be, so that training its parameters here is training the module.

The rule: only parameters are trained and sent, and a pass is a function of point and samples alone. A module that acts
otherwise in training than in evaluation, that keeps statistics in buffers, draws at random, or lets the samples of a
batch see one another is refused when the objective is built, rather than trained as another model. Known layers are
named; whatever else a module does is looked for in trial passes. (What happens too seldom to show in a few samples, such
as a functional dropout of one in a million, does not show there.)
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

from sgpsim.errors import SpecificationError

CURE = "Give a module without it, such as one with GroupNorm or LayerNorm, and regularize by other means."


class Pass(NamedTuple):
    """What one trial pass gave: the outputs, and the buffers by name as they were before and are after it."""

    outputs: Any
    before: dict[str, Any]
    after: dict[str, Any]


def require_layers(objective: str, module: Any) -> None:
    """Raise SpecificationError where a layer or parameter of `module` is of a kind that cannot be trained here."""
    from torch import nn

    for name, value in module.named_parameters():
        if nn.parameter.is_lazy(value):
            raise SpecificationError(
                f"{objective}: parameter {name!r} is not initialized yet; its size must be known, since it is what nodes"
                " send. Give the layer's input size, or pass one batch through the module first."
            )
        if value.is_complex():
            raise SpecificationError(
                f"{objective}: parameter {name!r} is {value.dtype}; parameters must be real. Give real and imaginary"
                " parts as two parameters."
            )
    for name, layer in module.named_modules():
        said = _acts_otherwise_in_training(layer)
        if said is not None:
            where = f"layer {name!r}" if name else "the module"
            raise SpecificationError(
                f"{objective}: {where} is {type(layer).__name__}, which {said}; here only parameters are trained, and"
                f" every pass must be the same. {CURE}"
            )


def _acts_otherwise_in_training(layer: Any) -> str | None:
    """What a known layer does in training that is not done here; None for others."""
    from torch import nn

    if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d | nn.SyncBatchNorm):
        return "normalizes by the whole batch and keeps running statistics"
    if isinstance(layer, nn.InstanceNorm1d | nn.InstanceNorm2d | nn.InstanceNorm3d) and layer.track_running_stats:
        return "keeps running statistics"
    dropouts = nn.Dropout | nn.Dropout1d | nn.Dropout2d | nn.Dropout3d | nn.AlphaDropout | nn.FeatureAlphaDropout
    inside = nn.RNNBase | nn.MultiheadAttention
    share: Any = layer.p if isinstance(layer, dropouts) else layer.dropout if isinstance(layer, inside) else 0.0
    if share > 0:
        return f"drops a share {share:g} at random while training"
    if isinstance(layer, nn.RReLU):
        return "draws its slope at random while training"
    return None


def require_one_function(objective: str, module: Any, forward: Callable[[Any, Any], Pass], samples: Any) -> None:
    """Raise SpecificationError unless trial passes show one function of parameters and samples.

    forward: (module, samples) -> Pass, at the start. samples: (count, features), a few; torch's generator is put back
    afterwards.
    """
    import torch

    training, evaluation = copy.deepcopy(module).train(), copy.deepcopy(module).eval()
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        calm = forward(evaluation, samples)
        if not isinstance(calm.outputs, torch.Tensor):
            raise SpecificationError(
                f"{objective}: the module gives a {type(calm.outputs).__name__}; it must give one tensor, a row per"
                " sample. Give a module that returns only the outputs the loss needs."
            )
        passes = {"training": forward(training, samples), "a second pass": forward(evaluation, samples)}
        for words, seen in (("evaluation", calm), *passes.items()):
            for name, value in seen.before.items():
                if not torch.equal(value, seen.after[name]):
                    raise SpecificationError(
                        f"{objective}: a pass in {words.replace('a second pass', 'evaluation')} changes buffer {name!r};"
                        f" here only parameters are trained, and every pass must be the same. {CURE}"
                    )
        for words, seen in passes.items():
            if not _alike(calm.outputs, seen.outputs):
                said = "in training than in evaluation" if words == "training" else "the second time than the first"
                raise SpecificationError(
                    f"{objective}: the same samples give other outputs {said}, as by a functional dropout; every pass"
                    f" must be the same. {CURE}"
                )
        alone = [forward(evaluation, samples[row : row + 1]).outputs for row in range(len(samples))]
        if not _alike(calm.outputs.reshape(-1), torch.cat([outputs.reshape(-1) for outputs in alone])):
            raise SpecificationError(
                f"{objective}: a sample's outputs depend on what else is in its batch; the loss must be a mean over"
                f" samples. {CURE}"
            )


def _alike(one: Any, other: Any) -> bool:
    """Equal up to what the order of additions may change."""
    import torch

    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if not one.is_floating_point():
        return bool(torch.equal(one, other))
    largest = float(torch.nan_to_num(one).abs().max()) if one.numel() else 0.0
    slack = 1e-9 if one.dtype == torch.float64 else 1e-3
    return bool(torch.allclose(one, other, rtol=slack, atol=slack * largest, equal_nan=True))
