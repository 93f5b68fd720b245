"""Input files: what a user's file holds, or one sentence on why it cannot be had.

The rule: this is the one door to files that others may have written. Only regular files are read (a pipe or a device
may never end), up to a size that is said beforehand; arrays are made only where the file holds as many bytes as it
promises. Whatever a format's parser stumbles over is the file's fault and said in one line.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import stat
import zipfile
from collections.abc import Callable, Collection, Generator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from sgpsim.errors import LONGEST_PATH, SpecificationError, shown

Content = TypeVar("Content")

MOST_BYTES = 1 << 28
"""Of a file that is read as a whole, and of the arrays that a compressed one unpacks to."""
MOST_GRAPH = 1 << 26
"""Bytes of a graph as text, which takes up to twenty times as much once it is read."""
MOST_TEXT = 1 << 24
"""Bytes of a TOML file."""
LONGEST_LINE = 1 << 26
MOST_MEMBERS = 100_000
"""Arrays of one archive."""
LONGEST_HEADER = 1 << 14
"""Bytes of what comes before the numbers of an array; numpy itself reads no more than 10,000."""
READ_HEADER = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def opened(what: str, path: str | Path, cure: str = "") -> io.BufferedReader:
    """The regular file `path`, open for reading; `what` names the field that says it, as in `Table(path)`. Raises
    SpecificationError, which ends with the `cure`, where there is no such file, it cannot be read, or is of another kind."""
    try:
        reason = _irregular(os.stat(path).st_mode)  # before it is opened, which some devices answer by doing something
        if not reason:
            file = open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb")  # noqa: SIM115 (the caller's to close)
            reason = _irregular(os.fstat(file.fileno()).st_mode)  # it may have been exchanged meanwhile
            if not reason:
                return file
            file.close()
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        reason = reason_of(error)
    raise _unreadable(what, path, reason, cure or f"Give the path of a file, absolute or from {_here()}.")


def content_of(what: str, path: str | Path, most: float = MOST_BYTES, cure: str = "") -> bytes:
    """The bytes of the regular file `path`, at most so many. Raises SpecificationError as `opened`."""
    with opened(what, path, cure) as file:
        try:
            size = os.fstat(file.fileno()).st_size
            content = b"" if size > most else file.read(size + 1)
        except OSError as error:
            raise _unreadable(what, path, reason_of(error), cure or "Restore the file.") from None
    if size > most:
        raise _unreadable(what, path, f"it has {size:,} bytes, and at most {most:,.0f} are read", cure or "Give a smaller file.")
    if len(content) > size:
        raise _unreadable(what, path, "it grows while it is read", cure or "Give a file that is whole.")
    return content


def whole_lines(what: str, path: str | Path) -> Generator[bytes]:
    """The lines of a regular file up to the first that has no end, or none within LONGEST_LINE bytes: whoever wrote it may
    have been killed meanwhile. Raises SpecificationError as `opened`."""
    with opened(what, path) as file:
        while (line := file.readline(LONGEST_LINE)).endswith(b"\n"):
            yield line


def digest(path: str | Path, cure: str = "") -> str:
    """The SHA-256 of a regular file, hexadecimal. Raises SpecificationError as `opened`."""
    with opened("a file", path, cure) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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


def array_in(content: bytes) -> NDArray[Any]:
    """The array of a `.npy`. Raises ValueError where it is none of plain numbers or texts, or promises more than it holds."""
    return _array(io.BytesIO(content), len(content))


def arrays_in(
    file: io.BufferedReader | io.BytesIO, only: Collection[str] | None = None, most: float = MOST_BYTES
) -> dict[str, NDArray[Any]]:
    """The arrays of a `.npz`, by name, in the order in which they were saved. only: the names of those that are read;
    None: all. most: bytes that they may unpack to. Raises ValueError, or whatever zipfile and zlib raise, where it is no
    archive of arrays, or promises more than it holds."""
    with zipfile.ZipFile(file) as archive:
        members = [one for one in archive.infolist() if only is None or one.filename.removesuffix(".npy") in only]
        if len(members) > MOST_MEMBERS:
            raise ValueError(f"it holds {len(members):,} arrays, and at most {MOST_MEMBERS:,} are read")
        unpacked = sum(member.file_size for member in members)
        if unpacked > most:
            raise ValueError(f"it unpacks to {unpacked:,} bytes, and at most {most:,.0f} are read")
        arrays: dict[str, NDArray[Any]] = {}
        for member in members:
            with archive.open(member) as packed:
                arrays[member.filename.removesuffix(".npy")] = _array(packed, member.file_size)
        if len(arrays) < len(members):
            raise ValueError("two of its arrays have one name")
        return arrays


def whole_number(text: str) -> int | None:
    """The number that `text` writes in up to nine digits; None for any other text. Python itself refuses to read thousands
    of digits, and reads those of other scripts."""
    return int(text) if len(text) < 10 and text.isascii() and text.isdecimal() else None


def reason_of(error: Exception) -> str:
    """Why, in one line that is not too long."""
    words = (error.strerror or "") if isinstance(error, OSError) else str(error)
    line = " ".join(words.split("\n")[0].split(". ")[0].split())
    return line[:160] or type(error).__name__


def _irregular(mode: int) -> str:
    """Why a file of this kind is not read; empty for a regular one."""
    if stat.S_ISREG(mode):
        return ""
    return "it is a directory" if stat.S_ISDIR(mode) else "it is no regular file"


def _unreadable(what: str, path: str | Path, reason: str, cure: str) -> SpecificationError:
    return SpecificationError(f"{what} is {shown(str(path), LONGEST_PATH)}, which cannot be read ({reason}). {cure}")


def _here() -> str:
    try:
        return os.getcwd()
    except OSError:  # removed meanwhile
        return "a working folder that is there"


def _array(file: Any, size: int) -> NDArray[Any]:
    """The array that `file`, of so many bytes, holds; its header is compared with that before anything is made."""
    file = io.BufferedReader(file, LONGEST_HEADER)
    head = io.BytesIO(file.peek(LONGEST_HEADER))
    version = np.lib.format.read_magic(head)
    if version not in READ_HEADER:
        raise ValueError(f"its format is {version}; {' and '.join(map(str, READ_HEADER))} are read")
    shape, _, kind = READ_HEADER[version](head)
    promised, held = math.prod(shape) * max(kind.itemsize, 1), size - head.tell()
    if min(shape, default=0) < 0 or promised > held:
        raise ValueError(f"its header promises {promised:,} bytes of shape {shown(shape)}, and it holds {held:,}")
    return np.lib.format.read_array(file, allow_pickle=False)
