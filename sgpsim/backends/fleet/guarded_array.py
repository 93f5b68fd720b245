"""Guarded arrays: what a text from outside sgpsim is given on a fleet in place of arrays of all nodes and seeds.

The rule: what acts on each number alone, or along the last axis with axis=-1 and keepdims=True, is done, with the bits
that a node alone would have; everything else is refused in a sentence, because across nodes and seeds it would be
another method: reductions, single entries, shapes, a truth value, a number, numpy's conversions. Unknown functions
are refused, so a new one of numpy's or torch's is never wrong, only refused. Weights are Python's floats on a node, so
here they take the type of what they meet.
"""

from __future__ import annotations

import inspect
import numbers
import operator
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NoReturn

import numpy as np

from sgpsim.backends.fleet.acting_within import ALONG, EACH, ONE_OF_EACH
from sgpsim.errors import shown

WITHIN = "Write axis=-1 and keepdims=True for what concerns one node, or use Simulated(cluster)."
ALIKE = "Treat all entries alike, with operators, np.where or a slice as in value[..., :1], or use Simulated(cluster)."
LENGTH = "The length of a point is node.dimension, and a state begins as value * 0.0; or use Simulated(cluster)."
PRODUCT = "Write (a * b).sum(axis=-1, keepdims=True) for that of two points, or use Simulated(cluster)."
OTHERWISE = "Write it with operators and functions that take each number alone, or use Simulated(cluster)."
ONE_NUMBER = "Keep it as an array with one number a node, as keepdims=True gives, or use Simulated(cluster)."
CURES = {
    **dict.fromkeys(ONE_OF_EACH, WITHIN),
    **dict.fromkeys(("dot", "einsum", "inner", "matmul", "mm", "outer", "products", "tensordot", "vdot"), PRODUCT),
    **dict.fromkeys(("ndim", "size", "numel", "dim", "T", "mT", "reshape", "ravel", "flatten", "view"), LENGTH),
    **dict.fromkeys(("item", "tolist", "flat", "nonzero", "where of one argument"), ALIKE),
}
"""What to write instead of what is refused, by name; for the rest OTHERWISE."""
TENSORS = "Give tensors, such as value * 0.0 for 0.0, and ask for no class, or use Simulated(cluster)."

Refuse = Callable[[str, str], NoReturn]
"""Called with what the text does, and the cure."""


