"""Shared records: where the processes of one host write theirs when each calls TorchDistributed.run by itself.

The rule: node 0 makes a temporary folder and says where it is; every process that finds it there writes into it too,
others into one of their own. A process that ends badly waits until the others have closed their records, so that its
exception can carry what all of them measured. The last to leave removes the folder.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp

from sgpsim.backends.processes.group import GRACE, Volunteer


@contextmanager
def shared_folder(member: Volunteer) -> Generator[Path]:
    """The folder for the records of this process, as long as it needs it. All processes must call it."""
    folder = Path(member.agreed(lambda: mkdtemp(prefix="sgpsim-")))
    if not os.access(folder, os.W_OK):
        folder = Path(mkdtemp(prefix="sgpsim-"))
    try:
        yield folder
    finally:
        _mark(folder, "left", member.rank)
        if _marked(folder, "left") >= _marked(folder, "closed"):
            shutil.rmtree(folder, ignore_errors=True)


def closed(folder: Path, member: Volunteer, wait: bool) -> None:
    """Say that the records of this process are closed. wait: until all others say so, or have had time enough."""
    _mark(folder, "closed", member.rank)
    until = time.monotonic() + (GRACE if wait else 0.0)
    while _marked(folder, "closed") < member.size and time.monotonic() < until:
        time.sleep(0.02)


def _mark(folder: Path, what: str, rank: int) -> None:
    with suppress(OSError):
        (folder / f"{what}-{rank}").touch()


def _marked(folder: Path, what: str) -> int:
    return sum(1 for _ in folder.glob(f"{what}-*"))
