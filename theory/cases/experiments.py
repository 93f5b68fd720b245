"""Experiments as settings: what the claims must know of an experiment, read from it and not from its run.

The rule: a method that is not known here has `method=None`, so that claims which need it are undecided; so has one whose
messages arrive when they arrive. Moves are known of a method with one descent and no other part.
Overlap SGP with a round every s steps is a schedule of its own: s - 1 rounds in which
everybody keeps everything, then one of the schedule's.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sgpsim.algorithms.allreduce_sgd import AllReduceSGD
from sgpsim.algorithms.dpsgd import DPSGD
from sgpsim.algorithms.overlap_sgp import OverlapSGP
from sgpsim.algorithms.push_sum import PushSum
from sgpsim.algorithms.sgp import SGP
from sgpsim.budget import Steps
from sgpsim.descents.descent import Descent
from sgpsim.descents.momentum import Momentum
from sgpsim.descents.sgd import SGD
from sgpsim.errors import SpecificationError
from sgpsim.experiment import Experiment
from theory.chain import Chain
from theory.delays import augmented
from theory.displacement import Displacement
from theory.setting import Method, Setting


def setting_of(experiment: Experiment, title: str = "") -> Setting:
    """The setting that `experiment` describes. Its budget must be Steps; SpecificationError otherwise."""
    bare, objective = origin_of(experiment), experiment.objective
    assert bare.start is not None
    loss = float(np.asarray(objective.loss(bare.start.mean(axis=0))))
    return replace(bare, title=title or _title(experiment), constants=objective.constants(), start_loss=loss)


def origin_of(experiment: Experiment) -> Setting:
    """The same without the objective's constants, which take time and are no part of what was run."""
    if not isinstance(experiment.budget, Steps):
        raise SpecificationError(f"Experiment(budget) is {experiment.budget!r}; claims are about a number of steps. Give Steps(100).")
    steps, algorithm = experiment.budget.count, experiment.algorithm
    if steps < 1:
        raise SpecificationError(f"Steps(count) is {steps}; a claim is about at least one step. Give such as Steps(100).")
    method = _method(experiment)
    moving = _displacement(experiment, steps)
    chain, delay = Chain.of(experiment.schedule, steps), 0
    if not algorithm.uses_schedule:
        chain = Chain.of_matrices(np.eye(experiment.nodes), steps)
    if isinstance(algorithm, OverlapSGP):
        chain, delay = _spaced(chain, algorithm.every), algorithm.delay
    bare = Setting(_title(experiment), chain, steps, start=experiment.starts().astype(np.float64), delay=delay, dtype=experiment.dtype)
    if delay:
        bare = replace(bare, delayed=augmented(chain, delay))
    return replace(
        bare,
        step_size=None if moving is None else moving.step_size,
        displacement=moving,
        method=method,
        own_stream=True,
        sampling=experiment.objective.sampling,
        objective=experiment.objective,
    )


def _title(experiment: Experiment) -> str:
    return f"{type(experiment.algorithm).__name__} on {type(experiment.schedule).__name__}, n = {experiment.nodes}"


def _method(experiment: Experiment) -> Method | None:
    algorithm = experiment.algorithm
    match algorithm:
        case SGP() | PushSum():
            return "push"
        case OverlapSGP() if not algorithm.depends_on_timing:
            return "biased push" if algorithm.biased else "push"
        case DPSGD():
            return "push" if algorithm.order == "adapt-then-combine" else "combine-then-adapt"
        case AllReduceSGD():
            return "collective"
        case _:
            return None


def _displacement(experiment: Experiment, steps: int) -> Displacement | None:
    """How the method's descent moves; None where that is not known: its parts are not one descent alone, so that which
    of them moves a node at a step is the method's own business."""
    if isinstance(experiment.algorithm, PushSum):
        return Displacement("no step", momentum=None)
    parts = experiment.algorithm.parts()
    if len(parts) != 1 or not isinstance(parts[0], Descent):
        return None
    descent = parts[0]
    sizes = tuple(float(descent.step_size.at(step)) for step in range(steps))
    match descent:
        case SGD():
            return Displacement("SGD", sizes)
        case Momentum():
            return Displacement(f"momentum {descent.momentum:g}", sizes, descent.momentum, descent.nesterov)
        case _:
            return Displacement(type(descent).__name__, sizes, None)


def _spaced(chain: Chain, every: int) -> Chain:
    """`chain` with each round preceded by every - 1 rounds in which nothing is sent."""
    if every == 1:
        return chain
    stored = len(chain.rounds) * every if chain.periodic else chain.horizon
    rounds = np.broadcast_to(np.eye(chain.states), (stored, chain.states, chain.states)).copy()
    sent = rounds[every - 1 :: every]
    sent[:] = chain.rounds[: len(sent)]
    return Chain(rounds, chain.horizon, chain.periodic, chain.real)
