"""Torchrun: an experiment on processes that somebody else has started, one per node, and that may sit on several hosts.

The rule: node 0 decides, and says so before anything begins: whether the run is there already, or is to be computed, and
under what name the records lie meanwhile; all others do as it says. Node 0 keeps the run. Where a process dies, hangs or
is ended, the first of the others to notice makes a run of the records, if they lie on one disk; else each host keeps its
own and says where.
"""

from __future__ import annotations

import json
import shutil
import signal
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any

from sgpsim.backends.processes.group import place_among
from sgpsim.backends.processes.meeting import decided
from sgpsim.backends.processes.records import record_paths
from sgpsim.backends.processes.torch_distributed import TorchDistributed, require_size
from sgpsim.errors import MassLeak, NodeFailure, SpecificationError, require_folder_name
from sgpsim.experiment import Experiment
from sgpsim.files.keys import key, originals
from sgpsim.files.store import Store, load
from sgpsim.files.whole_folders import hold
from sgpsim.interruption import SIGNALS, Interrupted, code_of, name_of
from sgpsim.launching.unfinished import PREFIX, close_down, discard, end, recover, tell, write_job
from sgpsim.results.run import Outcome, Run, run_of, with_run


def take_part(
    name: str, experiment: Experiment, backend: TorchDistributed, out: Path
) -> tuple[Run | None, Path | None, bool]:
    """Be one of the processes: the run, its folder, and whether it was there already.

    The folder is node 0's; the others get None, and no run where nothing was computed. Raises NodeFailure and MassLeak,
    and SystemExit (130 or 143) after a signal; what was measured by then is kept, and a sentence on stderr says where.
    """
    rank, size = place_among()
    store = Store(out)
    mine = {"key": key(experiment, backend)}
    if rank == 0:
        try:
            require_folder_name("the name of the run", name)
            backend.check(experiment)
            require_size(experiment, size)
            store.require_writable()
        except SpecificationError as error:
            if find_spec("torch") is not None:
                decided(rank, size, json.dumps({**mine, "refused": str(error)}))
            raise
        for sentence in recover(out):
            tell(sentence)
        there = store.find(experiment, backend)
        decided(rank, size, json.dumps({**mine, "there": there is not None, "token": uuid.uuid4().hex[:8]}))
        if there is not None:
            return load(there), there, True
    backend.check(experiment)
    decision: dict[str, Any] = json.loads(decided(rank, size))
    if "refused" in decision:
        raise SpecificationError(f"node 0: {decision['refused']}")
    if decision["key"] != mine["key"]:
        raise SpecificationError(
            f"node {rank} was given another experiment than node 0, or has other versions of sgpsim, numpy, scipy or"
            " torch; all must be equal. Copy the file, and install the same versions."
        )
    if decision["there"]:
        return None, None, True
    return (*_computed(rank, name, experiment, backend, store, decision["token"], mine["key"]), False)


def _computed(
    rank: int,
    name: str,
    experiment: Experiment,
    backend: TorchDistributed,
    store: Store,
    token: str,
    key: str,
) -> tuple[Run, Path | None]:
    store.require_writable()
    files = originals(experiment, backend)
    folder = store.folder / f"{PREFIX}{name}-{token}"
    lock: int | None = None
    while lock is None:  # until nobody can clear it away any more
        folder.mkdir(exist_ok=True)
        lock = hold(folder)
    write_job(folder, [(experiment, backend)], name, key=key)

    def give_up(sentence: str, outcome: Outcome = "failed") -> None:
        closing = close_down(folder, lock, sentence.rstrip("."), outcome)
        if closing is not None:
            tell(closing)

    with _one_signal() as signals:
        try:
            run = backend.run_in(folder, experiment, give_up)
            end(folder, rank)
            signals.append(0)
        except BaseException as ending:
            signals.append(0)  # from here on no signal ends the keeping
            if (run := run_of(ending)) is not None:
                if rank == 0:
                    with_run(ending, run, store.save(name, run, backend, key, files=files))
                    discard(folder)
            elif isinstance(ending, KeyboardInterrupt):
                give_up(f"interrupted by {name_of(ending)}", "interrupted")
                raise SystemExit(code_of(ending)) from None
            elif isinstance(ending, NodeFailure | MassLeak):
                give_up(str(ending))
            else:
                give_up(f"node {rank} failed ({type(ending).__name__}: {ending})")
            raise
        if rank == 0:
            place = store.save(name, run, backend, key, files=files)
            discard(folder)
            return run, place
    if not record_paths(folder, 0, experiment.seeds[0], 0)[0].exists():  # else the folder is node 0's to remove
        shutil.rmtree(folder, ignore_errors=True)
    return run, None


@contextmanager
def _one_signal() -> Generator[list[int]]:
    """The first SIGINT or SIGTERM becomes KeyboardInterrupt; those that follow are passed over, as torchrun sends one
    right after a terminal's. (It kills half a minute later what does not end.) What is put into the list counts as the
    first."""
    seen: list[int] = []

    def first(number: int, frame: FrameType | None) -> None:
        if not seen:
            seen.append(number)
            raise Interrupted(number)

    before = {number: signal.signal(number, first) for number in SIGNALS}
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if seen else handler)
