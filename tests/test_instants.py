"""What happens at one instant, and what of two that wait: a straggler that begins just then, letters that came one after
the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import simpy

from sgpsim.algorithms.allreduce_sgd import AllReduceSGD
from sgpsim.backends.events.mailbox import FAREWELL, Letters
from sgpsim.backends.events.simulated import Simulated
from sgpsim.backends.events.waits import Waits
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.budget import Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.compute_time import ConstantTime
from sgpsim.clusters.stragglers import SlowFrom
from sgpsim.experiment import Experiment
from sgpsim.mass import Mass
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.schedules.ring import DirectedRing


@pytest.mark.parametrize("backend", [Simulated, Vectorized])
@pytest.mark.parametrize(("instant", "end"), [(0.0, 20.0), (2.0, 12.0), (2.5, 8.0)])
def test_a_gradient_that_begins_at_the_instant_is_slow(backend: Any, instant: float, end: float) -> None:
    """Four gradients of 1 s, those from the instant on of 5 s; the third begins at 2 s."""
    cluster = Cluster(2, ConstantTime(1.0), stragglers=(SlowFrom((1,), 5.0, instant),))
    run = backend(cluster).run(Experiment(AllReduceSGD(), Quadratic(2, 1), DirectedRing(2), Steps(4)))
    assert (run.final.clocks == end).all()


def test_of_letters_that_wait_the_earliest_is_taken_then_the_smaller_number() -> None:
    environment = simpy.Environment()
    letters = Letters(environment, Waits())
    for sender, arrival in ((3, 1.0), (0, 2.0), (2, 2.0), (3, 4.0)):
        letters.deliver(sender, "ask", arrival, Mass(np.array([arrival]), float(sender)))
    letters.deliver(1, "ask", 3.0, FAREWELL)
    taken: list[int] = []

    async def take() -> None:
        for _ in range(5):
            sender, _ = await letters.take("ask", (0, 1, 2, 3))
            taken.append(sender)

    environment.process(take())  # pyright: ignore[reportArgumentType]
    environment.run()
    assert taken == [3, 0, 2, 1, 3]
