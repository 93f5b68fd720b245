"""ARCHITECTURE.md is what the imports say, imports go in no new circle, and tokens are counted as they are said to be."""

from __future__ import annotations

import networkx as nx
import pytest
from architecture import PAGE, House, circle_lines, first_sentence, out_of_date, page, tokens

CURE = "run `python tests/architecture.py --write`"

KNOWN_CIRCLES = (
    {"node", "guarded_node", "vectorized"},
    {"gathering", "process", "assembly", "torch_distributed", "node"},
    {"simulated", "node"},
)
"""Circles of modules as they were when this test was written, by the last part of their names. Take names away, never add."""


@pytest.fixture(scope="module")
def house() -> House:
    return House()


@pytest.fixture(scope="module")
def made(house: House) -> str:
    return page(house)


def unknown(circles: list[list[str]]) -> list[list[str]]:
    """Those that are no part of a known one."""
    last = [{name.rpartition(".")[2] for name in circle} for circle in circles]
    return [
        circle
        for circle, names in zip(circles, last, strict=True)
        if not any(names <= known for known in KNOWN_CIRCLES)
    ]


def test_the_page_is_what_the_imports_say(made: str) -> None:
    differing = out_of_date(PAGE.read_text(encoding="utf-8"), made)
    assert not differing, f"ARCHITECTURE.md is out of date: {CURE}\n" + "\n".join(differing)


def test_a_page_without_a_module_or_with_old_sizes_is_out_of_date(made: str) -> None:
    line = next(line for line in made.splitlines() if line.startswith("- `sgp`"))
    size = next(line for line in made.splitlines() if line.startswith("sgpsim/algorithms/"))
    number = size.split()[-1]
    assert out_of_date(made.replace(line, ""), made) == [f"+ {line}"]
    assert out_of_date(made.replace(number, f"{int(number.replace(',', '')) * 2:,}"), made)
    assert not out_of_date(made.replace(number, f"{int(number.replace(',', '')) + 3:,}"), made)


def test_imports_go_in_no_new_circle(house: House) -> None:
    assert not house.room_circles(), circle_lines(house)
    assert not unknown(house.circles()), circle_lines(house)
    assert unknown([["sgpsim.mass", "sgpsim.node"]]), "the control: a circle that was not there"
    assert unknown([["a.simulated", "a.simulated_node", "sgpsim.mass"]]), "the control: a known one that grew"


def test_a_circle_of_rooms_is_seen() -> None:
    turned = House()
    both_ways = [("sgpsim.descents.sgd", "sgpsim.algorithms.sgp"), ("sgpsim.algorithms.adpsgd", "sgpsim.descents.adam")]
    turned.imports = nx.DiGraph(both_ways)
    turned.imports.add_nodes_from(["sgpsim", "sgpsim.descents", "sgpsim.algorithms"])
    assert turned.room_circles() == [["sgpsim.algorithms", "sgpsim.descents"]]
    assert turned.circles() == []


def test_tokens_are_names_numbers_operators_and_strings() -> None:
    assert tokens("x = 1") == 3
    assert tokens('"""What it is."""\n\n# why\nx = f(1, "a")  # and how\n') == 8
    assert tokens('def f():\n    """Doc."""\n    return f"{x + 1} b"\n') == 7, "an f-string is one, in every Python"
    assert tokens('X = 1\n"""What X is."""\n"a".join(b)\n') == 9, "a string that begins an expression counts"


def test_the_first_sentence_ends_where_the_second_begins() -> None:
    text = '"""Mass: a pair, e.g. (x, w), of two\nnumbers. The rule: none."""'
    assert first_sentence(text) == "Mass: a pair, e.g. (x, w), of two numbers."
