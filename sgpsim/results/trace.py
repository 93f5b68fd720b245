"""Trace: what every node did when, and when every message was on its way.

The rule: one span per activity and lane, spans of one lane never overlap; times are seconds of the run's own clock
(simulated, or real since the start). Both tables are tidy, so any viewer can be fed from them: `chrome` writes the JSON
that Perfetto opens.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from sgpsim.specification.arguments import checked
from sgpsim.specification.ranges import Seed

LANES = ("compute", "send", "receive", "wait")
SPAN_SCHEMA = {
    "seed": pl.Int64,
    "node": pl.Int32,
    "lane": pl.String,
    "name": pl.String,
    "step": pl.Int64,
    "start": pl.Float64,
    "end": pl.Float64,
}
MESSAGE_SCHEMA = {
    "seed": pl.Int64,
    "sender": pl.Int32,
    "receiver": pl.Int32,
    "channel": pl.String,
    "step": pl.Int64,
    "begin": pl.Float64,
    "end": pl.Float64,
    "arrival": pl.Float64,
    "bytes": pl.Float64,
}


@dataclass(frozen=True, eq=False)
class Trace:
    """spans: (seed, node, lane, name, step, start, end), seconds. messages: (seed, sender, receiver, channel, step,
    begin, end, arrival, bytes); begin to end is the time on the sender's port."""

    spans: pl.DataFrame
    messages: pl.DataFrame


@dataclass
class TraceBuilder:
    """Collects rows while a run goes on; `build` makes the value."""

    seed: int
    spans: list[tuple[int, str, str, int, float, float]] = field(default_factory=list)
    messages: list[tuple[int, int, str, int, float, float, float, float]] = field(default_factory=list)

    def build(self) -> Trace:
        spans = [(self.seed, *row) for row in self.spans]
        messages = [(self.seed, *row) for row in self.messages]
        return Trace(
            pl.DataFrame(spans, schema=SPAN_SCHEMA, orient="row"),
            pl.DataFrame(messages, schema=MESSAGE_SCHEMA, orient="row"),
        )


def joined_traces(traces: list[Trace]) -> Trace | None:
    """The traces of several seeds or nodes as one; None for none."""
    if not traces:
        return None
    return Trace(pl.concat([trace.spans for trace in traces]), pl.concat([trace.messages for trace in traces]))


def _instant(seconds: float, grid: int) -> int:
    """`seconds` in whole nanoseconds, a multiple of `grid`. Equal seconds give equal instants, so neighbours touch."""
    return round(seconds * (1e9 / grid)) * grid


def _microseconds(nanoseconds: int) -> float:
    """The number that a viewer reads as `nanoseconds`: Perfetto takes whole us exactly, and of others multiplies by
    1000 and cuts off the fraction."""
    if nanoseconds % 1000 == 0:
        return nanoseconds // 1000
    value = nanoseconds / 1000
    while int(value * 1000.0) < nanoseconds:
        value = math.nextafter(value, math.inf)
    return value


def chrome_events(trace: Trace, seed: int | None = None) -> Iterator[dict[str, Any]]:
    """Chrome trace events of one seed (the first by default): a process per node, lanes as threads, flow arrows from
    send to receive.

    Times are us of whole ns (whole us in traces of 52 days and longer, whose ns a JSON number cannot hold), and a
    duration is the difference of the two rounded ends: spans that touch still touch, and none overlaps the next. A
    thread's number is never 0 and never that of a process, which viewers take for the process's main thread.
    """
    seeds = trace.spans["seed"].unique().sort()
    chosen = seed if seed is not None else (int(seeds[0]) if len(seeds) else 0)
    spans = trace.spans.filter(pl.col("seed") == chosen).sort("start", maintain_order=True)
    messages = trace.messages.filter(pl.col("seed") == chosen).sort("begin", maintain_order=True)
    latest = max((float(column.max() or 0.0) for column in (spans["end"], messages["arrival"])), default=0.0)  # pyright: ignore[reportArgumentType]
    grid = 1 if latest * 1e9 < 1 << 52 else 1000

    def thread(node: int, lane: str) -> int:
        return len(LANES) * node + LANES.index(lane) + 1

    def slice_(lane: str, node: int, name: str, category: str, start: float, end: float, **args: Any) -> dict[str, Any]:
        begin = _instant(start, grid)
        return {
            "ph": "X", "cat": category, "name": name, "pid": node, "tid": thread(node, lane), "ts": _microseconds(begin),
            "dur": _microseconds(_instant(end, grid) - begin), "args": args,
        }  # fmt: skip

    for node in sorted(
        set(spans["node"].to_list()) | set(messages["sender"].to_list()) | set(messages["receiver"].to_list())
    ):
        yield {"ph": "M", "name": "process_name", "pid": node, "args": {"name": f"node {node}"}}
        yield {"ph": "M", "name": "process_sort_index", "pid": node, "args": {"sort_index": node}}
        for place, lane in enumerate(LANES):
            of = {"ph": "M", "pid": node, "tid": thread(node, lane)}
            yield {**of, "name": "thread_name", "args": {"name": lane}}
            yield {**of, "name": "thread_sort_index", "args": {"sort_index": place}}
    for row in spans.iter_rows(named=True):
        yield slice_(row["lane"], row["node"], row["name"], row["lane"], row["start"], row["end"], step=row["step"])
    for number, row in enumerate(messages.iter_rows(named=True)):
        said = {"bytes": row["bytes"], "to": row["receiver"], "from": row["sender"]}
        name, arrival = f"{row['channel']} {row['step']}", row["arrival"]
        sent = slice_("send", row["sender"], name, "message", row["begin"], row["end"], **said)
        taken = slice_("receive", row["receiver"], name, "message", arrival, arrival, **said)
        for phase, end in (("s", sent), ("f", taken)):
            yield end
            flow = {"ph": phase, "id": number, **{key: end[key] for key in ("cat", "name", "pid", "tid", "ts")}}
            yield flow | {"bp": "e"} if phase == "f" else flow


@checked
def write_chrome(trace: Trace, path: Path, seed: Seed | None = None) -> None:
    """Write the Chrome trace JSON of one seed to `path`."""
    with path.open("w") as file:
        file.write('{"displayTimeUnit":"ms","traceEvents":[\n')
        file.writelines(
            (",\n" if number else "") + json.dumps(event) for number, event in enumerate(chrome_events(trace, seed))
        )
        file.write("\n]}\n")
