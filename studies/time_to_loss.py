"""Time to a training loss: which method is first depends on the network, on who is slow, and on how the data are split.

The rule: every method gets its best step size out of one grid, by the median over tuning seeds that are not used again (AD-PSGD, whose
numbers depend on the clock, on every cluster anew). The comparison is over seeds that all methods share, so the k-th batch and the k-th
compute time of a node are the same in all of them. Places are told by medians; a difference counts as settled where all seeds agree on
its sign. A time is when the last node has done the step; the loss is that of the average over nodes, messages under way included, and for
AD-PSGD at one instant. D-PSGD is the printed one, which sends while it computes; the published code does not, and is slower.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from typing import NamedTuple

import numpy as np
import polars as pl
from matplotlib.figure import Figure
from rich.table import Table

from sgpsim.clusters.calibration import misfits
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.jobs import job
from sgpsim.clusters.presets import preset
from sgpsim.clusters.straggler import Straggler
from sgpsim.clusters.stragglers import MarkovSlow, PersistentSlow
from sgpsim.objectives.softmax import SoftmaxRegression
from sgpsim.objectives.split import DirichletSplit, EvenSplit, Split
from studies import figure
from studies.entrants import ENTRANTS, entrant
from studies.study import Progress, Study
from studies.time_to_target import (
    Task,
    Times,
    at_end,
    at_steps,
    lowest_loss,
    seconds_and_end,
    seconds_to_target,
    steps_to_target,
)

JOB = "resnet50_sgp2018"
"""102.2 MB per message and 0.29 s per gradient: the job together with which the collective's efficiency was fitted."""
NOISE = 0.05
"""Sigma of the log-normal compute times, everywhere."""
NETWORKS = {"ethernet_10g": "10 GbE line rate", "ethernet_10g_fitted": "10 GbE fitted", "infiniband_edr": "InfiniBand"}
SPLITS: dict[str, Split] = {"even": EvenSplit(), "Dirichlet(0.1)": DirichletSplit(0.1)}
STRAGGLERS = {"none": "without stragglers", "random": "with random stragglers", "persistent": "with one node always slow"}


@dataclass(frozen=True)
class Size:
    """How much is computed. grid: step sizes. excess: the target is min f + excess. tuning, seeds: for the choice, and for what is
    shown."""

    nodes: int = 32
    steps: int = 400
    grid: tuple[float, ...] = (1.0, 1.41, 2.0, 2.83, 4.0, 5.66, 8.0)
    tuning: tuple[int, ...] = (1000, 1001, 1002)
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    excess: float = 0.04
    workers: int = 2


FAST = Size(nodes=8, steps=120, grid=(1.0, 2.0, 4.0), tuning=(1000,), seeds=(0, 1, 2), excess=0.1, workers=1)


class Case(NamedTuple):
    """One method on one split; on one cluster (and its network's twins) where its numbers depend on the cluster, else on all
    (network and stragglers None)."""

    size: Size
    split: str
    algorithm: str
    network: str | None
    stragglers: str | None


def causes(kind: str, nodes: int) -> tuple[Straggler, ...]:
    """random: every gradient of every node takes 6 times as long with probability 1/n (Luo et al. 2019, recalled); persistent: node 0
    always 5 times."""
    if kind == "random":
        return (MarkovSlow((), 6.0, enter=1 / nodes, leave=1 - 1 / nodes),)
    return (PersistentSlow((0,), 5.0),) if kind == "persistent" else ()


def cluster(network: str, stragglers: str, nodes: int) -> Cluster:
    """One of the study's clusters, by the names of its network and its cause of slowness."""
    return preset(network, nodes, JOB, NOISE, causes(stragglers, nodes))


def twins(network: str) -> list[str]:
    """The networks on which single messages cost the same, so that methods without collectives run alike; `network` is one of them."""
    return [other for other in NETWORKS if cluster(other, "none", 2).network == cluster(network, "none", 2).network]


