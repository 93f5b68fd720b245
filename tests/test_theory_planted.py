"""Planted errors: what a wrong run looks like to the claims, and honest runs beside them, which none of them accuses."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from faulty_algorithms import Faulty
from honest_runs import WRONG, honest_run, judged, verdicts

from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.budget import Steps
from sgpsim.descents.sgd import SGD
from sgpsim.descents.step_sizes import Constant
from sgpsim.experiment import Experiment
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.schedules.erdos_renyi import ErdosRenyiDigraph
from sgpsim.schedules.matrices import UncheckedMatrices
from sgpsim.schedules.one_peer_exponential import OnePeerExponential
from sgpsim.schedules.random_peer import RandomPeer
from sgpsim.schedules.ring import DirectedRing
from sgpsim.schedules.schedule import Schedule
from theory.cases.experiments import setting_of
from theory.cases.runs import path_of, pretended
from theory.claims import claims
from theory.controls.algorithms import GradientAtNumerator, StepOnRatio
from theory.evidence import Path

STEPS, AT = 20, 3
"""Steps of a run, and the round in which its error is planted."""
PLANTED = ("step on z", "gradient at x", "dropped message", "weight lost", "share 0.9", "wrong gamma", "own share missing")


def setting(number: int) -> Experiment:
    """Plain SGD over two to 24 nodes; with the seed of `number` it is one and the same."""
    generator = np.random.default_rng((7, number))
    nodes = int(generator.choice([2, 5, 7, 24]))
    schedules: list[Schedule] = [
        ErdosRenyiDigraph(nodes, 0.4, number),
        RandomPeer(nodes, seed=number),
        DirectedRing(nodes),
        OnePeerExponential(nodes),
    ]
    objective = Quadratic(nodes, 3, noise=float(generator.choice([0.0, 0.0, 0.5])), unequal=bool(generator.integers(2)), seed=number)
    return Experiment(
        SGP(SGD(Constant(0.05))),
        objective,
        schedules[int(generator.integers(4))],
        Steps(STEPS),
        start=generator.standard_normal((nodes, 3)),  # pyright: ignore[reportArgumentType]
        dtype=str(generator.choice(["float64", "float32"])),  # pyright: ignore[reportArgumentType]
    )


def wrong_path(experiment: Experiment, error: str) -> Path:
    """The path of the same experiment with one thing wrong, as somebody has it who believes that nothing is."""
    descent = SGD(Constant(0.05))
    rounds = [experiment.schedule.matrix(step).toarray() for step in range(STEPS)]
    spoilt = rounds[AT].copy()
    receiver, sender = next((i, j) for i, j in np.argwhere(spoilt > 0) if i != j)
    match error:
        case "step on z":
            wrong = replace(experiment, algorithm=StepOnRatio(descent))
        case "gradient at x":
            wrong = replace(experiment, algorithm=GradientAtNumerator(descent))
        case "weight lost":
            wrong = replace(experiment, algorithm=Faulty("weight", AT, 1, -1e-3, descent))
        case "wrong gamma":
            wrong = replace(experiment, algorithm=SGP(SGD(Constant(0.05 * 1.001))))
        case _:
            if error == "own share missing":
                np.fill_diagonal(spoilt, 0.0)
            else:
                spoilt[receiver, sender] *= 0.9 if error == "share 0.9" else 0.0
            rounds[AT] = spoilt
            wrong = replace(experiment, schedule=UncheckedMatrices(tuple(rounds)))
    return pretended(path_of(Vectorized(monitor="off", keep_trajectory=True), wrong), setting_of(experiment))


def accusers(experiment: Experiment, error: str) -> list[str]:
    found = verdicts(setting_of(experiment), wrong_path(experiment, error), experiment, exact=False)
    return [name for name, verdict in found.items() if verdict.outcome in WRONG]


def regular(experiment: Experiment) -> bool:
    """Whether weights stay 1, so that x = z."""
    return bool(np.allclose(setting_of(experiment).chain.weights, 1.0))


def bites(experiment: Experiment, error: str) -> bool:
    """Whether a run with this error differs from the right one in anything that a claim looks at. Steps on z and gradients at x
    are right where weights are 1; in noise, a gradient's place shows over many seeds only."""
    if error == "step on z":
        return not regular(experiment)
    if error == "gradient at x":
        objective = experiment.objective
        assert isinstance(objective, Quadratic)
        return not regular(experiment) and objective.noise == 0
    return True


@pytest.mark.parametrize("error", PLANTED)
def test_a_planted_error_is_found_by_some_claim(error: str) -> None:
    for number in range(2):
        experiment = setting(number)
        assert bool(accusers(experiment, error)) == bites(experiment, error), (number, experiment)


@pytest.mark.slow
@pytest.mark.parametrize("error", PLANTED)
def test_planted_errors_are_found_on_most_settings(error: str) -> None:
    table = [(bites(experiment, error), accusers(experiment, error)) for experiment in map(setting, range(60))]
    assert all(bool(found) == expected for expected, found in table)
    assert sum(expected for expected, _ in table) >= 8


def test_an_error_of_one_in_a_million_is_seen_in_float64() -> None:
    """The floor of rounding must not hide what is no rounding: gamma, one share, and every bound's own left side."""
    experiment = replace(setting(0), dtype="float64", schedule=ErdosRenyiDigraph(setting(0).nodes, 0.4, 1))
    asked = setting_of(experiment)
    off = replace(experiment, algorithm=SGP(SGD(Constant(0.05 * (1 + 1e-6)))))
    found = verdicts(asked, pretended(path_of(Vectorized(keep_trajectory=True), off), asked), experiment, exact=False)
    assert found["moves"].outcome in WRONG
    matrix = experiment.schedule.matrix(0).toarray()
    receiver, sender = next((i, j) for i, j in np.argwhere(matrix > 0) if i != j)
    matrix[receiver, sender] *= 1 - 1e-6
    lossy = replace(experiment, schedule=UncheckedMatrices((matrix,)))
    found = verdicts(asked, pretended(path_of(Vectorized(monitor="off", keep_trajectory=True), lossy), asked), experiment, exact=False)
    assert found["I2 mass"].outcome in WRONG and found["I1 average step"].outcome in WRONG


def test_honest_runs_are_never_accused() -> None:
    """A small sample of the run in the whole suite."""
    found = judged([honest_run(number) for number in range(4)])
    assert [(run.words, name, verdict.sentence) for run, name, verdict in found if verdict.outcome in WRONG] == []


@pytest.mark.slow
def test_hundreds_of_honest_runs_are_never_accused() -> None:
    found = judged([honest_run(number) for number in range(1000, 1300)])
    accused = [(run.words, name, verdict.sentence) for run, name, verdict in found if verdict.outcome in WRONG]
    assert accused == []
    held = Counter(name for _, name, verdict in found if verdict.outcome.value.startswith("HOLDS"))
    for name, claim in claims().items():
        if claim.reads in ("Path", "Moments") and name not in ("constants preserved", "max-plus cycle time", "ring all-reduce time"):
            assert held[name], f"{name} held nowhere"
