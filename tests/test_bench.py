"""The benchmark: its bare loops compute what sgpsim computes, its ratios are ratios, its intervals intervals.

The rule: nothing is timed here. Clocks are counters that the works themselves move, so a ratio is known beforehand.
"""

from __future__ import annotations

import csv
import gc
import math
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

from sgpsim import streams
from sgpsim.algorithms.allreduce_sgd import AllReduceSGD
from sgpsim.algorithms.dpsgd import DPSGD
from sgpsim.algorithms.overlap_sgp import OverlapSGP
from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.events.simulated import Simulated
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.clusters import compute_time
from sgpsim.errors import SpecificationError
from sgpsim.schedules.one_peer_exponential import OnePeerExponential
from sgpsim.streams import Reader, stream
from studies import bench, bench_bare, bench_processes
from studies import bench_jobs as jobs
from studies.bench_pairs import LEAST_PAIRS, in_turn, interval, per_round, ratio

ROUNDS = 23
CLOSE = 1e-12


@pytest.fixture(autouse=True)
def uncollected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Garbage matters where something is timed, and collecting it takes long beside the rest of a test suite."""
    monkeypatch.setattr(gc, "collect", lambda: 0)


def close(mine: Any, yours: Any) -> None:
    np.testing.assert_allclose(mine, yours, rtol=CLOSE, atol=CLOSE)


# -- the same job


@pytest.mark.parametrize(("nodes", "seeds"), [(6, 1), (6, 3), (130, 1)])
def test_the_bare_loop_of_the_common_job_computes_what_sgpsim_does(nodes: int, seeds: int) -> None:
    job = jobs.common(nodes, seeds)
    ours = Vectorized(jobs.cluster(nodes)).run(job.experiment(DPSGD, jobs.regular(nodes), ROUNDS)).final.values
    bare = job.dpsgd(jobs.regular_mixing(nodes), ROUNDS, job.own_draws())
    close(bare.reshape(ours.shape), ours)
    assert not np.allclose(job.dpsgd(jobs.regular_mixing(nodes), ROUNDS + 1, job.own_draws()).reshape(ours.shape), ours)


@pytest.mark.parametrize("nodes", [2, 7, 16])
@pytest.mark.parametrize(
    ("method", "loop"),
    [
        (SGP, bench_bare.sgp),
        (SGP, bench_bare.wide_sgp),
        (SGP, bench_bare.torch_sgp),
        (OverlapSGP, bench_bare.overlap_sgp),
        (AllReduceSGD, bench_bare.allreduce_sgd),
    ],
)
def test_bare_loops_on_peers_compute_what_sgpsim_does(
    method: Any, loop: Any, nodes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = jobs.Logistic(nodes, 5, 12, 4)
    ours = Vectorized(jobs.cluster(nodes)).run(job.experiment(method, OnePeerExponential(nodes), ROUNDS)).final
    for chunk in (1 << 19, 3 * 4 * 5 * 8):  # all at once, and three nodes at a time
        monkeypatch.setattr(bench_bare, "CHUNK_BYTES", chunk)
        close(job.push(loop, ROUNDS, job.own_draws()), ours.values[:, 0])


@pytest.mark.parametrize("nodes", [2, 7, 16])
def test_bare_events_have_the_clocks_of_the_simulation(nodes: int) -> None:
    job, machines = jobs.Logistic(nodes, 3, 4, 2), jobs.cluster(nodes)
    ours = Simulated(machines).run(job.experiment(SGP, OnePeerExponential(nodes), ROUNDS)).final.clocks[:, 0]
    seconds = [next(machines.durations(node, 0))[:ROUNDS].tolist() for node in range(nodes)]
    close(bench_bare.events(seconds, job.occupancy, jobs.LATENCY), ours)


@pytest.mark.parametrize("nodes", [2, 8])
def test_bare_ad_psgd_computes_what_sgpsim_does(nodes: int) -> None:
    job, machines = jobs.Asynchronous(nodes, 5), jobs.cluster(nodes)
    ours = job.ours(ROUNDS).final.values[:, 0]
    seconds = [next(machines.durations(node, 0))[:ROUNDS].tolist() for node in range(nodes)]
    choices = [stream(0, "neighbour", node) for node in range(nodes)]
    others = [sorted({(node - 1) % nodes, (node + 1) % nodes}) for node in range(nodes)]
    asked = [
        [others[node][int(choices[node].integers(len(others[node])))] for _ in range(ROUNDS)] for node in range(nodes)
    ]
    noises = [Reader(job.objective.draws(node, stream(0, "gradient", node))) for node in range(nodes)]
    noise = np.array([[noises[node].take() for _ in range(ROUNDS)] for node in range(nodes)]) * -jobs.STEP_SIZE
    close(job.bare(ROUNDS, bench_bare.Exchange(seconds, asked, noise)), ours)


def test_draws_of_bare_loops_are_draws_of_the_nodes_own_rows() -> None:
    drawn = np.array([rows for rows, _ in zip(bench_bare.block_draws(3, 7, 5, seeds=2), range(4000), strict=False)])
    assert drawn.shape == (4000, 6, 5)
    for place in range(6):
        assert np.unique(drawn[:, place] - place // 2 * 7).tolist() == list(range(7))
        assert np.bincount(drawn[:, place].ravel() - place // 2 * 7) == pytest.approx(4000 * 5 / 7, rel=0.1)
    seconds = np.array(bench_bare.block_seconds(10, 2000))
    assert seconds.mean() == pytest.approx(1.0, abs=0.003)
    assert np.log(seconds).std() == pytest.approx(0.05, rel=0.05)


@pytest.mark.slow
def test_the_bare_loop_of_processes_computes_what_sgpsim_does() -> None:
    cpu, wall = bench_processes.measured(2, 4, LEAST_PAIRS)  # raises where a process finds its point elsewhere
    assert cpu.pairs == wall.pairs == LEAST_PAIRS


# -- ratios


class Counter:
    """A clock that works move."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def work(self, set_up: float, each: Callable[[], float]) -> Callable[[int], None]:
        def run(rounds: int) -> None:
            self.now += set_up + sum(each() for _ in range(rounds))

        return run