def task(split: str, size: Size) -> Task:
    """Softmax regression on digits, 16 samples per gradient, until the target; the objective's own regularization makes min f exist."""
    objective = SoftmaxRegression(size.nodes, split=SPLITS[split], batch=16, regularization=1e-3)
    return Task(objective, lowest_loss(objective) + size.excess, size.steps, job(JOB).message_bytes)


def best(reached: dict[float, Times]) -> float:
    """The step size with the least median; then the one that reached the target most often, soonest, then the smaller one."""

    def rank(step_size: float) -> tuple[float, int, float, float]:
        finite = reached[step_size][np.isfinite(reached[step_size])]
        return float(np.median(reached[step_size])), -len(finite), float(finite.mean()) if len(finite) else 0.0, step_size

    return min(reached, key=rank)


Row = tuple[str, str, str, str, float, int, float, float]
COLUMNS = ("split", "network", "stragglers", "algorithm", "step_size", "seed", "seconds", "until")


def solve(case: Case) -> list[Row]:
    """One row per cluster and seed."""
    size, racer, its_task = case.size, entrant(case.algorithm), task(case.split, case.size)
    if case.network is None or case.stragglers is None:
        chosen = best({gamma: steps_to_target(its_task, racer, gamma, size.tuning) for gamma in size.grid})
        reached = steps_to_target(its_task, racer, chosen, size.seeds)
        found = {
            (network, stragglers): (
                at_steps(its_task, racer, reached, cluster(network, stragglers, size.nodes), size.seeds),
                at_end(its_task, racer, cluster(network, stragglers, size.nodes), size.seeds),
            )
            for network, stragglers in itertools.product(NETWORKS, STRAGGLERS)
        }
    else:
        machines = cluster(case.network, case.stragglers, size.nodes)
        chosen = best({gamma: seconds_to_target(its_task, racer, gamma, machines, size.tuning) for gamma in size.grid})
        times = seconds_and_end(its_task, racer, chosen, machines, size.seeds)
        found = {(network, case.stragglers): times for network in twins(case.network)}
    return [
        (case.split, network, stragglers, case.algorithm, chosen, seed, float(time), float(until))
        for (network, stragglers), times in found.items()
        for seed, time, until in zip(size.seeds, *times, strict=True)
    ]


def solved(cases: Sequence[Case], workers: int) -> Iterator[list[Row]]:
    """The cases' rows as they come, from other processes where `workers` is above 1."""
    if workers == 1:
        yield from map(solve, cases)
        return
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by the processes that are started next
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for future in as_completed([pool.submit(solve, case) for case in cases]):
            yield future.result()


def summary(rows: Iterable[Row], size: Size) -> pl.DataFrame:
    """Medians and quartiles over seeds, and places. reached: by how many seeds. first_ahead: in how many seeds the first of the cell was
    faster. until: when the first seed's run ended."""
    found: list[dict[str, object]] = []
    table = pl.DataFrame(list(rows), schema=list(COLUMNS), orient="row")
    for split, network, stragglers in itertools.product(SPLITS, NETWORKS, STRAGGLERS):
        cell = table.filter(pl.col("split") == split, pl.col("network") == network, pl.col("stragglers") == stragglers)
        times = {each.name: cell.filter(pl.col("algorithm") == each.name).sort("seed")["seconds"].to_numpy() for each in ENTRANTS}
        order = sorted(times, key=lambda name: (float(np.median(times[name])), float(times[name].min())))
        for each in ENTRANTS:
            mine = times[each.name]
            lower, upper = np.quantile(mine, (0.25, 0.75), method="nearest")  # seeds themselves, since some may be inf
            found.append({
                "split": split, "network": network, "stragglers": stragglers, "algorithm": each.name,
                "step_size": cell.filter(pl.col("algorithm") == each.name)["step_size"][0],
                "lower_quartile": lower, "median": float(np.median(mine)), "upper_quartile": upper, "place": order.index(each.name) + 1,
                "first_ahead": int((times[order[0]] < mine).sum()), "reached": int(np.isfinite(mine).sum()), "seeds": len(mine),
                "until": float(cell.filter(pl.col("algorithm") == each.name)["until"].to_numpy().min()),
                "nodes": size.nodes, "excess": size.excess, "grid": " ".join(f"{gamma:g}" for gamma in size.grid),
            })  # fmt: skip
    return pl.DataFrame(found)


