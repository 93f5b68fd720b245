"""One node turns five times slower at a marked instant: what each method loses.

The rule: everything is told from the trace and the metrics of event simulations with the same batches and the same compute
times; no method is tuned (one step size for all), so that the curves differ by time alone. Where nodes run in step, the
loss after k steps is drawn when the last node has done them; what is under way counts as part of the average.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from matplotlib.figure import Figure
from rich.table import Table

from sgpsim.backends.events.simulated import Simulated
from sgpsim.budget import Seconds
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.jobs import job
from sgpsim.clusters.presets import preset
from sgpsim.clusters.stragglers import SlowFrom
from sgpsim.experiment import Experiment
from sgpsim.objectives.softmax import SoftmaxRegression
from sgpsim.results.run import Run
from studies.entrants import ENTRANTS, Entrant
from studies.slow_node_figure import drawn
from studies.study import Progress, Study

JOB, NETWORK, NOISE = "resnet50_sgp2018", "ethernet_10g", 0.05
HELD_UP = 0.5
"""Seconds without computing that count as being held up; every undisturbed wait here is far shorter."""


@dataclass(frozen=True)
class Scene:
    """Digits on `nodes` nodes, of which `slow` turns `factor` times slower at `instant`; no step begins after `horizon` (simulated
    seconds)."""

    nodes: int = 16
    slow: int = 5
    factor: float = 5.0
    instant: float = 10.0
    horizon: float = 40.0
    step_size: float = 1.0

    @property
    def cluster(self) -> Cluster:
        return preset(NETWORK, self.nodes, JOB, NOISE, (SlowFrom((self.slow,), self.factor, self.instant),))

    def experiment(self, entrant: Entrant) -> Experiment:
        objective = SoftmaxRegression(self.nodes, batch=16, regularization=1e-3)
        algorithm, schedule = entrant.algorithm(self.step_size), entrant.schedule(self.nodes)
        return Experiment(algorithm, objective, schedule, Seconds(self.horizon), message_bytes=job(JOB).message_bytes)


COLUMNS = ("algorithm", "what", "node", "start", "end", "value")


def rows(entrant: Entrant, run: Run) -> list[tuple[str, str, int, float, float, float]]:
    """What is drawn of a run: `loss` rows of the whole fleet (node -1) at `start`, and spans `compute` and `all-reduce` by node."""
    assert run.trace is not None
    curve = run.curve("loss")
    found = [(entrant.name, "loss", -1, time, time, loss) for time, loss in curve.select("time", "value").iter_rows()]
    spans = run.trace.spans.filter((pl.col("lane") == "compute") | (pl.col("name") == "all-reduce"))
    for node, lane, start, end in spans.select("node", "lane", "start", "end").iter_rows():
        found.append((entrant.name, "compute" if lane == "compute" else "all-reduce", node, start, end, end - start))
    return found


def losses(data: pl.DataFrame) -> pl.DataFrame:
    """What each method loses, a row each.

    before, after: median seconds between steps of the fleet (AD-PSGD: between n gradients), before the instant and in the last third.
    first, last: seconds after the instant until one, until every other node is held up (inf: never). busy: share of the last third that
    the other nodes compute. loss: at the horizon.
    """
    slow, instant, horizon, nodes = (data[name][0] for name in ("slow", "instant", "horizon", "nodes"))
    late = instant + 2 * (horizon - instant) / 3
    found: list[dict[str, object]] = []
    for entrant in ENTRANTS:
        own = data.filter(pl.col("algorithm") == entrant.name)
        curve = own.filter(pl.col("what") == "loss").sort("start")
        times = curve["start"].to_numpy()
        spans = own.filter(pl.col("what") == "compute", pl.col("node") != slow)
        held = [_held_up(part, instant) for _, part in spans.group_by("node")]
        inside = spans.select((pl.col("end").clip(late, horizon) - pl.col("start").clip(late, horizon)).sum()).item()
        found.append({
            "algorithm": entrant.name,
            "before": float(np.median(np.diff(times[times <= instant]))),
            "after": float(np.median(np.diff(times[(times >= late) & (times <= horizon)]))),
            "first": min(held),
            "last": max(held),
            "busy": inside / ((nodes - 1) * (horizon - late)),
            "loss": float(np.interp(horizon, times, curve["value"].to_numpy())),
        })  # fmt: skip
    return pl.DataFrame(found)


def _held_up(spans: pl.DataFrame, instant: float) -> float:
    """Seconds after `instant` at which a node began to wait for more than HELD_UP; inf where it never did."""
    ordered = spans.sort("start")
    ends, starts = ordered["end"].to_numpy()[:-1], ordered["start"].to_numpy()[1:]
    waits = ends[(starts - ends > HELD_UP) & (starts > instant)]
    return float(waits[0] - instant) if len(waits) else float("inf")


class OneSlowNode(Study):
    """Loss curves above, timelines of all nodes around the instant below."""

    question = "What does each method lose when one node turns five times slower?"

    def cases(self, fast: bool) -> Sequence[tuple[Scene, Entrant]]:
        scene = Scene(horizon=25.0) if fast else Scene()
        return [(scene, entrant) for entrant in ENTRANTS]

    def measure(self, cases: Sequence[tuple[Scene, Entrant]], progress: Progress) -> pl.DataFrame:
        found: list[tuple[str, str, int, float, float, float]] = []
        for done, (scene, entrant) in enumerate(cases, start=1):
            found += rows(entrant, Simulated(scene.cluster).run(scene.experiment(entrant)))
            progress(done, len(cases))
        scene = cases[0][0]
        settings = {name: pl.lit(getattr(scene, name)) for name in ("nodes", "slow", "factor", "instant", "horizon")}
        return pl.DataFrame(found, schema=list(COLUMNS), orient="row").with_columns(**settings)

    def draw(self, data: pl.DataFrame) -> Figure:
        return drawn(data, losses(data))

    def answer(self, data: pl.DataFrame) -> str:
        by_method = {row["algorithm"]: row for row in losses(data).iter_rows(named=True)}
        reduce, push, overlap, free = (by_method[name] for name in ("AllReduce", "SGP", "overlap SGP", "AD-PSGD"))
        slow, nodes, factor = data["slow"][0], data["nodes"][0], data["factor"][0]
        return (
            f"When node {slow} of {nodes} turns {factor:g} times slower, AllReduce stalls at once ({reduce['after']:.2f} s a step"
            f" instead of {reduce['before']:.2f} s) and SGP stalls too, only later, as the wait spreads from neighbour to neighbour"
            f" until after {push['last']:.1f} s the slow node paces all ({push['after']:.2f} s instead of {push['before']:.2f} s);"
            f" overlap hides the messages ({overlap['before']:.2f} s a step before) and puts the stall off to {overlap['last']:.1f} s,"
            f" but not away ({overlap['after']:.2f} s); asynchrony alone escapes: under AD-PSGD the other nodes stay"
            f" {100 * free['busy']:.0f} % busy, under AllReduce {100 * reduce['busy']:.0f} %, under SGP {100 * push['busy']:.0f} %."
        )

    def tables(self, data: pl.DataFrame) -> Sequence[Table]:
        table = Table(title="seconds a step of the fleet takes, and when the others are held up (s after the instant)")
        for name in ("method", "before", "after", "first held up", "all held up", "others busy", "loss at the end"):
            table.add_column(name, justify="left" if name == "method" else "right")
        for row in losses(data).iter_rows(named=True):
            held = [f"{row[name]:.1f}" if np.isfinite(row[name]) else "never" for name in ("first", "last")]
            table.add_row(
                row["algorithm"], f"{row['before']:.2f}", f"{row['after']:.2f}", *held, f"{100 * row['busy']:.0f} %", f"{row['loss']:.3f}"
            )
        return (table,)
