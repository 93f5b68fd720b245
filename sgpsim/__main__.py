"""The command line: `sgpsim COMMAND ...`, or `python -m sgpsim COMMAND ...`.

The rule: what the user got wrong is one sentence on stderr, never a traceback. Exit codes: 0 done; 2 bad input; 3 mass
was lost (the run is saved); 4 a real process died or hung; 5 the numbers diverged (the run is saved); 1 anything else.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
from collections.abc import Callable, Sequence

from sgpsim import commands
from sgpsim.errors import Deadlock, MassLeak, NodeFailure, SpecificationError

CODES: dict[type[Exception], int] = {SpecificationError: 2, MassLeak: 3, NodeFailure: 4, Deadlock: 1}


def known_commands() -> dict[str, Callable[..., int]]:
    """Every command by name: `main` of each module in `sgpsim.commands`."""
    names = [module.name for module in pkgutil.iter_modules(commands.__path__)]
    return {name: importlib.import_module(f"{commands.__name__}.{name}").main for name in names}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command that `arguments` (the command line's by default) name, and exit with its code."""
    import tyro

    try:
        code = tyro.extras.subcommand_cli_from_dict(
            known_commands(), prog="sgpsim", description=DESCRIPTION, args=arguments
        )
    except tuple(CODES) as error:
        print(f"sgpsim: {error}", file=sys.stderr)
        folder = getattr(error, "folder", None)
        if folder is not None:
            print(f"saved in {folder}")
        code = next(code for kind, code in CODES.items() if isinstance(error, kind))
    except KeyboardInterrupt:
        print("sgpsim: interrupted; nothing half-written is left behind", file=sys.stderr)
        code = 130
    except BrokenPipeError:  # whoever read our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    sys.exit(code)


DESCRIPTION = """Simulate Stochastic Gradient Push and its relatives on a heterogeneous cluster, with real numerics.

Exit codes: 0 done, 2 bad input, 3 mass lost, 4 a process died, 5 diverged, 1 else."""

if __name__ == "__main__":
    main()
