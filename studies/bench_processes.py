"""For `bench`: four processes over gloo, sgpsim's SGP beside a loop of bare isend and irecv, in turn, in the same processes.

The rule: the processes are started once, as torchrun would, and each notes the CPU seconds of every run of its own; the
parent adds the four up. Rank 0 notes the wall-clock seconds too, from a barrier to a barrier.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.processes.torch_distributed import TorchDistributed
from sgpsim.schedules.one_peer_exponential import OnePeerExponential
from studies.bench_bare import Draws, Rows
from studies.bench_jobs import STEP_SIZE, Logistic
from studies.bench_pairs import Ratio, ratio, spent

PROCESSES = 4
JOB = Logistic(PROCESSES, 100, 100, 16)


def bare_gloo(features: Rows, rank: int, draws: Draws, rounds: int) -> Rows:
    """One node of SGP on the one-peer exponential graph: half of x - gamma g(x) to the next peer, half of another's
    from it; weights stay 1. draws: (batch,) rows of the node's own."""
    import torch
    import torch.distributed as dist

    root = np.sqrt(STEP_SIZE / JOB.batch)
    held = features * (0.5 * root)
    gathered, slopes = np.empty((JOB.batch, held.shape[1])), np.empty(JOB.batch)
    point, moved, arrived = (np.zeros(held.shape[1]) for _ in range(3))
    outgoing, incoming = torch.from_numpy(moved), torch.from_numpy(arrived)
    period = (PROCESSES - 1).bit_length()
    for step in range(rounds):
        hop = 1 << step % period
        request: Any = dist.irecv(incoming, (rank - hop) % PROCESSES)
        held.take(next(draws), axis=0, out=gathered, mode="clip")
        np.dot(gathered, point, out=slopes)
        np.tanh(slopes, out=slopes)
        np.subtract(1.0, slopes, out=slopes)
        np.dot(slopes, gathered, out=moved)
        moved += point
        moved *= 0.5
        sending: Any = dist.isend(outgoing, (rank + hop) % PROCESSES)
        request.wait()
        np.add(moved, arrived, out=point)
        sending.wait()
    return point * root


def own_draws(rank: int) -> Draws:
    """Blocks of one node's rows."""
    generator = np.random.default_rng(rank)
    while True:
        yield from generator.integers(0, JOB.samples, (512, JOB.batch)) + rank * JOB.samples


def measured(short: int, long: int, pairs: int) -> tuple[Ratio, Ratio]:
    """(CPU seconds of all four processes, wall-clock seconds)."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    with TemporaryDirectory(prefix="bench-") as folder:
        settings = {
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port,
            "WORLD_SIZE": str(PROCESSES),
            "GLOO_SOCKET_IFNAME": "lo",
        }
        command = [sys.executable, "-m", "studies.bench_processes", folder, str(short), str(long), str(pairs)]
        children = [
            subprocess.Popen(command, env={**os.environ, **settings, "RANK": str(rank)}) for rank in range(PROCESSES)
        ]
        try:
            codes = [child.wait(timeout=300) for child in children]
        finally:
            for child in children:
                if child.poll() is None:
                    child.kill()
        if any(codes):
            raise RuntimeError(f"processes of the benchmark ended with exit codes {codes}; their messages stand above")
        notes = np.array([json.loads((Path(folder) / f"{rank}.json").read_text()) for rank in range(PROCESSES)])
    cpu = notes[:, 0].sum(axis=0)  # of shape (ranks, clocks, pairs, 2)
    return ratio(map(tuple, cpu)), ratio(map(tuple, notes[0, 1]))


def take_part(folder: str, short: int, long: int, pairs: int) -> None:
    """Be one of the processes."""
    import torch.distributed as dist

    rank = int(os.environ["RANK"])
    backend, features = TorchDistributed(trace=False), JOB.objective.shards.features
    works: tuple[Callable[[int], Any], Callable[[int], Any]] = (
        lambda rounds: backend.run(JOB.experiment(SGP, OnePeerExponential(PROCESSES), rounds)),
        lambda rounds: bare_gloo(features, rank, own_draws(rank), rounds),
    )

    def both(work: Callable[[int], Any], rounds: int) -> tuple[float, float]:
        if dist.is_initialized():
            dist.barrier()
        begin = time.perf_counter()
        cpu = spent(work, rounds)
        dist.barrier()
        return cpu, time.perf_counter() - begin

    ours: Any = works[0](short)  # connections are made when they are first used
    own = (rows[rank] for rows in JOB.own_draws())
    apart = float(np.abs(bare_gloo(features, rank, own, short) - ours.final.values[rank, 0]).max())
    if not apart < 1e-12:
        raise RuntimeError(f"node {rank}: the bare loop is {apart:.3g} off, so it is not the same job")
    found: list[list[list[float]]] = [[], []]
    for _ in range(pairs):
        runs = [[both(work, rounds) for rounds in (short, long)] for work in works]
        for clock in range(2):
            found[clock].append([(run[1][clock] - run[0][clock]) / (long - short) for run in runs])
    (Path(folder) / f"{rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    take_part(sys.argv[1], *map(int, sys.argv[2:]))
