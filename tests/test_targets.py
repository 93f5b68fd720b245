"""When a run has reached a target: metrics have a direction, and every command knows it."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import networkx as nx
import polars as pl
import pytest
from test_command_line import refused, sgpsim

from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.events.simulated import Simulated
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.budget import Seconds, Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.compute_time import ConstantTime
from sgpsim.clusters.distributions import ExponentialTime
from sgpsim.descents.sgd import SGD
from sgpsim.descents.step_sizes import Constant
from sgpsim.errors import SpecificationError
from sgpsim.experiment import Experiment
from sgpsim.objectives.datasets import SyntheticClassification
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.objectives.softmax import SoftmaxRegression
from sgpsim.reports.comparison import cautions, goal, target_figure, time_to_target
from sgpsim.results.metrics import METRICS, from_below
from sgpsim.results.run import Run
from sgpsim.schedules.one_peer_exponential import OnePeerExponential

EXAMPLES = Path(__file__).parents[1] / "examples"

EASY = """
nodes = 4
seeds = [0, 1, 2]
algorithm = {type = "SGP", descent = {type = "SGD", step_size = 0.5}}
objective = {type = "SoftmaxRegression", data = {type = "SyntheticClassification", samples = 60, separation = 3.0}}
schedule = {type = "OnePeerExponential"}
budget = {type = "Steps", count = 12}
cluster = {compute = 1.0}
"""


def learning() -> Run:
    objective = SoftmaxRegression(4, SyntheticClassification(samples=60, separation=3.0), batch=2)
    experiment = Experiment(SGP(SGD(Constant(0.3))), objective, OnePeerExponential(4), Steps(12), (0, 1, 2, 3, 4))
    return Vectorized(Cluster(4)).run(experiment)


def first(run: Run, metric: str, target: float, at_least: bool) -> list[float | None]:
    """Per seed the first time by hand, over the rows as they are."""
    times: list[float | None] = []
    for seed in run.experiment.seeds:
        rows = run.metrics.filter((pl.col("metric") == metric) & (pl.col("seed") == seed)).sort("time")
        times.append(
            next(
                (time for time, value in zip(rows["time"], rows["value"], strict=True)
                 if (value >= target if at_least else value <= target)), None,
            )
        )  # fmt: skip
    return times


def test_accuracy_is_reached_from_below_and_the_rest_from_above() -> None:
    run = learning()
    assert run.curve("accuracy").filter(pl.col("step") == 0)["value"].to_numpy().max() < 0.9
    for metric in ("accuracy", "loss", "consensus_max", "squared_gradient_norm", "bytes_sent"):
        values = run.curve(metric)["value"]
        for target in (float(values.min()), float(values.median()), float(values.max())):  # pyright: ignore[reportArgumentType]
            rising = metric in ("accuracy", "bytes_sent")
            assert run.time_to(target, metric)["time"].to_list() == first(run, metric, target, rising)
    row = time_to_target({"run": run}, 0.9, "accuracy").row(0, named=True)
    assert row["seconds"] > 0 and row["bytes"] > 0
    assert time_to_target({"run": run}, 0.0, "accuracy").row(0, named=True)["seconds"] == 0.0


def test_every_metric_has_a_direction_and_others_are_asked_for_theirs() -> None:
    assert {metric for metric in METRICS if from_below(metric)} == {"accuracy", "bytes_sent"}
    with pytest.raises(SpecificationError, match="'margin' has no known direction"):
        from_below("margin")
    run = learning()
    own = run.metrics.filter(pl.col("metric") == "loss").with_columns(metric=pl.lit("margin"), value=pl.col("step") * 0.5)
    noted = own.with_columns(metric=pl.lit("norm"), node=pl.lit(0, pl.Int32))
    run = dataclasses.replace(run, metrics=pl.concat([run.metrics, own, noted]))
    assert set(run.time_to(2.0, "margin", at_least=True)["step"]) == {4}
    assert set(run.time_to(2.0, "margin", at_least=False)["step"]) == {0}
    with pytest.raises(SpecificationError, match="no known direction"):
        run.time_to(2.0, "margin")
    with pytest.raises(SpecificationError, match="no metric 'norm' of the whole fleet; it must be one of accuracy, bytes"):
        run.time_to(2.0, "norm", at_least=True)


def test_what_is_not_a_number_has_reached_nothing() -> None:
    run = learning()
    lost = run.metrics.with_columns(value=pl.when(pl.col("step") > 0).then(math.nan).otherwise(pl.col("value")))
    lost = dataclasses.replace(run, metrics=lost)
    for metric, target in (("accuracy", 0.95), ("loss", 1e-3)):
        assert lost.time_to(target, metric)["time"].null_count() == 5
    for target in (math.nan, math.inf):
        with pytest.raises(SpecificationError, match="must be a finite number"):
            run.time_to(target)
    for target in (95.0, -0.1):
        with pytest.raises(SpecificationError, match="accuracy is a share"):
            run.time_to(target, "accuracy")


def test_one_seed_that_starts_at_the_target_took_no_time() -> None:
    run = Vectorized(Cluster(4)).run(dataclasses.replace(learning().experiment, seeds=(7,)))
    begun = float(run.curve("loss")["value"][0])
    assert run.time_to(begun).row(0) == (7, 0.0, 0)


def test_of_several_runs_the_one_without_the_metric_is_named() -> None:
    run = learning()
    without = dataclasses.replace(run, metrics=run.metrics.filter(pl.col("metric") != "accuracy"))
    with pytest.raises(SpecificationError, match="second: the run holds no metric 'accuracy'"):
        time_to_target({"first": run, "second": without}, 0.9, "accuracy")


def test_labels_say_which_way() -> None:
    run = learning()
    assert goal(0.9, "accuracy") == "accuracy >= 0.9" and goal(0.5, "consensus_max") == "consensus max <= 0.5"
    assert target_figure({"run": run}, 0.9, "accuracy").axes[0].get_xlabel() == "time to accuracy ≥ 0.9 (s)"
    assert target_figure({"run": run}, 0.5).axes[0].get_xlabel() == "time to loss ≤ 0.5 (s)"


@pytest.mark.parametrize("flag", ["--target", pytest.param("--loss", marks=pytest.mark.slow)])
def test_compare_by_accuracy(flag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if flag == "--target":
        monkeypatch.setattr("sgpsim.reports.plots.save", lambda *_: [])  # drawing is the slow part, and not in question here
    (tmp_path / "easy.toml").write_text(EASY)
    assert sgpsim("run", tmp_path / "easy.toml", "--out", tmp_path / "runs").code == 0
    (folder,) = (tmp_path / "runs").iterdir()
    said = sgpsim("compare", folder, "--metric", "accuracy", flag, "0.95", "--out", tmp_path / "c")
    assert said.code == 0 and "time to accuracy >= 0.95" in said.out
    table = pl.read_csv(tmp_path / "c" / "time_to_target.csv")
    assert table["reached"][0] == 3 and table["seconds"][0] > 0
    assert "finite number" in refused(sgpsim("compare", folder, flag, "nan", "--out", tmp_path / "c"))


@pytest.mark.slow
def test_an_overloaded_link_is_told_by_run_show_compare_and_report(tmp_path: Path) -> None:
    said = [sgpsim("run", EXAMPLES / "own_graph.toml", "--out", tmp_path / "runs")]
    (folder,) = (tmp_path / "runs").iterdir()
    said.append(sgpsim("show", folder))
    said.append(sgpsim("compare", folder, "--target", "0.5", "--out", tmp_path / "c"))
    assert pl.read_csv(tmp_path / "c" / "time_to_target.csv")["run"][0].endswith("(links overloaded)")
    for one in said:
        assert one.code == 0 and "'rack B' -> 'rack A': the 4 GB" in one.out and "1.57 times" in one.out
    assert sgpsim("report", folder, "--out", tmp_path / "report.html").code == 0
    assert "1.57 times the 20.42 s of the run" in (tmp_path / "report.html").read_text()


def test_comparisons_that_mislead_are_named() -> None:
    run = learning()
    assert cautions({"run": run, "again": run}, 0.3) == []  # control
    (start,) = cautions({"run": run}, 1e3)
    assert start == "run: 5 of 5 seeds stood at the target before the first step"
    stopped = dataclasses.replace(run, outcome="interrupted")
    assert cautions({"run": run}, 1e-9) == []  # control: never is the truth there
    (ended,) = cautions({"run": stopped}, 1e-9)
    assert "5 of 5 seeds count as never although the run was interrupted" in ended
    other = SoftmaxRegression(4, SyntheticClassification(samples=60, separation=1.0), batch=2)
    unlike = dataclasses.replace(run, experiment=dataclasses.replace(run.experiment, objective=other))
    (learned,) = cautions({"run": run, "unlike": unlike}, 0.3)
    assert learned.startswith("the runs learn unlike things") and "separation" in learned
    larger = SoftmaxRegression(4, SyntheticClassification(samples=60, separation=3.0), batch=3)
    batch = dataclasses.replace(run.experiment, objective=larger)
    assert cautions({"run": run, "batch": dataclasses.replace(run, experiment=batch)}, 0.3) == []  # control


@pytest.mark.parametrize("every", [1, 4])
def test_a_comparison_says_how_coarse_its_times_are(every: int) -> None:
    experiment = Experiment(SGP(), Quadratic(4, 2, distance=2.0), OnePeerExponential(4), Steps(40), (0, 1), measure_every=every)
    run = Vectorized(Cluster(4, ConstantTime(0.25))).run(experiment)
    target = float(run.curve("loss")["value"][2]) * 0.999
    row = time_to_target({"run": run}, target).row(0, named=True)
    assert row["resolution"] == pytest.approx(0.25 * every) and "at_least" not in row
    assert time_to_target({"run": run}, 1e9).row(0, named=True)["resolution"] == 0.0, "at the target before the first step"
    assert time_to_target({"run": run}, -1e9).row(0, named=True)["resolution"] == math.inf


@pytest.mark.parametrize("kind", [Simulated, Vectorized])
def test_where_links_are_overloaded_the_table_bounds_the_time_from_below(kind: Any) -> None:
    graph = nx.path_graph(4)
    nx.set_edge_attributes(graph, {edge: 1e6 for edge in graph.edges}, "bandwidth")
    experiment = Experiment(SGP(), Quadratic(4, 2, distance=2.0), OnePeerExponential(4), Steps(40), (0, 1), message_bytes=1e6)
    run = kind(Cluster(4, ConstantTime(0.25), graph=graph)).run(experiment)
    free = kind(Cluster(4, ConstantTime(0.25))).run(experiment)
    target = float(run.curve("loss").filter(pl.col("step") == 20)["value"].median())  # pyright: ignore[reportArgumentType]
    table = time_to_target({"loaded": run, "free": free}, target)
    loaded, unloaded = table.iter_rows(named=True)
    assert run.statistics["link_load"] > 1 and "link_load" not in free.statistics
    needed = run.statistics["link_load"] * float(run.final.clocks.max()) * loaded["steps"] / 40
    assert loaded["at_least"] == pytest.approx(needed, rel=0.03) and loaded["at_least"] > loaded["seconds"]
    assert unloaded["at_least"] is None and "at_least" not in time_to_target({"free": free}, target).columns


def test_what_overloaded_links_need_is_reckoned_seed_by_seed() -> None:
    """Seeds that end after unlike numbers of bytes and seconds."""
    graph = nx.path_graph(4)
    nx.set_edge_attributes(graph, {edge: 1e7 for edge in graph.edges}, "bandwidth")
    experiment = Experiment(SGP(), Quadratic(4, 2, distance=2.0), OnePeerExponential(4), Seconds(6.0), (0, 1, 2), message_bytes=1e6)
    run = Vectorized(Cluster(4, ExponentialTime(0.02), graph=graph)).run(experiment)
    assert len(set(run.curve("bytes_sent").group_by("seed").agg(pl.col("value").max())["value"])) > 1
    needed: list[float] = []
    target = float(run.curve("loss").filter(pl.col("step") == 12)["value"].max())  # pyright: ignore[reportArgumentType]
    for seed, step, time in run.time_to(target)["seed", "step", "time"].iter_rows():
        sent = run.curve("bytes_sent").filter(pl.col("seed") == seed)
        until = sent.filter((pl.col("step") == step) & (pl.col("time") == time))["value"][0]
        needed.append(until / sent["value"].max() * sent["time"].max() * run.statistics["link_load"])
    assert time_to_target({"run": run}, target)["at_least"][0] == pytest.approx(sorted(needed)[1])