class TimeToLoss(Study):
    """Which method is first, and where that changes."""

    question = "Which method reaches a training loss first, and where does the ranking change?"

    def cases(self, fast: bool) -> Sequence[Case]:
        size = FAST if fast else Size()
        timed = [
            Case(size, split, each.name, network, stragglers)
            for each in ENTRANTS
            for split, network, stragglers in itertools.product(SPLITS, NETWORKS, STRAGGLERS)
            if not each.keeps_step and network == twins(network)[0]
        ]
        return [*timed, *(Case(size, split, each.name, None, None) for each in ENTRANTS for split in SPLITS if each.keeps_step)]

    def measure(self, cases: Sequence[Case], progress: Progress) -> pl.DataFrame:
        rows: list[Row] = []
        for done, part in enumerate(solved(cases, cases[0].size.workers), start=1):
            rows += part
            progress(done, len(cases))
        return summary(rows, cases[0].size)

    def draw(self, data: pl.DataFrame) -> Figure:
        drawn = figure.blank(figure.PAGE, 4.2)
        panels = drawn.subplots(len(SPLITS), len(STRAGGLERS), sharex=True, sharey=True)
        for row, split in enumerate(SPLITS):
            for column, stragglers in enumerate(STRAGGLERS):
                axis = panels[row, column]
                for number, each in enumerate(ENTRANTS):
                    cell = data.filter(pl.col("split") == split, pl.col("stragglers") == stragglers, pl.col("algorithm") == each.name)
                    at = np.array([list(NETWORKS).index(network) for network in cell["network"]]) + 0.15 * (number - 2)
                    reached = cell["median"].is_finite()
                    never = at[~reached.to_numpy()]
                    hollow = {"color": each.colour, "markerfacecolor": "white", "markersize": 3.5, "clip_on": False}
                    if len(never):
                        axis.plot(never, np.ones(len(never)), each.marker, transform=axis.get_xaxis_transform(), **hollow)
                    cell, at = cell.filter(reached), at[reached.to_numpy()]
                    middle, low, high = (cell[name].to_numpy() for name in ("median", "lower_quartile", "upper_quartile"))
                    spread = np.abs(np.stack([middle - low, np.where(np.isfinite(high), high, middle) - middle]))
                    axis.errorbar(at, middle, spread, fmt=each.marker, color=each.colour, markersize=3.5, elinewidth=0.9, label=each.name)
                axis.set_yscale("log")
                axis.grid(False, axis="x")
                for edge in range(1, len(NETWORKS)):
                    axis.axvline(edge - 0.5, color="#E0E0E0", linewidth=0.4, zorder=0)
                axis.set_xticks(range(len(NETWORKS)), ["10 GbE\nline rate", "10 GbE\nfitted", "Infini-\nBand"])
                axis.set_xlim(-0.5, len(NETWORKS) - 0.5)
                if row == 0:
                    axis.set_title(STRAGGLERS[stragglers])
            panels[row, 0].set_ylabel(f"{split} split\nseconds to the loss")
        _ticks(panels[0, 0], data["median"].to_numpy())
        handles, labels = panels[0, 0].get_legend_handles_labels()
        drawn.legend(handles, labels, loc="outside upper center", ncols=len(ENTRANTS), fontsize=7.5)
        drawn.supxlabel(f"median over {data['seeds'][0]} seeds, with quartiles; hollow, at the top: never within the run", fontsize=7.5)
        return drawn

    def answer(self, data: pl.DataFrame) -> str:
        nodes, excess, seeds = data["nodes"][0], data["excess"][0], data["seeds"][0]
        parts: list[str] = []
        for kind, words in STRAGGLERS.items():
            firsts = {split: " / ".join(leaders(data, split, network, kind) for network in NETWORKS) for split in SPLITS}
            same = len(set(firsts.values())) == 1
            order = f"{firsts['even']} on both splits" if same else ", ".join(f"{firsts[split]} on the {split} split" for split in SPLITS)
            parts.append(f"{words} {order}")
        places = ", ".join(f"{_cell(data, 'even', network, 'none', 'AllReduce')['place']} on {name}" for network, name in NETWORKS.items())
        firsts = data.filter(pl.col("place") == 1)["algorithm"].unique()
        verdict = "No method is first everywhere" if len(firsts) > 1 else f"{firsts[0]} is first everywhere"
        return (
            f"{verdict}: on {' / '.join(NETWORKS.values())} (fitted: efficiency of the all-reduce), the first of {nodes} nodes' methods at"
            f" min f + {excess:g} is {'; '.join(parts)} ('or', 'close': not settled by {seeds} paired seeds); the first changes with the"
            f" network {where_first_changes(data, 'network')}, with stragglers {where_first_changes(data, 'stragglers')}, with the split"
            f" {where_first_changes(data, 'split')}, and AllReduce's place (even split, nobody slow) is {places}."
            f" How far to trust the clock: {misfits()}."
        )

    def tables(self, data: pl.DataFrame) -> Sequence[Table]:
        grid = data["grid"][0].replace(" ", ", ")
        table = Table(title=f"median seconds, with the place; step size in brackets, out of {grid}")
        for name in ("split", "stragglers", "network", *(each.name for each in ENTRANTS)):
            table.add_column(name, justify="left" if name in ("split", "stragglers", "network") else "right", no_wrap=True)
        for split, stragglers, network in itertools.product(SPLITS, STRAGGLERS, NETWORKS):
            cells = [_cell(data, split, network, stragglers, each.name) for each in ENTRANTS]
            shown = [_shown(row).replace("[", "\\[") for row in cells]
            table.add_row(split, stragglers, NETWORKS[network], *shown)
        return (table,)


