"""Judgement: every claim of the house asked about one run, from what the nodes of that run held and did.

The rule: the setting is read from the run's experiment, the evidence from its trajectory, and never the one from the
other; what does not apply says why. A run that kept no trajectory is run again with one, and its losses are compared
with those that were measured, so that it is the same run that is judged. The tests among the claims are corrected
together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from sgpsim.backends.backend import Backend
from sgpsim.backends.events.simulated import Simulated
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.budget import Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.errors import MassLeak, SpecificationError
from sgpsim.experiment import Experiment
from sgpsim.objectives.unresolved import Unresolved
from sgpsim.results.run import Run, Trajectory, run_of
from theory.cases.experiments import setting_of
from theory.claims import claims
from theory.evidence import Moments, Path, moments_of
from theory.setting import Method, Setting
from theory.theorem import Theorem
from theory.verdict import Outcome, Verdict, corrected, verify

LARGEST = 1 << 30
"""Bytes of a trajectory in float64 up to which all steps of a run are judged."""
AGAINST = (Outcome.VIOLATED, Outcome.INCONSISTENT)
OPEN = (Outcome.UNDECIDED, Outcome.NOT_APPLICABLE)


@dataclass(frozen=True, eq=False)
class Judgement:
    """setting: what the claims were asked about. verdicts: of every claim, by its name. remarks: what stands between
    the run that was given and the one that was judged."""

    setting: Setting
    verdicts: dict[str, Verdict]
    remarks: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing speaks against the run."""
        return not self.of(*AGAINST)

    def of(self, *outcomes: Outcome) -> dict[str, Verdict]:
        """The verdicts with one of these outcomes."""
        return {name: verdict for name, verdict in self.verdicts.items() if verdict.outcome in outcomes}

    @property
    def decided(self) -> dict[str, Verdict]:
        """The claims that this run confirms or contradicts."""
        return {name: verdict for name, verdict in self.verdicts.items() if verdict.outcome not in OPEN}


