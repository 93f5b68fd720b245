"""Setting: what a claim is asked about: the rounds, the constants of the objective, the step size, the horizon, the
starts, the delays.

The rule: a setting is a value and knows nothing of runs. What is not known of it is None, and a claim that needs it
then says `unknown`, so the same claims serve a whole experiment and a bare matrix. The constants of contraction are
computed once per setting, from its matrices. A setting that was made from a run's own experiment goes along with what
came out of the run (`origin`), so that a claim is never asked about another run than the one that was made.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sgpsim.errors import SpecificationError
from sgpsim.objectives.objective import Constant, Constants, Objective
from sgpsim.schedules.schedule import Schedule
from theory.chain import Chain
from theory.connectivity import Windows, affordable, positivity_bound, time_bound, windows
from theory.contraction import Contraction, Profile, contraction, profile
from theory.delays import augmented
from theory.displacement import Displacement
from theory.timing import Timing

NOTHING_KNOWN = Constants(*(Constant.unknown("no objective was given") for _ in range(5)))


Method = Literal["push", "biased push", "combine-then-adapt", "collective"]
"""push: x' = P (x - gamma g(z)), messages late or not. biased push: the same with g(x). combine-then-adapt: x' = P x -
gamma g(x). collective: every node moves by the mean of all gradients, and nothing is pushed."""


class SweepPoint(NamedTuple):
    """One point of a sweep: n, K and gamma (None where it is no constant step of plain SGD)."""

    nodes: int
    steps: int
    step_size: float | None


@dataclass(frozen=True, eq=False)
class Setting:
    """title: in words. chain: the rounds. steps: K, the horizon of the claim. step_size: gamma of plain SGD, constant;
    None where there is none, or the descent is another.

    start: X^0, (nodes, dimension). start_loss: f(xbar^0). delayed: the chain with messages under way as further
    states, where messages are late. sampling: how gradients draw. own_stream: whether schedule and delays are
    independent of the gradients' draws. dtype: of the run's values. timing: durations, where the claim is about
    these. displacement: how gradients become moves, where that is no plain SGD of one step size. method: what is done
    with the moves; None where that is not known. points: of a sweep, where the claim is about a rate. objective: what
    the constants are of.

    Raises SpecificationError where K is below 1 or gamma is no finite number above 0.
    """

    title: str
    chain: Chain
    steps: int
    constants: Constants = NOTHING_KNOWN
    step_size: float | None = None
    start: NDArray[np.float64] | None = None
    start_loss: float | None = None
    delayed: Chain | None = None
    delay: int = 0
    sampling: str | None = None
    own_stream: bool | None = None
    dtype: str = "float64"
    timing: Timing | None = None
    displacement: Displacement | None = None
    method: Method | None = "push"
    points: tuple[SweepPoint, ...] | None = None
    objective: Objective | None = None

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise SpecificationError(f"Setting(steps) is {self.steps}; a claim is about at least one step. Give such as 100.")
        if self.step_size is not None and not (np.isfinite(self.step_size) and self.step_size > 0):
            raise SpecificationError(
                f"Setting(step_size) is {self.step_size!r}; it must be a finite number above 0. Give one, or None where nothing steps."
            )

    @classmethod
    def of(
        cls,
        title: str,
        schedule: Schedule,
        steps: int,
        objective: Objective | None = None,
        step_size: float | None = None,
        start: NDArray[np.float64] | float | None = None,
        delay: int = 0,
        dtype: str = "float64",
    ) -> Setting:
        """The setting of an experiment; messages arrive exactly `delay` rounds late. Schedules draw from streams of
        their own."""
        chain = Chain.of(schedule, steps)
        bare = cls(title, chain, steps, step_size=step_size, delay=delay, own_stream=True, dtype=dtype)
        if delay:
            bare = replace(bare, delayed=augmented(chain, delay))
        if objective is None:
            return bare
        origin = np.asarray(objective.start() if start is None else start, dtype=np.float64)
        points = np.array(np.broadcast_to(origin, (schedule.size, objective.dimension)))
        loss = float(np.asarray(objective.loss(points.mean(axis=0))))
        known = replace(bare, constants=objective.constants(), start=points, start_loss=loss)
        return replace(known, sampling=objective.sampling, objective=objective)

    @property
    def nodes(self) -> int:
        return self.chain.real

    @property
    def epsilon(self) -> float:
        """The relative error of one operation: the machine epsilon of the run's type, or what a round leaks where columns sum to 1
        only as closely as validation asks (shares that were printed with 12 digits)."""
        return max(float(np.finfo(self.dtype).eps), self.weight_epsilon)

    @property
    def weight_epsilon(self) -> float:
        """The same of weights, which are float64 whatever the values are."""
        return max(float(np.finfo(np.float64).eps), self.chain.leak if self.chain.conserves else 0.0)

    @property
    def moving(self) -> Displacement | None:
        """How gradients become moves, as far as it is known."""
        if self.displacement is None and self.step_size is not None:
            return Displacement.plain(self.step_size, self.steps)
        return self.displacement

    @property
    def mixing(self) -> Chain:
        """The chain that carries the mass: the delayed one where messages are late."""
        return self.chain if self.delayed is None else self.delayed

    @cached_property
    def windows(self) -> Windows | None:
        """B and the diameters, of the rounds without delays."""
        return windows(self.chain)

    @cached_property
    def time_bound(self) -> int | None:
        """By when every product is proved to be positive; None where nothing is proved. Without late messages."""
        return time_bound(self.chain, self.windows) if (self.chain.rounds >= 0).all() else None

    @property
    def late_time_bound(self) -> int | None:
        """The same with late messages counted in."""
        if self.delay and self.windows is not None:
            return positivity_bound(self.windows, self.nodes, self.delay)
        return self.time_bound

    @cached_property
    def contraction(self) -> Contraction | None:
        """Lemma A's constants, computed from the products; None where no product looked at is positive."""
        if self.windows is None:
            return None
        return contraction(self.mixing, self.products_looked_at)

    @property
    def products_looked_at(self) -> int:
        """Lengths of products that positivity is looked for in: up to what is proved, of rounds that repeat also beyond
        the horizon as far as seconds allow."""
        assert self.windows is not None
        proved = self.late_time_bound or positivity_bound(self.windows, self.nodes, self.delay)
        return min(proved, max(self.steps, affordable(self.mixing)) if self.mixing.periodic else self.steps)

    @cached_property
    def profile(self) -> Profile:
        """eps_m, S1 and S2 over the horizon."""
        return profile(self.mixing, self.steps, self.contraction)

    @property
    def start_gap(self) -> float | None:
        """F0 = f(xbar^0) - f*, or an upper bound of it where only a lower bound of f is known."""
        lowest = self.constants.lowest.value
        return None if self.start_loss is None or lowest is None else max(0.0, self.start_loss - lowest)

    @property
    def start_spread(self) -> float | None:
        """X0 = |X^0|_F^2 / n, or 0 where all nodes start at one point (equal starts contribute nothing: E_{k:0} 1 =
        0)."""
        if self.start is None:
            return None
        equal = bool((self.start == self.start[0]).all())
        return 0.0 if equal else float((self.start**2).sum() / self.nodes)
