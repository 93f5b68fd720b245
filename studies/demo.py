"""Demo: the main job in two minutes. One node turns slow, the rate, the schedules' mixing, the verdicts, and one lost message, in one
HTML report.

The rule: every stage prints what it found and puts a section into the report; nothing said here is typed in, all of it is measured while
it runs. The exit code is 1 if a verdict is not the declared one, a schedule does not mix, or the lost message goes unnoticed. Everything
is written anew each time.
"""

from __future__ import annotations

import argparse
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl
from rich.console import Console

from sgpsim.reports import report
from studies import figure
from studies.dropped_message import Judged, Loss, judged
from studies.entrants import ENTRANTS
from studies.one_slow_node import OneSlowNode, Scene, losses
from studies.rate_against_theory import RateAgainstTheory
from studies.rate_problems import NODES, PROBLEMS
from studies.study import Study, StudyResult, show
from theory.mixing import Mixing, mixing
from theory.table import Row, verdict_table
from theory.verdict import Outcome

Stage = tuple[tuple[report.Section, ...], bool]
"""What goes into the report, and whether all was as it should be."""


def demo(out: Path) -> int:
    """Run all stages, print their answers, write `out`/report.html; the exit code."""
    began = time.perf_counter()
    if (out / "report.html").exists():
        print(f"{out} holds an earlier demonstration: nothing of it is reused, all is computed and written anew")
    stages: tuple[tuple[str, Callable[[Path], Stage]], ...] = (
        ("one of 16 nodes turns five times slower", slow_node),
        ("the rate of convergence against the theory", rate),
        ("do the schedules used here mix?", schedules),
        ("verdicts on the theory's claims, and one message lost", verdicts),
    )
    sections: list[report.Section] = []
    sound = True
    for number, (title, stage) in enumerate(stages, start=1):
        print(f"\n{number}/{len(stages)} {title}", flush=True)
        found, well = stage(out)
        sections += found
        sound = sound and well
        print(f"({time.perf_counter() - began:.0f} s since the start)", flush=True)
    lead = (
        "Stochastic gradient push and its relatives on a simulated cluster, with real numerics: five methods train softmax regression on"
        " handwritten digits while each message has the size of ResNet-50. Times are simulated seconds."
    )
    place = report.write(out / "report.html", "Stochastic gradient push on a cluster with a slow node", sections, lead)
    print(f"\nreport: {place}{'' if sound else ' (NOT all as declared, see above)'}")
    return 0 if sound else 1


def slow_node(out: Path) -> Stage:
    """Loss curves and timelines of all methods on one simulated cluster."""
    study = OneSlowNode()
    result = _ran(study, out, fast=False)
    speeds = (
        losses(result.data).with_columns(pl.selectors.float().round(3)).with_columns(pl.col("first", "last").map_elements(_held, pl.String))
    )
    names = {
        "before": "seconds a step before",
        "after": "seconds a step after",
        "first": "first held up after (s)",
        "last": "all held up after (s)",
        "busy": "others busy (share)",
        "loss": "loss at the end",
    }
    caption = (
        "Above: loss of the average model over simulated seconds; a step of the fleet is drawn when its last node is done."
        f" Below: what all {Scene().nodes} nodes do around the instant."
    )
    text = (
        result.answer,
        "A slow node paces every method in which somebody waits for it, directly or through others: SGP's nodes wait for one"
        " neighbour, not for all, which absorbs single delays but only postpones a lasting one. AD-PSGD, where nobody waits, pays"
        " with gradients that are taken at older points, and counts the slow node's data less.",
    )
    return (_section("One node turns slow", study, result, caption, (speeds.rename(names),), text),), True


def rate(out: Path) -> Stage:
    """Average squared gradient norm over the number of steps, with the proved bound."""
    study = RateAgainstTheory()
    result = _ran(study, out, fast=True)
    caption = (
        "Average squared gradient norm of SGP over the number of steps, with bound D2, and without communication."
        " Hollow: D2 does not apply yet."
    )
    return (_section("The rate against the theory", study, result, caption),), True


def schedules(out: Path) -> Stage:
    """The mixing check of every schedule that the two figures above use."""
    users: dict[str, list[str]] = {}
    checked: dict[str, Mixing] = {}
    nodes = Scene().nodes
    used = [(entrant.schedule(nodes), entrant.name) for entrant in ENTRANTS if entrant.algorithm(1.0).uses_schedule]
    used += [(problem.schedule(NODES[-1]), f"rate, {problem.name}") for problem in PROBLEMS]
    for schedule, user in used:
        name = f"{type(schedule).__name__}({schedule.size})"
        users.setdefault(name, []).append(user)
        if name not in checked:
            checked[name] = mixing(schedule, name)
    table = pl.DataFrame([_mixed(found) | {"used by": ", ".join(users[name])} for name, found in checked.items()])
    _show(table)
    asked = [
        {"schedule": name, "needed": assumption.name, "passes": "yes" if assumption.passed else "NO", "found": assumption.evidence}
        for name, found in checked.items()
        for assumption in found.assumptions
    ]
    sound = all(found.passed for found in checked.values())
    answer = (
        f"All {len(checked)} schedules satisfy what push-sum needs: shares not negative, columns that sum to 1, self-loops,"
        " joint connection."
        if sound
        else f"Not all schedules mix: {', '.join(name for name, found in checked.items() if not found.passed)}."
    )
    print(answer)
    return (report.Section("Mixing of the schedules used", (answer,), (), (table, pl.DataFrame(asked))),), sound


