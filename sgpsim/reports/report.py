"""Report: one HTML file that holds all it shows.

The rule: figures are inside as images, the style is inside, nothing is loaded from anywhere, and no script runs. A page
is a list of sections; anything that can be said as words, tables and figures makes one.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path

import polars as pl
from matplotlib.figure import Figure

from sgpsim.errors import LONGEST_PATH, SpecificationError, shown
from sgpsim.reports.plots import style, three_axes
from sgpsim.reports.summary import QUARTILES, about, ending, shown_remarks
from sgpsim.reports.timeline import gantt
from sgpsim.results.run import Run
from sgpsim.specification.arguments import checked
from sgpsim.specification.ranges import Count, Part
from sgpsim.specification.specification import specification

LOOK = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid #ddd; }
figure { margin: 1rem 0; overflow-x: auto; } figure img { max-width: 100%; height: auto; } figcaption { font-size: .9rem; color: #444; }
table { border-collapse: collapse; font-size: .85rem; margin: 1rem 0; display: block; overflow-x: auto; }
th, td { text-align: left; padding: .2rem .7rem .2rem 0; border-bottom: 1px solid #eee; vertical-align: top; }
@media (max-width: 40rem) { figure img { min-width: 40rem; } }
td.number { text-align: right; font-variant-numeric: tabular-nums; } th { border-bottom: 1px solid #888; }
"""


@specification(eq=False)
class Picture:
    """A figure with its caption, which is also what a reader hears who does not see it. width: share of the page, at
    most 1."""

    figure: Figure
    caption: str
    width: Part = 1.0


@specification(eq=False)
class Section:
    """A heading; paragraphs of plain text; pictures; tables. In this order."""

    title: str
    text: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()
    tables: tuple[pl.DataFrame, ...] = ()


@checked
def page(title: str, sections: Iterable[Section], lead: str = "") -> str:
    """The whole HTML text."""
    body = [f"<h1>{escape(title)}</h1>"]
    if lead:
        body.append(f"<p>{escape(lead)}</p>")
    for section in sections:
        body.append(f"<h2>{escape(section.title)}</h2>")
        body += [f"<p>{escape(paragraph)}</p>" for paragraph in section.text]
        body += [_picture(picture) for picture in section.pictures]
        body += [table(found) for found in section.tables]
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    head += f"<title>{escape(title)}</title><style>{LOOK}</style>"
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n' + "\n".join(body) + "\n</body></html>\n"


@checked
def write(place: Path, title: str, sections: Iterable[Section], lead: str = "") -> Path:
    """Write the page to `place`; SpecificationError where that cannot be written."""
    text = page(title, sections, lead)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8", errors="replace")  # a title may hold what is no text
    except OSError as error:
        raise SpecificationError(
            f"the report cannot be written to {shown(str(place), LONGEST_PATH)} ({error.strerror}). Give another place by --out."
        ) from None
    return place


@checked
def table(found: pl.DataFrame) -> str:
    """A data frame as an HTML table."""
    head = "".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in found.columns)
    rows = "\n".join("<tr>" + "".join(_cell(value) for value in row) + "</tr>" for row in found.iter_rows())
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{rows}\n</tbody></table>"


def _cell(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"<td>{escape('' if value is None else str(value))}</td>"
    return f'<td class="number">{number(value)}</td>'


def number(value: float) -> str:
    """A number as tables show it: whole ones in full, others with four digits."""
    return str(value) if isinstance(value, int) else f"{value:.4g}"


def _picture(picture: Picture) -> str:
    held = io.BytesIO()
    with style():
        picture.figure.savefig(held, format="png", metadata={"Software": None})
    encoded = base64.b64encode(held.getvalue()).decode()
    caption = escape(picture.caption, quote=True)
    image = f'<img style="width: {100 * picture.width:g}%" alt="{caption}" src="data:image/png;base64,{encoded}">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"


@checked
def of_runs(runs: Mapping[str, Run]) -> list[Section]:
    """Sections on runs: all together first, where there are several, then each by itself with a timeline where it kept
    a trace."""
    sections: list[Section] = []
    if len(runs) > 1:
        drawn = three_axes(runs)
        sections.append(
            Section(
                "All runs",
                (),
                (Picture(drawn, "Loss at the average against steps, seconds of the runs' clocks, and bytes sent."),),
            )
        )
    for name, run in runs.items():
        caption = "Loss at the average against steps, seconds of the run's clock, and bytes sent."
        seeds = len(run.experiment.seeds)
        if seeds > 1:
            caption += f" Line: median of {seeds} seeds; band: quartiles."
        pictures = [Picture(three_axes({name: run}), caption)]
        if run.trace is not None and not run.trace.spans.is_empty():
            end = opening(run)
            pictures.append(
                Picture(
                    gantt(run.trace, 0.0, end),
                    f"The first {end:.4g} seconds of seed {run.experiment.seeds[0]}, node by node.",
                )
            )
        sections.append(Section(name, shown_remarks(run), tuple(pictures), (about(run), ending(run).rename(QUARTILES))))
    return sections


@checked
def opening(run: Run, gradients: Count = 20) -> float:
    """Seconds within which a node takes about `gradients` gradients, at most the run: a stretch that a timeline can
    show."""
    assert run.trace is not None
    spans = run.trace.spans.filter(pl.col("lane") == "compute")
    whole = float(run.trace.spans["end"].max() or 0.0)  # pyright: ignore[reportArgumentType]
    each = len(spans) / max(1, spans["node"].n_unique())
    return whole * min(1.0, gradients / max(each, 1.0))