class Guarded:
    """whole: (nodes, seeds, numbers), numpy or torch. refuse: of the fleet. weak: a weight, which counts as Python's
    float. Passes for an array of numpy's where `whole` is one, as what a node is given does."""

    __slots__ = ("_refuse", "_weak", "whole")
    __array_priority__ = 2000.0
    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def __init__(self, whole: Any, refuse: Refuse, weak: bool = False) -> None:
        self.whole, self._refuse, self._weak = whole, refuse, weak

    @property
    def __class__(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        if isinstance(self.whole, np.ndarray):
            return type(self.whole)
        # torch asks so before it reads an object's memory as a tensor's, which would be a segmentation fault.
        self._refuse("asks for the class of a tensor, as torch does for some numbers among its arguments", TENSORS)

    @property
    def dtype(self) -> Any:
        return self.whole.dtype

    @property
    def device(self) -> Any:
        return self.whole.device

    @property
    def real(self) -> Guarded:
        return self._like(self.whole.real)

    @property
    def shape(self) -> Shape:
        return Shape(self.whole.shape, self._refuse)

    # -- each number alone --

    def _each(self, function: Callable[..., Any], operands: tuple[Any, ...], named: dict[str, Any]) -> Any:
        guarded = [operand for operand in (*operands, *named.values()) if type(operand) is Guarded]
        strong = [one.whole.dtype for one in guarded if not one._weak and _floating(one.whole)]
        dtype = strong[0] if strong else None
        result = function(
            *(self._bare(operand, dtype) for operand in operands),
            **{name: self._bare(operand, dtype) for name, operand in named.items()},
        )
        return self._like(result)

    def _operator(self, function: Callable[..., Any], operands: tuple[Any, ...]) -> Any:
        """What Python's operators give: of weights and Python's numbers, weights again (numpy's functions give numpy's
        numbers, which are no weak ones)."""
        if not all(one._weak if type(one) is Guarded else type(one) in (int, float) for one in operands):
            if function is operator.pow and type(operands[1]) is Guarded and operands[1]._weak:
                self._refuse("raises to the power of a weight", "numpy rounds that of one otherwise: use Simulated(cluster).")
            return self._each(function, operands, {})
        if function is operator.pow:  # which Python rounds otherwise than numpy
            return self._like(_python_power(*map(self._bare, operands)), weak=True)
        return self._like(function(*map(self._bare, operands)), weak=True)

    def _bare(self, operand: Any, dtype: Any = None) -> Any:
        """The operand itself, if there is one for each node, or one for all."""
        if type(operand) is Guarded:
            if operand._weak and dtype is not None and operand.whole.dtype != dtype:
                return operand.whole.astype(dtype) if isinstance(operand.whole, np.ndarray) else operand.whole.to(dtype)
            return operand.whole
        if _axes(operand) > 1:
            self._refuse(
                f"puts {shown(operand)} of its own together with the values of all nodes", "Make it of one axis, as"
                " long as a point (node.dimension), or of a value (value * 0.0), or use Simulated(cluster)."
            )
        return operand

    def _like(self, result: Any, weak: bool = False) -> Any:
        if isinstance(result, tuple):
            return tuple(self._like(part, weak) for part in result)
        if getattr(result, "ndim", 0) != 3:
            self._refuse("makes arrays of other axes out of what all nodes hold", WITHIN)
        return Guarded(result, self._refuse, weak)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **named: Any) -> Any:
        if not isinstance(self.whole, np.ndarray):
            name = SAME_OPERATOR.get(ufunc)
            if method != "__call__" or name is None or named:
                self._refuse(f"takes numpy's {ufunc.__name__} of torch tensors", "Use operators, or Simulated(cluster).")
            return self._each(name, inputs, {})
        if method in ("reduce", "accumulate"):
            if named.get("axis") != -1 or (method == "reduce" and not named.get("keepdims")):
                self._across(f"{ufunc.__name__}.{method}")
        elif method != "__call__" or ufunc.signature is not None:
            self._across(f"{ufunc.__name__}{'' if method == '__call__' else '.' + method}")
        out = named.pop("out", None)
        if out is None:
            return self._each(getattr(ufunc, method), inputs, named)
        if any(type(array) is not Guarded for array in out):
            self._refuse("writes what all nodes hold into an array of its own", LENGTH)
        self._each(getattr(ufunc, method), inputs, {**named, "out": out[0]})
        return out[0]

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        name = function.__name__
        if name == "shape":
            return self.shape
        if name == "where" and len(args) + len(kwargs) != 3:
            self._across("where of one argument")
        if name in EACH and "shape" not in kwargs and "out" not in kwargs:
            return self._each(function, args, kwargs)
        if name in ONE_OF_EACH | ALONG:
            given = inspect.signature(function).bind(*args, **kwargs)
            given.apply_defaults()
            self._require_within(name, given.arguments)
            return self._each(function, args, kwargs)
        self._across(name)

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        given = [inside for value in (*args, *kwargs.values()) for inside in (value if type(value) in (list, tuple) else [value])]
        one = next(value for value in given if type(value) is Guarded)
        name = str(getattr(function, "__name__", "a function")).strip("_")
        if name in ONE_OF_EACH | ALONG:
            one._require_within(name, kwargs)
        elif name.removeprefix("r") not in EACH:
            one._across(name)
        return one._each(function, args, kwargs)

    def _require_within(self, name: str, given: Any) -> None:
        axis, kept = given.get("axis", given.get("dim")), given.get("keepdims", given.get("keepdim"))
        if axis != -1 or (name in ONE_OF_EACH and kept is not True) or given.get("out") is not None:
            self._across(name)

    def _across(self, name: str) -> NoReturn:
        cure = "Write axis=-1, or use Simulated(cluster)." if name in ALONG else CURES.get(name.partition(".")[0], OTHERWISE)
        self._refuse(f"takes {name} of values of all nodes and seeds together", WITHIN if ".reduce" in name else cure)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or not hasattr(self.whole, name):
            raise AttributeError(f"an array has no {name!r}")
        if name in EACH:
            return partial(self._method, name)
        if name in ONE_OF_EACH | ALONG:
            return partial(self._within, name)
        self._refuse(f"asks what all nodes hold for its {name}", CURES.get(name, OTHERWISE))

    def _method(self, name: str, /, *args: Any, **named: Any) -> Any:
        return self._each(getattr(type(self.whole), name), (self, *args), named)

    def _within(self, name: str, /, *args: Any, **named: Any) -> Any:
        self._require_within(name, {**named, **({"axis": args[0]} if args else {})})
        if not isinstance(self.whole, np.ndarray):
            name = {"max": "amax", "min": "amin"}.get(name, name)
        return self._method(name, *args, **named)

    # -- entries --

    def _place(self, key: Any, setting: bool = False) -> Any:
        if type(key) is Guarded:
            if setting and key.whole.shape == self.whole.shape:
                return key.whole  # a mask
        elif key is Ellipsis or (isinstance(key, slice) and key == slice(None)):
            return key
        elif isinstance(key, tuple) and len(key) == 2 and key[0] is Ellipsis:
            last: Any = key[1]
            if isinstance(last, slice) or (type(last) is not Guarded and np.ndim(last) == 1):
                return key
        self._refuse("picks entries of what all nodes hold", ALIKE)

    def __getitem__(self, key: Any) -> Guarded:
        taken = self.whole[self._place(key)]
        if isinstance(key, tuple) and not isinstance(key[1], slice) and isinstance(taken, np.ndarray):
            taken = taken.copy()  # numpy lays what a list picks out across nodes, and sums it in another order then
        return Guarded(taken, self._refuse)

    def __setitem__(self, key: Any, value: Any) -> None:
        if self._weak:
            self._refuse("writes into a weight", "Make a new Mass, or use Simulated(cluster).")
        place = self._place(key, setting=True)
        if type(key) is Guarded and not isinstance(value, numbers.Real):
            self._refuse("picks entries of what all nodes hold", ALIKE)
        self.whole[place] = self._bare(value, self.whole.dtype)

    # -- what makes one decision of all nodes' data --

    def __bool__(self) -> bool:
        self._refuse("takes one decision on what all nodes and seeds hold", ALIKE)

    def __len__(self) -> int:
        self._refuse("asks how long an array of all nodes is", LENGTH)

    def __iter__(self) -> Iterator[Any]:
        self._refuse("goes through what all nodes hold one by one", ALIKE)

    def __contains__(self, value: Any) -> bool:
        self._refuse("takes one decision on what all nodes and seeds hold", ALIKE)

    def _number(self, *_: Any) -> NoReturn:
        self._refuse("makes one number of what all nodes and seeds hold", ONE_NUMBER)

    __float__ = __int__ = __complex__ = __index__ = __round__ = __trunc__ = _number

    def __array__(self, *_: Any, **__: Any) -> Any:
        self._refuse("makes an array of its own of what all nodes hold", "Compute with the values as they are, or use"
                     " Simulated(cluster).")  # fmt: skip

    def __matmul__(self, other: Any) -> Any:
        self._across("products")

    __rmatmul__ = __imatmul__ = __matmul__

    def __divmod__(self, other: Any) -> Any:
        self._across("divmod")

    __rdivmod__ = __divmod__

    def __copy__(self) -> Guarded:
        return self.__deepcopy__({})

    def __deepcopy__(self, memo: Any) -> Guarded:
        copied = self.whole.copy() if isinstance(self.whole, np.ndarray) else self.whole.clone()
        return Guarded(copied, self._refuse, self._weak)

    def __repr__(self) -> str:
        return f"<values of all nodes and seeds, {tuple(self.whole.shape)}, {self.whole.dtype}>"

    def __format__(self, specification: str) -> str:
        return repr(self)


