"""The verdict table: every case judged, its tests corrected together, each verdict beside the one that was declared.

The rule: Holm's correction runs over the whole table that is asked for, so a row's verdict may depend on which other
rows are there; the declared verdicts must hold for the whole table and for the fast one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sgpsim.errors import SpecificationError
from theory.case import Case
from theory.verdict import Outcome, Verdict, corrected, verify


@dataclass(frozen=True)
class Row:
    """One judged case. seconds: of making the evidence and judging it. control: whether something is wrong on
    purpose, and what."""

    claim: str
    kind: str
    source: str
    provenance: str
    setting: str
    verdict: Verdict
    declared: Outcome
    seconds: float
    group: str
    control: bool

    @property
    def as_declared(self) -> bool:
        return self.verdict.outcome is self.declared

    def plain(self) -> dict[str, Any]:
        """As JSON has it; a slack that is no finite number becomes null or a word."""
        return {
            "claim": self.claim,
            "kind": self.kind,
            "source": f"{self.source} ({self.provenance})",
            "setting": self.setting,
            "verdict": self.verdict.outcome.value,
            "slack": plain_slack(self.verdict.slack),
            "seconds": round(self.seconds, 4),
            "declared": self.declared.value,
            "as_declared": self.as_declared,
            "vacuous": self.verdict.vacuous,
            "control": self.control,
            "group": self.group,
            "sentence": self.verdict.sentence,
        }


def plain_slack(slack: float | None) -> float | str | None:
    """A slack as JSON has it: null or a word where it is no finite number."""
    if slack is None or math.isnan(slack):
        return None
    return slack if math.isfinite(slack) else "infinite"


def all_cases(fast: bool = False) -> list[Case]:
    """The rows of the rooms `cases` and `controls`; without the slow ones if `fast`."""
    from theory import cases, controls  # here, so that reading a table's type loads no backend

    written, wrong = cases.all_cases(), controls.all_cases()
    found = [*written, *cases.unjudged([*written, *wrong]), *wrong]
    return [case for case in found if not (fast and case.slow)]


def judge(cases: list[Case], progress: Callable[[int, int, str], None] | None = None) -> list[Row]:
    """Judge each case, then correct the tests of all of them together. progress: told (done, all, what comes next)."""
    verdicts: list[Verdict] = []
    settings: list[tuple[str, float]] = []
    for number, case in enumerate(cases):
        if progress is not None:
            progress(number, len(cases), case.claim.name)
        began = time.perf_counter()
        setting, evidence = case.make()
        try:
            verdicts.append(verify(case.claim, setting, evidence))
        except SpecificationError as error:
            raise SpecificationError(f"{case.claim.name}, {setting.title}: {error}") from None
        settings.append((setting.title, time.perf_counter() - began))
    if progress is not None:
        progress(len(cases), len(cases), "")
    return [
        Row(
            case.claim.name,
            case.claim.kind,
            case.claim.source,
            case.claim.provenance,
            title,
            verdict,
            case.declared,
            seconds,
            case.group,
            case.control,
        )
        for case, verdict, (title, seconds) in zip(cases, corrected(verdicts), settings, strict=True)
    ]


def verdict_table(fast: bool = False, progress: Callable[[int, int, str], None] | None = None) -> list[Row]:
    """The whole table, or what of it takes a few seconds."""
    return judge(all_cases(fast), progress)