def test_a_ratio_is_that_of_rounds_whatever_set_up_costs() -> None:
    clock = Counter()
    ours, bare = clock.work(100.0, lambda: 4.0), clock.work(3.0, lambda: 1.0)
    found = in_turn(ours, bare, 10, 50, LEAST_PAIRS, clock)
    assert (found.median, found.low, found.high, found.ours, found.bare) == (0.25, 0.25, 0.25, 4.0, 1.0)
    assert per_round(ours, 10, None, clock) == 14.0, "a whole run keeps its set-up"


def test_a_slower_bare_loop_raises_the_ratio_and_slower_work_of_ours_lowers_it() -> None:
    clock = Counter()
    ours, bare = clock.work(1.0, lambda: 4.0), clock.work(1.0, lambda: 1.0)
    slowed = clock.work(1.0, lambda: 2.0)
    assert in_turn(ours, slowed, 10, 50, LEAST_PAIRS, clock).median == 0.5
    assert in_turn(slowed, bare, 10, 50, LEAST_PAIRS, clock).median == 0.5
    assert in_turn(bare, bare, 10, 50, LEAST_PAIRS, clock).median == 1.0


def test_works_alternate() -> None:
    order: list[str] = []

    def named(name: str) -> Callable[[int], None]:
        return lambda rounds: order.append(f"{name} {rounds}")

    in_turn(named("ours"), named("bare"), 1, 2, 3, lambda: float(len(order)) ** 2)
    assert order == ["ours 1", "bare 1", *["ours 1", "ours 2", "bare 1", "bare 2"] * 3]


def test_a_busy_machine_widens_the_interval_and_hardly_moves_the_median() -> None:
    generator, clock = np.random.default_rng(0), Counter()
    calm = in_turn(clock.work(9.0, lambda: 2.0), clock.work(0.0, lambda: 1.0), 5, 25, 20, clock)
    busy = in_turn(
        clock.work(9.0, lambda: 2.0 * generator.pareto(3.0) + 1.0),
        clock.work(0.0, lambda: generator.pareto(3.0) + 0.5),
        5,
        25,
        20,
        clock,
    )
    assert calm.low == calm.high == calm.median == 0.5
    assert busy.low < busy.median < busy.high and busy.low < 0.5 < busy.high


# -- intervals


def test_the_interval_is_that_of_the_textbook_for_known_data() -> None:
    # 20 values: the 6th and the 15th enclose the median with 95.9 % (binomial), the usual table's entry
    assert interval(np.random.default_rng(1).permutation(np.arange(1.0, 21.0)).tolist()) == (6.0, 15.0)
    assert interval([3.0, 1.0, 2.0, 6.0, 5.0, 4.0]) == (1.0, 6.0)
    assert all(map(math.isnan, interval([1.0, 2.0, 3.0, 4.0, 5.0]))), "five values cannot: 1 - 2 / 2^5 = 0.94"
    assert binom(20, 0.5).cdf(14) - binom(20, 0.5).cdf(5) == pytest.approx(0.959, abs=5e-4)


