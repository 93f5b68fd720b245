"""Tests that every example and every algorithm still computes what it did when its golden row was written."""

from __future__ import annotations

import copy

import golden_rows
import pytest

WRITTEN = golden_rows.written()
EXACT = WRITTEN["arithmetic"] == golden_rows.arithmetic()


@pytest.mark.parametrize("name", sorted(golden_rows.jobs()))
def test_what_was_written_comes_out_again(name: str) -> None:
    assert name in WRITTEN["rows"], "run `python tests/golden_rows.py`, look at the new row, and commit it"
    now = golden_rows.row(golden_rows.jobs()[name])
    assert golden_rows.differences(name, now, WRITTEN["rows"][name], EXACT) == []


def test_no_row_outlives_its_job() -> None:
    assert set(WRITTEN["rows"]) == set(golden_rows.jobs())


def test_a_number_that_moved_shows() -> None:
    name, row = next((name, row) for name, row in WRITTEN["rows"].items() if row is not None)
    moved = copy.deepcopy(row)
    moved["figures"]["last clock"] *= 1 + 1e-8
    moved["values"] = "0" * 16
    assert len(golden_rows.differences(name, moved, row, exact=True)) == 2
    assert len(golden_rows.differences(name, moved, row, exact=False)) == 1
    assert golden_rows.differences(name, None, row, exact=True)
