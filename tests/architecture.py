"""The map of the house, made from its imports: `python tests/architecture.py` prints the circles, `--write` writes
ARCHITECTURE.md, `--tokens` prints the size of each room.

The rule: nothing on the page is typed by hand. A room is a folder with modules; a module that stands beside rooms counts
for itself where circles are looked for. Imports inside functions and those for type checkers count like all others.
Tokens are names, numbers, operators and strings: what a reader has to take in, without comments, docstrings and layout.
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import grimp
import networkx as nx

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "ARCHITECTURE.md"
PACKAGES = ("sgpsim", "theory", "studies")
COUNTED = {tokenize.NAME, tokenize.NUMBER, tokenize.OP, tokenize.STRING}
OPENING = getattr(tokenize, "FSTRING_START", None)
"""From Python 3.12 on an f-string is many tokens; it counts as the one string that it was before."""
CLOSING = getattr(tokenize, "FSTRING_END", None)
LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.ENCODING}
LINE_ENDS = {tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}


def tokens(text: str) -> int:
    """How many names, numbers, operators and strings Python source has; a string that is a statement is documentation."""
    count = depth = 0
    before, pending = tokenize.NEWLINE, False
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in LAYOUT:
            continue
        if OPENING is not None and token.type in (OPENING, CLOSING):
            count += token.type == OPENING and depth == 0
            depth += 1 if token.type == OPENING else -1
        elif depth == 0:
            count += pending and token.type != tokenize.NEWLINE  # the string before was part of an expression
            pending = token.type == tokenize.STRING and before in LINE_ENDS
            count += token.type in COUNTED and not pending
        before = token.type
    return count


def first_sentence(text: str) -> str:
    """Of the docstring of Python source, on one line."""
    paragraph = " ".join((ast.get_docstring(ast.parse(text)) or "").split("\n\n")[0].split())
    return re.split(r"(?<=[.?!])\s+(?=[A-Z`*])", paragraph, maxsplit=1)[0]


@dataclass(frozen=True)
class Module:
    """name: dotted. room: dotted name of its folder. file: from the repository's root."""

    name: str
    room: str
    file: str
    sentence: str
    lines: int
    tokens: int


class House:
    """All modules of the three packages, and who imports whom."""

    @cached_property
    def imports(self) -> nx.DiGraph[str]:
        """An arc from each module to each that it imports."""
        known = grimp.build_graph(*PACKAGES, exclude_type_checking_imports=False, cache_dir=None)
        graph: nx.DiGraph[str] = nx.DiGraph()
        graph.add_nodes_from(sorted(known.modules))
        for name in sorted(known.modules):
            graph.add_edges_from((name, other) for other in sorted(known.find_modules_directly_imported_by(name)))
        return graph

    @cached_property
    def modules(self) -> dict[str, Module]:
        return {name: self._module(name) for name in sorted(self.imports)}

    def _module(self, name: str) -> Module:
        folder = ROOT.joinpath(*name.split("."))
        path = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
        text = path.read_text(encoding="utf-8")
        room = name if folder.is_dir() else name.rpartition(".")[0]
        return Module(
            name, room, str(path.relative_to(ROOT)), first_sentence(text), len(text.splitlines()), tokens(text)
        )

    @cached_property
    def rooms(self) -> dict[str, list[Module]]:
        """Modules by the folder in which they stand."""
        rooms = sorted(
            {module.room for module in self.modules.values()},
            key=lambda room: (PACKAGES.index(room.split(".")[0]), room),
        )
        return {room: [module for module in self.modules.values() if module.room == room] for room in rooms}

    def holds_rooms(self, room: str) -> bool:
        return any(other.startswith(f"{room}.") for other in self.rooms)

    @cached_property
    def room_imports(self) -> nx.DiGraph[str]:
        """An arc from each room to each other room of which it imports a module."""
        return self._merged({name: module.room for name, module in self.modules.items()})

    def circles(self) -> list[list[str]]:
        """Sets of modules that import one another, however far around."""
        return _circles(self.imports)

    def room_circles(self) -> list[list[str]]:
        """The same of rooms; what stands beside rooms (an entry point, an interface of several rooms) is no room."""
        units = {name: name if self.holds_rooms(module.room) else module.room for name, module in self.modules.items()}
        return _circles(self._merged(units))

    def _merged(self, units: dict[str, str]) -> nx.DiGraph[str]:
        graph: nx.DiGraph[str] = nx.DiGraph()
        graph.add_nodes_from(dict.fromkeys(units.values()))
        graph.add_edges_from(
            (units[one], units[other]) for one, other in self.imports.edges if units[one] != units[other]
        )
        return graph


def _circles(graph: nx.DiGraph[str]) -> list[list[str]]:
    return sorted(sorted(circle) for circle in nx.strongly_connected_components(graph) if len(circle) > 1)


def size_table(house: House, exact: bool = False) -> str:
    """Modules, lines and tokens per room and package; `exact`: to the last digit, and of the tests too."""
    rows: list[tuple[str, int, int, int]] = []
    for package in PACKAGES:
        inside = [room for room in house.rooms if room.split(".")[0] == package]
        rows += [_sizes(_path(room), house.rooms[room]) for room in inside]
        if len(inside) > 1:
            rows.append(_sizes(f"all of {package}/", (module for room in inside for module in house.rooms[room])))
    if exact:
        texts = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "tests").glob("*.py"))]
        rows.append(("tests/", len(texts), sum(len(text.splitlines()) for text in texts), sum(map(tokens, texts))))
    else:
        rows = [(name, count, _two_digits(lines), _two_digits(number)) for name, count, lines, number in rows]
    width = max(len(row[0]) for row in rows)
    head = f"{'room':{width}} {'modules':>8} {'lines':>8} {'tokens':>8}"
    return "\n".join(
        [head, *(f"{name:{width}} {count:8,} {lines:8,} {number:8,}" for name, count, lines, number in rows)]
    )


