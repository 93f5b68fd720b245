"""The verdict table: its rows are as declared, controls are caught, and the command line says so."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace

import pytest

import theory.__main__
import theory.cases
from theory import table
from theory.__main__ import main
from theory.case import Case
from theory.cases.standard import standard
from theory.claims import claims
from theory.evidence import Path
from theory.setting import Setting
from theory.theorem import Curve, Hypothesis, Provenance, Theorem
from theory.verdict import Outcome

KEYS = {"claim", "kind", "source", "setting", "verdict", "slack", "seconds"}
CONTROLS = {
    "row-stochastic matrix",
    "gradient at x instead of z",
    "step on z",
    "dropped message",
    "biased overlap",
    "no communication",
    "own-node bound",
    "diameter only",
    "n not a power of two",
    "constant divided",
}


@pytest.fixture(scope="module")
def rows() -> list[table.Row]:
    return table.verdict_table(fast=True)


def test_the_fast_table_is_as_declared(rows: list[table.Row]) -> None:
    assert [(row.claim, row.setting, row.verdict.label) for row in rows if not row.as_declared] == []


def test_every_claim_is_judged_and_holds_somewhere() -> None:
    held = {case.claim.name for case in table.all_cases() if case.declared in (Outcome.HOLDS, Outcome.CONSISTENT) and not case.control}
    assert set(claims()) <= held


def test_every_control_is_caught_beside_a_right_row(rows: list[table.Row]) -> None:
    groups: dict[str, list[table.Row]] = defaultdict(list)
    for row in rows:
        if row.group:
            groups[row.group].append(row)
    assert set(groups) == CONTROLS
    for name, group in groups.items():
        caught = [row for row in group if row.control]
        right = [row for row in group if row.verdict.outcome in (Outcome.HOLDS, Outcome.CONSISTENT)]
        assert caught and right, name
        assert all(row.verdict.outcome in (Outcome.VIOLATED, Outcome.INCONSISTENT) for row in caught), name


def test_slack_of_what_holds_is_at_most_one(rows: list[table.Row]) -> None:
    for row in rows:
        if row.verdict.outcome is Outcome.HOLDS and row.kind in ("pathwise", "expectation"):
            assert row.verdict.slack is not None and row.verdict.slack <= 1 + 1e-9, row.claim


def few(monkeypatch: pytest.MonkeyPatch, spoil: bool) -> None:
    """Make the command line see four quick rows, one of them with a false declaration if `spoil`."""
    chosen: list[Case] = [case for case in table.all_cases(True) if case.group in ("diameter only", "biased overlap")]
    if spoil:
        chosen[0] = replace(chosen[0], declared=Outcome.VIOLATED)
    monkeypatch.setattr(theory.__main__, "all_cases", lambda fast=False: chosen)


def test_the_command_ends_with_0_and_prints_every_row(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    few(monkeypatch, spoil=False)
    assert main([]) == 0
    told = capsys.readouterr().out
    assert "positivity time" in told and "VIOLATED" in told and "0 not as declared" in told


def test_the_command_ends_with_1_where_a_verdict_is_not_the_declared_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few(monkeypatch, spoil=True)
    assert main([]) == 1
    assert "declared VIOLATED" in " ".join(capsys.readouterr().out.split())
    assert main(["--json"]) == 1


def test_json_is_a_list_of_objects(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    few(monkeypatch, spoil=False)
    assert main(["--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, list) and len(found) == 4
    assert all(set(row) >= KEYS for row in found)
    assert {row["verdict"] for row in found} == {"HOLDS", "VIOLATED"}


def test_verify_shows_one_claim_with_its_hypotheses(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "positivity time", "--fast"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    for words in ("every node keeps a share", "smallest own share", "(n-1) B + B - 1", "derived", "rotating star", "HOLDS"):
        assert words in told
    assert main(["verify", "d2", "--fast", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    conditions = [h for h in found[0]["hypotheses"] if h["sentence"].startswith("K >= condition")]
    assert len(conditions) == 3 and all("needed" in condition["evidence"] for condition in conditions)


def test_an_unknown_claim_ends_with_2_and_offers_a_near_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "kernel contration"]) == 2
    assert "kernel contraction" in capsys.readouterr().err
    assert main(["verify", "rate"]) == 2, "more than one"


@pytest.mark.slow
def test_the_whole_table_is_as_declared() -> None:
    found = table.verdict_table()
    assert [(row.claim, row.setting, row.verdict.label) for row in found if not row.as_declared] == []


class Fresh(Theorem):
    """sum_i w_i = n: a claim that somebody has just added."""

    name = "fresh"
    kind = "pathwise"
    provenance: Provenance = "derived"
    source = "this test"

    def hypotheses(self, setting: Setting) -> list[Hypothesis]:
        return []

    def predicted(self, setting: Setting, evidence: Path) -> Curve:
        return Curve.of("step", 0, setting.nodes + 1e-9)

    def measured(self, setting: Setting, evidence: Path) -> Curve:
        return Curve.of("step", 0, evidence.weights.sum(axis=1).max())


def test_a_new_claim_is_in_the_table_as_soon_as_it_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(theory.cases, "claims", lambda: claims() | {"fresh": Fresh()})
    added = [case for case in table.all_cases() if case.claim.name == "fresh"]
    assert len(added) == 1
    assert table.judge(added)[0].as_declared


@pytest.mark.parametrize("kind", ["pathwise", "expectation", "asymptotic", "distribution"])
def test_the_standard_setting_serves_every_kind(kind: str) -> None:
    chosen = {"pathwise": "I1 average step", "expectation": "D1", "asymptotic": "rate in steps", "distribution": "barrier H_n"}
    assert table.judge([standard(claims()[chosen[kind]])])[0].as_declared
