"""TorchDistributed: an experiment on real processes that talk through torch.distributed's gloo, one process per node.

The rule: the algorithm's text, the random streams and the order of additions are those of the simulation, so every
number is equal to the bit (an all-reduce adds in gloo's order: equal to rounding); only the times are real. What was
computed is written down at each process while it runs and put together at the end. A process that dies or hangs ends
the run within the time-out, and is named.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

from sgpsim.backends.backend import Backend, Progress, ended_by, require_fit
from sgpsim.backends.processes.assembly import as_run
from sgpsim.backends.processes.gathering import gathered
from sgpsim.backends.processes.group import Volunteer
from sgpsim.backends.processes.process import run_seed
from sgpsim.backends.processes.shared_records import closed, shared_folder
from sgpsim.backends.processes.transport import PeerLost
from sgpsim.backends.watch.monitor import MonitorPolicy
from sgpsim.budget import Gradients, Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.errors import MassLeak, NodeFailure, SpecificationError, one_line
from sgpsim.experiment import Experiment
from sgpsim.results.metrics import Keep
from sgpsim.results.run import Run, run_of, with_run
from sgpsim.specification.arguments import checked
from sgpsim.specification.ranges import Range, Threads
from sgpsim.specification.specification import specification

Patience = Annotated[float, Range("a finite number above 0", "30.0", 1e-3, 1e9)]
"""Seconds of a time-out, as far as clocks count them."""


@specification
class TorchDistributed(Backend):
    """timeout: seconds after which a process that shows no sign of life (a thread of its own gives a heartbeat) is
    dead, and after which nodes that all wait are held to wait for each other; a gradient may take longer, a message
    may not. hung_after: seconds that one gradient may take although there is a heartbeat: what computes for ever ends too.
    threads: of one matrix product in each process (other numbers, other bits).

    compute: "real" takes gradients as fast as the machine does; "sleep" stretches each to the time that `cluster`'s
    machine would take, so that unequal machines can be tried on one. cluster: its faults hold in both. monitor: what to
    do about lost mass. trace: keep spans and messages (of the first seed). keep_trajectory: keep all cuts. Messages
    carry what the numerics need; `message_bytes` of the experiment counts in `bytes_sent` but does not pad them.
    """

    timeout: Patience = 30.0
    compute: Literal["real", "sleep"] = "real"
    cluster: Cluster | None = None
    monitor: MonitorPolicy = "raise"
    trace: bool = True
    keep_trajectory: bool = False
    hung_after: Patience = 600.0
    threads: Threads = 1

    def __post_init__(self) -> None:
        if self.compute == "sleep" and self.cluster is None:
            raise SpecificationError(
                "TorchDistributed(compute='sleep', cluster=None); the cluster says how long gradients take. Give a"
                " Cluster."
            )

    @checked
    def check(self, experiment: Experiment) -> None:
        name = type(experiment.algorithm).__name__
        if not experiment.algorithm.in_step:
            raise SpecificationError(
                f"TorchDistributed cannot run {name}, whose nodes do not run in step: it needs a second activity per"
                " node. Use Simulated(cluster)."
            )
        if not isinstance(experiment.budget, Steps | Gradients):
            raise SpecificationError(
                f"TorchDistributed with a budget of {type(experiment.budget).__name__}; no process sees the others'"
                " clocks or the fleet's loss. Give Steps(count) or Gradients(total)."
            )
        if self.keep_trajectory and experiment.algorithm.depends_on_timing and len(experiment.seeds) > 1:
            raise SpecificationError(
                f"TorchDistributed(keep_trajectory=True) with {name} and {len(experiment.seeds)} seeds; its weights"
                " depend on timing, and a trajectory has one set for all seeds. Run one seed at a time."
            )
        if self.cluster is not None:
            require_fit(self.cluster, experiment)
        if find_spec("torch") is None:
            raise SpecificationError(
                "TorchDistributed needs torch, which is not installed. Run: pip install 'sgpsim[torch]'."
            )

    def machines(self) -> dict[str, str]:
        kept = {"faults", "settings"} | ({"gradient", "paces", "stragglers"} if self.compute == "sleep" else set())
        told = {item: phrase for item, phrase in super().machines().items() if item in kept}
        return {"gradient": "gradients as fast as the machine takes them", "network": "messages through gloo", **told}

    @checked
    def run(self, experiment: Experiment, progress: Progress | None = None, keep: Keep | None = None) -> Run:
        """Take part as the process that the environment says this is; all processes of the group must call it. The
        Run is whole at rank 0, the others' hold the final state and the outcome. Raises NodeFailure where a process
        died or hung, without delay, so that torchrun lets it be said; MassLeak as every backend, and whatever a user's
        class raises at its own process, which carry what was measured, as far as the processes share a disk."""
        self.check(experiment)
        member = Volunteer(self.timeout, self.hung_after)
        with shared_folder(member) as folder:
            try:
                return self._as_member(member, folder, experiment)
            except Exception as error:
                closed(folder, member, wait=not isinstance(error, NodeFailure))
                if not isinstance(error, NodeFailure) and run_of(error) is None:
                    self._carry(error, member, folder, experiment)
                raise

    def run_in(
        self, folder: Path, experiment: Experiment, give_up: Callable[[str], None] | None = None
    ) -> Run:
        """`run`, with the records in `folder`, which processes on one disk may share, and out of which whoever calls
        makes a run where this raises. give_up: called with the verdict where this process ends without returning."""
        self.check(experiment)
        member = Volunteer(self.timeout, self.hung_after)
        member.give_up = give_up or member.give_up
        return self._as_member(member, folder, experiment)

    def _as_member(self, member: Volunteer, folder: Path, experiment: Experiment) -> Run:
        require_size(experiment, member.size)
        try:
            run = self._with(member, folder, experiment)
        except KeyboardInterrupt:
            sentence = member.verdict(within=1.0)  # torchrun ends all processes when one has failed
            if sentence:
                raise NodeFailure(sentence) from None
            member.confess("it was interrupted")
            raise
        member.leave()
        if run.outcome == "leaked" and self.monitor == "raise":
            raise with_run(MassLeak(run.remarks[0]), run)
        return run

    def _carry(self, error: Exception, member: Volunteer, folder: Path, experiment: Experiment) -> None:
        """Let what this process raised carry what all of them measured."""
        run: Run | None = None
        with suppress(Exception):  # of the very class that failed, which must not hide what it raised first
            run = as_run(experiment, self, folder)
        if isinstance(error, MassLeak):
            with_run(error, run)
        else:
            some = run if run is not None and (run.metrics["step"] > 0).any() else None
            ended_by(error, f"while node {member.rank} was {member.pulse.now.place}", some)

    def _with(self, member: Volunteer, folder: Path, experiment: Experiment) -> Run:
        try:
            for seed in experiment.seeds:
                run_seed(self, experiment, seed, member, folder)
            run = gathered(self, experiment, member, folder)
            member.set_out()
            return run
        except PeerLost as lost:
            raise member.failure(lost) from None
        except Exception as error:
            member.confess(f"{type(error).__name__}: {one_line(error)}")
            raise


def require_size(experiment: Experiment, size: int) -> None:
    """Raise unless there is one process per node."""
    if size != experiment.nodes:
        raise SpecificationError(
            f"{size} processes for an experiment of {experiment.nodes} nodes; there must be one process per node."
            f" Start {experiment.nodes} processes, or give an experiment of {size} nodes."
        )
