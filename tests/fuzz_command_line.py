"""A fuzzer of the three command lines: one to three places of a good command become odd, and the command must end in an
answer or in one sentence.

The rule: a case is a seed and a number, which decide everything, so that a finding is a line to run again. Whatever
leaves a command as an exception, takes over SECONDS, or ends with exit code 2 and no sentence, is a finding.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
from fuzz_constructors import Finding, _limited

from sgpsim.__main__ import main as sgpsim_main
from sgpsim.__main__ import written
from sgpsim.errors import shown
from studies.__main__ import main as studies_main
from theory.__main__ import main as theory_main

TEXT = """nodes = 2
seeds = [0, 1]
algorithm = "SGP"
objective = {type = "Quadratic", dimension = 2}
schedule = "DirectedRing"
budget = {type = "Steps", count = 2}
"""
NUMBERS = (
    *("0", "1", "2", "3", "-1", "-0", "7", "1.5", "1e3", "1e400", "-1e400", "5e-324", "nan", "inf", "-inf", "1_0",
        "0x10", "1e", "٣"),
    *("9223372036854775807", "9223372036854775808", "1000000000000000000", "9" * 400, "1e-320", "+1", " 1", "1 ",
        "½", "1j", "True", "none", "None"),
)
WORDS = (
    *("", " ", "x", "--", "-", "-x", "--x", "--out", "é", "\udc80", "a\nb", "[/]", "[bold]", "[link=x]", "{}", "%s",
        "a" * 300, "loss", "accuracy"),
    *("../x", ".", "..", "/", "a/b", "=", "=1", "a=", "a=b", "a=b=c", "None", "null", "true", "[]", "[1,", '"', "'",
        "\\", "$HOME", "~", "*", "\x1b[31m"),
)
PATHS = ("/dev/null", "/dev/full", "/proc/self/mem", "job.toml", "runs", "missing", "missing/deeper.png", "P.npy",
    "P.csv", "P.txt", "x.png", "x.pdf", "x.svg")
FIELDS = (
    *("nodes", "seeds", "algorithm", "algorithm.type", "algorithm.descent", "algorithm.descent.step_size",
        "objective.type", "objective.dimension"),
    *("schedule.type", "schedule.seed", "budget.count", "budget.type", "cluster.preset", "cluster.job",
        "cluster.noise", "cluster.network.latency"),
    *("backend.type", "backend.monitor", "measure_every", "dtype", "start", "message_bytes", "name", "x", "", ".",
        "nodes.x", "seeds.0", "objective"),
)
VALUES = ("{}", "[]", "{type=1}", '{type="SGD"}', "[[1]]", "[0, 0]", '"float32"', '"SGP"', "1979-05-27", "true",
    '""', "-0.0", "0b1", "1e5")
SCHEDULES = ("DirectedRing", "OnePeerExponential", "one-peer-exponential", "ErdosRenyi", "RandomRegular", "Torus",
    "Matrices", "MatrixFile", "Periodic", "o")
FAMILIES = ("Schedule", "schedule", "Objective", "Algorithm", "Budget", "Backend")


class Command(NamedTuple):
    """One good command. program: which. words: its arguments; a tuple names the kinds of odd words for that place, its
    good word first."""

    program: str
    words: tuple[str | tuple[str, tuple[str, ...]], ...]


Called = Callable[[str, list[str]], tuple[int, str, str]]
ANY = (*NUMBERS, *WORDS, *PATHS)
COMMANDS = (
    Command("sgpsim", ("run", ("job.toml", ANY), ("nodes=2", ()), "--out", ("out", ANY))),
    *(Command("sgpsim", ("run", "job.toml", ("budget.count=1", ()), ("nodes=2", ()))) for _ in range(4)),
    Command("sgpsim", ("run", "job.toml", "--backend", ("simulated", (*ANY, "torch", "Vectorized", "auto")))),
    Command("sgpsim", ("run", ("RUN", ANY))),
    Command("sgpsim", ("show", ("RUN", ANY), "--out", ("shown", ANY), "--start", ("0", ANY), "--end", ("1", ANY))),
    Command("sgpsim", ("compare", ("RUN", ANY), "--target", ("0.5", ANY), "--metric", ("loss", ANY), "--out",
        ("compared", ANY))),
    Command("sgpsim", ("trace", ("RUN", ANY), "--out", ("t.json", ANY), "--seed", ("0", ANY))),
    Command("sgpsim", ("report", ("RUN", ANY), "--out", ("r.html", ANY), "--title", ("Runs", ANY))),
    Command("sgpsim", ("list", ("Budget", (*ANY, *FAMILIES)))),
    Command("sgpsim", (("list", ANY), ("Budget", ANY))),
    Command("sgpsim", ("launch", "job.toml", ("nodes=3", ("nodes=0", "nodes=x")), "--processes", ("5", (*WORDS, "0",
        "-1", "7", "1.5", "nan")))),
    Command("sgpsim", ("launch", "job.toml", "--processes", "7", "--timeout", ("9", ANY), "--out", ("launched", ANY))),
    *(
        Command("theory", ("mixing", ("DirectedRing", (*ANY, *SCHEDULES)), "--size", ("3", ANY), "--with", ("seed=1",
        ()), "--rounds", ("5", ANY)))
        for _ in range(2)
    ),
    Command("theory", ("mixing", ("DirectedRing", SCHEDULES), "--size", ("4", ("1", "2", "7", "8")), "--with",
        ("seed=1", ()), "--json")),
    Command("theory", ("mixing", "--matrix", ("P.npy", ANY), "--rounds", ("5", ANY))),
    Command("theory", ("mixing", "DirectedRing", "--size", ("3", ANY), "--figure", ("f.png", ANY))),
    Command("theory", ("verify", ("x", (*WORDS, "1", "I", "D", "wrong")), "--fast")),
    Command("theory", (("mixing", ANY), ("DirectedRing", ANY))),
    Command("studies", (("x", WORDS), "--fast", "--out", ("studied", ANY))),
    Command("studies", ("bench", "--only", "no such row", "--pairs", ("1", NUMBERS))),
    Command("studies", ("mixing_table", ("x", (*WORDS, "-f")), ("y", WORDS))),
    Command("studies", ("--list", ("x", ANY))),
)
PROGRAMS: dict[str, Callable[[list[str]], int]] = {"theory": theory_main, "studies": studies_main}


def _override(chance: random.Random) -> str:
    return f"{chance.choice(FIELDS)}{chance.choice(('=', '=', '=', '=', '', '=='))}{chance.choice((*NUMBERS, *WORDS, *VALUES))}"


def _with(chance: random.Random) -> str:
    field = chance.choice(("seed", "size", "probability", "degree", "matrices", "schedules", "file", "path", "x", "", "connected"))
    return f"{field}={chance.choice((*NUMBERS, *WORDS, *VALUES, '[[1.0]]', '[[[1]]]', '0.5', '[1]'))}"


def command(chance: random.Random, run: str) -> tuple[str, list[str]]:
    """A program and its arguments, of which one to three are odd."""
    program, words = chance.choice(COMMANDS)
    places = [number for number, word in enumerate(words) if isinstance(word, tuple)]
    odd = set(chance.sample(places, min(len(places), chance.choice((1, 1, 1, 2, 3)))))
    arguments: list[str] = []
    for number, word in enumerate(words):
        if isinstance(word, str):
            arguments.append(word)
        elif number not in odd:
            arguments.append(run if word[0] == "RUN" else word[0])
        elif word[1:] and word[1]:
            arguments.append(chance.choice(word[1]))
        else:
            arguments.append(_with(chance) if program == "theory" else _override(chance))
    if chance.random() < 0.1:
        arguments.insert(chance.randrange(len(arguments) + 1), chance.choice(WORDS))
    return program, arguments


def call(program: str, arguments: list[str]) -> tuple[int, str, str]:
    """Exit code, output and complaints of a command, in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings(), _limited():
        if program == "sgpsim":
            try:
                sgpsim_main(arguments)
            except SystemExit as left:
                return int(left.code or 0), out.getvalue(), err.getvalue()
        return written(partial(PROGRAMS[program], arguments), program), out.getvalue(), err.getvalue()