@pytest.mark.parametrize("count", [6, 20])
def test_the_interval_covers_the_median_as_often_as_it_says(count: int) -> None:
    generator = np.random.default_rng(count)
    trials = 150
    covered = 0
    for _ in range(trials):
        low, high = interval(generator.lognormal(0.0, 1.0, count).tolist())
        covered += low <= 1.0 <= high
    assert covered / trials > 0.95 - 3 * math.sqrt(0.95 * 0.05 / trials)


def test_the_ratio_of_pairs_is_the_median_of_their_ratios_not_the_ratio_of_their_medians() -> None:
    found = ratio([(1.0, 2.0), (10.0, 5.0), (4.0, 4.0)])
    assert (found.median, found.ours, found.bare, found.pairs) == (1.0, 4.0, 4.0, 3)
    assert math.isnan(found.low)


# -- the command


def test_every_row_runs_briefly() -> None:
    rows = jobs.rows(brief=True)
    assert len({(row.job, row.what) for row in rows}) == len(rows) == 16
    for row in rows:
        row.ours(2)
        row.bare(2)


def test_the_whole_jobs_are_not_too_large_to_be_built() -> None:
    for job in (jobs.common(256), jobs.SMALL, jobs.MEMORY, jobs.Logistic(*jobs.WIDE)):
        assert job.data.samples == job.samples * job.nodes


def test_what_is_drawn_in_blocks_counts_in_a_round_without_set_up() -> None:
    assert jobs.BLOCK % compute_time.BLOCK == 0 == jobs.BLOCK % streams.block_length(1)
    differences = [row.long - row.short for row in jobs.rows(brief=True) if row.long is not None]
    assert sorted(differences)[0] == 4, "points of 100,000: what they draw is nothing beside the rest"
    assert all(difference % jobs.BLOCK == 0 for difference in sorted(differences)[1:])


def test_the_command_writes_its_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"above\n\n{bench.MARK}\n| old | table |\n|---|---|\n\nbelow\n\nand more\n")
    assert bench.main(["--fast", "--only", "ADPSGD", "--out", str(tmp_path / "fast")]) == 0
    assert "mean nothing" in capsys.readouterr().out
    for only, pairs in (("set-up and 10 ", "5"), ("set-up and 1 ", str(LEAST_PAIRS))):
        assert bench.main(["--pairs", pairs, "--only", only, "--out", str(tmp_path), "--readme", str(readme)]) == 0
        written = readme.read_text()
        assert written.startswith(f"above\n\n{bench.MARK}\n| job |") and written.endswith("|\n\nbelow\n\nand more\n")
        assert "old" not in written and written.count(only) == 1 and written.count("\n| ") == 3
    with (tmp_path / "bench.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert 0 < float(row["low"]) <= float(row["value"]) <= float(row["high"])
    assert re.search(r"BLAS thread.*, load average [\d.e+]+ at the start, [\d.e+]+ at the end\n$", (tmp_path / "bench.md").read_text())
    assert "95 % interval" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--fast", "--only", "SPG"], "names no row"),
        (["--readme", "no place"], "has no line"),
        (["--fast", "--readme", "place"], "Leave out"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_measured(
    arguments: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("no place").write_text("nothing\n")
    Path("place").write_text(f"{bench.MARK}\n\n")
    with pytest.raises(SpecificationError, match=sentence):
        bench.main(arguments)
    assert not Path("out").exists() and Path("place").read_text() == f"{bench.MARK}\n\n"


def test_what_was_measured_is_kept_when_a_later_row_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(rounds: int) -> None:
        raise RuntimeError("out of luck")

    good = next(row for row in jobs.rows(brief=True) if "set-up and 1 " in row.what)
    monkeypatch.setattr(jobs, "rows", lambda brief: [good, replace(good, what="bad", bare=failing)])
    with pytest.raises(RuntimeError, match="out of luck"):
        bench.main(["--pairs", "6", "--out", str(tmp_path)])
    with (tmp_path / "bench.csv").open() as file:
        assert [row["what"] for row in csv.DictReader(file)] == [good.what]


def test_a_missed_target_is_told() -> None:
    figures = [
        bench.Figure("job", "what", value, 0.1, 0.9, target, at_most)
        for value, target, at_most in ((0.5, 0.6, False), (2.0, 3.0, True))
    ]
    assert [each.met for each in figures] == [False, True]
    assert figures[0].shown == ("job", "what", "0.50", "0.10 to 0.90", "", ">= 0.6 MISSED")
    assert bench.Figure("job", "what", 1.0, math.nan, math.nan).shown[3] == ""


def test_no_bare_loop_is_longer_than_forty_lines() -> None:
    lines = Path(bench_bare.__file__).read_text().splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith(("def ", "class ", "@"))] + [
        len(lines) + 2
    ]
    assert max(after - before - 2 for before, after in pairwise(starts)) <= 40  # two empty lines between them
