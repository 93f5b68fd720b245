"""Plain data: specifications as numbers, strings, lists and tables, and back, so that TOML, JSON and the command line
can say them.

The rule: a table names its class by `type`; what else it holds are the fields of that class. Writing and reading again
gives an equal value, to the bit. An error gives the path to the field. Nothing is pickled; a function is written as
`module:name`, and read as `consent` says.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import networkx as nx
import numpy as np

from sgpsim.errors import SpecificationError
from sgpsim.objectives.unresolved import Unresolved
from sgpsim.specification.functions import Consent, FunctionName, imported
from sgpsim.specification.structuring import TAG, StandIn, converter

Kind = TypeVar("Kind")


def to_plain(value: Any) -> Any:
    """`value` as dicts, lists, strings, numbers and None. Dataclasses carry their name as `type`; infinities become
    strings, as JSON has none."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        content = {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value) if field.init}
        return {TAG: type(value).__name__, **content}
    if isinstance(value, nx.Graph):
        return to_plain(nx.node_link_data(value, edges="edges"))
    if isinstance(value, Mapping):
        return {str(key): to_plain(inside) for key, inside in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(inside) for inside in value]
    if isinstance(value, frozenset):
        return [to_plain(inside) for inside in sorted(value, key=repr)]
    if isinstance(value, np.ndarray | np.generic):
        return to_plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, FunctionName):
        return value.name
    if isinstance(value, Unresolved):
        return {TAG: value.kind, **to_plain(value.content)}
    if callable(value):
        name = f"{getattr(value, '__module__', '')}:{getattr(value, '__qualname__', '')}"
        with suppress(ImportError, AttributeError, ValueError):
            if imported(name) is value:
                return name
    raise SpecificationError(
        f"{value!r} is a {type(value).__name__}, which cannot be written down; specifications hold numbers, strings,"
        " tuples, other specifications and functions that can be imported by name. Say it by such values."
    )


def to_json(value: Any, indent: int | None = 2) -> str:
    """`value` as JSON, keys in the order of the fields."""
    return json.dumps(to_plain(value), indent=indent, allow_nan=False)


def from_json(
    text: str, kind: type[Kind], base: Path | None = None, source: str = "JSON", consent: Consent = "refuse"
) -> Kind:
    """The specification of `kind` that `text` says. base: folder where relative paths in fields called `path` start.
    source: named in errors. consent: as in `from_plain`."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SpecificationError(f"{source}: this is not JSON ({error}). Write it anew, or restore the file.") from None
    return from_plain(found, kind, base, source=source, consent=consent)


def from_plain(
    found: Any,
    kind: type[Kind],
    base: Path | None = None,
    nodes: int | None = None,
    source: str = "",
    path: str = "",
    *,
    consent: Consent = "refuse",
    stand_in: StandIn | None = None,
) -> Kind:
    """The specification of `kind` that plain data say.

    nodes: number of nodes for every field `size` or `nodes` that must be given and is not. source, path: where the data
    stand, for errors. consent: what becomes of names of functions. stand_in: what to build where they stay names.
    Raises SpecificationError: `source: path.to.field: what is wrong, and the nearest valid name`.
    """
    try:
        return converter(base, nodes, consent, stand_in).structure(found, kind)
    except SpecificationError as error:
        joint = "" if not path or not error.place or error.place.startswith("[") else "."
        raise located(error, source, f"{path}{joint}{error.place}") from error
    except RecursionError:
        raise located(SpecificationError("nested too deeply. Give fewer levels."), source, path) from None


def located(reason: SpecificationError, source: str, path: str = "") -> SpecificationError:
    """`reason` with where it happened in front."""
    return SpecificationError(": ".join(filter(None, (source, path, str(reason)))))
