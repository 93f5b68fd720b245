"""The same experiment has the same bits whatever the environment says of threads; a backend's own number of them is in
the key."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest
import threadpoolctl

from sgpsim.algorithms.allreduce_sgd import AllReduceSGD
from sgpsim.backends.events.simulated import Simulated
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.budget import Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.errors import SpecificationError
from sgpsim.experiment import Experiment
from sgpsim.files.keys import key
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.schedules.one_peer_exponential import OnePeerExponential

PROGRAM = """
import hashlib, sys
sys.path.insert(0, "tests")
from test_threads import EXPERIMENT, backends
for backend in backends(int(sys.argv[1])):
    run = backend.run(EXPERIMENT)
    print(hashlib.sha256(run.final.values.tobytes() + run.curve("loss")["value"].to_numpy().tobytes()).hexdigest())
"""
EXPERIMENT = Experiment(AllReduceSGD(), Quadratic(8, 150), OnePeerExponential(8), Steps(30))


def backends(threads: int) -> tuple[Simulated, Vectorized]:
    return Simulated(Cluster(8), threads=threads), Vectorized(threads=threads)


def digests(environment: int, threads: int) -> list[str]:
    """What a process prints whose environment names so many threads."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, str(threads)],
        env={**os.environ, **dict.fromkeys(names, str(environment))},
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1],
    ).stdout.split()  # fmt: skip


def test_bits_do_not_depend_on_the_environments_threads() -> None:
    one, two = digests(1, 1), digests(2, 1)
    assert one == two and len(set(one)) == 1, "and Simulated and Vectorized agree"


def test_threads_are_in_the_key_and_given_back() -> None:
    for one, two in zip(backends(1), backends(2), strict=True):
        assert key(EXPERIMENT, one) != key(EXPERIMENT, two)
    with threadpoolctl.threadpool_limits(2):
        before = [pool["num_threads"] for pool in threadpoolctl.threadpool_info()]
        during: list[list[int]] = []
        Vectorized().run(EXPERIMENT, lambda done, total: during.append(_threads()))
        assert during and {number for numbers in during for number in numbers} == {1}
        assert [pool["num_threads"] for pool in threadpoolctl.threadpool_info()] == before
        with pytest.raises(ZeroDivisionError):
            Vectorized().run(EXPERIMENT, lambda done, total: 1 / 0)  # type: ignore[arg-type, return-value]
        assert [pool["num_threads"] for pool in threadpoolctl.threadpool_info()] == before


def _threads() -> list[int]:
    return [pool["num_threads"] for pool in threadpoolctl.threadpool_info()]


def test_one_of_pythons_threads_at_a_time_is_under_a_limit() -> None:
    inside, leave = Event(), Event()
    seen: dict[str, list[int]] = {}

    def look(name: str) -> None:
        (inside if name == "first" else second_inside).set()
        assert leave.wait(10)
        seen[name] = _threads()

    def first() -> None:
        Vectorized().run(EXPERIMENT, lambda done, total: look("first"))

    def second() -> None:
        Simulated(Cluster(8)).run(EXPERIMENT, lambda done, total: look("second"))

    def everywhere(number: int) -> None:
        one = Thread(target=lambda: threadpoolctl.threadpool_limits(number))
        one.start()
        one.join()  # one that is gone has no say any more

    second_inside = Event()
    before = _threads()
    try:
        everywhere(2)
        raised = _threads()  # OpenMP keeps a number of its own for each of Python's threads
        assert 2 in raised
        running = [Thread(target=first, daemon=True), Thread(target=second, daemon=True)]
        running[0].start()
        assert inside.wait(10)
        running[1].start()
        assert not second_inside.wait(0.1), "the first is still under its limit"
        leave.set()
        for thread in running:
            thread.join(10)
        assert seen == {name: [1] * len(before) for name in ("first", "second")}
        assert _threads() == raised, "as before"
    finally:
        everywhere(before[0])


def test_torch_is_limited_too() -> None:
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        during: set[int] = set()
        run = Vectorized(device="cpu").run(EXPERIMENT, lambda done, total: during.add(torch.get_num_threads()))
        assert during == {1} and torch.get_num_threads() == 2
        assert np.isfinite(run.final.values).all()
    finally:
        torch.set_num_threads(before)


def test_more_threads_than_a_library_can_be_told_are_refused() -> None:
    with pytest.raises(SpecificationError, match="at most 1024"):
        backends(1 << 31)
