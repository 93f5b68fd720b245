"""Replay: the records of all processes, put together into one Run.

The rule: what was computed apart is looked at as a simulation would look at it: cut by step, through the same monitor
and the same measurements, so that the numbers are the same. Then the ledgers are reconciled: what one end of a pair
says it sent, the other must have received, to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sgpsim.backends.backend import ended_by
from sgpsim.backends.losses import idle_faults
from sgpsim.backends.processes.records import read_lines, read_rows, record_paths, row_type, spacing
from sgpsim.backends.watch.cuts import StepCuts
from sgpsim.backends.watch.monitor import Diverged, Leaking, MonitorPolicy
from sgpsim.backends.watch.steps_taken import StepsTaken, oddities
from sgpsim.backends.watch.watch import Watch
from sgpsim.clusters.cluster import Cluster
from sgpsim.experiment import Experiment
from sgpsim.mass import Mass
from sgpsim.results.run import Final, Outcome, Run, joined, provenance
from sgpsim.results.trace import Trace, TraceBuilder
from sgpsim.threads import limited

if TYPE_CHECKING:
    from sgpsim.backends.processes.torch_distributed import TorchDistributed

NOTABLE = 0.01
"""Share of a run's time from which on it is remarked that a node waited for its disk."""

Account = tuple[int, float, float]


class Replay:
    """One seed, from the records of all ranks. ended: number of the cut that the run ended with."""

    def __init__(
        self,
        experiment: Experiment,
        monitor: MonitorPolicy,
        keep: bool,
        folder: Path,
        case: int,
        seed: int,
        cluster: Cluster | None = None,
    ) -> None:
        self.experiment, self.seed, self.cluster = experiment, seed, cluster
        paths = [record_paths(folder, case, seed, rank) for rank in range(experiment.nodes)]
        self.rows = [read_rows(rows, row_type(experiment, keep)) for rows, _ in paths]
        self.lines = [read_lines(lines) for _, lines in paths]
        self.keep, self.summed = keep, spacing(experiment, keep) > 1
        self.steps = _common([rows["step"] for rows in self.rows])
        self.ended = len(self.steps) - 1
        self.reached = 0
        self.watch = Watch(experiment, (seed,), monitor)
        self.monitor = self.watch.monitor
        self.cuts = StepCuts(experiment, self.watch, seen=True, keep=keep)
        self.in_flight = experiment.algorithm.leaves_in_flight
        self.outcome: Outcome = "finished"
        self.remarks: list[str] = []

    def look(self, tick: Callable[[], None]) -> None:
        """Reconcile the ledgers, then put the rows together cut by cut."""
        for rank, lines in enumerate(self.lines):
            for line in lines:
                if line[0] == "note":
                    _, step, time, metric, value = line
                    self.watch.measurements.note(self.seed, step, rank, time, metric, value)
        try:
            with limited(1), np.errstate(all="ignore"):
                self._cut_by_cut(tick)
        except Diverged as stop:
            self.outcome, self.remarks = "diverged", [f"seed {self.seed}: {stop}"]
        except Leaking:
            pass
        if self.monitor.policy != "off":
            self.monitor.leaks[:0] = self._leaks_of_pairs()
        if self.monitor.leaks and self.outcome != "diverged":
            self.outcome = "leaked"
            self.remarks = [f"seed {self.seed}: {leak}" for leak in self.monitor.leaks]
        taken = [StepsTaken(*told[1:]) for lines in self.lines for told in lines if told[0] == "steps"]
        if self.outcome == "finished" and len(taken) == self.experiment.nodes:
            self.remarks = oddities(self.experiment, (self.seed,), taken)
        if len(taken) == self.experiment.nodes:
            met = {place for lines in self.lines for line in lines if line[0] == "faults met" for place in line[1:]}
            self.remarks += idle_faults(self.cluster, self.seed, met)

    def _cut_by_cut(self, tick: Callable[[], None]) -> None:
        cuts = self.cuts
        for number, step in enumerate(self.steps):
            tick()
            cuts.latest = max(int(rows[number]["round"]) for rows in self.rows)
            self.reached = self.ended = number
            for rank, rows in enumerate(self.rows):
                row = rows[number]
                if self.in_flight:
                    cuts.flight.carry(row["flight"], row["flight_rest"], float(row["flight_weight"]))
                if self.keep:
                    cuts.gradient(rank, step, row["gradient"])
                move = row["move"]
                if self.summed:
                    cuts.moved_earlier(step, move, row["moved"])
                    move = None
                cuts.report(
                    rank, step, Mass(row["value"], row["weight"]), move, float(row["time"]), float(row["bytes"])
                )
        cuts.measure_last()

    def _leaks_of_pairs(self) -> list[str]:
        """Sentences of the ranks themselves, and about pairs whose two ends do not agree; numbers that are not finite
        are no leak."""
        found = [str(told[1]) for lines in self.lines for told in lines if told[0] == "leak"]
        sent: dict[tuple[int, int], Account] = {}
        taken: dict[tuple[int, int], Account] = {}
        for rank, lines in enumerate(self.lines):
            for told in lines:
                if told[0] == "ledger":
                    _, direction, peer, count, values, weights = told
                    pair = (rank, peer) if direction == "sent" else (peer, rank)
                    (sent if direction == "sent" else taken)[pair] = (count, values, weights)
        for pair in sorted(sent.keys() & taken.keys()):
            (out, values, weights), (came, found_values, found_weights) = sent[pair], taken[pair]
            finite = math.isfinite(values) and math.isfinite(found_values)
            if out != came or weights != found_weights or (finite and values != found_values):
                found.append(
                    f"mass leak between node {pair[0]} and node {pair[1]}: {out} messages were sent and {came} received"
                    f", with {values - found_values:.6g} of the sum of all x and {weights - found_weights:.6g} of w"
                    " lost on the way"
                )
        return found

    def trace(self) -> Trace:
        """Spans as they are; a message's two halves, told by its sender and its receiver, joined by its number."""
        builder = TraceBuilder(self.seed)
        arrivals: dict[tuple[int, int, int], float] = {}
        for rank, lines in enumerate(self.lines):
            for line in lines:
                if line[0] == "span":
                    builder.spans.append((rank, *line[1:]))
                elif line[0] == "taken":
                    arrivals[line[1], rank, line[2]] = line[3]
        size = self.experiment.message_size
        for rank, lines in enumerate(self.lines):
            for line in lines:
                if line[0] == "sent":
                    _, receiver, number, step, begin, end = line
                    arrival = arrivals.get((rank, receiver, number))
                    if arrival is not None:
                        builder.messages.append((rank, receiver, "round", step, begin, end, arrival, size))
        return builder.build()

    def as_run(self, backend: TorchDistributed, traced: bool) -> Run:
        """What came out, as a run of this seed alone."""
        last = self.last
        return Run(
            self.experiment.only((self.seed,)),
            "TorchDistributed",
            self.watch.table(),
            Final(*(np.stack([row[name] for row in last])[:, None] for name in ("value", "weight", "time"))),
            self.trace() if traced else None,
            self.watch.trajectory(),
            self.outcome,
            tuple(self.remarks),
            {
                "node_steps": float(sum(told[1] for lines in self.lines for told in lines if told[0] == "gradients")),
                "seconds_waiting_for_disk": self.waited,
                "worst_monitor_ratio": self.monitor.worst,
            },
            provenance(backend.machines()),
        )

    @property
    def last(self) -> list[Any]:
        """The row of every rank at the cut that the run ended with: the last that all have, or the one that left the
        floating-point range."""
        return [rows[self.ended] for rows in self.rows]

    @property
    def waited(self) -> float:
        """The most seconds that a node waited for its disk."""
        return max((float(line[1]) for lines in self.lines for line in lines if line[0] == "waited"), default=0.0)