def case(seed: int, number: int, run: str, known: Called = call) -> tuple[str, int]:
    """Try one case; what was tried, and its exit code. Raises Finding."""
    program, arguments = command(random.Random(f"{seed} {number}"), run)
    words = f"seed {seed}, number {number}: {program} {' '.join(map(ascii, arguments))}"
    try:
        code, out, err = known(program, arguments)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise Finding(f"{words} ends in {type(error).__name__}: {str(error)[:300]}") from error
    if "Traceback" in err or "Traceback" in out:
        raise Finding(f"{words} shows a traceback: {err[-300:]}")
    if code not in (0, 1, 2, 5, 6):
        raise Finding(f"{words} ends with exit code {code}: {err[-300:]}")
    if code in (2, 6) and not err.strip() and not (program == "studies" and out):
        raise Finding(f"{words} ends with exit code {code} and says nothing")
    said = [line for line in err.splitlines() if line.startswith((f"{program}: ", f"python -m {program}"))]
    if code in (2, 6) and said and len(said[-1]) > 1500:
        raise Finding(f"{words} says too much: {shown(said[-1], 300)}")
    return words, code


def prepared(folder: Path) -> str:
    """Files for the commands, in the present folder; the name of a run folder."""
    (folder / "job.toml").write_text(TEXT)
    np.save(folder / "P.npy", np.full((3, 3), 1 / 3))
    (folder / "P.csv").write_text("0.5,0.5\n0.5,0.5\n")
    (folder / "P.txt").write_text("1 0\n1 1\n")
    code, out, err = call("sgpsim", ["run", "job.toml", "--out", "runs", "--backend", "simulated"])
    assert code == 0, err
    return out.strip().splitlines()[-1].split(" in ")[1]


def fuzz(seed: int, cases: int, first: int = 0, known: Called = call, drawn: bool = True) -> tuple[list[str], Mapping[int, int]]:
    """Findings of cases number first..first+cases-1, and how many ended with which exit code. Runs in a folder of its
    own. drawn: False where figures are made and not written, which takes most of the time."""
    findings: list[str] = []
    codes: dict[int, int] = {}
    before = Path.cwd()
    writing = contextlib.nullcontext() if drawn else patch("matplotlib.figure.Figure.savefig")
    with tempfile.TemporaryDirectory() as folder, np.errstate(all="ignore"), writing:
        os.chdir(folder)
        try:
            run = prepared(Path(folder))
            for number in range(first, first + cases):
                try:
                    code = case(seed, number, run, known)[1]
                except Finding as finding:
                    findings.append(str(finding))
                else:
                    codes[code] = codes.get(code, 0) + 1
        finally:
            os.chdir(before)
    return findings, codes


if __name__ == "__main__":
    findings, codes = fuzz(int(sys.argv[1]), int(sys.argv[3]) if len(sys.argv) > 3 else 1, first=int(sys.argv[2]))
    print(*findings, f"{len(findings)} findings; {dict(codes)}", sep="\n")
