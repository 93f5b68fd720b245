"""The command line of the studies: `python -m studies --list`, `python -m studies NAME [--fast] [--out DIR]`.

The rule: exit code 2 and one sentence for bad input, before anything is measured. Answers go to standard output,
progress to standard error, and only where something takes longer than PATIENCE seconds. A file with a `main` instead of
a study (the benchmark) gets the rest of the command line.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Timer
from types import ModuleType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

import studies
from sgpsim.__main__ import written
from sgpsim.errors import NodeFailure, SpecificationError, nearest
from studies import study
from studies.study import Study, show

PATIENCE = 2.0
"""Seconds before a progress bar appears."""


def modules() -> list[str]:
    """Names of all files here but this one."""
    return [found.name for found in pkgutil.iter_modules(studies.__path__) if not found.name.startswith("__")]


def found_in(module: ModuleType) -> Study | None:
    """The study that a file defines, made; None where it defines none."""
    for value in vars(module).values():
        if inspect.isclass(value) and issubclass(value, Study) and value.__module__ == module.__name__ and not inspect.isabstract(value):
            return value()
    return None


def discovered() -> dict[str, str]:
    """What can be asked for, and its question, by walking the package."""
    found: dict[str, str] = {}
    for name in modules():
        module = importlib.import_module(f"studies.{name}")
        known = found_in(module)
        if known is not None:
            found[name] = known.question
        elif hasattr(module, "main"):
            found[name] = " ".join((module.__doc__ or "").split("\n\n")[0].split())
    return found


@contextmanager
def progress_bar(title: str) -> Iterator[study.Progress]:
    """A bar on standard error, shown after PATIENCE seconds, with the time left."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    task = bar.add_task(title, total=None)
    later = Timer(PATIENCE, bar.start)
    later.daemon = True
    later.start()
    try:
        yield lambda done, total: bar.update(task, completed=done, total=total)
    finally:
        later.cancel()
        later.join()  # it may be starting the bar just now
        bar.stop()


def answered(asked: Study, fast: bool, out: Path) -> None:
    """Run one study and print what came out."""
    with progress_bar(asked.name) as progress:
        result = asked.run(fast, out, progress)
    Console(highlight=False, soft_wrap=True).print(f"[bold]{result.name}[/bold]: {result.question}")
    show(result)
    print(f"({result.seconds:.1f} s; {result.png}, {result.pdf.name}, {result.csv.name})")


def main(arguments: Sequence[str]) -> int:
    """Exit code: 0, 2 for bad input, 4 where a real process failed, or that of the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m studies", description="Questions about stochastic gradient push, answered by figures.")
    parser.add_argument("name", nargs="?", help="which study; see --list")
    parser.add_argument("--list", action="store_true", help="all studies and their questions")
    parser.add_argument("--fast", action="store_true", help="fewer and smaller cases")
    parser.add_argument("--out", type=Path, default=Path("out/studies"), help="folder for PNG, PDF and CSV (default: %(default)s)")
    asked, rest = parser.parse_known_args(arguments)
    if asked.list or asked.name is None:
        for name, question in discovered().items():
            print(f"{name:24s} {question}")
        return 0 if asked.list else 2
    try:
        module = importlib.import_module(f"studies.{asked.name}") if asked.name in modules() else None
        known = found_in(module) if module is not None else None
        if known is None and module is not None and hasattr(module, "main"):
            place = list(arguments).index(asked.name)  # what else is called so is a value, as in --out bench
            return module.main([*arguments[:place], *arguments[place + 1 :]])
        if known is None:
            raise SpecificationError(f"there is no study {asked.name!r}; {nearest(asked.name, discovered())}")
        if rest:
            raise SpecificationError(f"{' '.join(rest)!r} is not understood; a study takes --fast and --out DIR. Leave it out.")
        answered(known, asked.fast, asked.out)
    except SpecificationError as error:
        print(f"studies: {error}", file=sys.stderr)
        return 2
    except NodeFailure as error:
        print(f"studies: {error}", file=sys.stderr)
        return 4
    return 0


if __name__ == "__main__":
    raise SystemExit(written(partial(main, sys.argv[1:]), "studies"))
