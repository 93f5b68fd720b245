"""What can go wrong, as classes: one for bad input, one for each way a run can end badly.

The rule: a message gives the value, the rule it breaks and the cure, in one sentence that a person can act on.
`SpecificationError` arises when an object is built, before anything was computed (the command line turns it into exit
code 2); the others arise while something runs.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any


class SpecificationError(ValueError):
    """A value that the user gave breaks a rule. The message says which value, which rule, and what to do."""


class Deadlock(RuntimeError):
    """Every node waits, and no event is left that could end the waiting. The message says who waits for whom at which
    step."""


class MassLeak(RuntimeError):
    """The mass monitor found push-sum mass lost, created or altered. The message names node, round and amount."""


class NodeFailure(RuntimeError):
    """A real process died or hung. The message names its rank."""


class NotSaved(RuntimeError):
    """A run was computed, and its place has no room for it. run: the run. folder: where it lies instead, or None. The
    message says so."""

    def __init__(self, message: str, run: Any, folder: Path | None) -> None:
        super().__init__(message)
        self.run, self.folder = run, folder


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


def require_folder_name(what: str, name: str) -> None:
    """Raise unless `name` can begin the name of a folder that is not hidden, and has at most 100 bytes, so that a file
    system takes it with what is added."""
    if not isinstance(name, str) or not re.fullmatch(r"[^./\\\x00-\x1f][^/\\\x00-\x1f]*", name):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise SpecificationError(
            f"{what} is {shortened(name)}; it names a folder, and must not be empty, begin with a dot, or hold slashes"
            " or control characters. Give such as 'ring-8'."
        )
    size = len(name.encode(errors="replace"))
    if size > 100:
        raise SpecificationError(
            f"{what} is {shortened(name)}, of {size} bytes; it names a folder, and may have at most 100. Give a shorter"
            " one."
        )


def shortened(value: Any) -> str:
    """A value as Python writes it, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def nearest(word: str, known: Iterable[str]) -> str:
    """A clause that offers the nearest known word: `did you mean 'nodes'?` or the list of all, if none is near."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names)}."
