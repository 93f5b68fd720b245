"""Plots, timelines, comparisons, summaries and reports: the data behind the pictures, and that the files are what they
say."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from sgpsim.algorithms.adpsgd import ADPSGD
from sgpsim.algorithms.allreduce_sgd import AllReduceSGD
from sgpsim.algorithms.overlap_sgp import OverlapSGP
from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.events.simulated import Simulated
from sgpsim.budget import Steps, TargetLoss
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.distributions import ExponentialTime
from sgpsim.clusters.hockney import Hockney
from sgpsim.clusters.stragglers import SlowFrom
from sgpsim.descents.sgd import SGD
from sgpsim.errors import SpecificationError
from sgpsim.experiment import Experiment
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.reports.comparison import target_figure, time_to_target
from sgpsim.reports.labels import labels
from sgpsim.reports.plots import points, save, scaled_label, three_axes
from sgpsim.reports.report import Picture, Section, of_runs, opening, page, write
from sgpsim.reports.summary import about, aligned, ending
from sgpsim.reports.timeline import gantt
from sgpsim.results.run import Final, Run
from sgpsim.results.trace import MESSAGE_SCHEMA, SPAN_SCHEMA, Trace
from sgpsim.schedules.bipartite_exponential import BipartiteExponential
from sgpsim.specification.wording import bytes_told, concise, seconds_told

NODES = 4


@pytest.fixture(scope="module")
def runs() -> dict[str, Run]:
    cluster = Cluster(NODES, ExponentialTime(1.0), Hockney(0.1, 1e6), stragglers=(SlowFrom((3,), 5.0, 6.0),))

    def run(method: Any) -> Run:
        objective = Quadratic(NODES, 3, distance=5.0)
        experiment = Experiment(method, objective, BipartiteExponential(NODES), Steps(12), (0, 1, 2), message_bytes=5e5)
        return Simulated(cluster).run(experiment)

    return {"SGP": run(SGP()), "AD-PSGD": run(ADPSGD()), "AllReduce-SGD": run(AllReduceSGD())}


def made(rows: list[tuple[int, int, float, float, float]]) -> Run:
    """A run whose metrics are given: (seed, step, time, loss, bytes)."""
    seeds = tuple(sorted({row[0] for row in rows}))
    experiment = Experiment(SGP(), Quadratic(NODES, 3), BipartiteExponential(NODES), Steps(3), seeds)
    told = [(seed, "step", step, -1, time, "loss", loss) for seed, step, time, loss, _ in rows]
    told += [(seed, "step", step, -1, time, "bytes_sent", sent) for seed, step, time, _, sent in rows]
    metrics = pl.DataFrame(told, schema=["seed", "cut", "step", "node", "time", "metric", "value"], orient="row")
    nothing = np.zeros((NODES, len(seeds), 3))
    return Run(experiment, "made", metrics, Final(nothing, nothing[..., 0] + 1, nothing[..., 0]))


HAND = made(
    [
        *((0, 0, 0.0, 9.0, 0.0), (0, 1, 1.0, 5.0, 10.0), (0, 2, 2.0, 1.0, 20.0)),
        *((1, 0, 0.0, 9.0, 0.0), (1, 1, 3.0, 3.0, 10.0), (1, 2, 4.0, 2.0, 20.0)),
        *((2, 0, 0.0, 9.0, 0.0), (2, 1, 2.0, 4.0, 10.0), (2, 2, 6.0, 6.0, 20.0)),
    ]
)


def texts(drawn: Figure) -> list[str]:
    return [text.get_text() for text in drawn.findobj(Text) if isinstance(text, Text)]


# -- the data behind the curves


@pytest.mark.parametrize(("axis", "at"), [("step", [0, 1, 2]), ("time", [0, 2, 4]), ("bytes", [0, 10, 20])])
def test_curves_are_medians_and_quartiles_over_seeds(axis: Any, at: list[float]) -> None:
    found = points(HAND, "loss", axis)
    assert found["at"].to_list() == at
    assert found["value"].to_list() == [9, 4, 2]
    assert found["low"].to_list() == [9, 3.5, 1.5] and found["high"].to_list() == [9, 4.5, 4]


@pytest.mark.parametrize("axis", ["step", "time", "bytes"])
def test_lines_hold_the_runs_own_numbers(runs: dict[str, Run], axis: Any) -> None:
    axes = three_axes(runs).axes[["step", "time", "bytes"].index(axis)]
    for line, (label, run) in zip(axes.lines, runs.items(), strict=True):
        table = points(run, "loss", axis)
        scale = scaled_label(axis, max(float(points(one, "loss", axis)["at"].max()) for one in runs.values()))[0]  # pyright: ignore[reportArgumentType]
        assert line.get_label() == label
        assert np.array_equal(np.asarray(line.get_xdata()) * scale, table["at"].to_numpy())
        assert np.array_equal(np.asarray(line.get_ydata()), table["value"].to_numpy())
        assert np.diff(np.asarray(line.get_xdata())).min() >= 0
    assert len(axes.collections) == len(runs)  # a band each, as there are three seeds


def test_one_run_on_three_axes_and_units_at_every_axis(runs: dict[str, Run]) -> None:
    drawn = three_axes({"SGP": runs["SGP"]})
    assert [axes.get_xlabel() for axes in drawn.axes] == ["steps (n gradients each)", "time (s)", "sent by all nodes (MB)"]
    assert drawn.axes[0].get_ylabel() == r"loss $f(\bar{x})$"
    assert all(np.array_equal(axes.lines[0].get_ydata(), drawn.axes[0].lines[0].get_ydata()) for axes in drawn.axes)
    assert not drawn.legends  # nothing to tell apart
    assert len(three_axes(runs).legends) == 1


@pytest.mark.parametrize(
    ("axis", "most", "expected"),
    [
        ("time", 0.02, (1e-3, "time (ms)")),
        ("time", 50.0, (1.0, "time (s)")),
        ("time", 2e4, (3600.0, "time (hours)")),
        ("time", 1e6, (86400.0, "time (days)")),
        ("time", 0.0, (1e-3, "time (ms)")),
        ("bytes", 3e9, (1e9, "sent by all nodes (GB)")),
        ("bytes", 10.0, (1.0, "sent by all nodes (bytes)")),
        ("step", 7.0, (1.0, "steps (n gradients each)")),
    ],
)
def test_axes_are_scaled_to_readable_units(axis: Any, most: float, expected: tuple[float, str]) -> None:
    assert scaled_label(axis, most) == expected


def test_an_unknown_metric_is_refused(runs: dict[str, Run]) -> None:
    with pytest.raises(SpecificationError, match="no metric 'los'"):
        three_axes(runs, "los")


def test_legends_stand_outside_the_axes(runs: dict[str, Run]) -> None:
    drawn = three_axes(runs)
    drawn.draw_without_rendering()
    legend, axes = drawn.legends[0].get_window_extent(), drawn.axes[0].get_window_extent()
    assert legend.y0 >= axes.y1


# -- the timeline


def test_the_timeline_draws_exactly_what_lies_in_its_stretch() -> None:
    spans = [
        (0, 0, "compute", "gradient", 0, 0.0, 2.0),
        (0, 0, "wait", "round 0", 0, 2.0, 3.0),
        (0, 1, "compute", "gradient", 0, 5.0, 9.0),
    ]
    messages = [(0, 0, 1, "round", 0, 2.0, 2.5, 2.6, 8.0)]
    trace = Trace(
        pl.DataFrame(spans, schema=SPAN_SCHEMA, orient="row"),
        pl.DataFrame(messages, schema=MESSAGE_SCHEMA, orient="row"),
    )
    axes = gantt(trace, 1.0, 6.0, mark=4.0, note="here").axes[0]
    boxes = {
        tuple(round(float(side), 6) for side in path.get_extents().extents)
        for bars in axes.collections
        for path in bars.get_paths()
    }
    lower = {(x0, x1, round(y0) if y1 - y0 > 0.3 else "port") for x0, y0, x1, y1 in boxes}
    assert lower == {(1.0, 2.0, 0), (2.0, 3.0, 0), (5.0, 6.0, 1), (2.0, 2.5, "port")}
    assert axes.get_xlim() == (1.0, 6.0) and axes.lines[0].get_xdata()[0] == 4.0  # pyright: ignore[reportIndexIssue]
    assert "here" in [text.get_text() for text in axes.texts]
    assert axes.yaxis_inverted()  # node 0 on top


def test_the_legend_of_a_timeline_names_what_is_there(runs: dict[str, Run]) -> None:
    def names(label: str) -> set[str]:
        trace = runs[label].trace
        assert trace is not None
        return {text.get_text() for text in gantt(trace).legends[0].get_texts()}

    assert names("SGP") == {"computing", "waiting", "sending"}
    assert names("AllReduce-SGD") == {"computing", "waiting", "all-reduce"}
    assert "all-reduce" not in names("AD-PSGD")  # who waits for an answer waits


def test_a_timeline_of_nothing_is_refused(runs: dict[str, Run]) -> None:
    trace = runs["SGP"].trace
    assert trace is not None
    with pytest.raises(SpecificationError, match="shows nothing"):
        gantt(trace, 5.0, 5.0)
    with pytest.raises(SpecificationError, match="no spans"):
        gantt(Trace(trace.spans.clear(), trace.messages))


# -- time to a target


def test_times_to_a_target_by_hand() -> None:
    row = time_to_target({"hand": HAND}, 4.0).row(0, named=True)
    assert (row["seeds"], row["reached"], row["seconds"], row["low"], row["high"], row["steps"], row["bytes"]) == (
        3,
        3,
        2,
        2,
        2.5,
        1,
        10,
    )
    assert time_to_target({"hand": HAND}, 3.0).row(0, named=True)["seconds"] == 3.0  # 2, 3 and never
    row = time_to_target({"hand": HAND}, 2.0).row(0, named=True)
    assert (row["reached"], row["seconds"], row["low"], row["high"]) == (2, 4.0, 3.0, math.inf)
    assert math.isinf(time_to_target({"hand": HAND}, 0.5).row(0, named=True)["seconds"])


def test_times_to_a_target_are_those_of_the_run_itself(runs: dict[str, Run]) -> None:
    target = float(runs["SGP"].curve("loss")["value"].quantile(0.3))  # pyright: ignore[reportArgumentType]
    for label, run in runs.items():
        each = run.time_to(target)["time"].fill_null(math.inf).to_numpy()
        assert time_to_target({label: run}, target).row(0, named=True)["seconds"] == np.median(each)


def test_the_figure_of_times_says_never(runs: dict[str, Run]) -> None:
    assert any("never" in text for text in texts(target_figure(runs, -1.0)))
    assert any("(2 of 3 seeds)" in text for text in texts(target_figure({"hand": HAND}, 2.0)))


def test_all_seeds_lie_inside_the_figure_of_times_and_never_is_an_arrow() -> None:
    rows = [(seed, step, 1.0 * step, 9.0 - 8.0 * (step >= end), 1.0 * step)
            for seed, end in enumerate([1, 1, 1, 1, 30]) for step in range(31)]  # fmt: skip
    (axes,) = target_figure({"one late": made(rows)}, 2.0).axes
    assert axes.get_xlim()[1] > 30.0
    arrows = [line for line in target_figure({"hand": HAND}, 2.0).axes[0].lines if line.get_marker() == ">"]
    assert len(arrows) == 1 and not [line for line in axes.lines if line.get_marker() == ">"]


def test_a_run_that_diverged_is_called_so_and_fills_the_picture(runs: dict[str, Run]) -> None:
    rows = [(0, step, 1.0 * step, 10.0 ** min(step, 300), 1.0 * step) for step in range(900)]
    lost = replace(made(rows), outcome="diverged")
    drawn = three_axes({"lost": lost})
    assert "lost (diverged)" in texts(drawn)
    for axes in drawn.axes:
        assert -1.0 < axes.get_xlim()[0] <= 0.0 < axes.get_xlim()[1] < 10.0
    assert "SGP" not in texts(three_axes({"SGP": runs["SGP"]}))  # a single run that finished needs no legend
    assert max(axes.get_xlim()[1] for axes in three_axes({"lost": lost, **runs}).axes) > 10.0


def test_more_runs_than_colours_are_told_apart(runs: dict[str, Run]) -> None:
    lines = three_axes({f"run {number}": runs["SGP"] for number in range(20)}).axes[0].lines
    assert len({(line.get_color(), str(line._unscaled_dash_pattern)) for line in lines}) == 20  # pyright: ignore


# -- files


def test_files_are_png_and_pdf_and_the_same_each_time(tmp_path: Path, runs: dict[str, Run]) -> None:
    first, second = (save(three_axes(runs), tmp_path / name / "deep" / "curves") for name in ("a", "b"))
    assert [file.name for file in first] == ["curves.png", "curves.pdf"]
    assert first[0].read_bytes()[:4] == b"\x89PNG" and first[1].read_bytes()[:4] == b"%PDF"
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()


# -- words


def test_specifications_in_a_line_leave_defaults_out() -> None:
    assert concise(SGP()) == "SGP()"
    assert concise(OverlapSGP(SGD(), delay=3)) == "OverlapSGP(delay=3)"
    assert concise(Quadratic(NODES, 3, noise=0.5)) == "Quadratic(4, dimension=3, noise=0.5)"
    assert (seconds_told(0.02), seconds_told(9e3), seconds_told(math.inf)) == ("20 ms", "2.5 h", "never")
    assert (bytes_told(102.2e6), bytes_told(12.0), bytes_told(math.inf)) == ("102.2 MB", "12 bytes", "never")


def test_labels_tell_runs_apart_and_are_short(runs: dict[str, Run]) -> None:
    assert list(labels(runs)) == ["SGP", "ADPSGD", "AllReduceSGD"]
    assert list(labels({"folder": runs["SGP"]})) == ["SGP"]
    same = {"one": runs["SGP"], "two": runs["SGP"]}
    assert list(labels(same)) == ["one", "two"]
    changed = dataclasses.replace(runs["SGP"].experiment, budget=Steps(3))
    longer = {"one": runs["SGP"], "two": dataclasses.replace(runs["SGP"], experiment=changed)}
    assert list(labels(longer)) == ["Steps(12)", "Steps(3)"]


def test_tables_hold_the_last_measurement(runs: dict[str, Run]) -> None:
    table = ending(runs["SGP"])
    last = runs["SGP"].curve("loss").sort("step").group_by("seed").last()["value"]
    assert table.filter(pl.col("metric") == "loss")["median"][0] == last.median()
    lines = aligned(table).splitlines()
    assert len(lines) == len(table) + 2 and lines[0].startswith("metric")
    told = dict(about(runs["SGP"]).iter_rows())
    assert told["algorithm"] == "SGP()" and told["outcome"] == "finished" and told["message"].startswith("500 kB")


# -- the report


class Outside(HTMLParser):
    """Collects what a page would load from elsewhere, its images, and its open tags."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        found = dict(attrs)
        if tag == "img":
            self.images.append(found)
        for name in ("src", "href"):
            value = found.get(name)
            if value is not None and not value.startswith("data:"):
                self.loaded.append(value)


