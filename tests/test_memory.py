"""Long runs need no more memory than short ones, but for the rows that were asked for."""

from __future__ import annotations

import gc
import tracemalloc
from dataclasses import replace

import pytest

from sgpsim.algorithms.algorithm import Algorithm
from sgpsim.algorithms.allreduce_sgd import AllReduceSGD
from sgpsim.algorithms.dpsgd import DPSGD
from sgpsim.algorithms.overlap_sgp import OverlapSGP
from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.events.simulated import Simulated
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.budget import Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.distributions import ExponentialTime
from sgpsim.clusters.faults import Drop
from sgpsim.clusters.hockney import Hockney
from sgpsim.experiment import Experiment
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.schedules.ring import UndirectedRing

NODES = 4
MACHINES = Cluster(NODES, ExponentialTime(1.0), Hockney(0.2, 1e3))


def peak(backend: Simulated | Vectorized, method: Algorithm, steps: int, seeds: int = 1, dimension: int = 4) -> int:
    """Bytes at the most beyond what there was before; cyclic garbage is not collected meanwhile."""
    objective = Quadratic(NODES, dimension, structure="scalar")
    found = Experiment(method, objective, UndirectedRing(NODES), Steps(steps), tuple(range(seeds)), measure_every=10**6)
    backend.run(found)  # what is kept for good, the schedule's rounds say, is there by now
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        backend.run(found)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        gc.enable()


@pytest.mark.parametrize(
    "method", [SGP(), DPSGD(), AllReduceSGD(), OverlapSGP(delay=2), OverlapSGP(delay=2, mixing="arrival")], ids=repr
)
def test_a_much_longer_run_needs_as_much(method: Algorithm) -> None:
    for backend in (Simulated(MACHINES, trace=False), Vectorized(MACHINES)):
        if isinstance(backend, Simulated) or not method.depends_on_timing:
            # as they arrive, messages of fast nodes wait for slow ones, a few hundred at the most after 1,500 steps
            lengths = (1500, 5000) if method.depends_on_timing else (150, 1500)
            short, long = (peak(backend, method, steps) for steps in lengths)
            assert long < short + 150_000, "0.1 kB a step"


def test_many_seeds_do_not_keep_each_others_draws() -> None:
    """A node's block of draws is up to 64 KiB, which 4 nodes of 10 seeds would make 2.6 MB."""
    few, many = (peak(Simulated(MACHINES, trace=False), SGP(), 3, seeds, dimension=100) for seeds in (1, 11))
    assert many < few + 900_000


def test_collecting_garbage_is_on_again_after_any_end() -> None:
    assert gc.isenabled()
    found = Experiment(SGP(), Quadratic(NODES, 2), UndirectedRing(NODES), Steps(3))
    Simulated(MACHINES).run(found)
    assert gc.isenabled()
    with pytest.raises(RuntimeError):
        Simulated(replace(MACHINES, faults=(Drop(0, 1, 1),))).run(found)
    assert gc.isenabled()
    gc.disable()
    try:
        Simulated(MACHINES).run(found)
        assert not gc.isenabled(), "left as it was found"
    finally:
        gc.enable()
