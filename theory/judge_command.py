"""`sgpsim judge`, also `python -m theory judge`: every claim of the theory asked about one run.

The rule: exit code 0 where nothing speaks against the run, 1 where a claim is violated, 2 where the input is malformed.
What is undecided, and what does not apply, is said with its reason, reasons once.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

if TYPE_CHECKING:
    from sgpsim.backends.backend import Backend
    from sgpsim.results.run import Run
    from theory.judgement import Judgement
    from theory.verdict import Outcome


def main(
    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN|FILE.toml")],
    overrides: Annotated[
        tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="[path.to.field=value ...]")
    ] = (),
    method: Literal["push", "biased push", "combine-then-adapt", "collective"] | None = None,
    trust: bool = False,
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False,
) -> int:
    """Ask every claim of the theory about one run: from its own moves, with its own constants.

    Args:
        run: a run folder, or an experiment, which is run first and not kept
        overrides: changes to the file, such as budget.count=50
        method: what an algorithm of your own claims to be; without, claims that need to know it stay undecided
        trust: import the functions that a run folder names, which may be anybody's code
        as_json: print one object instead of tables
    """
    from rich.console import Console

    from theory.judgement import judge
    from theory.printing import judging, width

    given, backend = _given(run, overrides, trust)
    with judging() as progress:
        judgement = judge(given, backend, method, progress)
    if as_json:
        print(json.dumps(_plain(judgement, given), indent=1))
    else:
        _show(judgement, given, Console(width=width()))
    return 0 if judgement.sound else 1


def _given(path: Path, overrides: tuple[str, ...], trust: bool) -> tuple[Run, Backend]:
    """The run, and what it ran on."""
    from sgpsim.backends.choice import best_for
    from sgpsim.backends.events.simulated import Simulated
    from sgpsim.backends.fleet.vectorized import Vectorized
    from sgpsim.backends.processes.torch_distributed import TorchDistributed
    from sgpsim.errors import SpecificationError
    from sgpsim.files.run_folders import read_backend, read_run
    from sgpsim.files.toml_files import read
    from sgpsim.reports.progress import bar

    if os.path.isdir(path):
        if overrides:
            raise SpecificationError(
                f"{str(path)!r} is a run folder, which is judged as it is; overrides need a TOML file. Leave them away."
            )
        return read_run(path, trust), read_backend(path, trust)
    toml = read(path, overrides)
    backend, _ = toml.backend("")
    if isinstance(backend, TorchDistributed):
        backend, _ = best_for(toml.experiment, toml.cluster)  # the same numbers, without processes
    assert isinstance(backend, Simulated | Vectorized), "there are no others"
    backend = replace(backend, keep_trajectory=True, monitor="record")  # a leak is for the claims to see
    with bar(toml.name) as progress:
        return backend.run(toml.experiment, progress), backend


def _show(judgement: Judgement, run: Run, console: Any) -> None:
    from rich.table import Table

    from theory.judgement import AGAINST
    from theory.verdict import Outcome

    seeds = len(run.experiment.seeds)
    console.print(
        f"{judgement.setting.title}, K = {judgement.setting.steps}, {seeds} seed{'s' if seeds > 1 else ''}; the run {run.outcome}",
        highlight=False,
    )
    for remark in (*run.remarks, *judgement.remarks):
        console.print(f"  {remark}", highlight=False, markup=False)
    table = Table(box=None, pad_edge=False)
    for name in ("claim", "verdict", "slack", "why"):
        table.add_column(name, overflow="fold", justify="right" if name == "slack" else "left")
    for name, verdict in sorted(judgement.decided.items(), key=lambda item: item[1].outcome not in AGAINST):
        colour = "bold red" if verdict.outcome in AGAINST else "green"
        slack = "" if verdict.slack is None else f"{verdict.slack:.3g}"
        table.add_row(name, f"[{colour}]{verdict.label}[/]", slack, verdict.sentence)
    console.print(table)
    for outcome, words in ((Outcome.UNDECIDED, "undecided"), (Outcome.NOT_APPLICABLE, "does not apply")):
        for reason, names in _reasons(judgement, outcome).items():
            console.print(f"[bold]{words}[/]: {', '.join(names)}", highlight=False)
            console.print(f"  {reason}", highlight=False, markup=False)
    console.print(_conclusion(judgement), highlight=False)


def _reasons(judgement: Judgement, outcome: Outcome) -> dict[str, list[str]]:
    """The claims with that outcome, by why."""
    grouped: dict[str, list[str]] = {}
    for name, verdict in judgement.of(outcome).items():
        grouped.setdefault(verdict.sentence.removeprefix("unknown: ").removeprefix("fails: "), []).append(name)
    return grouped


def _conclusion(judgement: Judgement) -> str:
    from theory.judgement import AGAINST
    from theory.verdict import Outcome

    against, decided = len(judgement.of(*AGAINST)), len(judgement.decided)
    left = len(judgement.of(Outcome.UNDECIDED)), len(judgement.of(Outcome.NOT_APPLICABLE))
    vacuous = sum(verdict.vacuous for verdict in judgement.decided.values())
    said = f", {vacuous} of them by a bound above what is trivially known" if vacuous else ""
    return f"{decided - against} claims hold{said}; {against} violated; {left[0]} undecided; {left[1]} do not apply"


def _plain(judgement: Judgement, run: Run) -> dict[str, Any]:
    from theory.table import plain_slack

    return {
        "setting": judgement.setting.title,
        "steps": judgement.setting.steps,
        "outcome": run.outcome,
        "remarks": [*run.remarks, *judgement.remarks],
        "sound": judgement.sound,
        "claims": {
            name: {
                "verdict": verdict.outcome.value,
                "slack": plain_slack(verdict.slack),
                "vacuous": verdict.vacuous,
                "sentence": verdict.sentence,
                "hypotheses": [[h.sentence, h.status, h.evidence, h.grade] for h in verdict.hypotheses],
            }
            for name, verdict in judgement.verdicts.items()
        },
    }
