"""Theory: claims about stochastic gradient push as files, each with its hypotheses and its two sides, and verdicts on
them.

The rule: a claim never imports an algorithm or a backend. Its matrix forms are derived apart, from the matrices of
the rounds, so that agreement with a run is evidence. Only the cases, the controls and the command line put runs and
claims side by side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from theory.judgement import judge as judge


def __getattr__(name: str) -> Any:
    """`theory.judge`, imported when it is asked for, as backends come with it."""
    if name == "judge":
        from theory.judgement import judge

        return judge
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
