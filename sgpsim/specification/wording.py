"""Wording: specifications, seconds and bytes in one line each, as tables and figures write them.

The rule: what differs is told, what is as usual is not. Files are told by their own name and not by where they lie, digests
by their first digits.
"""

from __future__ import annotations

import dataclasses
import math
import re
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np

DIGITS = 8
"""Of a digest."""


def concise(value: Any) -> str:
    """A specification in one line: its class and the fields that differ from their defaults."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        told: list[str] = []
        for number, field in enumerate(field for field in dataclasses.fields(value) if field.init):
            inside = content(value, field.name)
            if not same(inside, field.default):
                told.append(concise(inside) if number == 0 else f"{field.name}={concise(inside)}")
        return f"{type(value).__name__}({', '.join(told)})"
    if isinstance(value, np.ndarray):
        return f"array{value.shape}"
    if isinstance(value, nx.Graph):
        return f"graph of {len(value)} nodes"
    if isinstance(value, tuple | list):
        shown = ", ".join(concise(inside) for inside in value[:4])
        return f"[{shown}, ... {len(value)} in all]" if len(value) > 4 else f"[{shown}]"
    if isinstance(value, str) and is_digest(value):
        return value[:DIGITS]
    return f"{value:.6g}" if isinstance(value, float) else repr(value)


def is_digest(text: str) -> bool:
    """Whether `text` is a SHA-256 in hexadecimal digits."""
    return re.fullmatch("[0-9a-f]{64}", text) is not None


def content(owner: Any, field: str) -> Any:
    """What a specification has in a field; of the `path` of a file that it has read only the name, without the digits
    that its copy in a run folder has before it."""
    value = getattr(owner, field)
    if field != "path" or not isinstance(value, str):
        return value
    name = Path(value).name
    for text in vars(owner).values():
        if isinstance(text, str) and is_digest(text):
            name = name.removeprefix(f"{text[:12]}-")
    return name


def same(value: Any, default: Any) -> bool:
    """Whether a field's value is its default, and of the same type."""
    if default is dataclasses.MISSING or isinstance(value, np.ndarray):
        return False
    return bool(type(value) is type(default) and value == default)


def seconds_told(seconds: float) -> str:
    """Seconds in the unit that reads best."""
    if not math.isfinite(seconds):
        return "never"
    for least, scale, unit in (
        (2 * 86400.0, 86400.0, "days"),
        (7200.0, 3600.0, "h"),
        (0.1, 1.0, "s"),
        (1e-4, 1e-3, "ms"),
        (1e-7, 1e-6, "us"),
    ):
        if seconds >= least:
            return f"{seconds / scale:.4g} {unit}"
    return f"{seconds:.3g} s"


def bytes_told(size: float) -> str:
    """Bytes in the unit that reads best."""
    if not math.isfinite(size):
        return "never"
    for scale, unit in ((1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= scale:
            return f"{size / scale:.4g} {unit}"
    return f"{size:.0f} bytes"
