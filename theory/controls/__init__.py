"""Negative controls: algorithms and claims that are wrong on purpose, each beside the right one in the same setting.

The rule: a toolkit that only ever says HOLDS has shown nothing. Every control names the claim, the setting and the
verdict that it must earn; the rows paired with it, same `group`, must hold.
"""

from __future__ import annotations

from theory.case import Case
from theory.controls import cases


def all_cases() -> list[Case]:
    """The rows of all controls with their pairs."""
    return cases.cases()
