"""Reading: an objective's functions asked at points that belong to the run.

The rule: an objective gets a view that it can only read, which costs nothing; one that writes into it is named in a
sentence, where its run would have gone on with other points.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sgpsim.errors import SpecificationError


def asked_at(function: Callable[..., Any], *arguments: Any) -> Any:
    """`function`, a method of an objective, called with `arguments`, of which floats in numpy's arrays (points) can only be
    read. Tensors are given as they are, and so are whole numbers, which torch warns of where it can't write into them."""
    try:
        return function(*(_read_only(argument) for argument in arguments))
    except ValueError as error:
        if "read-only" not in str(error):
            raise
        owner = type(getattr(function, "__self__", function)).__name__
        raise SpecificationError(
            f"{owner}.{getattr(function, '__name__', 'a function')} writes into the arrays that it is given ({error}); they"
            " are those of the run. Work on a copy."
        ) from None


def _read_only(array: Any) -> Any:
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f" or not array.flags.writeable:
        return array
    view = array.view()
    view.flags.writeable = False
    return view
