"""Vectorized: the fleet as one node. The same coroutine acts on arrays of all nodes and all seeds, and the clock is the
exact max-plus recursion.

The rule: no call ever waits, so the coroutine runs straight through; arrays are shaped (nodes, seeds, dimension). Every
number equals that of the event simulation to the bit on numpy; on torch tensors (CPU or GPU) to rounding. Methods that
depend on timing, or whose nodes do not run in step, need an event clock and are refused. A text from outside sgpsim is
given guarded arrays, which refuse what looks across nodes or seeds, and is tried against nodes that run apart first.
"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from sgpsim.backends.backend import Backend, Progress, drive, ended_by, require_fit
from sgpsim.backends.fleet.guarded_node import GuardedFleet
from sgpsim.backends.fleet.node import FleetNode
from sgpsim.backends.fleet.own_text import from_outside, not_looked_at, require_same_numbers
from sgpsim.backends.watch.monitor import Diverged, Leaking, MonitorPolicy
from sgpsim.backends.watch.steps_taken import oddities
from sgpsim.budget import Seconds, TargetLoss
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.link_load import Traffic, busiest, load_check
from sgpsim.errors import MassLeak, SpecificationError, shown
from sgpsim.experiment import Experiment
from sgpsim.results.metrics import Keep
from sgpsim.results.run import Outcome, Run, joined, part, provenance, run_of, with_run
from sgpsim.specification.arguments import checked
from sgpsim.specification.ranges import Count, Threads
from sgpsim.specification.specification import specification
from sgpsim.specification.wording import concise
from sgpsim.threads import alone, limited


@specification
class Vectorized(Backend):
    """cluster: the machines (None: time stands still). monitor: what to do about lost mass; looks every `check_every`
    rounds. trace: keep spans and messages of the first seed. keep_trajectory: keep all cuts. device: None for numpy,
    "cpu" or "cuda" for torch tensors there, where x that is not finite is found at the monitor's next look or at the
    next measurement. threads: of one matrix product on this machine (other numbers, other bits)."""

    cluster: Cluster | None = None
    monitor: MonitorPolicy = "raise"
    check_every: Count = 10
    trace: bool = False
    keep_trajectory: bool = False
    device: str | None = None
    threads: Threads = 1

    def __post_init__(self) -> None:
        if self.device is not None and not re.fullmatch(r"(cpu|cuda)(:\d{1,4})?", self.device):
            raise SpecificationError(
                f"Vectorized(device) is {shown(self.device)}; it must be 'cpu' or 'cuda', the latter with a number"
                " where there are several. Give one of these, such as 'cuda:1', or None for numpy."
            )

    @checked
    def check(self, experiment: Experiment) -> None:
        method = experiment.algorithm
        if method.depends_on_timing or not method.in_step:
            raise SpecificationError(
                f"Vectorized cannot run {type(method).__name__}, whose numbers depend on when messages arrive; it"
                " moves all nodes at once."
                " Use Simulated(cluster), or mixing='exact' where the method has it."
            )
        if self.cluster is not None and self.cluster.faults:
            raise SpecificationError(
                f"Vectorized with Cluster(faults={concise(self.cluster.faults)}); it moves all nodes at once and has no"
                " single messages that could be lost. Use Simulated(cluster)."
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
        if from_outside(method):
            require_same_numbers(experiment, lambda some: Vectorized(monitor="off")._run(some, None, None))

    @checked
    def run(self, experiment: Experiment, progress: Progress | None = None, keep: Keep | None = None) -> Run:
        self.check(experiment)
        with alone, limited(self.threads):
            return self._run(experiment, progress, keep)

    def _run(self, experiment: Experiment, progress: Progress | None, keep: Keep | None) -> Run:
        alone = isinstance(experiment.budget, Seconds | TargetLoss)  # seeds end at different steps
        groups: list[tuple[int, ...]] = [(seed,) for seed in experiment.seeds] if alone else [experiment.seeds]
        runs: list[Run] = []
        traffic: list[Traffic] = []
        ending: BaseException | None = None
        fleet: FleetNode | None = None
        try:
            while groups:
                seeds = groups.pop(0)
                some = experiment.only(seeds)
                fleet = None
                fleet = FleetNode(self, some, progress, keep)
                runs.append(self._together(some, fleet, traffic))
                if left := tuple(seed for seed in seeds if seed not in runs[-1].experiment.seeds):
                    groups.insert(0, left)  # some diverged; the others go on as they would alone
        except BaseException as stop:  # sys.exit() in a user's class among it
            runs += [run for run in [run_of(stop)] if run is not None]
            ending = stop
        whole: Run | None = None
        if runs:
            whole = joined(experiment, runs)
            whole = replace(whole, remarks=whole.remarks + not_looked_at(experiment))
            if self.cluster is not None:
                load = self.cluster, experiment.message_size, traffic
                statistics = {**whole.statistics, **busiest(*load)}
                whole = replace(whole, remarks=whole.remarks + load_check(*load), statistics=statistics)
        if isinstance(ending, KeyboardInterrupt):
            raise with_run(ending, None if whole is None else replace(whole, outcome="interrupted"))
        if isinstance(ending, MassLeak):
            raise with_run(ending, whole)
        if ending is not None:
            ended_by(ending, _place(fleet), whole)
            raise ending
        assert whole is not None, "there is at least one seed"
        return whole

    def _together(self, experiment: Experiment, fleet: FleetNode, traffic: list[Traffic]) -> Run:
        """All seeds at once, up to the end or to the step at which some diverge: then the run of these seeds only.
        traffic: where theirs is added, to be held against the links."""
        outcome: Outcome = "finished"
        remarks: list[str] = []
        ending: BaseException | None = None
        ended = experiment.seeds
        try:
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                _run_text(experiment, fleet)
                fleet.end()
        except Diverged as stop:
            ended = tuple(experiment.seeds[place] for place in stop.reasons)
            outcome = "diverged"
            remarks = [f"seed {seed}: {reason}" for seed, reason in zip(ended, stop.reasons.values(), strict=True)]
            remarks += fleet.watch.monitor.leaks
        except Leaking:
            pass
        except KeyboardInterrupt as stop:
            if fleet.reported < 0:
                raise  # nothing was computed
            ending, outcome = stop, "interrupted"
            remarks = [f"seed {seed}: interrupted after step {fleet.reported}" for seed in experiment.seeds]
            remarks += fleet.watch.monitor.leaks
        except BaseException as error:
            if not fleet.watch.measurements.beyond_start:
                with_run(error, None)
                raise
            ending, outcome, remarks = error, "failed", list(fleet.watch.monitor.leaks)
        if fleet.watch.monitor.leaks and outcome == "finished":
            outcome, remarks = "leaked", list(fleet.watch.monitor.leaks)
        if outcome == "finished":
            remarks = oddities(experiment, experiment.seeds, [fleet.taken])
        if self.cluster is not None:
            traffic.append(fleet.clock.traffic(experiment.seeds, ended))
        run = Run(
            experiment,
            "Vectorized" if self.device is None else f"Vectorized on {self.device}",
            fleet.watch.table(),
            fleet.final(),
            fleet.trace.build() if fleet.trace is not None else None,
            fleet.watch.trajectory(),
            outcome,
            tuple(remarks),
            {"node_steps": float(fleet.gradients), "worst_monitor_ratio": fleet.watch.monitor.worst},
            provenance(self.machines()),
        )
        if outcome == "leaked" and self.monitor == "raise":
            ending = MassLeak(run.remarks[0])
        if ending is not None:
            raise with_run(ending, run)
        return run if ended == experiment.seeds else part(run, ended)


def _place(fleet: FleetNode | None) -> str:
    """Where the exception that ended the run arose, in words."""
    if fleet is None:
        return "before its seeds began"
    seeds = ", ".join(map(str, fleet.seeds[:10])) + (f", ... {len(fleet.seeds)} in all" if len(fleet.seeds) > 10 else "")
    return f"while all nodes were in step {max(fleet.step, 0)} of seed {seeds}"


def _run_text(experiment: Experiment, fleet: FleetNode) -> None:
    """Run the text, which sees guarded arrays where it is from outside. What the fleet refused stays refused, though the
    text may have caught it and gone on with what it does not know."""
    try:
        drive(experiment.algorithm, GuardedFleet(fleet) if from_outside(experiment.algorithm) else fleet)
    except Exception:
        if fleet.refusal is None:
            raise
    if fleet.refusal is not None:
        raise fleet.refusal from None
