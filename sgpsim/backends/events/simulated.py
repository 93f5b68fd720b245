"""Simulated: an experiment on SimPy's clock, one process per node, with the real numerics.

The rule: a node's coroutine is a SimPy process as it is. What a message costs is known when it is sent, so a node waits
for one event per round, not one per message. Gradients in flight are evaluated together when the first of them is
needed. Event times equal the max-plus recursion to the bit. A run that cannot finish says who waits for whom.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import simpy
from numpy.typing import NDArray

from sgpsim.backends.backend import Backend, Progress, ended_by, refuse_awaited, require_fit, require_run
from sgpsim.backends.events.activities import Activities
from sgpsim.backends.events.instant import events_so_far, wake_at
from sgpsim.backends.events.node import SimulatedNode
from sgpsim.backends.events.waits import deadlock
from sgpsim.backends.gradient_batch import GradientBatch
from sgpsim.backends.losses import Losses, idle_faults
from sgpsim.backends.stopping import Stopping
from sgpsim.backends.watch.cuts import StepCuts, TimeCuts
from sgpsim.backends.watch.monitor import Diverged, Leaking, MonitorPolicy
from sgpsim.backends.watch.steps_taken import oddities
from sgpsim.backends.watch.watch import Watch
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.link_load import Traffic, busiest, load_check
from sgpsim.errors import Deadlock, MassLeak, SpecificationError
from sgpsim.experiment import Experiment
from sgpsim.mass import ordered_mean
from sgpsim.results.metrics import Keep
from sgpsim.results.run import Final, Outcome, Run, joined, provenance, with_run
from sgpsim.results.trace import TraceBuilder
from sgpsim.specification.arguments import checked
from sgpsim.specification.ranges import Threads
from sgpsim.specification.specification import specification
from sgpsim.streams import scalars
from sgpsim.threads import alone, limited

KEPT_SENDERS = 1 << 18
"""Senders' messages of compiled rounds kept ready: bounds them to some 100 MB where a schedule never repeats."""


@specification
class Simulated(Backend):
    """cluster: the machines. monitor: what to do about lost mass. trace: keep spans and messages (of the first seed).
    keep_trajectory: keep all cuts. look_ahead: evaluate gradients in flight together (the same bits, more speed).
    threads: of one matrix product (other numbers, other bits).
    """

    cluster: Cluster
    monitor: MonitorPolicy = "raise"
    trace: bool = True
    keep_trajectory: bool = False
    look_ahead: bool = True
    threads: Threads = 1

    @checked
    def check(self, experiment: Experiment) -> None:
        require_fit(self.cluster, experiment)
        if self.keep_trajectory and not experiment.algorithm.in_step:
            raise SpecificationError(
                f"Simulated(keep_trajectory=True) with {type(experiment.algorithm).__name__}, whose nodes do not run"
                " in step; a trajectory has one"
                " entry per step. Use the metrics over time instead."
            )
        if self.keep_trajectory and experiment.algorithm.depends_on_timing and len(experiment.seeds) > 1:
            raise SpecificationError(
                f"Simulated(keep_trajectory=True) with {type(experiment.algorithm).__name__} and"
                f" {len(experiment.seeds)} seeds; its weights depend on timing, and a trajectory has one set for all"
                " seeds. Run one seed at a time."
            )

    @checked
    def run(self, experiment: Experiment, progress: Progress | None = None, keep: Keep | None = None) -> Run:
        self.check(experiment)
        with alone, limited(self.threads):
            return self._run(experiment, progress, keep)

    def _joined(self, experiment: Experiment, results: Sequence[Simulation]) -> Run:
        """All seeds as one run, which says what its links could not have carried."""
        run = joined(experiment, [result.as_run() for result in results])
        traffic = [result.traffic() for result in results]
        return replace(
            run,
            remarks=run.remarks + load_check(self.cluster, experiment.message_size, traffic),
            statistics=run.statistics | busiest(self.cluster, experiment.message_size, traffic),
        )

    def _run(self, experiment: Experiment, progress: Progress | None, keep: Keep | None) -> Run:
        results: list[Simulation] = []
        seed = experiment.seeds[0]
        try:
            for number, seed in enumerate(experiment.seeds):
                traced = self.trace and number == 0
                results.append(Simulation(self, experiment, seed, traced, progress, number, keep))
                results[-1].execute()
                if results[-1].watch.monitor.leaks and self.monitor == "raise":
                    break
        except KeyboardInterrupt as stop:
            if any(result.watch.measurements.rows for result in results):
                with_run(stop, replace(self._joined(experiment, results), outcome="interrupted"))
            raise
        except BaseException as error:  # sys.exit() in a user's class among it
            begun = [result for result in results if result.watch.measurements.rows]
            some = any(result.watch.measurements.beyond_start for result in begun)
            reached = bool(results) and results[-1].seed == seed
            place = results[-1].place_of(error) if reached else f"before seed {seed} began"
            ended_by(error, place, self._joined(experiment, begun) if some else None)
            raise
        run = self._joined(experiment, results)
        if run.outcome == "leaked" and self.monitor == "raise":
            raise with_run(MassLeak(run.remarks[0]), run)
        return run


