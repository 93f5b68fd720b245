"""Verdict: one rule of evidence per kind of claim, the same for all claims of that kind.

pathwise: measured <= predicted on every point of every run, up to the rounding that the claim counts; no seeds are
needed. expectation: exact moments decide at once; otherwise at least 30 independent seeds, and a per-run statistic (a
difference of both sides per seed) whose confidence limit decides; with several points along the axis the limits form
a simultaneous band. asymptotic: the exponent of a rate. One-sided: consistent if the interval of the slope lies below
rate + 0.05 (steeper passes), inconsistent if above it. Exact: consistent if the interval lies within rate -+ 0.05,
inconsistent if it lies outside. distribution: violated if goodness of fit or the claimed mean is rejected; holds if
not, and if the mean is known to MARGIN.

The rule: failing hypotheses make a claim NOT_APPLICABLE, unknown ones UNDECIDED, before anything is compared. HOLDS needs
certified constants: `observed` ones have a word of their own, `estimated` ones leave it UNDECIDED. Tests of a whole
table are corrected together (Holm at LEVEL).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from sgpsim.errors import SpecificationError
from theory.agreement import require_same
from theory.evidence import Moments, Path
from theory.rules import LEVEL, RULES, Finding
from theory.setting import Setting
from theory.statistics import holm
from theory.theorem import Hypothesis, Theorem


class Outcome(StrEnum):
    HOLDS = "HOLDS"
    HOLDS_OBSERVED = "HOLDS (observed constants)"
    VIOLATED = "VIOLATED"
    CONSISTENT = "CONSISTENT"
    INCONSISTENT = "INCONSISTENT"
    UNDECIDED = "UNDECIDED"
    NOT_APPLICABLE = "NOT APPLICABLE"


@dataclass(frozen=True)
class Verdict:
    """outcome, slack = measured / bound (for equalities: defect / rounding allowed), vacuous: whether the bound
    exceeds what is trivially known.

    sentence: why. hypotheses: as looked at. finding: what the rule of evidence found, with its p-value where it rests
    on a test.
    """

    outcome: Outcome
    slack: float | None
    vacuous: bool
    sentence: str
    hypotheses: tuple[Hypothesis, ...] = field(default=(), repr=False)
    finding: Finding | None = field(default=None, repr=False)

    @property
    def label(self) -> str:
        """The outcome as it is printed."""
        return f"{self.outcome.value}{', vacuous' if self.vacuous else ''}"


def verify(theorem: Theorem, setting: Setting, evidence: Any = None) -> Verdict:
    """Judge one claim in one setting, alone: tests are made at LEVEL. Raises SpecificationError where the evidence comes from
    another run than the setting describes, or is of a type that the claim does not read."""
    require_same(setting, evidence)
    hypotheses = tuple(theorem.hypotheses(setting))
    failing = [hypothesis for hypothesis in hypotheses if hypothesis.status == "fails"]
    if failing:
        why = "; ".join(f"{hypothesis.sentence} ({hypothesis.evidence})" for hypothesis in failing)
        return Verdict(Outcome.NOT_APPLICABLE, None, False, f"fails: {why}", hypotheses)
    unknown = [f"{hypothesis.sentence} ({hypothesis.evidence})" for hypothesis in hypotheses if hypothesis.status == "unknown"]
    if not unknown:
        unknown = _missing(theorem, setting, evidence)
    if unknown:
        return Verdict(Outcome.UNDECIDED, None, False, f"unknown: {'; '.join(unknown)}", hypotheses)
    lost = ""
    if isinstance(evidence, Path) and (evidence.moderate < evidence.steps or _ended_early(evidence)):
        lost = f"; the run was over after {evidence.moderate} of {setting.steps} steps, beyond which nothing can be compared"
        evidence = evidence.first(evidence.moderate)
    measured, predicted = theorem.measured(setting, evidence), theorem.predicted(setting, evidence)
    finding = RULES[theorem.kind](theorem, setting, measured, predicted, evidence)
    trivial = theorem.trivial(setting, evidence)
    vacuous = trivial is not None and theorem.relation == "<=" and bool(predicted.values.mean() > trivial)
    if lost and finding.if_rejected == "HOLDS":
        return Verdict(Outcome.UNDECIDED, finding.slack, False, finding.sentence + lost, hypotheses)
    word = finding.if_rejected if finding.p_value is None or finding.p_value <= LEVEL else finding.otherwise
    remarks = theorem.remarks(setting, evidence)
    sentence = finding.sentence + (f"; {remarks}" if remarks else "") + ("; the bound exceeds what is trivially known" if vacuous else "")
    return Verdict(_graded(Outcome(word), hypotheses), finding.slack, vacuous, sentence, hypotheses, finding)


def _missing(theorem: Theorem, setting: Setting, evidence: Any) -> list[str]:
    """What the claim would have to read and was not given."""
    if theorem.reads in ("Path", "Moments", "Sweep", "Durations"):
        if evidence is None:
            return [f"no {theorem.reads.lower()} was given to look at"]
        if type(evidence).__name__ != theorem.reads:
            raise SpecificationError(
                f"{theorem.name} was given {type(evidence).__name__}; it reads {theorem.reads}. Give that, see theory.evidence."
            )
    lacking = theorem.missing(setting, evidence)
    if not lacking and isinstance(evidence, Moments) and _ended_early(evidence):
        lacking = f"the run ended after {evidence.steps} of {setting.steps} steps"
    return [lacking] if lacking else []


def _ended_early(evidence: Path | Moments) -> bool:
    return evidence.origin is not None and evidence.steps < evidence.origin.steps


def corrected(verdicts: list[Verdict], level: float = LEVEL) -> list[Verdict]:
    """The verdicts of one table, its tests corrected together: Holm's step-down over all p-values."""
    tested = [index for index, verdict in enumerate(verdicts) if verdict.finding is not None and verdict.finding.p_value is not None]
    rejected = holm([_p_value(verdicts[index]) for index in tested], level)
    found = list(verdicts)
    for index, hit in zip(tested, rejected, strict=True):
        finding = verdicts[index].finding
        assert finding is not None
        word = finding.if_rejected if hit else finding.otherwise
        found[index] = replace(verdicts[index], outcome=_graded(Outcome(word), verdicts[index].hypotheses))
    return found


def _p_value(verdict: Verdict) -> float:
    assert verdict.finding is not None and verdict.finding.p_value is not None
    return verdict.finding.p_value


def _graded(outcome: Outcome, hypotheses: tuple[Hypothesis, ...]) -> Outcome:
    """What an outcome is worth on these hypotheses: no better than the weakest constant, and undecided where
    something is unknown."""
    if outcome not in (Outcome.HOLDS, Outcome.CONSISTENT):
        return outcome
    if any(hypothesis.grade in ("estimated", "unknown") for hypothesis in hypotheses):
        return Outcome.UNDECIDED
    if outcome is Outcome.HOLDS and any(hypothesis.grade == "observed" for hypothesis in hypotheses):
        return Outcome.HOLDS_OBSERVED
    return outcome