def test_the_report_is_one_file_that_loads_nothing(tmp_path: Path, runs: dict[str, Run]) -> None:
    place = write(tmp_path / "new" / "report.html", "Runs", of_runs(runs), "Three methods.")
    parser = Outside()
    parser.feed(place.read_text())
    assert parser.loaded == [] and not {"script", "link", "iframe"} & set(parser.tags)
    assert len(parser.images) == 1 + 2 * len(runs)
    for image in parser.images:
        assert str(image["src"]).startswith("data:image/png;base64,iVBOR") and image["alt"]
    assert parser.tags.count("table") == 2 * len(runs)


def test_words_in_a_report_cannot_become_tags() -> None:
    text = page("a < b", [Section("<script>", ("1 & 2",), (), (pl.DataFrame({"<i>": ["<b>"], "x": [0.123456]}),))])
    assert "<script>" not in text and "&lt;script&gt;" in text and "1 &amp; 2" in text and "<b>" not in text
    assert '<td class="number">0.1235</td>' in text
    picture = Section("", pictures=(Picture(Figure(figsize=(1, 1)), 'say "no"', 0.5),))
    assert 'alt="say &quot;no&quot;"' in page("x", [picture]) and "width: 50%" in page("x", [picture])


def test_a_report_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SpecificationError, match="the report cannot be written"):
        write(tmp_path / "file" / "r.html", "x", [])