def judge(
    run: Run,
    backend: Backend | None = None,
    method: Method | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Judgement:
    """Ask every claim about `run`.

    backend: what it ran on; needed where it kept no trajectory and its numbers depend on its machines. method: what an
    algorithm that is none of the house's claims to be, such as "push"; None for what is known of its class. progress:
    called with (claims judged, all of them, the next one).

    Raises SpecificationError where the run cannot be run again although it would have to be, or took no step.
    """
    experiment = run.experiment
    if isinstance(experiment.objective, Unresolved):
        raise SpecificationError(
            f"the objective of this run names {experiment.objective.functions[0].name!r}, which was not imported; claims"
            " need its constants and gradients. Load the run with trust=True (--trust) if you trust where it comes from."
        )
    steps = _steps(run)
    trajectory, remarks = _trajectory(run, backend, steps)
    fitting = int(LARGEST / max(trajectory.values[0].nbytes, 1))
    done = min(len(trajectory.gradients), steps)
    if fitting < done:
        remarks = (*remarks, f"judged over its first {fitting} of {done} steps, whose numbers take a gigabyte")
        steps = fitting
    asked = replace(experiment, budget=Steps(steps))
    setting = setting_of(asked)
    if method is not None:
        setting = replace(setting, method=method)
    path = Path.of(trajectory, steps, origin=setting)
    minimizer = getattr(experiment.objective, "minimizer", None)
    moments = moments_of(path.first(path.moderate), experiment.objective, minimizer)
    verdicts: dict[str, Verdict] = {}
    house = claims()
    for number, (name, claim) in enumerate(house.items()):
        if progress is not None:
            progress(number, len(house), name)
        verdicts[name] = _verdict(claim, setting, path, moments)
    if progress is not None:
        progress(len(house), len(house), "")
    settled = corrected(list(verdicts.values()))
    return Judgement(setting, dict(zip(verdicts, settled, strict=True)), remarks)


def _verdict(claim: Theorem, setting: Setting, path: Path, moments: Moments) -> Verdict:
    match claim.reads:
        case "Sweep":
            return _beyond("it is about many runs, along K or n; `python -m theory verify` makes them")
        case "Durations":
            return _beyond("it is about the law of durations over many runs; `python -m theory verify` makes them")
        case reads:
            return verify(claim, setting, {"Path": path, "Moments": moments}.get(reads))


def _beyond(why: str) -> Verdict:
    return Verdict(Outcome.NOT_APPLICABLE, None, False, why)


def _steps(run: Run) -> int:
    """How many steps all nodes took in all seeds; SpecificationError where nobody took one."""
    experiment = run.experiment
    if not experiment.algorithm.in_step:
        raise SpecificationError(
            f"{type(experiment.algorithm).__name__} is not run in step, and the claims are about steps that all nodes take"
            " together. Judge a method such as SGP."
        )
    if isinstance(experiment.budget, Steps):
        asked = experiment.budget.count
    else:
        last = run.curve("loss").group_by("seed").agg(pl.col("step").max())["step"].min()
        asked = int(last) if isinstance(last, int) else 0
        if experiment.algorithm.leaves_in_flight and run.outcome == "finished":
            asked -= 1  # the drain, in which nobody computes
    if asked < 1:
        raise SpecificationError("the run took no step, and claims are about what steps do. Give it a larger budget.")
    return asked


def _trajectory(run: Run, backend: Backend | None, steps: int) -> tuple[Trajectory, tuple[str, ...]]:
    """What the run went through, from a second run where it did not keep it."""
    if run.trajectory is not None:
        return run.trajectory, ()
    experiment = _bounded(run.experiment, steps)
    again = _again(experiment, backend)
    try:
        second = again.run(experiment)
    except MassLeak as leak:
        second = run_of(leak)
    if second is None or second.trajectory is None:
        raise SpecificationError(
            f"the run {run.outcome} before its first step was over, so there is nothing to judge. Start nearer, or take smaller steps."
        )
    return second.trajectory, (_compared(run, second, steps),)


def _bounded(experiment: Experiment, steps: int) -> Experiment:
    """`experiment` over as many of its steps as can be held."""
    one = experiment.nodes * len(experiment.seeds) * experiment.objective.dimension * 8
    return replace(experiment, budget=Steps(max(1, min(steps, LARGEST // one + 1))))


def _again(experiment: Experiment, backend: Backend | None) -> Backend:
    """A backend that gives the same numbers and keeps them all."""
    cluster: Cluster | None = getattr(backend, "cluster", None)
    if not experiment.algorithm.depends_on_timing:
        threads = getattr(backend, "threads", 1)
        if cluster is None or not cluster.faults:
            return Vectorized(monitor="record", keep_trajectory=True, threads=threads)
        return Simulated(cluster, monitor="record", trace=False, keep_trajectory=True, threads=threads)
    if isinstance(backend, Simulated):
        return replace(backend, keep_trajectory=True, monitor="record", trace=False)
    raise SpecificationError(
        f"the run kept no trajectory, and the numbers of {type(experiment.algorithm).__name__} depend on the machines. Run it"
        " again with keep_trajectory = true, or give the Simulated(...) that it ran on."
    )


def _compared(run: Run, second: Run, steps: int) -> str:
    """In words whether `second` measured the losses that `run` did."""
    columns = ("seed", "step", "value")
    first, other = (each.curve("loss").filter(pl.col("step") <= steps).select(columns) for each in (run, second))
    both = first.join(other, on=("seed", "step"), suffix="_again")
    same = int((both["value"].eq_missing(both["value_again"])).sum())
    said = "the run kept no trajectory and was run again with one"
    if same == len(both):
        return f"{said}; all {same} losses that both measured are the same to the bit"
    apart = np.abs(both["value"].to_numpy() - both["value_again"].to_numpy())
    worst = f"{len(both) - same} of {len(both)} losses differ, by {np.nanmax(apart):.3g} at the most"
    return f"{said}; {worst}: the verdicts are of the second run"
