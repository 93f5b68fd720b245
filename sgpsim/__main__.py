"""The command line: `sgpsim COMMAND ...`, or `python -m sgpsim COMMAND ...`.

The rule: what the user got wrong is one sentence on stderr, never a traceback, and what was computed is kept and its
place said. Exit codes: see DESCRIPTION, which is what `sgpsim --help` shows.
"""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial, wraps
from typing import Any

from sgpsim import commands
from sgpsim.errors import Deadlock, MassLeak, NodeFailure, Notice, NotSaved, SpecificationError, shown
from sgpsim.interruption import code_of, interruptible, name_of

NOT_WRITTEN = 6
os.environ["MPLBACKEND"] = "agg"  # commands draw into files alone; matplotlib refuses to be imported where this is set wrongly
CODES: dict[type[Exception], int] = {
    SpecificationError: 2,
    MassLeak: 3,
    NodeFailure: 4,
    NotSaved: NOT_WRITTEN,
    Deadlock: 1,
}


def _contained(command: Callable[..., int]) -> Callable[..., int]:
    """`command`, where sys.exit() in a user's code ends nothing without a word: only the parser may end the program."""

    @wraps(command)
    def run(*given: Any, **named: Any) -> int:
        try:
            return command(*given, **named)
        except SystemExit as ending:
            _complain(f"code that the run calls ended in sys.exit({shown(ending.code)}){_notes(ending)}. Let it return, or raise an error.")
            return 1

    return run


def _notes(error: BaseException) -> str:
    """What was noted on an exception: where it arose, and where what was measured lies."""
    return "".join(f"; {' '.join(note.removeprefix('sgpsim: ').split())}" for note in getattr(error, "__notes__", ()))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command that `arguments` (the command line's by default) name, and exit with its code."""
    with interruptible(), warnings.catch_warnings():
        warnings.showwarning = _warn
        code = written(partial(_code_of, arguments))
    sys.exit(code)


def written(run: Callable[[], int], program: str = "sgpsim") -> int:
    """The code of `run`, or that of an output that nobody takes: a reader that has gone, a full device; also where the
    streams are closed."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started the program
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 (as long as the program runs)
        elif isinstance(getattr(sys, name), io.TextIOWrapper):
            getattr(sys, name).reconfigure(errors="backslashreplace")  # whatever a terminal cannot show
    try:
        try:
            code = run()
        except SystemExit as done:  # of the parser, which has said what there is to say
            code = done.code if isinstance(done.code, int) else 0
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        code = 1
    except OSError as error:
        where = f" {str(error.filename)!r}" if error.filename else " the output"
        reason = f"{where.strip()} cannot be read or written ({error.strerror or error})"
        _complain(f"{reason}. Make room, or give another place.", program)
        code = NOT_WRITTEN
    except MemoryError as error:
        _let_go(error)
        cure = "Give fewer nodes or seeds, a smaller dimension, or more memory."
        _complain(f"this takes more memory than there is{_notes(error)}. {cure}", program)
        code = 1
    with suppress(OSError, ValueError):  # what is still in the buffer would fail again at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _let_go(error: BaseException | None) -> None:
    """Drop the frames of an exception and of those that it arose from, which hold on to all that there was room for."""
    while error is not None:
        error.__traceback__, error = None, error.__context__


def _code_of(arguments: Sequence[str] | None) -> int:
    """Run the command; its exit code."""
    try:
        import tyro

        contained = {name: _contained(command) for name, command in commands.known().items()}
        return tyro.extras.subcommand_cli_from_dict(
            contained, prog="sgpsim", description=DESCRIPTION, args=arguments
        )
    except tuple(CODES) as error:
        _complain(str(error))
        folder = getattr(error, "folder", None)
        if folder is not None and not isinstance(error, NotSaved):
            print(f"saved in {folder}")
        return next(code for kind, code in CODES.items() if isinstance(error, kind))
    except KeyboardInterrupt as stop:
        folder = getattr(stop, "folder", None)
        kept = "nothing was measured yet, and nothing is kept" if folder is None else f"what was measured lies in {folder}"
        _complain(f"interrupted by {name_of(stop)}; {kept}")
        return code_of(stop)


def _warn(message: Warning | str, category: type[Warning], *more: Any) -> None:
    """Our own notices as sentences, all other warnings as Python shows them."""
    if issubclass(category, Notice):
        _complain(str(message))
    else:
        print(warnings.formatwarning(message, category, *more[:2]), file=sys.stderr, end="")


def _complain(sentence: str, program: str = "sgpsim") -> None:
    """One sentence on stderr, if anybody takes it."""
    with suppress(OSError):
        print(f"{program}: {sentence}", file=sys.stderr, flush=True)


DESCRIPTION = """Simulate Stochastic Gradient Push and its relatives on a heterogeneous cluster, with real numerics.

Exit codes: 0 done; 2 bad input; 3 mass was lost, 5 the numbers diverged (the run is saved); 4 a process died or hung;
6 something could not be written; 130 interrupted by SIGINT, 143 by SIGTERM (what was measured is saved); 1 anything else."""

if __name__ == "__main__":
    main()
