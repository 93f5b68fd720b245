"""Figures: one look for all studies: column widths, sizes of type, and colours that stay apart for colour-blind readers.

The rule: a figure is as wide as it is printed (one column 3.5 in, two columns 7 in), so that its type has the size it
says. Lines differ in dash or marker as well as in colour. Nothing here touches pyplot or any other global state, and
files hold no date, so equal data make equal files.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

COLUMN = 3.5
"""Width of one column, in inches."""
PAGE = 7.0
"""Width of two columns, in inches."""

BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILION, PURPLE = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
)  # fmt: skip
"""Okabe and Ito 2008: told apart by all common kinds of colour vision."""
GREY = "#707070"
"""For bounds and what is drawn for orientation."""

STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "grid.linewidth": 0.4,
    "grid.color": "#E0E0E0",
    "axes.axisbelow": True,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "legend.handlelength": 1.8,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "pdf.fonttype": 42,
}


@contextmanager
def style() -> Iterator[None]:
    """Matplotlib settings of all figures, while the context lasts."""
    with mpl.rc_context(STYLE):
        yield


def blank(width: float, height: float) -> Figure:
    """An empty figure, in inches, that lays itself out."""
    return Figure(figsize=(width, height), layout="constrained")


def save(drawn: Figure, png: Path, pdf: Path) -> None:
    """Write both files, without dates."""
    drawn.savefig(png, dpi=200, metadata={"Software": None})
    drawn.savefig(pdf, metadata={"CreationDate": None})
