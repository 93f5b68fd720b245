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
from contextlib import suppress
from numbers import Real
from pathlib import Path
from typing import Any

LONGEST_VALUE, LONGEST_PATH = 60, 300
"""Characters of a value, and of a path, that a message repeats."""
MOST_NAMES = 60
"""Known names that a message lists."""


class SpecificationError(ValueError):
    """A value that the user gave breaks a rule. The message says which value, which rule, and what to do.

    place: the path to the value within nested plain data, such as `descent.step_size` or `[1]`; empty elsewhere.
    bare: whether the message leaves it to `place` to say what it is about.
    """

    place = ""
    bare = False

    def within(self, place: str) -> SpecificationError:
        """This error, seen from one level further out, where the data that hold it stand at `place`."""
        joint = "." if self.place and not self.place.startswith("[") else ""
        self.place = f"{place}{joint}{self.place}"
        return self


class Unfit(SpecificationError):
    """A value that breaks a rule, before the field is known in which it stands. rule: what follows "it must be".
    cure: a sentence."""

    def __init__(self, value: Any, rule: str, cure: str) -> None:
        super().__init__(f"{shown(value)} must be {rule}. {cure}")
        self.value, self.rule, self.cure = value, rule, cure

    def of(self, owner: str, field: str) -> SpecificationError:
        """The same with its subject, `owner(field)`."""
        named = SpecificationError(
            f"{owner}({field}){self.place} is {shown(self.value)}; it must be {self.rule}. {self.cure}"
        )
        named.place = self.place
        return named


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


class Notice(UserWarning):
    """Something that a user hears before a run begins; the command line says it as a sentence."""


def shown(value: Any, longest: int = LONGEST_VALUE) -> str:
    """`value` as a message repeats it: on one line, not longer than `longest`, whatever it is."""
    try:
        words = _written(value, longest)
    except Exception:  # Python refuses to write out whole numbers of thousands of digits; foreign classes do as they like
        kind = type(value)
        if issubclass(kind, int):
            return f"a whole number of {int(int.bit_length(value) * math.log10(2)) + 1} digits"
        words = f"an object of the class {kind.__name__}"
    return words if len(words) <= longest else f"{words[: longest - 3]}..."


def _written(value: Any, longest: int) -> str:
    """The size of what is large, else the beginning of `value`'s repr on one line."""
    shape = getattr(value, "shape", ())
    if isinstance(shape, tuple) and shape and all(isinstance(length, int) for length in shape):
        named = "an array" if hasattr(value, "dtype") else f"a {type(value).__name__}"
        return f"{named} of shape {tuple(shape)}"
    if type(value) in (str, bytes, bytearray, list, tuple):
        value = value[: longest + 1]  # whatever follows would be cut off
    words = " ".join(repr(value)[: 10 * longest].split())
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in words)


def kind_of(value: Any) -> str:
    """What sort of thing stands where an array should, in words."""
    if not hasattr(value, "shape") or not hasattr(value, "dtype"):
        return f"an object of the class {type(value).__name__}"
    return f"an array of shape {tuple(value.shape)} and type {value.dtype}"


def require_seconds(what: str, seconds: Any) -> float:
    """`seconds` as a float; SpecificationError unless they are one finite number of at least 0. what: who gave them."""
    try:
        number = float(seconds) if isinstance(seconds, Real) and not isinstance(seconds, bool) else math.nan
    except OverflowError:  # a whole number of over 308 digits
        number = math.inf
    if not 0.0 <= number < math.inf:
        raise SpecificationError(
            f"{what} gave {kind_of(seconds) if getattr(seconds, 'shape', ()) else shown(seconds)} as seconds; they must be"
            " one finite number of at least 0. Give such as 0.001."
        )
    return number


def one_line(error: BaseException, longest: int = 500) -> str:
    """What an exception says, on one line of at most so many characters; a foreign class may not be able to say it."""
    try:
        return " ".join(str(error).split())[:longest]
    except Exception:
        return ""


def note(error: BaseException, sentence: str) -> None:
    """Add a sentence to what Python prints of the exception, unless its class lets nobody set attributes."""
    with suppress(AttributeError):
        error.add_note(f"sgpsim: {sentence}")


def require_positive(what: str, value: float) -> None:
    """Raise unless `value` is a finite number above zero; `what` names the field, as in `Constant(step_size)`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise SpecificationError(f"{what} is {shown(value)}; it must be a finite number above 0. Give one, for example 0.1.")


def require_count(what: str, value: int, least: int = 1) -> None:
    """Raise unless `value` is a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise SpecificationError(
            f"{what} is {shown(value)}; it must be a whole number of at least {least}. Give one such as {max(least, 1)}."
        )


def require_folder_name(what: str, name: str) -> None:
    """Raise unless `name` can begin the name of a folder that is not hidden, and has at most 100 bytes, so that a file
    system takes it with what is added."""
    if not isinstance(name, str) or not re.fullmatch(r"[^./\\\x00-\x1f][^/\\\x00-\x1f]*", name):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise SpecificationError(
            f"{what} is {shown(name)}; it names a folder, and must not be empty, begin with a dot, or hold slashes"
            " or control characters. Give such as 'ring-8'."
        )
    size = len(name.encode(errors="replace"))
    if size > 100:
        raise SpecificationError(
            f"{what} is {shown(name)}, of {size} bytes; it names a folder, and may have at most 100. Give a shorter"
            " one."
        )


def nearest(word: str, known: Iterable[str]) -> str:
    """A clause that offers the nearest known word: `did you mean 'nodes'?` or the list of all, if none is near."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    if close:
        return f"did you mean {shown(close[0])}?"
    words = [name if name.isprintable() and len(name) <= LONGEST_VALUE else shown(name) for name in names[:MOST_NAMES]]
    more = f", and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"known: {('; ' if any(', ' in word for word in words) else ', ').join(words)}{more}."
