"""Threads: how many of them one matrix product may use while a run goes on.

The rule: a product that is cut among threads adds in another order, and so has other bits; how many threads there are is
thus a field of the backend (and in the key of a stored run), not a matter of the machine. One is the default, which is
what the processes of a launch have; what an objective works out when it is built always takes one. The libraries know
one limit for the whole process, so a backend that simulates takes `alone` too: of Python's own threads one at a time
runs, and the others wait.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from functools import lru_cache
from threading import RLock
from typing import Any

alone = RLock()
"""Held while a simulation runs: of two at once, whoever ended first would lift the limit of the other one. Not held by real
processes, whose records a second thread may have to close while the first one hangs."""


@contextmanager
def limited(threads: int) -> Generator[None]:
    """At most `threads` threads in BLAS, OpenMP and torch; as before at the end."""
    torch: Any = sys.modules.get("torch")
    before = torch.get_num_threads() if torch is not None else None
    with _controller(tuple(name in sys.modules for name in ("scipy.linalg", "sklearn", "torch"))).limit(limits=threads):
        try:
            if torch is not None:
                torch.set_num_threads(threads)
            yield
        finally:
            if torch is not None:
                torch.set_num_threads(before)


@lru_cache(maxsize=1)
def _controller(loaded: tuple[bool, ...]) -> Any:
    """The libraries with threads of this process, looked up again where others may have been `loaded`."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
