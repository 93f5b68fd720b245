"""The Chrome trace as Perfetto reads it: its rules written down here, since its processor is no package of Python.

(v52 of that processor was asked once by hand: every slice kept, every arrow bound, lanes under their own names.)
"""

from __future__ import annotations

import dataclasses
import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from sgpsim.algorithms.adpsgd import ADPSGD
from sgpsim.algorithms.algorithm import Algorithm
from sgpsim.algorithms.allreduce_sgd import AllReduceSGD
from sgpsim.algorithms.overlap_sgp import OverlapSGP
from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.events.simulated import Simulated
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.budget import Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.compute_time import ComputeTime, ConstantTime
from sgpsim.clusters.distributions import LogNormalTime
from sgpsim.clusters.hockney import Hockney
from sgpsim.experiment import Experiment
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.results.trace import LANES, Trace, chrome_events, write_chrome
from sgpsim.schedules.bipartite_exponential import BipartiteExponential
from sgpsim.schedules.one_peer_exponential import OnePeerExponential
from sgpsim.schedules.static_exponential import StaticExponential

JITTER = LogNormalTime(0.3, 0.05)
WIRES = Hockney(50e-6, 1.25e9)


def traced(
    algorithm: Algorithm, kind: type = OnePeerExponential, compute: ComputeTime = JITTER, nodes: int = 8, steps: int = 60,
    backend: type = Simulated, network: Hockney = WIRES, seeds: tuple[int, ...] = (3,),
) -> Trace:  # fmt: skip
    experiment = Experiment(algorithm, Quadratic(nodes, 2), kind(nodes), Steps(steps), seeds, message_bytes=100e6)
    trace = backend(Cluster(nodes, compute, network), trace=True).run(experiment).trace
    assert trace is not None
    return trace


def nanoseconds(microseconds: float) -> int:
    """As Perfetto makes a time of a JSON number: whole ones exactly, others times 1000 with the fraction cut off."""
    return microseconds * 1000 if isinstance(microseconds, int) else int(microseconds * 1000.0)


def dropped(events: Iterable[dict[str, Any]]) -> int:
    """How many slices a viewer drops: on its thread a slice lies within the one it begins in, or after it."""
    threads: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for event in events:
        if event["ph"] == "X":
            begin = nanoseconds(event["ts"])
            threads[event["pid"], event["tid"]].append((begin, begin + nanoseconds(event["dur"])))
    lost = 0
    for slices in threads.values():
        open_: list[int] = []
        for begin, end in sorted(slices, key=lambda ends: (ends[0], -ends[1])):
            while open_ and open_[-1] <= begin:
                open_.pop()
            if open_ and end > open_[-1]:
                lost += 1
            else:
                open_.append(end)
    return lost


@pytest.mark.parametrize(
    "make",
    [
        lambda: traced(SGP()),
        lambda: traced(SGP(), backend=Vectorized),
        lambda: traced(SGP(), StaticExponential),
        lambda: traced(SGP(), compute=ConstantTime(0.1), network=Hockney()),
        lambda: traced(SGP(), compute=LogNormalTime(3e5, 0.3), network=Hockney(1e-3, 1e3)),
        lambda: traced(AllReduceSGD()),
        lambda: traced(OverlapSGP(delay=2)),
        lambda: traced(OverlapSGP(mixing="arrival")),
        lambda: traced(ADPSGD(), BipartiteExponential),
        lambda: traced(SGP(), seeds=(4, 5), nodes=2),
        lambda: traced(SGP(), nodes=1),
        lambda: traced(SGP(), nodes=1000, steps=2),
    ],
    ids=["SGP", "fleet", "static", "free", "days", "AllReduce", "overlap", "arrival", "AD-PSGD", "seeds", "one", "thousand"],
)
def test_a_viewer_drops_nothing_and_binds_every_arrow(make: Callable[[], Trace], tmp_path: Path) -> None:
    trace = make()
    write_chrome(trace, tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    slices = [event for event in events if event["ph"] == "X"]
    assert dropped(events) == 0
    assert len(slices) == len(trace.spans) + 2 * len(trace.messages)
    names = {(event["pid"], event["tid"]): event["args"]["name"] for event in events if event["name"] == "thread_name"}
    processes = {pid for pid, _ in names}
    assert all(tid > 0 and (tid not in processes or tid != pid) for pid, tid in names)
    assert len({tid for _, tid in names}) == len(names) == len(LANES) * len(processes)
    for event in slices:
        lane = names[event["pid"], event["tid"]]
        assert lane == event["cat"] or (event["cat"] == "message" and lane in ("send", "receive"))
    # an arrow's end follows its slice in the file, on its thread, at the instant at which that begins
    ends = [(before, event) for before, event in pairwise(events) if event["ph"] in "sf"]
    assert len(ends) == 2 * len(trace.messages)
    for before, event in ends:
        assert before["ph"] == "X" and all(before[key] == event[key] for key in ("pid", "tid", "ts", "name"))


def test_what_rounds_begin_and_length_apart_is_dropped() -> None:
    """The control: the same trace with both ends rounded each for itself, as it was written before."""
    trace = traced(SGP())
    spans = zip(chrome_spans(trace), trace.spans.iter_rows(named=True), strict=True)
    apart = [event | {"ts": row["start"] * 1e6, "dur": (row["end"] - row["start"]) * 1e6} for event, row in spans]
    assert dropped(chrome_spans(trace)) == 0 < dropped(apart)


def chrome_spans(trace: Trace) -> list[dict[str, Any]]:
    events = chrome_events(dataclasses.replace(trace, messages=trace.messages.clear()))
    return [event for event in events if event["ph"] == "X"]


@pytest.mark.parametrize("scale", [1.0, 1e3, 1e7])
def test_times_are_whole_and_what_touches_still_touches(scale: float) -> None:
    """Two spans back to back, at instants that no binary fraction meets; in days even, where ns are no longer exact."""
    ends = [scale * (1 + number / 3) for number in range(200)]
    rows = [(0, 0, "compute", "gradient", step, *pair) for step, pair in enumerate(pairwise(ends))]
    spans = pl.DataFrame(rows, schema=["seed", "node", "lane", "name", "step", "start", "end"], orient="row")
    found = chrome_spans(Trace(spans, traced(AllReduceSGD(), nodes=2, steps=1).messages))
    finish = [nanoseconds(event["ts"]) + nanoseconds(event["dur"]) for event in found]
    assert finish[:-1] == [nanoseconds(event["ts"]) for event in found[1:]]
    assert all(abs(end - exact * 1e9) <= 1000 for end, exact in zip(finish, ends[1:], strict=True))
