"""The command line: `sgpsim COMMAND ...`, or `python -m sgpsim COMMAND ...`.

The rule: what the user got wrong is one sentence on stderr, never a traceback, and what was computed is kept and its
place said. Exit codes: see DESCRIPTION, which is what `sgpsim --help` shows.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
from collections.abc import Callable, Sequence

from sgpsim import commands
from sgpsim.errors import Deadlock, MassLeak, NodeFailure, NotSaved, SpecificationError
from sgpsim.interruption import code_of, interruptible, name_of

CODES: dict[type[Exception], int] = {SpecificationError: 2, MassLeak: 3, NodeFailure: 4, NotSaved: 6, Deadlock: 1}


def known_commands() -> dict[str, Callable[..., int]]:
    """Every command by name: `main` of each module in `sgpsim.commands`."""
    names = [module.name for module in pkgutil.iter_modules(commands.__path__)]
    return {name: importlib.import_module(f"{commands.__name__}.{name}").main for name in names}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command that `arguments` (the command line's by default) name, and exit with its code."""
    with interruptible():
        code = _code_of(arguments)
    sys.exit(code)


def _code_of(arguments: Sequence[str] | None) -> int:
    """Run the command; its exit code."""
    try:
        import tyro

        code = tyro.extras.subcommand_cli_from_dict(
            known_commands(), prog="sgpsim", description=DESCRIPTION, args=arguments
        )
        sys.stdout.flush()
        return code
    except tuple(CODES) as error:
        print(f"sgpsim: {error}", file=sys.stderr)
        folder = getattr(error, "folder", None)
        if folder is not None and not isinstance(error, NotSaved):
            print(f"saved in {folder}")
        return next(code for kind, code in CODES.items() if isinstance(error, kind))
    except KeyboardInterrupt as stop:
        folder = getattr(stop, "folder", None)
        kept = "no run was begun, and nothing is kept" if folder is None else f"what was measured lies in {folder}"
        print(f"sgpsim: interrupted by {name_of(stop)}; {kept}", file=sys.stderr)
        return code_of(stop)
    except BrokenPipeError:  # whoever read our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


DESCRIPTION = """Simulate Stochastic Gradient Push and its relatives on a heterogeneous cluster, with real numerics.

Exit codes: 0 done; 2 bad input; 3 mass was lost, 5 the numbers diverged (the run is saved); 4 a process died or hung;
6 there was no room for a run or an output; 130 interrupted by SIGINT, 143 by SIGTERM (what was measured is saved); 1 anything else."""

if __name__ == "__main__":
    main()
