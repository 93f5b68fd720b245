"""Real processes with messages so large that only measured steps are kept: the same numbers as the simulation, and where
a run diverges in between it says that it cannot tell the step."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.backends.processes.records import spacing
from sgpsim.budget import Steps
from sgpsim.descents.sgd import SGD
from sgpsim.descents.step_sizes import Constant
from sgpsim.experiment import Experiment
from sgpsim.launch import launch
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.schedules.ring import DirectedRing

pytestmark = [pytest.mark.distributed, pytest.mark.slow]
EVERY = 4


def experiment(step_size: float, dimension: int = 100_000) -> Experiment:
    objective = Quadratic(2, dimension, structure="diagonal")
    return Experiment(SGP(SGD(Constant(step_size))), objective, DirectedRing(2), Steps(4 * EVERY), measure_every=EVERY)


def test_rows_of_measured_steps_alone_give_the_simulations_numbers() -> None:
    job = experiment(0.1)
    assert spacing(job, keep=False) == EVERY and spacing(experiment(0.1, 10), keep=False) == 1
    run, simulated = launch(job), Vectorized().run(job)
    assert np.array_equal(run.final.values, simulated.final.values)
    rows = [table.metrics.filter(pl.col("metric") != "mass_defect").drop("time") for table in (run, simulated)]
    assert rows[0].sort("metric", "step").equals(rows[1].sort("metric", "step"))
    assert not run.remarks


def test_a_divergence_between_two_rows_is_said_to_be_one() -> None:
    run, simulated = launch(experiment(1e60)), Vectorized().run(experiment(1e60))
    assert run.outcome == simulated.outcome == "diverged"
    assert f"up to {EVERY - 1} steps before the step that is named" in run.remarks[-1]
