"""`python -m theory`: the verdict table; `verify NAME`: one claim with its hypotheses; `judge RUN`: every claim about one
run; `mixing`: a schedule or a matrix looked at.

The rule: exit code 0 if everything is as it should be, 1 if a verdict is not the declared one or an assumption
fails, 2 if the input is malformed.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import tyro
from rich.console import Console
from rich.table import Table

from sgpsim.__main__ import written
from sgpsim.errors import SpecificationError, nearest
from sgpsim.schedules.schedule import Schedule
from theory import judge_command
from theory.printing import judging, width
from theory.table import Row, all_cases, judge


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        if given[:1] == ["judge"]:  # the command that `sgpsim judge` is too
            return tyro.cli(judge_command.main, prog="python -m theory judge", args=given[1:])
        options = _parser().parse_args(given)
        match options.command:
            case "mixing":
                return _mixing(options)
            case "verify":
                return _verify(options)
            case _:
                return _table(options)
    except SpecificationError as error:
        print(f"theory: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m theory", description="Claims about stochastic gradient push, judged.")
    parser.add_argument("--json", action="store_true", help="print a list of objects instead of a table")
    parser.add_argument("--fast", action="store_true", help="leave out the rows that take more than a second or two")
    commands = parser.add_subparsers(dest="command")
    one = commands.add_parser("verify", help="one claim with its hypotheses, in all its settings")
    one.add_argument("name", help="the claim's name or its beginning, such as D1 or 'kernel contraction'")
    one.add_argument("--json", action="store_true", help="print a list of objects instead of tables")
    one.add_argument("--fast", action="store_true", help="leave out the rows that take more than a second or two")
    commands.add_parser("judge", help="every claim asked about one run, a folder or a TOML file")
    look = commands.add_parser("mixing", help="what a schedule's matrices, or one's own, do to averaging")
    look.add_argument("schedule", nargs="?", help="a schedule's name, such as OnePeerExponential or one-peer-exponential")
    look.add_argument("--size", type=int, help="number of nodes of that schedule")
    look.add_argument("--with", dest="extra", action="append", default=[], metavar="FIELD=VALUE",
                      help="a further field of that schedule, such as probability=0.3")  # fmt: skip
    look.add_argument("--matrix", metavar="FILE",
                      help="a .npy, .npz, .csv or .txt with P[receiver, sender]; the first two also with a stack of such")  # fmt: skip
    look.add_argument("--rounds", type=int, help="how many rounds to look at; by default enough for the weights to settle")
    look.add_argument("--figure", type=Path, metavar="FILE", help="draw contraction against the bound")
    look.add_argument("--json", action="store_true", help="print one object instead of tables")
    return parser


def _table(options: argparse.Namespace) -> int:
    rows = _judged(all_cases(options.fast))
    if options.json:
        print(json.dumps([row.plain() for row in rows], indent=1))
    else:
        Console(width=width()).print(_as_table(rows))
        wrong = [row for row in rows if not row.as_declared]
        print(f"{len(rows)} rows, {len(wrong)} not as declared, {sum(row.seconds for row in rows):.0f} s")
    return 0 if all(row.as_declared for row in rows) else 1


def _verify(options: argparse.Namespace) -> int:
    cases = all_cases(options.fast)
    name = _known(options.name, sorted({case.claim.name for case in cases}))
    chosen = [case for case in cases if case.claim.name == name]
    rows = _judged(chosen)
    if options.json:
        print(json.dumps([row.plain() | {"hypotheses": _hypotheses(row)} for row in rows], indent=1))
        return 0 if all(row.as_declared for row in rows) else 1
    console, claim = Console(width=width()), chosen[0].claim
    console.print(f"[bold]{claim.name}[/]  ({claim.kind}, {claim.provenance})", highlight=False)
    console.print(claim.statement, highlight=False, markup=False)
    console.print(f"source: {claim.source}\n", highlight=False, markup=False)
    for row in rows:
        console.print(f"[bold]{row.setting}[/]: {_coloured(row)}", highlight=False)
        console.print(f"  {row.verdict.sentence}", highlight=False, markup=False)
        for hypothesis in _hypotheses(row):
            line = f"  {hypothesis['status']:8}{hypothesis['sentence']}: {hypothesis['evidence']}"
            console.print(line, highlight=False, markup=False)
    return 0 if all(row.as_declared for row in rows) else 1


def _mixing(options: argparse.Namespace) -> int:
    from theory.mixing import mixing
    from theory.mixing_report import draw, plain, show

    schedule, title = _asked_schedule(options)
    if options.rounds is not None and options.rounds < 2:
        raise SpecificationError(f"--rounds is {options.rounds}; it must be at least 2. Leave it out, or give such as 200.")
    if options.figure is not None:
        _require_drawable(options.figure)
    began = time.perf_counter()
    found = mixing(schedule, title, options.rounds)
    seconds, megabytes = time.perf_counter() - began, _peak_megabytes()
    if options.figure is not None:
        draw(found, options.figure)
    if options.json:
        print(json.dumps(plain(found) | {"seconds": seconds, "peak_megabytes": megabytes}, indent=1))
    else:
        show(found, Console(width=width()))
        print(f"{seconds:.1f} s; the process took at most {megabytes:.0f} MB of memory")
    return 0 if found.passed else 1


def _peak_megabytes() -> float:
    """The most memory that this process has held at once, in 10^6 bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6  # bytes there, KiB elsewhere


