"""Guarded arrays against nodes that compute alone: the same bits and dtypes entry by entry, and refusals of what mixes them."""

from __future__ import annotations

import itertools
import re
from typing import Any, NoReturn

import numpy as np
import pytest

from sgpsim.backends.fleet.guarded_array import Guarded

SHAPE = 5, 3, 37
"""Nodes, seeds, dimension: sums of 8 and more are made in pairs."""
WITH_WEIGHTS = """w**3 * x | 2**w * x | w**0.5 * x | w**w * x | w**2 / (1 + w) * x | -w % 0.3 * x | w // 0.3 * x | abs(w - 1) * x
np.sqrt(w) * x | np.exp(w) * x | np.maximum(w, 0.5) * x | np.where(w > 0.5, x, y) | np.float64(3) * w * x | np.float32(3) * x
np.clip(w, 0.5, 1.0) * x | (w > 0.5) * x | np.where(w > 0.5, w, 1.0) * x"""
ENTRIES = """x[..., few].sum(axis=-1, keepdims=True) | x[..., few].mean(axis=-1, keepdims=True) | x[..., some].std(axis=-1, keepdims=True)
np.linalg.norm(x[..., few], axis=-1, keepdims=True) | x[..., ::2].sum(axis=-1, keepdims=True)
x[..., ::-1].sum(axis=-1, keepdims=True) | x[..., [0, 2]] * 2 | x[..., (0, 1)]"""
TYPES = "x.astype(np.float32) | x.astype(np.float64) * w | x.astype('float32') + y | x + [0.5] | np.where(x > 0, (1.0,), x)"
MIXING = """x * [[1.0], [2.0], [3.0]] | [[1.0], [2.0], [3.0]] * x | x * (((1.0,),),) | np.where(x > 0, [[1.0], [2.0], [3.0]], 0)
np.maximum(x, [[1.0], [2.0], [3.0]]) | np.clip(x, [[0.0], [0.1], [0.2]], 5) | x.clip([[[0.0]]], 5) | np.full_like(x, [[1.0], [2.0], [3.0]])
x.__setitem__(..., [[1.0], [2.0], [3.0]]) | x.__iadd__([[1.0], [2.0], [3.0]]) | x[np.arange(3)] | x[whole > 0] | x[...] @ few
x.mean(axis=0, keepdims=True) | np.sum(x, axis=(1, -1), keepdims=True) | x**w"""

CURED = {  # what is refused: what its cure has to say, and what a reader of it writes then
    "x.sum()": ("axis=-1 and keepdims=True", "x.sum(axis=-1, keepdims=True)"),
    "np.linalg.norm(x)": ("axis=-1 and keepdims=True", "np.linalg.norm(x, axis=-1, keepdims=True)"),
    "np.add.reduce(x)": ("axis=-1 and keepdims=True", "np.add.reduce(x, axis=-1, keepdims=True)"),
    "np.cumsum(x)": ("Write axis=-1,", "np.cumsum(x, axis=-1)"),
    "x @ y": ("(a * b).sum", "(x * y).sum(axis=-1, keepdims=True)"),
    "np.dot(x, y)": ("(a * b).sum", "(x * y).sum(axis=-1, keepdims=True)"),
    "x.dot(y)": ("(a * b).sum", "(x * y).sum(axis=-1, keepdims=True)"),
    "np.einsum('...i,...i', x, y)": ("(a * b).sum", "(x * y).sum(axis=-1, keepdims=True)"),
    "divmod(x, 0.3)": ("divmod of .*operators", "x // 0.3"),
    "np.fix(x)": ("each number alone", "np.trunc(x)"),
    "np.select([x > 1, x < -1], [y, -y], x)": ("each number alone", "np.where(x > 1, y, np.where(x < -1, -y, x))"),
    "x.fill(0.5)": ("each number alone", "x * 0.0 + 0.5"),
    "np.where(x > 0)": ("np.where", "np.where(x > 0, x, 0.0)"),
    "float(x.sum(axis=-1, keepdims=True))": ("one number a node", "x.sum(axis=-1, keepdims=True)"),
    "x.reshape(-1)": ("node.dimension", "x"),
}


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.replace("\n", "|").split("|")]


class Refused(Exception):
    pass


def refuse(what: str, cure: str) -> NoReturn:
    raise Refused(f"{what}. {cure}")