class Simulation:
    """The run-time state of one seed: clock, nodes, and what they share."""

    def __init__(
        self,
        backend: Simulated,
        experiment: Experiment,
        seed: int,
        trace: bool,
        progress: Progress | None,
        number: int,
        keep: Keep | None = None,
    ) -> None:
        self.backend, self.experiment, self.seed, self.progress, self.number = (
            backend,
            experiment,
            seed,
            progress,
            number,
        )
        self.environment = simpy.Environment(0.0)
        self.activities = Activities(self.environment)
        self.algorithm, self.schedule, self.cluster = experiment.algorithm, experiment.schedule, backend.cluster
        self.size = experiment.nodes
        self.losses = Losses(self.cluster)
        self.trace = TraceBuilder(seed) if trace else None
        self.watch = Watch(experiment, (seed,), backend.monitor, keep)
        by_time = self.algorithm.depends_on_timing or not self.algorithm.in_step
        self.keep = backend.keep_trajectory
        self.time_cuts = TimeCuts(experiment, self.watch) if by_time else None
        self.step_cuts: StepCuts | None = None
        if self.keep or not by_time:  # a run looked at by time has its law checked there, and only there
            self.step_cuts = StepCuts(experiment, self.watch, seen=not by_time, keep=self.keep)
        self.stopping = Stopping(experiment.budget, self.size, self.algorithm.in_step)
        self.batch = GradientBatch(experiment, seed, backend.look_ahead)
        self.message_size = experiment.message_size
        self.starts = experiment.starts()
        self.nodes = [SimulatedNode(self, rank) for rank in range(self.size)]
        self._plans: dict[int, list[Any]] = {}
        self._wires: dict[tuple[int, int], Any] = {}
        self._meeting: list[Any] = [None] * self.size
        self.met: set[int] = set()
        self._meeting_over: simpy.Event | None = None
        self.collectives = 0
        self.collective_bytes = 2 * (self.size - 1) / self.size * self.message_size
        self.outcome: Outcome = "finished"
        self.remarks: list[str] = []
        self.events = 0

    # -- what nodes share --

    def plan(self, step: int) -> list[tuple[tuple[Any, float, float, float], ...]]:
        """Per sender of round `step`: (receiver's node, share, occupancy, latency), in sending order."""
        phase = self.schedule.phase(step)
        found = self._plans.get(phase)
        if found is None:
            if len(self._plans) * self.size >= KEPT_SENDERS:
                self._plans.clear()
            found = self._plans[phase] = [
                tuple((self.nodes[receiver], share, *self.wire(sender, receiver)) for receiver, share in sent)
                for sender, sent in enumerate(self.schedule.round(step).pushes)
            ]
        return found

    def wire(self, sender: int, receiver: int) -> Any:
        pair = (sender, receiver)
        found = self._wires.get(pair)
        if found is None:
            found = self._wires[pair] = self.cluster.wire(sender, receiver, self.message_size)
        return found

    @cached_property
    def collective(self) -> float:
        """Seconds of a collective from the last arrival on; asked only by methods that have one."""
        return self.cluster.collective_seconds(self.message_size)

    def meet(self, rank: int, value: Any) -> simpy.Event:
        """A node joins the collective mean; the event comes when all have joined and the collective's time has passed,
        with the mean and the instant at which the last one joined."""
        if self._meeting_over is None:
            self._meeting_over = self.environment.event()
        over = self._meeting_over
        self._meeting[rank] = value
        self.met.add(rank)
        if len(self.met) == self.size:
            mean = ordered_mean(np.stack(self._meeting))
            mean.flags.writeable = False
            self.met, self._meeting_over = set(), None
            self._meeting = [None] * self.size
            self.collectives += 1
            now = self.environment.now
            wake_at(self.environment, over, now + self.collective, (mean, now))
        return over

    def tick(self) -> None:
        """After a look at all nodes: show progress, and stop where the target is reached."""
        self.stopping.look(self.watch.last_loss, self.environment.now)
        if self.progress is not None:
            done, expected = self.stopping.progress()
            self.progress(self.number * expected + done, expected * len(self.experiment.seeds))

    # -- the run --
    # --------------

    def execute(self) -> None:
        """Run to the end: budget used up, diverged, or leaked. Raises Deadlock where every node waits."""
        collecting = gc.isenabled()
        gc.disable()  # events make no cyclic garbage worth looking for, and looking costs a tenth of the time
        try:
            activities = [
                self.activities.begin(require_run(self.algorithm, self.algorithm.run(node)), node) for node in self.nodes
            ]
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                if self.time_cuts is not None:
                    self.time_cuts.look(0.0)
                    self.tick()
                try:
                    self.environment.run()
                except RuntimeError as error:
                    if "Invalid yield value" not in str(error):
                        raise
                    refuse_awaited(self.algorithm)
                waits = {node.rank: (node.step, wait) for node in self.nodes if (wait := node.waits.first) is not None}
                if waits or any(activity.process.is_alive for activity in activities):
                    raise Deadlock(deadlock(self.environment.now, waits))
                self._end()
                if self.step_cuts is not None and self.time_cuts is None:
                    self.step_cuts.measure_last()
        except Diverged as stop:
            self.outcome, self.remarks = "diverged", [f"seed {self.seed}: {stop} ({self.environment.now:.6g} s)"]
        except Leaking:
            self.outcome = "leaked"
        except KeyboardInterrupt:
            self.remarks = [f"seed {self.seed}: interrupted at {self.environment.now:.6g} s"]
            raise
        finally:
            if collecting:
                gc.enable()
            self.activities.close()
            self.release()
        if self.outcome == "finished" and self.watch.monitor.leaks:
            self.outcome = "leaked"
        self.remarks += [f"seed {self.seed}: {leak}" for leak in self.watch.monitor.leaks]
        if self.outcome == "finished":
            self.remarks += oddities(self.experiment, (self.seed,), [node.taken for node in self.nodes])
        self.remarks += idle_faults(self.cluster, self.seed, self.losses.met)
        self.events = events_so_far(self.environment)

    def place_of(self, error: BaseException) -> str:
        """Where the exception that ended the run arose, in words."""
        when = f"seed {self.seed}, at {self.environment.now:.6g} s"
        failure = self.activities.failure
        if failure is None or failure[0] is not error:
            return f"in {when}"
        return f"while node {failure[1]} was in step {failure[2]} of {when}"

    def release(self) -> None:
        """Let go of all that the run's value does not need, which adds up where many seeds follow one another."""
        self.batch.release()
        self._plans.clear()
        for node in self.nodes:
            node.release()

    def _final(self) -> tuple[NDArray[Any], NDArray[np.float64], NDArray[np.float64]]:
        """Values, weights and clocks of all nodes at their last report; where the run diverged at a step, at that step,
        although some nodes went on meanwhile."""
        if self.outcome == "diverged" and self.time_cuts is None and self.step_cuts is not None:
            cut = self.step_cuts.last
            assert cut is not None, "a cut was looked at"
            return cut.values, cut.weights, cut.times
        return (
            np.stack([node.held.value for node in self.nodes]),
            np.array([node.held.weight for node in self.nodes], dtype=np.float64),
            np.array([node.now for node in self.nodes]),
        )

    def _end(self) -> None:
        """The law of the end: all mailboxes are empty."""
        for node in self.nodes:
            left = node.left_over()
            if left and self.watch.monitor.policy != "off":
                sender, what = left
                self.watch.monitor.leak(
                    f"mass left in flight at the end: {what} from node {sender} to node {node.rank} was never received"
                )
        if self.time_cuts is not None:
            self.time_cuts.look(max(node.now for node in self.nodes))

    def as_run(self) -> Run:
        """What came out, as a run of this seed alone."""
        return Run(
            self.experiment.only((self.seed,)),
            "Simulated",
            self.watch.table(),
            Final(*(part[:, None] for part in self._final())),
            self.trace.build() if self.trace is not None else None,
            self.watch.trajectory(),
            self.outcome,
            tuple(self.remarks),
            {
                "gradient_batches": float(self.batch.batches),
                "events": float(self.events),
                "node_steps": float(self.batch.evaluated),
                "worst_monitor_ratio": self.watch.monitor.worst,
            },
            provenance(self.backend.machines()),
        )

    def traffic(self) -> Traffic:
        """What was sent, by sender and receiver. A run that did not finish lasted until what ended it: later than its
        nodes' last reports, and with messages on their way."""
        ended = 0.0 if self.outcome == "finished" else self.environment.now
        sent = {(node.rank, to): float(count) for node in self.nodes for to, count in node.sent.items()}
        return Traffic(self.seed, sent, self.collectives, max(ended, *(node.now for node in self.nodes)))

    def blocks_of_durations(self, rank: int) -> Iterator[float]:
        """Compute times of one node, one by one."""
        return scalars(self.cluster.durations(rank, self.seed))

    def late_causes(self, rank: int) -> list[tuple[float, Iterator[float]]]:
        """Stragglers that begin later: (instant, factors one by one)."""
        return [(since, scalars(blocks)) for since, blocks in self.cluster.late_causes(rank, self.seed)]
