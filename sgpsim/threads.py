"""Threads: how many of them one matrix product may use while a run goes on.

The rule: a product that is cut among threads adds in another order, and so has other bits; how many threads there are is
thus a field of the backend (and in the key of a stored run), not a matter of the machine. One is the default, which is
what the processes of a launch have; what an objective works out when it is built always takes one.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any


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
