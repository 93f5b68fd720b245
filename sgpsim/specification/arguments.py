"""Arguments: what the functions and methods that a user calls may be given.

The rule: `@checked` lets a function be called with what its annotations say and refuses all else by the sentence by
which a field of a specification would be refused. Numbers, lists and paths are settled as fields are; an object must be
given as it is, and no table or name stands for one. What the values must be beyond that, the function checks itself.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache, wraps
from typing import Any, TypeVar

from sgpsim.specification.structuring import Hook, parameters

Function = TypeVar("Function", bound=Callable[..., Any])


def checked(function: Function) -> Function:
    """`function`, whose arguments are settled by its annotations; SpecificationError where one does not fit."""
    signature = inspect.signature(function)

    @cache  # annotations are looked up at the first call, when all that they name is defined
    def hooks() -> dict[str, Hook]:
        return parameters(function)

    @wraps(function)
    def call(*given: Any, **named: Any) -> Any:
        bound = signature.bind(*given, **named)
        for name, hook in hooks().items():
            if name in bound.arguments:
                bound.arguments[name] = hook(bound.arguments[name])
        return function(*bound.args, **bound.kwargs)

    return call  # pyright: ignore[reportReturnType]
