"""Vectorized: the fleet as one node. The same coroutine acts on arrays of all nodes and all seeds, and the clock is the
exact max-plus recursion.

The rule: no call ever waits, so the coroutine runs straight through; arrays are shaped (nodes, seeds, dimension). Every
number equals that of the event simulation to the bit on numpy; on torch tensors (CPU or GPU) to rounding. Methods that
depend on timing, or whose nodes do not run in step, need an event clock and are refused.
"""

from __future__ import annotations

import re

import numpy as np

from sgpsim.backends.backend import Backend, MonitorPolicy, Progress, require_fit
from sgpsim.backends.fleet_node import FleetNode
from sgpsim.backends.monitor import Diverged, Leaking
from sgpsim.budget import Seconds, TargetLoss
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.link_load import Traffic, load_check
from sgpsim.errors import MassLeak, SpecificationError, shown
from sgpsim.experiment import Experiment
from sgpsim.ranges import Count
from sgpsim.run import Outcome, Run, not_begun, provenance
from sgpsim.specification import specification


@specification
class Vectorized(Backend):
    """cluster: the machines (None: time stands still). monitor: what to do about lost mass; looks every `check_every`
    rounds. trace: keep spans and messages of the first seed. keep_trajectory: keep all cuts. device: None for numpy,
    "cpu" or "cuda" for torch tensors there."""

    cluster: Cluster | None = None
    monitor: MonitorPolicy = "raise"
    check_every: Count = 10
    trace: bool = False
    keep_trajectory: bool = False
    device: str | None = None

    def __post_init__(self) -> None:
        if self.device is not None and not re.fullmatch(r"(cpu|cuda)(:\d{1,4})?", self.device):
            raise SpecificationError(
                f"Vectorized(device) is {shown(self.device)}; it must be 'cpu' or 'cuda', the latter with a number"
                " where there are several. Give one of these, such as 'cuda:1', or None for numpy."
            )

    def check(self, experiment: Experiment) -> None:
        method = experiment.algorithm
        if method.depends_on_timing or not method.in_step:
            raise SpecificationError(
                f"Vectorized cannot run {type(method).__name__}, whose numbers depend on when messages arrive; it"
                " moves all nodes at once."
                " Use Simulated(cluster), or mixing='exact' where the method has it."
            )
        if self.cluster is not None:
            require_fit(self.cluster, experiment)
        elif isinstance(experiment.budget, Seconds):
            raise SpecificationError(
                "Vectorized(cluster=None) with a budget in seconds; without machines no time passes. Give a Cluster,"
                " or Steps."
            )
        if self.device is not None:
            try:
                import torch
            except ImportError:
                raise SpecificationError(
                    f"Vectorized(device={self.device!r}) needs torch, which is not installed. Run: pip install"
                    " 'sgpsim[torch]'."
                ) from None
            try:
                device = torch.device(self.device)
            except (RuntimeError, TypeError):
                raise SpecificationError(
                    f"Vectorized(device={self.device!r}): torch knows no such device. Use 'cpu' or 'cuda', or None for"
                    " numpy."
                ) from None
            seen = torch.cuda.device_count() if torch.cuda.is_available() else 0
            if device.type == "cuda" and (device.index or 0) >= seen:
                raise SpecificationError(
                    f"Vectorized(device={self.device!r}), but torch sees {seen} GPUs here. Use device='cpu', or None for"
                    " numpy."
                )

    def run(self, experiment: Experiment, progress: Progress | None = None) -> Run:
        self.check(experiment)
        if isinstance(experiment.budget, Seconds | TargetLoss) and len(experiment.seeds) > 1:
            return _one_by_one(self, experiment, progress)  # seeds end at different steps
        return self.together(experiment, progress)

    def together(
        self, experiment: Experiment, progress: Progress | None, traffic: list[Traffic] | None = None
    ) -> Run:
        """All seeds at once. traffic: where theirs is added, for whoever holds all of a run against its links; None:
        that is done here."""
        fleet = FleetNode(self, experiment, progress)
        outcome: Outcome = "finished"
        remarks: list[str] = []
        ending: BaseException | None = None
        try:
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                _drive(experiment, fleet)
                fleet.end()
        except Diverged as stop:
            outcome, remarks = "diverged", [f"seeds {experiment.seeds}: {stop}"]
        except Leaking:
            pass
        except KeyboardInterrupt as stop:
            if fleet.reported < 0:
                raise  # nothing was computed
            ending, outcome = stop, "interrupted"
            remarks = [f"seeds {experiment.seeds}: interrupted after step {fleet.reported}", *fleet.monitor.leaks]
        if fleet.monitor.leaks and outcome != "interrupted":
            outcome, remarks = "leaked", list(fleet.monitor.leaks)
        if self.cluster is not None:
            sent = fleet.clock.traffic(experiment.seeds)
            if traffic is None:
                remarks += load_check(self.cluster, experiment.message_size, [sent])
            else:
                traffic.append(sent)
        run = Run(
            experiment,
            "Vectorized" if self.device is None else f"Vectorized on {self.device}",
            fleet.measurements.table(),
            fleet.final(),
            fleet.trace.build() if fleet.trace is not None else None,
            fleet.trajectory(),
            outcome,
            tuple(remarks),
            {"node_steps": float(fleet.gradients), "worst_monitor_ratio": fleet.monitor.worst},
            provenance(),
        )
        if outcome == "leaked" and self.monitor == "raise":
            ending = MassLeak(run.remarks[0])
        if ending is not None:
            ending.run = run  # pyright: ignore[reportAttributeAccessIssue]
            raise ending
        return run