def _shown(row: dict[str, float]) -> str:
    time = f"{row['median']:.1f} #{row['place']}" if np.isfinite(row["median"]) else f"not reached by {row['until']:.0f} s"
    return f"{time} [{row['step_size']:g}]"


def _cell(data: pl.DataFrame, split: str, network: str, stragglers: str, algorithm: str) -> dict[str, float]:
    chosen = (pl.col("split") == split, pl.col("network") == network, pl.col("stragglers") == stragglers, pl.col("algorithm") == algorithm)
    return data.filter(*chosen).row(0, named=True)


def leaders(data: pl.DataFrame, split: str, network: str, stragglers: str) -> str:
    """The first of a cell; `A or B` where it does not beat B in all seeds, `A (close)` where it does not beat several."""
    cells = {each.name: _cell(data, split, network, stragglers, each.name) for each in ENTRANTS}
    first, *others = sorted(cells, key=lambda name: cells[name]["place"])
    if not np.isfinite(cells[first]["median"]):
        return "nobody"
    close = [name for name in others if cells[name]["first_ahead"] < cells[name]["seeds"] and np.isfinite(cells[name]["median"])]
    return first + (f" or {close[0]}" if len(close) == 1 else " (close)" if close else "")


def where_first_changes(data: pl.DataFrame, circumstance: str) -> str:
    """In how many of the other two circumstances' combinations the first by median is not the same throughout `circumstance`."""
    others = [name for name in ("split", "network", "stragglers") if name != circumstance]
    firsts = data.filter(pl.col("place") == 1).group_by(others).agg(pl.col("algorithm").n_unique())["algorithm"]
    changed = int((firsts > 1).sum())
    return "nowhere" if not changed else f"in {changed} of {len(firsts)} cases"


def _ticks(axis, seconds: Times) -> None:
    """1, 2, 5 in every decade that the times touch, as plain numbers."""
    finite = seconds[np.isfinite(seconds)]
    shown = [digit * 10.0**power for power in range(-2, 5) for digit in (1, 2, 5)]
    shown = [value for value in shown if finite.min() / 2 < value < finite.max() * 2] if len(finite) else [1.0]
    axis.set_yticks(shown, [f"{value:g}" for value in shown])
    axis.set_yticks([], minor=True)
