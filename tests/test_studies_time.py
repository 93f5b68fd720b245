"""The studies of time and the demonstration: what is drawn is tested as data, against clocks and laws known apart from the studies."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from sgpsim.backends.events.simulated import Simulated
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.backends.processes import torch_distributed
from sgpsim.clusters.collective import Ring
from sgpsim.clusters.hockney import Hockney
from sgpsim.clusters.jobs import job
from sgpsim.errors import SpecificationError
from sgpsim.objectives.softmax import SoftmaxRegression
from studies import demo, one_slow_node, simulator_against_gloo, time_to_loss
from studies.dropped_message import Judged, Loss, judged
from studies.entrants import ENTRANTS, Entrant, entrant
from studies.one_slow_node import OneSlowNode, Scene, losses
from studies.simulator_against_gloo import ASKED, Case, SimulatorAgainstGloo, calibrated, compared, same_numbers
from studies.study import StudyResult, show
from studies.time_to_loss import (
    NETWORKS,
    SPLITS,
    STRAGGLERS,
    Size,
    TimeToLoss,
    best,
    cluster,
    leaders,
    summary,
    where_first_changes,
)
from studies.time_to_target import Task, at_steps, lowest_loss, seconds_to_target, step_times, steps_to_target
from theory.table import Row, judge
from theory.verdict import Outcome

IN_STEP = [each for each in ENTRANTS if each.keeps_step]
TINY = Size(nodes=4, steps=40, grid=(1.0, 2.0), tuning=(1000,), seeds=(0, 1), excess=0.4, workers=1)


def quiet(done: float, total: float) -> None:
    """No progress."""


# -- seconds to a target ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("each", IN_STEP, ids=lambda each: each.name)
def test_times_of_steps_are_those_of_the_whole_simulation(each: Entrant) -> None:
    """The clock knows nothing of the numerics: a problem of one number gives the times of the real one, to the bit."""
    machines, size = cluster("ethernet_10g", "random", 4), job("resnet50_sgp2018").message_bytes
    task = Task(SoftmaxRegression(4), target=0.0, steps=12, message_bytes=size, measure_every=1)
    for seed in (0, 3):
        whole = Simulated(machines, trace=False).run(task.experiment(each, 0.5, (seed,))).curve("loss")["time"][:13]
        assert np.array_equal(whole.to_numpy(), step_times(each, machines, (seed,), 12, size)[:, 0])


@pytest.mark.parametrize("each", IN_STEP, ids=lambda each: each.name)
def test_seconds_are_those_that_the_run_itself_tells(each: Entrant) -> None:
    machines = cluster("infiniband_edr", "persistent", 4)
    task = Task(SoftmaxRegression(4), target=1.2, steps=30, message_bytes=1e6)
    told = Simulated(machines, trace=False).run(task.experiment(each, 1.0, (0, 1))).time_to(1.2)["time"].to_numpy()
    assert np.array_equal(told, seconds_to_target(task, each, 1.0, machines, (0, 1)))


def test_a_target_out_of_reach_takes_for_ever() -> None:
    task = Task(SoftmaxRegression(4), target=0.0, steps=5, message_bytes=1e6)
    assert np.isinf(steps_to_target(task, entrant("SGP"), 1.0, (0, 1))).all()
    assert np.isinf(at_steps(task, entrant("SGP"), np.array([np.inf]), cluster("infiniband_edr", "none", 4), (0,))).all()
    assert np.isinf(seconds_to_target(task, entrant("AD-PSGD"), 1.0, cluster("infiniband_edr", "none", 4), (0,))).all()


def test_lowest_loss_is_a_minimum() -> None:
    objective = SoftmaxRegression(4, regularization=1e-2)
    run = Vectorized().run(Task(objective, 0.0, 300, 1e6, 300).experiment(entrant("AllReduce"), 1.0, (0,)))
    low = lowest_loss(objective)
    assert low < run.curve("loss")["value"][-1] < low + 0.05


def test_best_step_size_is_by_median_then_by_reach() -> None:
    never = math.inf
    assert best({1.0: np.array([9.0, 8.0, 7.0]), 2.0: np.array([1.0, 9.0, 9.0])}) == 1.0
    assert best({1.0: np.array([never, never, 3.0]), 2.0: np.array([never, never, never])}) == 1.0
    assert best({1.0: np.array([never]), 2.0: np.array([never])}) == 1.0


# -- time_to_loss ----------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny() -> pl.DataFrame:
    cases = [case._replace(size=TINY) for case in TimeToLoss().cases(fast=True)]
    return TimeToLoss().measure(cases, quiet)


def test_every_cell_ranks_all_methods(tiny: pl.DataFrame) -> None:
    assert len(tiny) == len(SPLITS) * len(NETWORKS) * len(STRAGGLERS) * len(ENTRANTS)
    for _, cell in tiny.group_by("split", "network", "stragglers"):
        ordered = cell.sort("place")
        assert ordered["place"].to_list() == [1, 2, 3, 4, 5]
        assert ordered["median"].is_sorted()
        assert set(cell["algorithm"]) == {each.name for each in ENTRANTS}
        assert (cell["lower_quartile"] <= cell["median"]).all() and (cell["median"] <= cell["upper_quartile"]).all()


def test_a_fitted_collective_slows_only_the_method_that_uses_it(tiny: pl.DataFrame) -> None:
    rate, fitted = (
        tiny.filter(pl.col("network") == name).sort("split", "stragglers", "algorithm") for name in ("ethernet_10g", "ethernet_10g_fitted")
    )
    reduces = rate["algorithm"] == "AllReduce"
    assert (fitted.filter(reduces)["median"] > rate.filter(reduces)["median"]).all()
    assert fitted.filter(~reduces)["median"].equals(rate.filter(~reduces)["median"])


def test_networks_with_the_same_messages_are_one_to_a_method_without_collectives() -> None:
    assert [time_to_loss.twins(name) for name in NETWORKS] == [["ethernet_10g", "ethernet_10g_fitted"]] * 2 + [["infiniband_edr"]]
    task = Task(SoftmaxRegression(4), target=1.2, steps=30, message_bytes=1e8)
    one, other = (
        seconds_to_target(task, entrant("AD-PSGD"), 1.0, cluster(name, "random", 4), (0,)) for name in time_to_loss.twins("ethernet_10g")
    )
    assert np.array_equal(one, other) and np.isfinite(one).all()


def test_a_slow_node_slows_whoever_waits(tiny: pl.DataFrame) -> None:
    even = tiny.filter(pl.col("split") == "even", pl.col("network") == "infiniband_edr")
    calm, slow = (
        dict(even.filter(pl.col("stragglers") == kind).select("algorithm", "median").iter_rows()) for kind in ("none", "persistent")
    )
    for each in IN_STEP:
        assert slow[each.name] > 3 * calm[each.name]
    assert slow["AD-PSGD"] < 2.5 * calm["AD-PSGD"]


def test_the_answer_and_the_figure_come_from_the_table_alone(tiny: pl.DataFrame, tmp_path: Path) -> None:
    tiny.write_csv(tmp_path / "table.csv")
    read = pl.read_csv(tmp_path / "table.csv")
    study = TimeToLoss()
    assert study.answer(read) == study.answer(tiny)
    drawn = study.draw(read)
    assert len(drawn.axes) == len(SPLITS) * len(STRAGGLERS)
    assert all(axis.get_yscale() == "log" for axis in drawn.axes)
    assert len(drawn.legends[0].get_texts()) == len(ENTRANTS)
    late = read.with_columns(median=pl.when(pl.col("algorithm") == ENTRANTS[-1].name).then(np.inf).otherwise(pl.col("median")))
    marks = [line for axis in study.draw(late).axes for line in axis.lines if line.get_markerfacecolor() == "white"]
    shown = sum(len(line.get_xdata()) for line in marks)  # pyright: ignore[reportArgumentType]
    assert shown == len(SPLITS) * len(STRAGGLERS) * len(NETWORKS), "what never got there is shown"
    assert study.tables(read)[0].row_count == len(SPLITS) * len(NETWORKS) * len(STRAGGLERS)


def test_other_processes_give_the_same_rows() -> None:
    cases = [case._replace(size=replace(TINY, grid=(1.0,), steps=4)) for case in TimeToLoss().cases(fast=True)[-2:]]
    here, elsewhere = (sorted(row for part in time_to_loss.solved(cases, workers) for row in part) for workers in (1, 2))
    assert here == elsewhere


def _made_up(seconds: dict[str, tuple[float, ...]], **other: dict[str, tuple[float, ...]]) -> pl.DataFrame:
    """A table in which every cell has the same seconds per seed, but those of the stragglers named."""
    rows = [
        (split, network, kind, each.name, 1.0, seed, time, 99.0)
        for split in SPLITS
        for network in NETWORKS
        for kind in STRAGGLERS
        for each in ENTRANTS
        for seed, time in enumerate(other.get(kind, seconds)[each.name])
    ]
    return summary(rows, TINY)


def test_a_table_says_by_when_a_target_was_not_reached_and_is_printed_whole(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    names = [each.name for each in ENTRANTS]
    data = _made_up({name: (1.0, 1.0) for name in names} | {"SGP": (math.inf, math.inf)})
    tables = tuple(TimeToLoss().tables(data))
    show(StudyResult("made", "?", "An answer.", data, tables, tmp_path, tmp_path, tmp_path, 0.0, True))
    said = capsys.readouterr().out
    assert "not reached by 99 s [1]" in said and "inf" not in said.replace("InfiniBand", "")
    assert "…" not in said and all(name in said for name in names) and said.rstrip().endswith("An answer.")


def test_who_is_first_and_where_that_changes() -> None:
    names = [each.name for each in ENTRANTS]
    clear = {name: (1.0 + number, 1.0 + number) for number, name in enumerate(names)}
    close = clear | {"SGP": (0.5, 9.0)}
    table = _made_up(clear, random=close, persistent={name: (math.inf, math.inf) for name in names})
    assert leaders(table, "even", "ethernet_10g", "none") == "AllReduce"
    assert leaders(table, "even", "ethernet_10g", "random") in ("AllReduce or SGP", "SGP or AllReduce", "AllReduce (close)", "SGP (close)")
    assert leaders(table, "even", "ethernet_10g", "persistent") == "nobody"
    assert where_first_changes(_made_up(clear), "network") == "nowhere"
    turned = {name: (9.0 - number, 9.0 - number) for number, name in enumerate(names)}
    assert where_first_changes(_made_up(clear, random=turned), "stragglers") == "in 6 of 6 cases"
    assert where_first_changes(_made_up(clear, random=turned), "network") == "nowhere"


# -- one slow node ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def slowed() -> pl.DataFrame:
    return OneSlowNode().measure(OneSlowNode().cases(fast=True), quiet)


def test_all_reduce_stalls_by_the_factor_of_the_slow_node(slowed: pl.DataFrame) -> None:
    """Its step is the slowest gradient and the collective; only the gradient becomes five times longer."""
    told = {row["algorithm"]: row for row in losses(slowed).iter_rows(named=True)}
    collective = Scene().cluster.collective_seconds(job(one_slow_node.JOB).message_bytes)
    gradient = job(one_slow_node.JOB).compute_seconds
    assert told["AllReduce"]["after"] - collective == pytest.approx(5 * gradient, rel=0.08)
    assert told["AllReduce"]["before"] - collective == pytest.approx(gradient, rel=0.15)
    assert told["AllReduce"]["busy"] == pytest.approx(gradient / (5 * gradient + collective), rel=0.15)
    assert told["AllReduce"]["last"] < 1.5 * (gradient + collective)


def test_sgp_stalls_later_overlap_later_still_and_asynchrony_never(slowed: pl.DataFrame) -> None:
    told = {row["algorithm"]: row for row in losses(slowed).iter_rows(named=True)}
    assert told["AllReduce"]["last"] < told["SGP"]["last"] < told["overlap SGP"]["last"] < math.inf
    gradient = job(one_slow_node.JOB).compute_seconds
    for name in ("SGP", "overlap SGP", "D-PSGD"):
        assert told[name]["after"] == pytest.approx(5 * gradient, rel=0.1)  # paced by the slow node, all of them
        assert told[name]["busy"] < 0.3
    assert told["overlap SGP"]["before"] < told["SGP"]["before"] < told["AllReduce"]["before"]
    assert math.isinf(told["AD-PSGD"]["first"]) and told["AD-PSGD"]["busy"] > 0.95
    assert told["AD-PSGD"]["after"] < 1.2 * told["AD-PSGD"]["before"]


def test_control_nobody_is_held_up_where_nobody_turns_slow() -> None:
    cases = [(replace(Scene(horizon=16.0), factor=1.0), each) for each in ENTRANTS if each.name in ("AllReduce", "SGP")]
    rows = [row for scene, each in cases for row in one_slow_node.rows(each, Simulated(scene.cluster).run(scene.experiment(each)))]
    data = pl.DataFrame(rows, schema=list(one_slow_node.COLUMNS), orient="row")
    for each in ("AllReduce", "SGP"):
        spans = data.filter(pl.col("algorithm") == each, pl.col("what") == "compute")
        assert all(math.isinf(one_slow_node._held_up(part, 10.0)) for _, part in spans.group_by("node"))


def test_the_picture_marks_the_instant_in_every_panel(slowed: pl.DataFrame) -> None:
    drawn = OneSlowNode().draw(slowed)
    assert len(drawn.axes) == 1 + len(ENTRANTS)
    for axis in drawn.axes:
        assert any(np.array_equal(line.get_xdata(), [10.0, 10.0]) for line in axis.lines)
    assert {line.get_label() for line in drawn.axes[0].lines} >= {each.name for each in ENTRANTS}
    answer = OneSlowNode().answer(slowed)
    assert "SGP stalls too" in answer and "AD-PSGD" in answer


# -- a dropped message -----------------------------------------------------------------------------------------------------------------


def test_a_dropped_message_is_named_and_turns_the_verdicts() -> None:
    sane, lossy = judged(Loss(), lost=False), judged(Loss(), lost=True)
    assert sane.holds and sane.outcome == "finished"
    assert lossy.outcome == "leaked"
    for words in ("node 3", "node 4", "round 20", "lost w = 0.5"):
        assert words in lossy.monitor
    assert [verdict.outcome for verdict in lossy.verdicts.values()] == [Outcome.VIOLATED, Outcome.VIOLATED]


# -- the simulator beside gloo ---------------------------------------------------------------------------------------------------------


def test_calibration_brings_back_the_cluster_that_was_measured(tmp_path: Path) -> None:
    """Measured on a simulation with known latency, the cluster gives its times again, also for methods it was not measured on."""
    known = replace(ASKED, network=Hockney(latency=2e-3), collective=Ring())
    cases = [Case(each, 12) for each in IN_STEP]
    measured = {case.entrant.name: Simulated(known).run(case.experiment) for case in cases}
    again = calibrated(measured, tmp_path)
    for case in cases:
        clocks = Simulated(again).run(case.experiment).final.clocks
        assert clocks == pytest.approx(measured[case.entrant.name].final.clocks, rel=1e-9)


def test_same_numbers_sees_one_bit() -> None:
    case = Case(entrant("SGP"), 3)
    run = Simulated(ASKED, keep_trajectory=True).run(case.experiment)
    assert same_numbers(run, run) == (True, 0.0)
    assert run.trajectory is not None
    values = run.trajectory.values.copy()
    values[2, 1, 0, 5] = np.nextafter(values[2, 1, 0, 5], 9.0)
    equal, apart = same_numbers(run, replace(run, trajectory=run.trajectory._replace(values=values)))
    assert not equal and 0 < apart < 1e-12


def test_real_and_simulated_times_are_compared_by_method() -> None:
    rows = []
    for each, (real, simulated, words) in zip(
        IN_STEP, [(2.0, 1.9, "equal"), (4.0, 4.0, "equal"), (1.0, 1.1, "not equal"), (1.0, 1.0, "equal")], strict=True
    ):
        rows += [(each.name, "gloo", "loss", -1, at, at, 1.0) for at in (0.0, real)]
        rows += [(each.name, "simulated", "loss", -1, at, at, 1.0) for at in (0.0, simulated)]
        rows += [(each.name, "simulated", "compute", 0, 0.0, simulated, simulated)] if each.name == "SGP" else []
        rows += [(each.name, "gloo", "compute", 0, 0.0, real, real)] if each.name == "SGP" else []
        rows.append((each.name, "simulated", f"{words} to the bit", -1, 0.0, 0.0, 1e-16))
    data = pl.DataFrame(rows, schema=list(simulator_against_gloo.COLUMNS), orient="row")
    told = compared(data)
    assert told["ratio"].to_list() == pytest.approx([0.95, 1.0, 1.1, 1.0])
    assert told["equal"].to_list() == [True, True, False, True]
    answer = SimulatorAgainstGloo().answer(data)
    assert "overlap SGP to 1e-16" in answer and "-5.0 %" in answer
    assert len(SimulatorAgainstGloo().draw(data).axes) == 4


def test_without_torch_one_sentence_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch_distributed, "find_spec", lambda name: None)
    with pytest.raises(SpecificationError, match=r"needs torch, which is not installed\. Run: pip install"):
        SimulatorAgainstGloo().run(fast=True, out=tmp_path)


@pytest.mark.slow
@pytest.mark.distributed
@pytest.mark.skipif(find_spec("torch") is None, reason="needs torch")
def test_four_processes_compute_the_simulators_numbers(tmp_path: Path) -> None:
    told = compared(SimulatorAgainstGloo().run(fast=True, out=tmp_path).data)
    assert told.filter(pl.col("algorithm") != "AllReduce")["equal"].all()
    assert told["apart"].max() < 1e-13  # pyright: ignore[reportOperatorIssue]
    assert ((told["ratio"] > 0.3) & (told["ratio"] < 1.5)).all()


# -- the demonstration -----------------------------------------------------------------------------------------------------------------


def few_rows(fast: bool) -> list[Row]:
    """The verdicts on the identities of paths, without the rest of the table."""
    from theory.table import all_cases

    return judge([case for case in all_cases(fast) if case.claim.name.startswith("I2")])


def test_verdicts_beside_one_lost_message(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(demo, "verdict_table", few_rows)
    (lost, table), well = demo.verdicts(tmp_path)
    assert well and "Not as declared: 0" in table.text[0]
    assert "round 20" in lost.text[0] and "turn from HOLDS to VIOLATED" in lost.text[0]
    assert lost.tables[0]["I2 mass"].to_list() == ["HOLDS", "VIOLATED"]
    assert "VIOLATED" in capsys.readouterr().out


def test_control_an_unnoticed_loss_or_a_wrong_verdict_is_not_well(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def unnoticed(loss: Loss, lost: bool) -> Judged:
        return judged(loss, lost=False)

    def wrong(fast: bool) -> list[Row]:
        return [replace(row, declared=Outcome.VIOLATED) for row in few_rows(fast)]

    monkeypatch.setattr(demo, "verdict_table", few_rows)
    with monkeypatch.context() as patch:
        patch.setattr(demo, "judged", unnoticed)
        (lost, _), well = demo.verdicts(tmp_path)
        assert not well and "DO NOT TURN" in lost.text[0]
    monkeypatch.setattr(demo, "verdict_table", wrong)
    assert not demo.verdicts(tmp_path)[1]


def test_schedules_used_are_checked(tmp_path: Path) -> None:
    (section,), well = demo.schedules(tmp_path)
    assert well
    found = section.tables[0]
    assert found.filter(pl.col("schedule") == "OnePeerExponential(16)")["exact after"].item() == "4 rounds"
    assert set(found["passes"]) == {"yes"} and len(section.tables[1]) == 4 * len(found)


def test_bad_output_folder_is_said_first(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SpecificationError, match="cannot be written to"):
        demo.demo(tmp_path / "file")


@pytest.mark.slow
def test_the_demonstration_needs_no_torch_and_can_be_repeated(tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name=name)

sys.meta_path.insert(0, NoTorch())
from studies.demo import demo
code = demo(Path(sys.argv[1]))
assert "torch" not in sys.modules
raise SystemExit(code)
"""
    for _ in range(2):
        ended = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=280)
        assert ended.returncode == 0, ended.stderr
        assert f"report: {tmp_path / 'report.html'}" in ended.stdout
    page = (tmp_path / "report.html").read_text()
    assert page.count('src="data:image/png;base64,') == 2 and "http" not in page and "<script" not in page
    assert {path.name for path in tmp_path.glob("*.png")} == {"one_slow_node.png", "rate_against_theory.png"}