def names(dtype: str) -> dict[str, Any]:
    generator = np.random.default_rng(4)
    x, y = (generator.normal(size=SHAPE).astype(dtype) for _ in range(2))
    few, some = generator.integers(0, SHAPE[-1], 20), generator.random(SHAPE[-1]) < 0.7
    return {"np": np, "x": x, "y": y, "w": generator.uniform(0.01, 2, (*SHAPE[:2], 1)), "few": few, "some": some, "whole": x.copy()}


def guarded(there: dict[str, Any]) -> dict[str, Any]:
    return there | {name: Guarded(there[name].copy(), refuse, weak=name == "w") for name in "xyw"}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_every_node_has_the_bits_and_the_type_that_it_has_alone(dtype: str) -> None:
    there = names(dtype)
    for expression in lines(WITH_WEIGHTS) + lines(ENTRIES) + lines(TYPES):
        together = eval(expression, guarded(there))
        assert type(together) is Guarded, expression
        for node, seed in itertools.product(*map(range, SHAPE[:2])):
            one = {name: there[name][node, seed].copy() for name in "xy"} | {"w": float(there["w"][node, seed, 0])}
            alone = eval(expression, there | one)
            assert together.whole.dtype == alone.dtype, expression
            assert np.array_equal(together.whole[node, seed], alone), expression


@pytest.mark.parametrize("expression", lines(MIXING))
def test_what_mixes_nodes_or_rounds_otherwise_is_refused(expression: str) -> None:
    with pytest.raises(Refused, match=r"Simulated\(cluster\)"):
        eval(expression, guarded(names("float64")))


@pytest.mark.parametrize("expression", CURED)
def test_the_cure_is_one_for_what_is_refused(expression: str) -> None:
    there, (cure, cured) = names("float64"), CURED[expression]
    with pytest.raises(Refused, match=re.escape(cure) if "(" in cure else cure) as refusal:
        eval(expression, guarded(there))
    assert "axis" not in str(refusal.value) or "axis=-1" in cured
    assert type(eval(cured, guarded(there))) is Guarded


def test_no_cure_is_what_is_refused_already() -> None:
    """np.roll(x, 1, axis=-1) is refused, so that axis=-1 would be no cure."""
    for expression in ("np.roll(x, 1, axis=-1)", "np.concatenate([x, y], axis=-1)", "np.diff(x, axis=-1)"):
        with pytest.raises(Refused, match="each number alone") as refusal:
            eval(expression, guarded(names("float64")))
        assert "axis" not in str(refusal.value)


@pytest.mark.parametrize("expression", ["torch.where(x > 0, x, 0.0)", "torch.stack([x, y])", "isinstance(x, torch.Tensor)", "x**w"])
def test_tensors_are_never_taken_for_one_by_torch(expression: str) -> None:
    """torch.where of a number read a guard's memory as a tensor's, and ended the interpreter."""
    torch = pytest.importorskip("torch")
    x, y = (torch.arange(24.0).reshape(4, 2, 3) - place for place in (3, 5))
    there = {"torch": torch, "x": Guarded(x, refuse), "y": Guarded(y, refuse), "w": Guarded(torch.rand(4, 1, 1), refuse, weak=True)}
    with pytest.raises(Refused, match=r"Simulated\(cluster\)"):
        eval(expression, there)
    assert torch.equal(eval("torch.where(x > 0, x, y) * w**2", there).whole, torch.where(x > 0, x, y) * there["w"].whole ** 2)


def test_a_weight_is_never_changed_in_place() -> None:
    there = guarded(names("float64"))
    before = there["w"].whole.copy()
    for expression in ("w.__imul__(2.0)", "w.__iadd__(w)", "w.__ipow__(2)"):
        assert type(eval(expression, there)) is Guarded
        assert np.array_equal(there["w"].whole, before), expression
    with pytest.raises(Refused, match="writes into a weight"):
        there["w"][...] = 0.0


def test_products_of_as_many_seeds_as_numbers_are_refused() -> None:
    """Whose shape is that of values, so that nothing but the function's kind tells them."""
    square = Guarded(np.ones((2, 3, 3)), refuse)
    for expression in ("np.matmul(x, x)", "x @ x", "np.linalg.inv(x)", "np.linalg.matrix_power(x, 2)", "np.add.outer(x, x)"):
        with pytest.raises(Refused):
            eval(expression, {"np": np, "x": square})