def _require_drawable(file: Path) -> None:
    """Raise SpecificationError unless a figure can be written to `file`."""
    from matplotlib.backend_bases import FigureCanvasBase

    known = sorted(FigureCanvasBase.get_supported_filetypes())
    if file.suffix.lstrip(".").lower() not in known:
        raise SpecificationError(f"--figure is {str(file)!r}; its ending must be one of {', '.join(known)}. Give such as contraction.png.")
    try:
        with file.open("ab"):
            pass
    except OSError as error:
        sentence = f"--figure {str(file)!r} cannot be written ({error.strerror}). Give a file in a folder that is there."
        raise SpecificationError(sentence) from None


def _asked_schedule(options: argparse.Namespace) -> tuple[Schedule, str]:
    """The schedule that the command line names, and how to call it."""
    from sgpsim.schedules.matrix_file import MatrixFile
    from sgpsim.specification.catalogue import implementations

    if (options.matrix is None) == (options.schedule is None):
        raise SpecificationError("theory mixing looks at one thing: a schedule with --size N, or --matrix FILE. Give one of them.")
    if options.matrix is not None:
        return MatrixFile(options.matrix), Path(options.matrix).name
    known = implementations(Schedule)
    kind = known[_known(options.schedule, list(known))]
    wanted = {field.name: field for field in fields(kind) if field.init}
    given: dict[str, Any] = {} if options.size is None else {"size": options.size}
    for text in options.extra:
        name, _, value = text.partition("=")
        try:
            given[name] = json.loads(value)
        except json.JSONDecodeError:
            given[name] = value
    for name in given:
        if name not in wanted:
            raise SpecificationError(f"{kind.__name__} has no field {name!r}; {nearest(name, wanted)}")
    missing = [n for n, f in wanted.items() if n not in given and f.default is MISSING and f.default_factory is MISSING]
    if missing:
        option = "--size N" if missing[0] == "size" else f"--with {missing[0]}=VALUE"
        raise SpecificationError(f"{kind.__name__} needs its field {missing[0]!r}, which has no default. Give {option}.")
    schedule = kind(**given)
    arguments = ", ".join(f"{name}={value}" for name, value in given.items())
    return schedule, f"{kind.__name__}({arguments})"


def _known(name: str, names: list[str]) -> str:
    """The name that is meant: the same but for case and punctuation, or the only one that begins so."""

    def bare(word: str) -> str:
        return "".join(letter for letter in word.lower() if letter.isalnum())

    same = [known for known in names if bare(known) == bare(name)]
    begins = same or [known for known in names if bare(known).startswith(bare(name))]
    if len(begins) != 1:
        raise SpecificationError(f"{name!r} names {'nothing' if not begins else 'more than one'}; {nearest(name, begins or names)}")
    return begins[0]


def _judged(cases: list[Any]) -> list[Row]:
    """Judge with a progress bar."""
    with judging() as progress:
        return judge(cases, progress)


def _as_table(rows: list[Row]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("claim", "kind", "source", "setting", "verdict"):
        table.add_column(name, overflow="fold")
    table.add_column("slack", justify="right")
    table.add_column("seconds", justify="right")
    for number, row in enumerate(rows):
        if row.group and not rows[number - 1].group:
            table.add_section()
            table.add_row("[bold]controls, each beside the right one[/]")
        slack = "" if row.verdict.slack is None else f"{row.verdict.slack:.3g}"
        source = f"{row.provenance}: {row.source.split(';')[0]}"
        table.add_row(row.claim, row.kind, source, row.setting, _coloured(row), slack, f"{row.seconds:.2f}")
    return table


def _coloured(row: Row) -> str:
    """The verdict; green as declared, and if not, red with what was declared."""
    if row.as_declared:
        return f"[{'yellow' if row.control else 'green'}]{row.verdict.label}[/]"
    return f"[bold red]{row.verdict.label}, declared {row.declared.value}[/]"


def _hypotheses(row: Row) -> list[dict[str, str]]:
    return [{"sentence": h.sentence, "status": h.status, "evidence": h.evidence, "grade": h.grade} for h in row.verdict.hypotheses]


if __name__ == "__main__":
    sys.exit(written(main, "theory"))