def _sizes(name: str, modules: Iterable[Module]) -> tuple[str, int, int, int]:
    inside = list(modules)
    return name, len(inside), sum(module.lines for module in inside), sum(module.tokens for module in inside)


def _two_digits(size: int) -> int:
    return int(float(f"{size:.1e}"))


def _path(room: str) -> str:
    return room.replace(".", "/") + "/"


def circle_lines(house: House) -> list[str]:
    """What goes in circles, one line each."""
    rooms = [f"rooms: {', '.join(circle)}" for circle in house.room_circles()]
    return [*rooms, *(f"modules: {', '.join(circle)}" for circle in house.circles())]


def picture(house: House) -> str:
    """Rooms as a mermaid graph, each above what it imports; an arrow that follows from others is left out."""
    rooms = [room for room in house.rooms if not house.holds_rooms(room)]
    graph = house.room_imports.subgraph(rooms)
    merged = nx.condensation(graph)  # circles of rooms, should there be any, stand in one box
    boxes = {number: "<br>".join(sorted(_path(room) for room in merged.nodes[number]["members"])) for number in merged}
    keys = {number: min(merged.nodes[number]["members"]).replace(".", "_") for number in merged}
    arrows = nx.transitive_reduction(merged).edges
    lines = sorted(f'    {keys[number]}["{box}"]' for number, box in boxes.items())
    return "\n".join(
        [
            "```mermaid",
            "flowchart TD",
            *lines,
            *sorted(f"    {keys[one]} --> {keys[other]}" for one, other in arrows),
            "```",
        ]
    )


def page(house: House) -> str:
    """ARCHITECTURE.md."""
    return "\n".join(_page(house)).rstrip() + "\n"


def _page(house: House) -> Iterator[str]:
    yield "# Architecture"
    yield ""
    yield "Made from the imports by `make architecture` (`python tests/architecture.py --write`); do not edit. A room is a folder;"
    yield "the sentences are the first of each module. How to add a part: [CONTRIBUTING.md](CONTRIBUTING.md)."
    yield ""
    yield "Each room stands above the rooms that it imports; an arrow that follows from others is left out, and so is what stands"
    yield f"beside rooms, in {', '.join(f'`{_path(room)}`' for room in house.rooms if house.holds_rooms(room))} themselves."
    yield ""
    yield picture(house)
    yield ""
    circles = circle_lines(house)
    yield "Imports that go in a circle, those for type checkers included" + (":" if circles else ": none.")
    yield ""
    for line in circles:
        yield f"- {line}"
    yield ""
    yield "Sizes to two digits, so that small changes leave this page alone (`make tokens`: to the last):"
    yield ""
    yield "```"
    yield size_table(house)
    yield "```"
    for room, modules in house.rooms.items():
        yield ""
        yield f"## {_path(room)}"
        yield ""
        yield modules[0].sentence
        used = sorted(house.room_imports.successors(room))
        users = sorted(house.room_imports.predecessors(room))
        for word, others in (("Imports", used), ("Imported by", users)):
            if others:
                yield ""
                yield f"{word}: {', '.join(_path(other).rstrip('/') for other in others)}."
        yield ""
        for module in modules[1:]:
            yield f"- `{module.name.rpartition('.')[2]}`: {module.sentence}"


def out_of_date(written: str, made: str, slack: float = 0.15) -> list[str]:
    """The lines in which the page as it stands differs from the page as it would be made. Sizes count as equal within `slack`: a
    page that every change outdates is one that nobody keeps."""
    figure = re.compile(r"(?<![\w.])\d[\d,]*(?=\s|$)")
    then, now = ([line for line in text.splitlines() if line] for text in (written, made))
    bare_then, bare_now = ([" ".join(figure.sub("#", line).split()) for line in lines] for lines in (then, now))
    if bare_then != bare_now:
        gone = [f"- {line}" for line in bare_then if line not in bare_now]
        new = [f"+ {line}" for line in bare_now if line not in bare_then]
        return [*gone, *new] or ["the order of lines"]

    def near(one: str, other: str) -> bool:
        numbers = zip(figure.findall(one), figure.findall(other), strict=True)
        pairs = [(int(first.replace(",", "")), int(second.replace(",", ""))) for first, second in numbers]
        return all(abs(first - second) <= slack * second for first, second in pairs)

    return [f"- {one}\n+ {other}" for one, other in zip(then, now, strict=True) if not near(one, other)]


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0."""
    parser = argparse.ArgumentParser(description="Which rooms there are, and who imports whom.")
    parser.add_argument("--write", action="store_true", help="write ARCHITECTURE.md")
    parser.add_argument("--tokens", action="store_true", help="print modules, lines and tokens per room")
    options = parser.parse_args(arguments)
    house = House()
    if options.write:
        PAGE.write_text(page(house), encoding="utf-8")
    if options.tokens:
        print(size_table(house, exact=True))
    else:
        print("\n".join(circle_lines(house)) or "no import goes in a circle")
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))  # this tree, whatever is installed
    sys.exit(main())
