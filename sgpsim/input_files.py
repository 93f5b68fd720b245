"""Input files: what a user's file holds, or one sentence on why it cannot be had.

The rule: only regular files are read (a pipe or a device may never end), whole, before anything is computed. Whatever a
format's parser stumbles over is the file's fault and said in one line.
"""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sgpsim.errors import LONGEST_PATH, SpecificationError, shown

Content = TypeVar("Content")


def content_of(what: str, path: str | Path) -> bytes:
    """The bytes of the file `path`; `what` names the field that says it, as in `Table(path)`. Raises SpecificationError
    where there is no such file or it cannot be read."""
    try:
        kind = Path(path).stat().st_mode
        if stat.S_ISREG(kind):
            return Path(path).read_bytes()
        reason = "it is a directory" if stat.S_ISDIR(kind) else "it is no regular file"
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        reason = reason_of(error)
    raise SpecificationError(
        f"{what} is {shown(str(path), LONGEST_PATH)}, which cannot be read ({reason}). Give the path of a file, absolute or"
        f" from {Path.cwd()}."
    )


def understood(what: str, path: str | Path, kind: str, cure: str, read: Callable[[], Content]) -> Content:
    """What `read` makes of the content of `path`. Raises SpecificationError where that is no content of the `kind`;
    each parser has errors of its own, several of them plain Exceptions."""
    try:
        return read()
    except SpecificationError:
        raise
    except Exception as error:
        raise SpecificationError(
            f"{what} is {shown(str(path), LONGEST_PATH)}, which cannot be read as {kind} ({reason_of(error)}). {cure}"
        ) from error


def whole_number(text: str) -> int | None:
    """The number that `text` writes in up to nine digits; None for any other text. Python itself refuses to read thousands
    of digits, and reads those of other scripts."""
    return int(text) if len(text) < 10 and text.isascii() and text.isdecimal() else None


def reason_of(error: Exception) -> str:
    """Why, in one line that is not too long."""
    words = (error.strerror or "") if isinstance(error, OSError) else str(error)
    line = " ".join(words.split("\n")[0].split(". ")[0].split())
    return line[:160] or type(error).__name__
