"""Whole folders: a folder appears at its place complete, or not at all, whatever ends the program meanwhile.

The rule: it is written beside its place under a hidden name, every file of it is on the disk before it is renamed, and
whoever writes holds a lock on it meanwhile. A hidden folder whose lock nobody holds belongs to a program that was
killed; the next one that writes there removes it. Where the file system has no locks, its age tells.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None

PREFIX = ".sgpsim-writing-"
A_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
"""How a folder is opened: not what a link points to, and not a pipe, which would wait."""
OLD = 86400.0
"""Seconds after which a hidden folder that cannot be locked counts as left behind."""


@contextmanager
def beside(place: Path) -> Generator[Path]:
    """A hidden folder on the file system of `place`, under a lock; removed if it is still there at the end."""
    folder, lock = locked_folder(place.parent, PREFIX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def put(folder: Path, place: Path) -> None:
    """Rename `folder` to `place` once all its files are on the disk. Raises OSError where `place` is taken."""
    for inside, _, names in os.walk(folder):
        for name in names:
            _synchronize(Path(inside) / name)
        _synchronize(Path(inside))
    os.replace(folder, place)
    _synchronize(place.parent)


def clear(parent: Path, prefix: str = PREFIX) -> None:
    """Remove the hidden folders in `parent` that nobody writes any more."""
    for folder in left_behind(parent, prefix):
        shutil.rmtree(folder, ignore_errors=True)


def left_behind(parent: Path, prefix: str) -> Generator[Path]:
    """The folders in `parent` whose names begin so and that no living program holds, each under a lock meanwhile."""
    for folder in parent.glob(f"{prefix}*"):
        try:
            lock = os.open(folder, A_FOLDER)
        except OSError:
            continue
        try:
            if _take(lock, folder):
                yield folder
        finally:
            os.close(lock)


def locked_folder(parent: Path, prefix: str, shared: bool = False) -> tuple[Path, int]:
    """A new hidden folder and its open lock, which others may hold too where it is `shared`."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        folder.chmod(0o755)
        lock = hold(folder, shared)
        if lock is not None:
            return folder, lock


def hold(folder: Path, shared: bool = True) -> int | None:
    """Lock the folder as one that a living process uses; the lock lasts until the process ends, or closes it. None where
    another program has cleared the folder away before the lock was taken."""
    try:
        lock = os.open(folder, A_FOLDER)
    except FileNotFoundError:
        return None
    if fcntl is not None:
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
    if same_folder(lock, folder):
        return lock
    os.close(lock)
    return None


def same_folder(lock: int, folder: Path) -> bool:
    """Whether what lies at `folder` is what was locked; another program may have removed that, or made another."""
    try:
        return os.path.samestat(os.fstat(lock), folder.stat())
    except FileNotFoundError:
        return False


def _take(lock: int, folder: Path) -> bool:
    """Whether the folder was left behind: its lock is free, or it is old where there are no locks."""
    if fcntl is not None:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            pass  # a file system without locks
        else:
            return folder.is_dir()  # another program may have dealt with it meanwhile
    return time.time() - folder.stat().st_mtime > OLD


def _synchronize(path: Path) -> None:
    """Wait until `path` is on the disk; where folders cannot be synchronized, they are not."""
    try:
        opened = os.open(path, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
    except OSError:
        if not path.is_dir():
            raise