def _common(steps: list[NDArray[Any]]) -> list[int]:
    """The steps of the leading rows that are the same at all ranks, and grow; after a sudden end the ranks' last rows
    differ, and a file may hold zeros that were never written."""
    shortest = min(len(column) for column in steps)
    same = np.all([column[:shortest] == steps[0][:shortest] for column in steps], axis=0)
    same[1:] &= steps[0][1:shortest] > steps[0][: shortest - 1]
    return steps[0][:shortest][np.logical_and.accumulate(same)].tolist()


def as_run(
    experiment: Experiment,
    backend: TorchDistributed,
    folder: Path,
    case: int = 0,
    failure: str | None = None,
    ended_as: Outcome = "failed",
    tick: Callable[[], None] = lambda: None,
) -> Run | None:
    """All seeds as one Run; None where the processes left no cut common to all. failure: why they ended too early, where
    they did, and ended_as what that is. tick: called after each cut."""
    replays: list[Replay] = []
    for seed in experiment.seeds:
        replay = Replay(experiment, backend.monitor, backend.keep_trajectory, folder, case, seed, backend.cluster)
        if not replay.steps:
            break
        replays.append(replay)
        try:
            replay.look(tick)
        except Exception as error:  # of an objective that cannot be measured: what was computed is not lost with that
            place = f"while step {replay.steps[replay.reached]} of seed {seed} was measured"
            replay.ended = len(replay.steps) - 1  # where the nodes stood is known up to there
            run: Run | None = None
            with suppress(Exception):
                run = _together(experiment, backend, replays, failure, ended_as)
            ended_by(error, place, run)
            raise
    return _together(experiment, backend, replays, failure, ended_as) if replays else None


def _together(
    experiment: Experiment, backend: TorchDistributed, replays: Sequence[Replay], failure: str | None, ended_as: Outcome
) -> Run:
    """The seeds that were looked at as one Run."""
    run = joined(experiment, [replay.as_run(backend, backend.trace and number == 0) for number, replay in enumerate(replays)])
    remarks = list(run.remarks)
    if any(replay.summed and replay.outcome == "diverged" for replay in replays):
        remarks.append(
            f"rows of {experiment.objective.dimension} numbers are kept every {experiment.measure_every} steps alone, so"
            f" it may have diverged up to {experiment.measure_every - 1} steps before the step that is named;"
            " measure_every=1 tells"
        )
    waited = run.statistics["seconds_waiting_for_disk"]
    if waited > NOTABLE * float(np.nanmax(run.final.clocks)):
        remarks.append(f"a node waited {waited:.3g} s for its disk; the times of this run include that")
    if failure is None:
        return replace(run, remarks=tuple(remarks))
    outcome = run.outcome if run.outcome == "leaked" else ended_as  # a seed that diverged makes no whole run of one cut short
    return replace(run, outcome=outcome, remarks=(failure, *remarks))
