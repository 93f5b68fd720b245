"""Unresolved: the objective of a stored run that names functions of its writer, known by its description alone.

The rule: it says what was written, how many nodes there were, and of what dimension; whatever would need the functions
is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from sgpsim.objectives.objective import Objective
from sgpsim.specification.functions import FunctionName, refusal


class Unresolved(Objective):
    """kind: the name of the objective's class. content: its fields as plain data. functions: the names among them.

    (No dataclass, so that no file can name it as a type.)
    """

    def __init__(
        self, kind: str, content: Mapping[str, Any], functions: tuple[FunctionName, ...], nodes: int, dimension: int
    ) -> None:
        self.kind, self.content, self.functions = kind, dict(content), functions
        self.nodes, self.dimension = nodes, dimension

    def __repr__(self) -> str:
        fields = (f"{name}={_brief(value)}" for name, value in self.content.items() if name != "nodes")
        return f"{self.kind}({self.nodes}, {', '.join(fields)})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unresolved) and (other.kind, other.content) == (self.kind, self.content)

    def __hash__(self) -> int:
        return hash((self.kind, repr(self.content)))

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise refusal(self.functions[0].name)

    start = draws = gradients = loss = full_gradient = local_gradients = accuracy = constants = _refuse


def _brief(value: Any) -> str:
    """A plain value in a few words: tables by their type."""
    if isinstance(value, Mapping):
        return f"{value.get('type', 'table')}(...)"
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
