"""What needs much memory or time is said before it begins, and refused where it cannot fit."""

from __future__ import annotations

import time
import warnings
from pathlib import Path

import pytest
from test_command_line import SMALL, refused, sgpsim

from sgpsim import cost
from sgpsim.cost import CostWarning, say_edges, say_run
from sgpsim.errors import SpecificationError
from sgpsim.schedules.complete import Complete
from sgpsim.schedules.one_peer_exponential import OnePeerExponential
from sgpsim.schedules.ring import DirectedRing
from sgpsim.schedules.rotating_star import RotatingStar

JOB = {"nodes": 4, "seeds": 1, "dimension": 3, "steps": 100, "itemsize": 8, "measure_every": 1}


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "memory", lambda: 40e9)


def test_a_schedule_of_a_million_nodes_is_said_and_one_too_large_is_refused() -> None:
    begin = time.monotonic()
    with pytest.warns(CostWarning, match=r"OnePeerExponential of 1,048,576 nodes has about 4.2e\+07 edges in 20 rounds"):
        say_edges(OnePeerExponential(1 << 20))
    with pytest.raises(SpecificationError, match=r"needs about .* GB of memory, and this machine has 40"):
        say_edges(Complete(100_000))
    assert time.monotonic() - begin < 10


@pytest.mark.parametrize("schedule", [OnePeerExponential(1024), Complete(900), DirectedRing(100_000), RotatingStar(2000)])
def test_ordinary_schedules_pass_without_a_word(schedule: OnePeerExponential) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        say_edges(schedule)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"steps": 10**9}, "hours"),
        ({"nodes": 10_000, "dimension": 10_000}, "GB"),
        ({"nodes": 1000, "dimension": 1000, "steps": 1000, "trajectory": True}, "with their trajectory"),
        ({"nodes": 10_000, "steps": 1000, "trace": True}, "with their trace"),
    ],
)
def test_runs_of_many_hours_or_much_memory_are_said(changed: dict[str, int], words: str) -> None:
    given = {**JOB, "events": False, "trajectory": False, "trace": False, **changed}
    with pytest.warns(CostWarning, match=words):
        say_run(**given)  # pyright: ignore[reportArgumentType]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        say_run(**{**given, **JOB})  # pyright: ignore[reportArgumentType]


def test_the_command_says_it_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "small.toml").write_text(SMALL)
    monkeypatch.setattr(cost, "SAID_BYTES", 1.0)
    said = sgpsim("run", tmp_path / "small.toml", "--out", tmp_path / "runs")
    assert said.code == 0 and said.err.startswith("sgpsim: a run of 4 nodes x 2 seeds") and said.err.count("\n") == 1
    huge = "nodes=200000", "schedule.type=Complete"
    told = refused(sgpsim("run", tmp_path / "small.toml", *huge, "--out", tmp_path / "runs"))
    assert "Complete of 200,000 nodes" in told
