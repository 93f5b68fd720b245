"""Activities: the coroutines of simulated nodes as SimPy processes, whose exceptions stay what they are.

The rule: an exception that ends an activity ends the run, or reaches whoever waits for that activity, as the very
object that was raised. SimPy would raise a copy of it, made by calling its class with `args`: with another traceback,
and a TypeError where the class takes other arguments. So to SimPy no activity ever fails: it returns what ended it.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Coroutine, Generator
from typing import Any

import simpy

from sgpsim.backends.events.waits import Wait, Waits

Failure = tuple[BaseException, int, int]
"""What ended an activity, of which node, in which of its steps."""


class Activities:
    """All activities of one simulation. failure: what ended one of them, and the run with it."""

    def __init__(self, environment: simpy.Environment) -> None:
        self._environment = environment
        self._not_begun: dict[int, Coroutine[Any, Any, None]] = {}
        self.failure: Failure | None = None

    def begin(self, coroutine: Coroutine[Any, Any, None], node: Any) -> Activity:
        """`coroutine` as an activity of `node`, from the present instant on."""
        self._not_begun[id(coroutine)] = coroutine
        return Activity(self, self._environment.process(self._contained(coroutine, node)))  # pyright: ignore[reportArgumentType]

    @types.coroutine
    def _contained(
        self, coroutine: Coroutine[Any, Any, None], node: Any
    ) -> Generator[simpy.Event, Any, Failure | None]:
        """Run the coroutine; returns what ended it, None where it came to its end."""
        del self._not_begun[id(coroutine)]
        try:
            yield from coroutine
        except BaseException as error:
            return error, node.rank, node.step

    def close(self) -> None:
        """Close the coroutines that never began, as Python warns of those that nobody awaited."""
        for coroutine in self._not_begun.values():
            if inspect.iscoroutine(coroutine):
                coroutine.close()
        self._not_begun.clear()


class Activity:
    """One activity. process: what SimPy knows of it; its value is a Failure, or None."""

    __slots__ = ("_awaited", "_of", "process")

    def __init__(self, of: Activities, process: simpy.Process) -> None:
        self._of, self.process, self._awaited = of, process, False
        assert process.callbacks is not None, "it has not begun"
        process.callbacks.append(self._over)

    def _over(self, process: simpy.Event) -> None:
        if process.value is not None and not self._awaited:
            self._of.failure = process.value
            raise process.value[0]

    def joined(self, waits: Waits) -> Generator[simpy.Event, Any, None]:
        """Wait for its end, as one of `waits`; raises what ended it."""
        if not self.process.processed:
            self._awaited = True
            yield from waits.until(self.process, Wait("activity"))
        if self.process.value is not None:
            raise self.process.value[0]