def test_a_timeline_opens_with_about_twenty_gradients(runs: dict[str, Run]) -> None:
    trace = runs["SGP"].trace
    assert trace is not None
    whole = float(trace.spans["end"].max())  # pyright: ignore[reportArgumentType]
    assert opening(runs["SGP"]) == whole and opening(runs["SGP"], 6) == pytest.approx(whole / 2)


def test_a_comparison_says_what_its_marks_are_and_which_runs_are_not_whole() -> None:
    seeds = [(0, 0, 0.0, 9.0, 0.0), (0, 1, 2.0, 0.5, 1.0), (1, 0, 0.0, 9.0, 0.0), (1, 1, 2.0, 5.0, 1.0), (2, 0, 0.0, 9.0, 0.0)]
    late = made(seeds)
    short = replace(made(seeds[:2]), outcome="interrupted")
    loaded = replace(made(seeds[:2]), remarks=("LINKS OVERLOADED, so the times of this run are too short: ...",))
    axes = target_figure({"late": late, "short": short, "loaded": loaded}, 1.0).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["late", "short (interrupted)", "loaded (links overloaded)"]
    assert axes.get_title(loc="right") == "bar: median; whisker: quartiles; dots: seeds"
    assert "median: never (1 of 3 seeds)" in [text.get_text().strip() for text in axes.texts]
    assert not target_figure({"one": made(seeds[:2])}, 1.0).axes[0].get_title(loc="right"), "one seed has no quartiles"


