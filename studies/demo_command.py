"""`sgpsim demo`: the demonstration, which is made of studies."""

from __future__ import annotations

from pathlib import Path


def main(out: Path = Path("out/demo")) -> int:
    """Train on a simulated cluster, check the theory beside it, and write one HTML report.

    Args:
        out: where everything goes
    """
    from studies.demo import demo

    return int(demo(out) or 0)
