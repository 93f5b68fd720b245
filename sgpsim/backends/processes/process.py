"""One rank: a process's part in one run, from the common start to the last word.

The rule: the algorithm's coroutine is driven by one call, as no await of a real node hands control back. Then the
process says its last word to all others and waits for theirs, so that nothing is outstanding, and leaves its record
with its ledger, whatever happened.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sgpsim.backends.backend import drive
from sgpsim.backends.processes.group import Membership
from sgpsim.backends.processes.node import TorchNode
from sgpsim.backends.processes.records import Record, record_paths, row_type, spacing
from sgpsim.backends.processes.transport import MessageLost, PeerLost, Post
from sgpsim.errors import MassLeak
from sgpsim.experiment import Experiment
from sgpsim.threads import limited

if TYPE_CHECKING:
    from sgpsim.backends.processes.torch_distributed import TorchDistributed


def run_seed(
    backend: TorchDistributed, experiment: Experiment, seed: int, member: Membership, folder: Path, case: int = 0
) -> None:
    """Be one node of one run, and leave its record in `folder`. Raises PeerLost, or MassLeak where a message can't
    come any more."""
    keep = backend.keep_trajectory
    paths = record_paths(folder, case, seed, member.rank)
    record = Record(paths, row_type(experiment, keep), spacing(experiment, keep))
    member.keep = record.flush
    clock = member.set_out()
    dimension, dtype = experiment.objective.dimension, np.dtype(experiment.dtype)
    post = Post(member.rank, member.size, dimension, dtype, member.group, clock, member.waits)
    member.call_off = post.call_off
    trace = backend.trace and seed == experiment.seeds[0]
    node = TorchNode(backend, experiment, seed, post, record, member.pulse, _mean_over(member), clock, trace)
    try:
        with limited(backend.threads), np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            drive(experiment.algorithm, node)
            record.line("steps", *astuple(node.taken))
            record.line("faults met", *sorted(node.losses.met))
            node.leaks += post.finish()
        for direction, accounts in (("sent", post.sent), ("taken", post.taken)):
            for peer, account in accounts.items():
                record.line("ledger", direction, peer, *account.told)
    except MessageLost as lost:
        node.leaks.append(str(lost))
        raise MassLeak(str(lost)) from None
    except PeerLost as lost:
        raise post.whom(lost) from None
    finally:
        for leak in node.leaks:
            record.line("leak", leak)
        record.line("gradients", node.gradients)
        record.close()


def _mean_over(member: Membership) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """The mean over all processes, added in gloo's order; writes into the array given."""

    def mean(value: NDArray[Any]) -> NDArray[Any]:
        import torch
        import torch.distributed as dist

        dist.all_reduce(torch.from_numpy(value), group=member.group)
        value /= member.size
        value.flags.writeable = False
        return value

    return mean
