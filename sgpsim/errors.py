"""What can go wrong, as classes: one for bad input, one for each way a run can end badly.

The rule: a message gives the value, the rule it breaks and the cure, in one sentence that a person can act on.
`SpecificationError` arises when an object is built, before anything was computed (the command line turns it into exit
code 2); the others arise while something runs.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable


class SpecificationError(ValueError):
    """A value that the user gave breaks a rule. The message says which value, which rule, and what to do."""


class Deadlock(RuntimeError):
    """Every node waits, and no event is left that could end the waiting. The message says who waits for whom at which
    step."""


class MassLeak(RuntimeError):
    """The mass monitor found push-sum mass lost, created or altered. The message names node, round and amount."""


class NodeFailure(RuntimeError):
    """A real process died or hung. The message names its rank."""


def require_positive(what: str, value: float) -> None:
    """Raise unless `value` is a finite number above zero; `what` names the field, as in `Constant(step_size)`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise SpecificationError(f"{what} is {value!r}; it must be a finite number above 0. Give one, for example 0.1.")


def require_count(what: str, value: int, least: int = 1) -> None:
    """Raise unless `value` is a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise SpecificationError(
            f"{what} is {value!r}; it must be a whole number of at least {least}. Give one such as {max(least, 1)}."
        )


def nearest(word: str, known: Iterable[str]) -> str:
    """A clause that offers the nearest known word: `did you mean 'nodes'?` or the list of all, if none is near."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names)}."
