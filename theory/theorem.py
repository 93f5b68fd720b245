"""Theorem: one claim with its source, its hypotheses and its two sides; what a curve and a hypothesis are.

The rule: a claim states `measured <= predicted` (or `=`), point by point along one axis, for everything that
satisfies its hypotheses. It computes both sides and judges nothing: what counts as evidence depends on the claim's
kind alone and is decided in one place, `theory.verdict`.

Kinds. pathwise: true on every run, to rounding. expectation: about expected values. asymptotic: about the exponent of
a rate. distribution: about the law of a random duration. Provenance: `quoted` from a text at hand, `recalled` from
memory (never to be cited as the authors' words), `derived` for this project.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sgpsim.objectives.objective import Evidence
from theory.setting import Setting

Kind = Literal["pathwise", "expectation", "asymptotic", "distribution"]
Provenance = Literal["quoted", "recalled", "derived"]
Relation = Literal["<=", "="]
Span = Literal["step", "run"]


@dataclass(frozen=True)
class Hypothesis:
    """One thing that a claim supposes. sentence: what. status: whether the setting satisfies it. evidence: how that
    is known, in words.

    grade: what the constants in it rest on (see sgpsim.objectives.objective.Evidence); a verdict is as strong as the
    weakest grade.
    """

    sentence: str
    status: Literal["holds", "fails", "unknown"]
    evidence: str
    grade: Evidence = "certified"


@dataclass(frozen=True, eq=False)
class Curve:
    """One side of a claim. over: what the axis is. at: points on it, (points,). values: (points, ...); further axes
    are nodes, or seeds last.

    rounding: what the values may be off by, in units of the machine epsilon of the run's type: number of roundings
    times the size of the terms.
    """

    over: str
    at: NDArray[Any]
    values: NDArray[np.float64]
    rounding: NDArray[np.float64]

    @classmethod
    def of(cls, over: str, at: ArrayLike, values: ArrayLike, rounding: ArrayLike = 0.0) -> Curve:
        """A curve from anything array-like; a single number becomes a curve of one point."""
        found = np.atleast_1d(np.asarray(values, dtype=np.float64))
        return cls(over, np.atleast_1d(np.asarray(at)), found, np.asarray(rounding, dtype=np.float64))


class Theorem(ABC):
    """One claim. name: unique, in words. source: citation and place in it, or what the derivation rests on."""

    name: str
    kind: Kind
    provenance: Provenance
    source: str
    relation: Relation = "<="
    span: Span = "run"
    """Whether the sides compare one step with the next, or rest on all steps before: how far rounding may have come."""

    @abstractmethod
    def hypotheses(self, setting: Setting) -> list[Hypothesis]:
        """Everything the claim supposes, each looked at in `setting`."""

    @abstractmethod
    def predicted(self, setting: Setting, evidence: Any) -> Curve:
        """The right-hand side."""

    @abstractmethod
    def measured(self, setting: Setting, evidence: Any) -> Curve:
        """The left-hand side, on the axis of the right-hand side."""

    def missing(self, setting: Setting, evidence: Any) -> str:
        """What the claim needs of the evidence and is not there, in words; empty where all is."""
        return ""

    def trivial(self, setting: Setting, evidence: Any) -> float | None:
        """What is known of the left-hand side without the claim; a bound above it is vacuous. None where nothing is
        known."""
        return None

    def law(self, setting: Setting) -> Callable[[NDArray[np.float64]], NDArray[np.float64]] | None:
        """For claims about distributions: the cumulative distribution function of a single duration; None where only
        the mean is claimed."""
        return None

    def remarks(self, setting: Setting, evidence: Any) -> str:
        """Figures worth printing beside the verdict, in words (conditions evaluated, constants found)."""
        return ""

    @property
    def reads(self) -> str:
        """The type of evidence that the claim compares, as its `measured` declares it; None for claims about matrices
        alone."""
        return str(inspect.signature(type(self).measured).parameters["evidence"].annotation)

    @property
    def statement(self) -> str:
        """The claim in words and formulae: the class's own documentation."""
        return inspect.getdoc(type(self)) or ""
