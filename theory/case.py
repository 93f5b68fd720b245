"""Case: one row of the verdict table before it is judged: a claim, a setting with its evidence, and the verdict that
is declared for it.

The rule: the declared verdict is written down before the run; a table in which any verdict differs is an error, in
either direction. A control shares its `group` with a row in the same setting on which the correct algorithm holds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from theory.setting import Setting
from theory.theorem import Theorem
from theory.verdict import Outcome


@dataclass(frozen=True)
class Case:
    """claim: what is judged. make: the setting and the evidence, made when the row's turn comes. declared: the
    expected outcome.

    group: names a control and the rows paired with it; empty elsewhere. control: whether something is wrong on purpose.
    slow: whether the row takes more than a second or two, and is left out of the fast table.
    """

    claim: Theorem
    make: Callable[[], tuple[Setting, Any]]
    declared: Outcome
    group: str = ""
    control: bool = False
    slow: bool = False