def _drive(experiment: Experiment, fleet: FleetNode) -> None:
    """Run the coroutine straight through; on a fleet nothing waits."""
    coroutine = experiment.algorithm.run(fleet)
    try:
        coroutine.send(None)  # pyright: ignore[reportUnknownMemberType]
    except StopIteration:
        return
    coroutine.close()
    raise SpecificationError(
        f"Vectorized cannot run {type(experiment.algorithm).__name__}: its text awaits what is none of its node's calls."
        " Await only calls of the node that the text is given."
    )


def _one_by_one(backend: Vectorized, experiment: Experiment, progress: Progress | None) -> Run:
    """Each seed alone, put together as one run; clocks and cuts have the lengths that each seed had."""
    import dataclasses

    import polars as pl

    from sgpsim.run import Final
    from sgpsim.trace import joined

    runs: list[Run] = []
    traffic: list[Traffic] = []
    ending: KeyboardInterrupt | None = None
    try:
        for seed in experiment.seeds:
            runs.append(backend.together(dataclasses.replace(experiment, seeds=(seed,)), progress, traffic))
    except KeyboardInterrupt as stop:
        runs += [run for run in [getattr(stop, "run", None)] if isinstance(run, Run)]
        if not runs:
            raise
        ending = stop
    final = Final(*(np.concatenate([run.final[part] for run in runs], axis=1) for part in range(3)))
    bad = [run for run in runs if run.outcome != "finished"]
    whole = dataclasses.replace(
        runs[0],
        experiment=experiment,
        metrics=pl.concat([run.metrics for run in runs]),
        final=final.padded(len(experiment.seeds)),
        trace=joined([run.trace for run in runs[:1] if run.trace is not None]),
        trajectory=None,
        outcome="interrupted" if ending is not None else bad[0].outcome if bad else "finished",
        remarks=tuple(remark for run in runs for remark in run.remarks)
        + not_begun(experiment, len(runs))
        + (() if backend.cluster is None else load_check(backend.cluster, experiment.message_size, traffic)),
        statistics={
            "node_steps": sum(run.statistics["node_steps"] for run in runs),
            "worst_monitor_ratio": max(run.statistics["worst_monitor_ratio"] for run in runs),
        },
    )
    if ending is not None:
        ending.run = whole  # pyright: ignore[reportAttributeAccessIssue]
        raise ending
    return whole
