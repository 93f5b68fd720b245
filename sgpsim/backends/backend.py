"""Backend: where and when an experiment runs.

The rule: a backend is a frozen value; `run` makes all run-time state from the experiment, and gives back a Run. What a
backend cannot run it refuses before anything starts. Backends with the same cluster give the same numbers for every
method that does not depend on timing.
"""

from __future__ import annotations

import dataclasses
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NoReturn

import numpy as np

from sgpsim.algorithms.algorithm import Algorithm
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.description import described
from sgpsim.errors import SpecificationError, note, one_line, shown
from sgpsim.experiment import Experiment
from sgpsim.mass import Array, Mass
from sgpsim.node import Node
from sgpsim.results.metrics import Keep
from sgpsim.results.run import Run, with_run
from sgpsim.schedules.schedule import Round
from sgpsim.schedules.validation import probe
from sgpsim.specification.wording import concise, same

Progress = Callable[[int, int], None]
"""Called now and then with (node-steps done, node-steps expected or 0 where only the clock knows)."""


KEEPING = ("trace", "keep_trajectory")
"""Settings that say what a run keeps, not what it computes."""


class Backend(ABC):
    """Runs experiments."""

    @abstractmethod
    def run(self, experiment: Experiment, progress: Progress | None = None, keep: Keep | None = None) -> Run:
        """Run `experiment` to its end. keep: given what is measured, cut by cut.

        Raises MassLeak where mass is lost and the monitor is set to raise, and lets KeyboardInterrupt and whatever a
        user's class raises through, as the object that it is; all carry the run so far as `.run`, where anything was
        measured (of the last kind: more than the start), and a note on the last kind says where it arose.
        """

    @abstractmethod
    def check(self, experiment: Experiment) -> None:
        """Raise SpecificationError where this backend cannot run `experiment`."""

    def machines(self) -> dict[str, str]:
        """On what it runs, as phrases that read by themselves: those of its cluster, and the backend's own settings that
        are not as usual, but for those that only say what is kept."""
        fields: Any = dataclasses.fields(self) if dataclasses.is_dataclass(self) else ()
        own = {field.name: getattr(self, field.name) for field in fields if field.name not in ("cluster", *KEEPING)}
        usual = {field.name: field.default for field in fields}
        settings = ", ".join(f"{name}={concise(value)}" for name, value in own.items() if not same(value, usual[name]))
        return {**described(getattr(self, "cluster", None)), **({"settings": settings} if settings else {})}


def ended_by(error: BaseException, place: str, run: Run | None) -> Run | None:
    """The run so far as one that failed because of `error`, which carries it from now on, and says in a note where it
    arose (place: in words) and that it does."""
    if run is not None:
        sentence = f"{type(error).__name__}: {one_line(error)}".rstrip(": ")
        run = replace(run, outcome="failed", remarks=(f"{sentence} ({place})", *run.remarks))
    with_run(error, run)
    kept = "nothing but the start was measured" if run is None else "this exception's `run` holds what was measured"
    note(error, f"raised {place}; {kept}")
    return run


def require_fit(cluster: Cluster, experiment: Experiment) -> None:
    """Raise where the cluster has another number of nodes, a fault that the schedule has no message for, or no path
    between two nodes that the schedule makes talk."""
    if cluster.nodes != experiment.nodes:
        raise SpecificationError(
            f"a schedule and objective for {experiment.nodes} nodes on a Cluster of {cluster.nodes}; both must be"
            " equal."
            f" Give Cluster(nodes={experiment.nodes}), or an experiment of {cluster.nodes} nodes."
        )
    for fault in cluster.faults:
        fault.require_met(experiment.schedule)
    uniform = cluster.uniform  # which refuses networks that answer neither true nor false
    if not experiment.algorithm.uses_schedule:
        cluster.require_collective()
    elif not uniform:
        schedule = experiment.schedule
        looked_at = probe(schedule)
        rounds = [schedule.round(step) for step in (*looked_at.before, *looked_at.window)]
        cluster.require_paths(
            {
                (sender, receiver)
                for round_ in rounds
                for sender, sent in enumerate(round_.pushes)
                for receiver, _ in sent
            }
        )


def refuse_round(algorithm: Algorithm, round_: Round, sender: int, step: int, latest: int) -> NoReturn:
    """Refuse a text that scatters round `step` after round `latest`: two messages of one pair and round could not be told
    apart, so rounds are sent once each, in ascending order."""
    receivers = ", ".join(str(receiver) for receiver, _ in round_.pushes[sender]) or "nobody"
    raise SpecificationError(
        f"{type(algorithm).__name__} scatters round {step} from node {sender} to node {receivers} after round {latest};"
        " every round is scattered once, in ascending order, or its messages could not be told apart. Scatter the next"
        " number each time."
    )


def require_report(algorithm: Algorithm, step: int, latest: int, mass: Mass, like: Array) -> None:
    """Refuse what is no report after that of step `latest`: of nodes that run in step they ascend, or one would be taken
    for that of another node; and they hold values of the shape of `like`."""
    name = type(algorithm).__name__
    if algorithm.in_step and not (isinstance(step, int | np.integer) and step > latest):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise SpecificationError(
            f"{name} reports step {shown(step)} after step {latest}; `begin` reports step 0, and the others follow in"
            " whole numbers that ascend. Report step + 1 once, when the step is over."
        )
    shape: tuple[int, ...] = getattr(getattr(mass, "value", None), "shape", ())
    if len(shape) != len(like.shape) or shape[-1:] != like.shape[-1:]:
        raise SpecificationError(
            f"{name} reports {f'a mass of shape {shape}' if shape else shown(mass)}; it must report a Mass whose value is an"
            f" array of shape {tuple(like.shape)}. Keep the shape."
        )


def _is_coroutine(activity: Any) -> bool:
    return inspect.isawaitable(activity) and hasattr(activity, "send")


def require_run(algorithm: Algorithm, activity: Any) -> Any:
    """What `algorithm.run(node)` gave; SpecificationError where it is no coroutine."""
    if _is_coroutine(activity):
        return activity
    raise SpecificationError(
        f"{type(algorithm).__name__}.run gives {shown(activity)}; it must be a coroutine function. Write `async def"
        " run(self, node)`, with await and without yield."
    )


def require_activity(algorithm: Algorithm, activity: Any) -> Any:
    """What a text spawns; SpecificationError where it is no coroutine."""
    if _is_coroutine(activity):
        return activity
    raise SpecificationError(
        f"{type(algorithm).__name__} spawns {shown(activity)}; an activity must be a coroutine. Call an `async def` for it,"
        " as in node.spawn(self.answer(node))."
    )


def require_ticket(algorithm: Algorithm, ticket: Any, kind: type) -> None:
    """SpecificationError where a text joins what `spawn` did not give."""
    if not isinstance(ticket, kind):
        raise SpecificationError(
            f"{type(algorithm).__name__} joins {shown(ticket)}; it must be what node.spawn gave. Keep that, and await"
            " node.join of it."
        )


def drive(algorithm: Algorithm, node: Node) -> None:
    """Run the text on a node whose calls never hand control back, so that it goes straight through."""
    activity = require_run(algorithm, algorithm.run(node))
    try:
        activity.send(None)
    except StopIteration:
        return
    activity.close()
    refuse_awaited(algorithm)


def refuse_awaited(algorithm: Algorithm) -> NoReturn:
    """Refuse a text that awaits asyncio's calls, say: no event loop runs here."""
    raise SpecificationError(
        f"{type(algorithm).__name__} awaits what is none of its node's calls, such as asyncio's; no event loop runs here."
        " Await only calls of the node that the text is given."
    )
