"""Honest runs, drawn at random, with every claim that can be asked about them.

The rule: everything is drawn from one seed, so a number names a run. The methods are the right ones, so whatever a claim says
of such a run, it is not VIOLATED or INCONSISTENT.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sgpsim.algorithms.algorithm import Algorithm
from sgpsim.algorithms.allreduce_sgd import AllReduceSGD
from sgpsim.algorithms.dpsgd import DPSGD
from sgpsim.algorithms.overlap_sgp import OverlapSGP
from sgpsim.algorithms.push_sum import PushSum
from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.budget import Steps
from sgpsim.descents.adam import Adam
from sgpsim.descents.descent import Descent, StepSize
from sgpsim.descents.momentum import Momentum
from sgpsim.descents.sgd import SGD
from sgpsim.descents.step_sizes import Constant, RootNodesOverSteps, StepDecay, WarmUp
from sgpsim.experiment import Experiment
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.schedules.complete import Complete
from sgpsim.schedules.erdos_renyi import ErdosRenyiDigraph
from sgpsim.schedules.matrices import Matrices
from sgpsim.schedules.one_peer_exponential import OnePeerExponential
from sgpsim.schedules.random_peer import RandomPeer
from sgpsim.schedules.ring import DirectedRing, UndirectedRing
from sgpsim.schedules.rotating_star import RotatingStar
from sgpsim.schedules.schedule import Schedule
from sgpsim.schedules.static_exponential import StaticExponential
from theory.cases.experiments import setting_of
from theory.cases.runs import as_quadratics, path_of
from theory.claims import claims
from theory.evidence import Path, moments_of
from theory.exact_moments import exact_moments
from theory.setting import Setting
from theory.verdict import Outcome, Verdict, corrected, verify

WRONG = (Outcome.VIOLATED, Outcome.INCONSISTENT)


@dataclass(frozen=True)
class Honest:
    """Run `number` of a stream."""

    number: int
    experiment: Experiment

    @property
    def words(self) -> str:
        one = self.experiment
        return (
            f"run {self.number}: {one.algorithm}, {type(one.schedule).__name__}({one.nodes}), {one.budget}, {one.dtype},"
            f" {len(one.seeds)} seeds, {one.objective}, start {str(one.start)[:40]}"
        )


def honest_run(number: int) -> Honest:
    generator = np.random.default_rng((20261124, number))
    nodes = int(generator.choice([1, 2, 5, 7, 24]))
    steps = int(generator.choice([1, 7, 40, 40 if nodes > 7 else 250]))
    seeds = int(generator.choice([1, 1, 3, 32]))
    objective = Quadratic(
        nodes,
        dimension=int(generator.integers(1, 5)),
        noise=float(generator.choice([0.0, 0.0, 1e-9, 1.0])),
        spread=float(generator.choice([0.0, 0.1, 1.0])),
        distance=float(generator.choice([0.0, 2.0])),
        least_curvature=float(generator.choice([0.05, 0.3, 1.0])),
        structure=str(generator.choice(["scalar", "diagonal", "dense"])),  # pyright: ignore[reportArgumentType]
        unequal=bool(generator.random() < 0.3),
        seed=int(generator.integers(100)),
    )
    algorithm = _algorithm(generator, _descent(generator, nodes, steps))
    return Honest(
        number,
        Experiment(
            algorithm,
            objective,
            _schedule(generator, nodes, isinstance(algorithm, DPSGD)),
            Steps(steps),
            tuple(range(seeds)),
            start=_start(generator, objective),  # pyright: ignore[reportArgumentType]
            dtype=str(generator.choice(["float64", "float32"])),  # pyright: ignore[reportArgumentType]
        ),
    )


def judged(runs: list[Honest]) -> list[tuple[Honest, str, Verdict]]:
    """Every claim about every run, the tests of all of them corrected together."""
    found: list[tuple[Honest, str, Verdict]] = []
    for run in runs:
        setting = setting_of(run.experiment)
        path = path_of(Vectorized(keep_trajectory=True), run.experiment)
        found += [(run, name, verdict) for name, verdict in verdicts(setting, path, run.experiment).items()]
    verdicts_now = corrected([verdict for _, _, verdict in found])
    return [(run, name, verdict) for (run, name, _), verdict in zip(found, verdicts_now, strict=True)]


def verdicts(setting: Setting, path: Path, experiment: Experiment, exact: bool = True) -> dict[str, Verdict]:
    """All claims on one run: on its path, on its moments, on exact moments where there are any, on its matrices."""
    objective = experiment.objective
    assert isinstance(objective, Quadratic)
    moments = moments_of(path, objective, objective.minimizer)
    found: dict[str, Verdict] = {}
    for name, claim in claims().items():
        evidence = {"Path": path, "Moments": moments}.get(claim.reads)
        found[name] = verify(claim, setting, evidence)
        known = setting.step_size is not None and setting.method == "push" and setting.nodes * objective.dimension <= 30
        if claim.kind == "expectation" and known and exact:
            found[f"{name}, exact moments"] = verify(claim, setting, exact_moments(setting, as_quadratics(objective)))
    return found


def _descent(generator: np.random.Generator, nodes: int, steps: int) -> Descent:
    gamma = float(generator.choice([0.003, 0.02, 0.1, 0.3]))
    plain: list[StepSize] = [Constant(gamma), Constant(gamma), RootNodesOverSteps(nodes, steps) if steps >= 4 * nodes else Constant(gamma)]
    sizes = [*plain, StepDecay(gamma, (steps // 3, 2 * steps // 3), 0.5), WarmUp(Constant(gamma), 5)]
    size = sizes[int(generator.integers(len(sizes)))]
    kinds = [
        SGD(plain[int(generator.integers(3))]),
        SGD(size),
        Momentum(size, 0.9, True),
        Momentum(size, 0.5, False),
        Adam(size, epsilon=0.1),
    ]
    return kinds[int(generator.choice(5, p=[0.5, 0.1, 0.15, 0.15, 0.1]))]


def _algorithm(generator: np.random.Generator, descent: Descent) -> Algorithm:
    delay, every = int(generator.integers(1, 4)), int(generator.integers(1, 4))
    methods = [
        SGP(descent),
        OverlapSGP(descent, delay=delay),
        OverlapSGP(descent, delay=delay, every=every),
        OverlapSGP(descent, delay=delay, biased=True),
        DPSGD(descent),
        DPSGD(descent, "adapt-then-combine"),
        AllReduceSGD(descent),
        PushSum(),
    ]
    return methods[int(generator.choice(8, p=[0.4, 0.15, 0.1, 0.05, 0.1, 0.1, 0.05, 0.05]))]


def _schedule(generator: np.random.Generator, nodes: int, undirected: bool) -> Schedule:
    if undirected:
        return [Complete(nodes), UndirectedRing(nodes)][int(generator.integers(2))]
    schedules: list[Schedule] = [Complete(nodes), OnePeerExponential(nodes), DirectedRing(nodes), StaticExponential(nodes)]
    if nodes > 1:
        seed = int(generator.integers(100))
        schedules += [ErdosRenyiDigraph(nodes, 0.4, seed), RandomPeer(nodes, seed=seed)]
        schedules += [RotatingStar(nodes)] if nodes > 2 else []
    matrix = generator.random((nodes, nodes)) * (generator.random((nodes, nodes)) < 0.5) + 0.2 * np.eye(nodes)
    matrix[(np.arange(nodes) + 1) % nodes, np.arange(nodes)] += 0.3
    schedules.append(Matrices((matrix / matrix.sum(axis=0),)))
    return schedules[int(generator.integers(len(schedules)))]


def _start(generator: np.random.Generator, objective: Quadratic) -> object:
    kind = generator.choice(["origin", "optimum", "far", "apart"])
    if kind == "optimum":
        return tuple(float(value) for value in objective.minimizer)
    if kind == "apart":
        return generator.standard_normal((objective.nodes, objective.dimension))
    return 0.0 if kind == "origin" else 1000.0
