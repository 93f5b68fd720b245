"""Gathering: the records of all processes brought to rank 0, where no launcher reads them from one folder.

The rule: bytes travel as they were written, and rank 0 puts them together as the launcher would. The others get the
outcome and the final state back, so that every process ends the same way.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sgpsim.backends.processes.assembly import as_run
from sgpsim.backends.processes.group import Membership
from sgpsim.backends.processes.liveness import EVERYBODY, Activity
from sgpsim.backends.processes.records import record_paths
from sgpsim.backends.processes.transport import PeerLost
from sgpsim.experiment import Experiment
from sgpsim.results.metrics import SCHEMA
from sgpsim.results.run import Final, Run, provenance

if TYPE_CHECKING:
    from sgpsim.backends.processes.torch_distributed import TorchDistributed

PIECE = 1 << 24
"""Bytes sent at a time."""


def gathered(backend: TorchDistributed, experiment: Experiment, member: Membership, folder: Path) -> Run:
    """The whole Run at rank 0; elsewhere one without metrics and trace. All processes must call it. Raises PeerLost."""
    try:
        return _gathered(backend, experiment, member, folder)
    except RuntimeError as error:
        raise PeerLost(None, str(error)) from None


def _gathered(backend: TorchDistributed, experiment: Experiment, member: Membership, folder: Path) -> Run:
    import torch
    import torch.distributed as dist

    member.pulse.move(Activity.WAITING, EVERYBODY)
    for rank in range(1, member.size):
        if member.rank in (0, rank):
            for seed in experiment.seeds:
                for path in record_paths(folder, 0, seed, rank):
                    _carry(path, rank, member)
    run: Run | None = None
    if member.rank == 0:
        member.pulse.move(Activity.COMPUTING)
        run = as_run(
            experiment,
            backend,
            folder,
            tick=lambda: member.pulse.move(Activity.COMPUTING),
        )
        assert run is not None, "every rank wrote its first row"
        member.pulse.move(Activity.WAITING, EVERYBODY)
    shape = (experiment.nodes, len(experiment.seeds))
    final = (
        run.final
        if run
        else Final(
            np.zeros((*shape, experiment.objective.dimension), experiment.dtype), np.zeros(shape), np.zeros(shape)
        )
    )
    encoded = np.frombuffer(json.dumps([run.outcome, run.remarks] if run else []).encode(), np.uint8).copy()
    length = np.array([len(encoded)])
    for array in (*final, length):
        dist.broadcast(torch.from_numpy(array), 0, group=member.group)
    if run is None:
        encoded = np.zeros(int(length[0]), np.uint8)
    dist.broadcast(torch.from_numpy(encoded), 0, group=member.group)
    if run is not None:
        return run
    outcome, remarks = json.loads(encoded.tobytes())
    remarks.append(f"metrics and trace of this run are at rank 0; this is rank {member.rank}")
    return Run(
        experiment,
        "TorchDistributed",
        pl.DataFrame(schema=SCHEMA),
        final,
        outcome=outcome,
        remarks=tuple(remarks),
        provenance=provenance(backend.machines()),
    )


def _carry(path: Path, rank: int, member: Membership) -> None:
    """A file from `rank` to rank 0, under the same name; nothing is sent where both have their files in one folder."""
    import torch
    import torch.distributed as dist

    length, there = np.array([path.stat().st_size if member.rank else 0]), np.zeros(1, np.int64)
    if member.rank:
        dist.send(torch.from_numpy(length), 0, group=member.group)
        dist.recv(torch.from_numpy(there), 0, group=member.group)
        if there[0]:
            return
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                dist.send(torch.from_numpy(np.frombuffer(bytearray(piece), np.uint8)), 0, group=member.group)
        return
    dist.recv(torch.from_numpy(length), rank, group=member.group)
    left = int(length[0])
    there[0] = path.exists() and path.stat().st_size == left
    dist.send(torch.from_numpy(there), rank, group=member.group)
    if there[0]:
        return
    with path.open("wb") as file:
        while left:
            piece_of: NDArray[Any] = np.empty(min(left, PIECE), np.uint8)
            dist.recv(torch.from_numpy(piece_of), rank, group=member.group)
            file.write(piece_of.tobytes())
            left -= len(piece_of)
