"""Trace: what every node did when, and when every message was on its way.

The rule: one span per activity and lane, spans of one lane never overlap; times are seconds of the run's own clock
(simulated, or real since the start). Both tables are tidy, so any viewer can be fed from them: `chrome` writes the JSON
that Perfetto opens.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

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


def joined(traces: list[Trace]) -> Trace | None:
    """The traces of several seeds or nodes as one; None for none."""
    if not traces:
        return None
    return Trace(pl.concat([trace.spans for trace in traces]), pl.concat([trace.messages for trace in traces]))


def chrome_events(trace: Trace, seed: int | None = None) -> Iterator[dict[str, Any]]:
    """Chrome trace events of one seed (the first by default): a process per node, lanes as threads, flow arrows from
    send to receive. Times in us."""
    seeds = trace.spans["seed"].unique().sort()
    chosen = seed if seed is not None else (int(seeds[0]) if len(seeds) else 0)
    spans = trace.spans.filter(pl.col("seed") == chosen)
    messages = trace.messages.filter(pl.col("seed") == chosen)
    lanes = {lane: number for number, lane in enumerate(LANES)}
    for node in sorted(
        set(spans["node"].to_list()) | set(messages["sender"].to_list()) | set(messages["receiver"].to_list())
    ):
        yield {"ph": "M", "name": "process_name", "pid": node, "args": {"name": f"node {node}"}}
        yield {"ph": "M", "name": "process_sort_index", "pid": node, "args": {"sort_index": node}}
        for lane, number in lanes.items():
            yield {"ph": "M", "name": "thread_name", "pid": node, "tid": number, "args": {"name": lane}}
    for row in spans.iter_rows(named=True):
        yield {
            "ph": "X", "cat": row["lane"], "name": row["name"], "pid": row["node"], "tid": lanes[row["lane"]],
            "ts": row["start"] * 1e6, "dur": (row["end"] - row["start"]) * 1e6, "args": {"step": row["step"]},
        }  # fmt: skip
    for number, row in enumerate(messages.iter_rows(named=True)):
        name, args = (
            f"{row['channel']} {row['step']}",
            {"bytes": row["bytes"], "to": row["receiver"], "from": row["sender"]},
        )
        sent = {"cat": "message", "name": name, "pid": row["sender"], "tid": lanes["send"]}
        taken = {"cat": "message", "name": name, "pid": row["receiver"], "tid": lanes["receive"]}
        begin, end, arrival = row["begin"] * 1e6, row["end"] * 1e6, row["arrival"] * 1e6
        yield {"ph": "X", **sent, "ts": begin, "dur": end - begin, "args": args}
        yield {"ph": "X", **taken, "ts": arrival, "dur": 0.0, "args": args}
        yield {"ph": "s", "id": number, **sent, "ts": begin}
        yield {"ph": "f", "bp": "e", "id": number, **taken, "ts": arrival}


def write_chrome(trace: Trace, path: Path, seed: int | None = None) -> None:
    """Write the Chrome trace JSON of one seed to `path`."""
    with path.open("w") as file:
        file.write('{"displayTimeUnit":"ms","traceEvents":[\n')
        file.writelines(
            (",\n" if number else "") + json.dumps(event) for number, event in enumerate(chrome_events(trace, seed))
        )
        file.write("\n]}\n")