def verdicts(out: Path) -> Stage:
    """The fast verdict table, and beside it two claims on a run that lost one message."""
    rows = verdict_table(fast=True)
    right = [row for row in rows if not row.control]
    wrong = [row for row in rows if not row.as_declared]
    counts = ", ".join(f"{count} {outcome}" for outcome, count in Counter(row.verdict.outcome.value for row in right).most_common())
    summary = (
        f"{len(right)} claims in their settings: {counts} (not applicable: settings outside a claim's hypotheses, on purpose)."
        f" {len(rows) - len(right)} negative controls, wrong on purpose. Not as declared:"
        f" {len(wrong)}."
    )
    print(summary)
    for row in wrong:
        print(f"  {row.claim}, {row.setting}: {row.verdict.label}, declared {row.declared.value}")
    loss = Loss()
    sane, lossy = judged(loss, lost=False), judged(loss, lost=True)
    beside = _beside(sane, lossy)
    _show(beside)
    noticed = lossy.outcome == "leaked" and all(verdict.outcome is Outcome.VIOLATED for verdict in lossy.verdicts.values())
    turn = "turn from HOLDS to VIOLATED" if noticed and sane.holds else "DO NOT TURN"
    answer = f"With the {loss.words}, the monitor says: {lossy.monitor}. The verdicts on {', '.join(lossy.verdicts)} {turn}."
    print(answer)
    table = pl.DataFrame([_judged(row) for row in rows], schema=JUDGED)
    lost = report.Section("One message lost", (answer,), (), (beside,))
    return (lost, report.Section("Verdicts on the theory's claims", (summary,), (), (table,))), not wrong and noticed and sane.holds


def _held(after: float) -> str:
    return f"{after:.3f}" if math.isfinite(after) else "never"


def _ran(study: Study, out: Path, fast: bool) -> StudyResult:
    """Run one study and print what came out."""
    result = study.run(fast, out)
    show(result)
    print(f"figure: {result.png}")
    return result


def _section(
    title: str, study: Study, result: StudyResult, caption: str, tables: tuple[pl.DataFrame, ...] = (), text: tuple[str, ...] = ()
) -> report.Section:
    with figure.style():
        picture = report.Picture(study.draw(result.data), caption)
    return report.Section(title, text or (result.answer,), (picture,), tables)


def _mixed(mixed: Mixing) -> dict[str, object]:
    profile = mixed.profile
    return {
        "schedule": mixed.title,
        "passes": "yes" if mixed.passed else "NO",
        "period": "never repeats" if mixed.period is None else str(mixed.period),
        "weights stay 1": "yes" if mixed.doubly_stochastic else "no",
        "window B": mixed.window,
        "all reach all after T": mixed.time,
        "exact after": "never" if mixed.exact is None or mixed.exact[1] is None else f"{mixed.exact[1]} rounds",
        "S1": None if profile is None else round(profile.first, 3),
        "claims not ruled out": sum(application.status != "fails" for application in mixed.applications),
    }


def _beside(sane: Judged, lossy: Judged) -> pl.DataFrame:
    found = [
        {"run": one.run, "monitor": one.monitor} | {name: verdict.label for name, verdict in one.verdicts.items()} for one in (sane, lossy)
    ]
    return pl.DataFrame(found)


JUDGED = {"claim": pl.String, "kind": pl.String, "source": pl.String, "setting": pl.String, "verdict": pl.String, "as declared": pl.String,
          "slack": pl.String, "seconds": pl.Float64}  # fmt: skip


def _judged(row: Row) -> dict[str, object]:
    slack = row.verdict.slack
    return {
        "claim": row.claim,
        "kind": row.kind,
        "source": f"{row.provenance}: {row.source}",
        "setting": row.setting + (" [control]" if row.control else ""),
        "verdict": row.verdict.label,
        "as declared": "yes" if row.as_declared else f"NO: {row.declared.value}",
        "slack": "" if slack is None or math.isnan(slack) else f"{slack:.3g}",
        "seconds": round(row.seconds, 2),
    }


def _show(table: pl.DataFrame) -> None:
    """A small table on standard output."""
    from rich.table import Table

    shown = Table()
    for name in table.columns:
        shown.add_column(name, overflow="fold")
    for row in table.iter_rows():
        shown.add_row(*("" if value is None else str(value) for value in row))
    Console(width=max(Console().width, 120), highlight=False).print(shown, markup=False)


def main(arguments: Sequence[str]) -> int:
    """`python -m studies demo [--out DIR]`."""
    parser = argparse.ArgumentParser(prog="python -m studies demo", description="The main job: one HTML report.")
    parser.add_argument("--out", type=Path, default=Path("out/demo"), help="folder for the report and the figures (default: %(default)s)")
    return demo(parser.parse_args(arguments).out)