class Shape(tuple[int, ...]):
    """The shape of a guarded array, of which a text may know the last entry, as the others a node alone has not."""

    _refuse: Refuse

    def __new__(cls, numbers: Any, refuse: Refuse) -> Shape:
        made = super().__new__(cls, numbers)
        made._refuse = refuse
        return made

    def _unlike(self, *_: Any) -> NoReturn:
        self._refuse("looks at the shape of what all nodes hold, which is that of no node", LENGTH)

    __iter__ = __len__ = __contains__ = __add__ = __mul__ = __lt__ = __gt__ = _unlike

    def __getitem__(self, place: Any) -> Any:
        return super().__getitem__(-1) if place == -1 else self._unlike()

    def __eq__(self, other: object) -> bool:
        return tuple.__eq__(self, other) if isinstance(other, Shape) else self._unlike()

    __hash__ = tuple.__hash__


def _floating(array: Any) -> bool:
    return array.dtype.kind == "f" if isinstance(array, np.ndarray) else array.is_floating_point()


def _axes(operand: Any) -> int:
    """Of an array, or of lists within lists; a type, such as np.float32, has none."""
    if isinstance(operand, list | tuple):
        return np.ndim(operand)
    return 0 if isinstance(operand, type) else getattr(operand, "ndim", 0)