def test_a_summary_says_whether_the_target_was_reached() -> None:
    rows = [(0, 0, 0.0, 9.0, 0.0), (0, 1, 2.0, 0.5, 1.0), (1, 0, 0.0, 9.0, 0.0), (1, 1, 2.0, 5.0, 1.0)]
    run = made(rows)
    aimed = replace(run, experiment=replace(run.experiment, budget=TargetLoss(1.0, 1)))
    assert ("target", "loss <= 1 reached by 1 of 2 seeds") in about(aimed).rows()
    assert "target" not in about(run)["item"].to_list()


def test_a_curve_that_leaves_the_picture_at_once_is_seen_to() -> None:
    rows = [(0, step, float(step), 1.0 if step == 0 else 1e9**step, float(step)) for step in range(9)]
    for axes in three_axes({"run": replace(made(rows), outcome="diverged")}).axes:
        assert axes.get_xlim()[1] < 1.5, "the axis ends where the first value outside was measured"


def test_a_drawing_that_is_ended_leaves_the_old_files_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = [file.read_bytes() for file in save(Figure(), tmp_path / "figure")]
    draw = Figure.savefig

    def ended(self: Figure, where: Any, **given: Any) -> None:
        draw(self, where, **given)
        raise KeyboardInterrupt

    monkeypatch.setattr(Figure, "savefig", ended)
    with pytest.raises(KeyboardInterrupt):
        save(Figure((1, 1)), tmp_path / "figure")
    assert [(tmp_path / f"figure.{ending}").read_bytes() for ending in ("png", "pdf")] == before
