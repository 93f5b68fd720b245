"""The rate: does SGP with gamma = sqrt(n/K) reach 1/sqrt(nK), and how far below the proved bound does it stay?

The rule: the measured figure is the theorem's own, (1/K) sum_{k<K} |grad f(xbar^k)|^2 of one run, averaged over SEEDS
runs; every K is a run of its own, as gamma depends on it. Runs without communication (P = I) are drawn beside: a
problem on which they did as well would say nothing. Points where D2 does not apply (K < K_min) are hollow. Exponents
are fitted over the largest K, their intervals come from resampled seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.table import Table

from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.budget import Steps
from sgpsim.descents.sgd import SGD
from sgpsim.descents.step_sizes import RootNodesOverSteps
from sgpsim.experiment import Experiment
from sgpsim.results.run import Run
from sgpsim.schedules.matrices import UncheckedMatrices
from studies import rate_figure
from studies.rate_fits import Fit, collapse, fits, least_steps_of, share_of_bound
from studies.rate_problems import NODES, PROBLEMS, Problem
from studies.study import Progress, Study
from theory.claims.d2 import TheoremD2, least_steps
from theory.evidence import Moments
from theory.setting import Setting

SEEDS = 32
BETWEEN = 0.25
"""Time of the gradient flow (gamma times steps) between two measurements, at most: little against 1/L, over which the
gradient changes."""


@dataclass(frozen=True)
class Case:
    """One run of all seeds. communicating: whether the problem's schedule is used, or P = I."""

    problem: Problem
    communicating: bool
    nodes: int
    steps: int


class RateAgainstTheory(Study):
    """Average squared gradient norm over K for n = 4, 8, 16, on a problem with certified constants and on one where
    only the exponent is claimed."""

    question = "Does SGP with step size sqrt(n/K) converge like 1/sqrt(nK), and below the proved bound?"

    def cases(self, fast: bool) -> list[Case]:
        sweep = [2**power for power in (range(2, 13, 2) if fast else range(2, 16))]
        kinds = [(nodes, True) for nodes in NODES] + [(NODES[-1], False)]
        return [Case(problem, communicating, nodes, steps) for problem in PROBLEMS for nodes, communicating in kinds for steps in sweep]

    def measure(self, cases: Sequence[Case], progress: Progress) -> pl.DataFrame:
        """Columns problem, method, nodes, steps, least_steps and bound (of D2; null where it says nothing), seed, average."""
        tables: list[pl.DataFrame] = []
        done, total = 0, sum(case.steps for case in cases)
        for case in cases:
            tables.append(measured(case))
            done += case.steps
            progress(done, total)
        return pl.concat(tables)

    def draw(self, data: pl.DataFrame) -> Figure:
        return rate_figure.draw(data)

    def answer(self, data: pl.DataFrame) -> str:
        found = fits(data)
        with_, without = [fit for fit in found if fit.communicating], [fit for fit in found if not fit.communicating]
        agreed = all(fit.follows for fit in with_) and not any(fit.follows for fit in without)
        worst, bounded = share_of_bound(data)
        needed = ", ".join(f"{math.ceil(steps)} for n = {nodes}" for nodes, steps in least_steps_of(data).items())
        spread = max(collapse(data).values())
        return (
            f"{'Yes' if agreed and worst <= 1 else 'Not everywhere'}: fitted exponents of K are"
            f" {_range(with_, 'sigmoid')} on the sigmoid loss and {_range(with_, 'quadratics')} on the quadratics (theory:"
            f" -0.5), the average is at most {worst:.1%} of bound D2 at the {bounded} points where D2 applies (K >="
            f" {needed}), and curves for n = {', '.join(map(str, NODES))} agree on nK to {spread:.0%}; without"
            f" communication the exponents are {_range(without, 'sigmoid')} and {_range(without, 'quadratics')}."
        )

    def tables(self, data: pl.DataFrame) -> tuple[Table, ...]:
        table = Table(title="exponent of K (95 % interval over whole seeds), and the K from which D2 applies")
        for column in ("problem", "method", "nodes", "fitted over K", "exponent", "within 0.05 of -1/2", "K_min of D2"):
            table.add_column(column, justify="left" if column in ("problem", "method") else "right")
        needed = least_steps_of(data)
        for fit in fits(data):
            least = f"{math.ceil(needed[fit.nodes])}" if fit.problem == "sigmoid" and fit.communicating else "-"
            told = f"{fit.slope.slope:.3f} [{fit.slope.lower:.3f}, {fit.slope.upper:.3f}]"
            row = (fit.problem, fit.method, str(fit.nodes), f"{fit.first} .. {fit.last}", told, "yes" if fit.follows else "no", least)
            table.add_row(*row)
        return (table,)


def measured(case: Case) -> pl.DataFrame:
    """One row per seed."""
    objective, start = case.problem.objective(case.nodes), case.problem.start()
    schedule = case.problem.schedule(case.nodes) if case.communicating else UncheckedMatrices((np.eye(case.nodes),))
    step_size = RootNodesOverSteps(case.nodes, case.steps)
    every = max(1, int(BETWEEN / step_size.at(0)))
    experiment = Experiment(SGP(SGD(step_size)), objective, schedule, Steps(case.steps), tuple(range(SEEDS)), start, measure_every=every)
    averages = time_averages(Vectorized().run(experiment))
    bound = needed = None
    if case.communicating:
        setting = Setting.of(case.problem.name, schedule, case.steps, objective, step_size.at(0), np.asarray(start))
        if setting.constants.heterogeneity.value is not None:
            needed = max(least_steps(setting))
            bound = float(TheoremD2().predicted(setting, _NO_EVIDENCE).values.item())
    return pl.DataFrame(
        {
            "problem": case.problem.name,
            "method": "SGP" if case.communicating else "no communication",
            "nodes": case.nodes,
            "steps": case.steps,
            "least_steps": pl.Series([needed] * SEEDS, dtype=pl.Float64),
            "bound": pl.Series([bound] * SEEDS, dtype=pl.Float64),
            "seed": np.arange(SEEDS),
            "average": averages,
        }
    )


_NOTHING = np.empty(0)
_NO_EVIDENCE = Moments(_NOTHING, _NOTHING, _NOTHING, _NOTHING, _NOTHING, _NOTHING)
"""D2's right side depends on the setting alone."""


def time_averages(run: Run) -> NDArray[np.float64]:
    """(1/K) sum_{k<K} |grad f(xbar^k)|^2 per seed, from measurements every m steps.

    Exact for m = 1; else each gap is filled in linearly: sum_{k<K} N_k = m (N_0/2 + N_m + ... + N_K/2) + (N_0 - N_K)/2.
    Where m does not divide K, the last gap is shorter.
    """
    curve = run.curve("squared_gradient_norm")
    steps = np.unique(curve["step"].to_numpy())
    values = curve["value"].to_numpy().reshape(len(run.experiment.seeds), len(steps))
    whole = np.trapezoid(values, steps, axis=1)
    return (whole + (values[:, 0] - values[:, -1]) / 2) / steps[-1]


def _range(rates: list[Fit], problem: str) -> str:
    slopes = sorted(fit.slope.slope for fit in rates if fit.problem == problem)
    return f"{slopes[0]:.2f}" if f"{slopes[0]:.2f}" == f"{slopes[-1]:.2f}" else f"{slopes[0]:.2f} to {slopes[-1]:.2f}"