def _python_power(base: Any, exponent: Any) -> Any:
    """base ** exponent as Python's floats have it, entry by entry."""
    tensor = next((one for one in (base, exponent) if not isinstance(one, int | float | np.ndarray)), None)
    if tensor is None:
        return np.frompyfunc(operator.pow, 2, 1)(base, exponent).astype(np.float64)
    return tensor.new_tensor(_python_power(*(one.cpu().numpy() if hasattr(one, "cpu") else one for one in (base, exponent))))


def _give_operators() -> None:
    """Python's operators, which numpy and torch share."""
    for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor"):
        for prefix, method in zip(("", "r", "i"), _binary(name), strict=True):
            setattr(Guarded, f"__{prefix}{name}__", method)
    for name in ("lt", "le", "gt", "ge", "eq", "ne"):
        setattr(Guarded, f"__{name}__", _binary(name)[0])
    for name in ("neg", "pos", "abs", "invert"):
        setattr(Guarded, f"__{name}__", _unary(name))


def _binary(name: str) -> tuple[Callable[[Any, Any], Any], ...]:
    """The operator with self to the left, to the right, and in place (where there is that)."""
    function = getattr(operator, f"__{name}__")
    into = getattr(operator, f"__i{name}__", None)

    def left(self: Any, other: Any) -> Any:
        return self._operator(function, (self, other))

    def right(self: Any, other: Any) -> Any:
        return self._operator(function, (other, self))

    def in_place(self: Any, other: Any) -> Any:
        if self._weak:  # Python's floats are never changed
            return left(self, other)
        assert into is not None
        into(self.whole, self._bare(other, self.whole.dtype))
        return self

    return left, right, in_place


def _unary(name: str) -> Callable[[Any], Any]:
    function = getattr(operator, f"__{name}__")
    return lambda self: self._operator(function, (self,))


_give_operators()

SAME_OPERATOR: dict[Any, Any] = {
    np.add: operator.add, np.subtract: operator.sub, np.multiply: operator.mul, np.true_divide: operator.truediv,
    np.power: operator.pow, np.less: operator.lt, np.less_equal: operator.le, np.greater: operator.gt,
    np.greater_equal: operator.ge, np.negative: operator.neg, np.absolute: operator.abs,
}  # fmt: skip
"""What numpy's scalars ask for when they stand to the left of a tensor."""
