"""`import sgpsim` stays light: neither torch nor scikit-learn nor anything that draws."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("torch", "sklearn", "matplotlib", "mpi4py", "tyro", "rich")


def imported(program: str) -> set[str]:
    """The heavy packages that are loaded after `program` in a fresh interpreter."""
    told = subprocess.run(
        [sys.executable, "-c", f"{program}\nimport sys\nprint(*sorted(set(sys.modules) & set({HEAVY!r})))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(told.stdout.splitlines()[-1].split())


def test_importing_loads_nothing_heavy() -> None:
    assert imported("import sgpsim") == set()


def test_a_run_on_quadratics_needs_nothing_heavy() -> None:
    program = (
        "from sgpsim import SGP, Cluster, Experiment, OnePeerExponential, Quadratic, Simulated, Steps, Vectorized\n"
        "experiment = Experiment(SGP(), Quadratic(4), OnePeerExponential(4), Steps(3))\n"
        "Simulated(Cluster(4)).run(experiment)\n"
        "Vectorized().run(experiment)"
    )
    assert imported(program) == set()


def test_the_theory_needs_no_plots_to_be_imported() -> None:
    assert imported("import theory") <= {"matplotlib"}
