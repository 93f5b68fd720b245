"""`sgpsim demo`: the demonstration, which lives among the studies."""

from __future__ import annotations

from pathlib import Path


def main(out: Path = Path("out/demo")) -> int:
    """Train on a simulated cluster, check the theory beside it, and write one HTML report.

    Args:
        out: where everything goes
    """
    import importlib

    # By name, since sgpsim lies below studies and imports nothing of them; the demonstration is made of studies.
    return int(importlib.import_module("studies.demo").demo(out) or 0)
