"""The mixing check as text, as plain data, and as a figure.

The rule: all three show the same value of theory.mixing and compute nothing but the bound that the figure draws.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from theory.mixing import Mixing

APPLICATIONS = {
    "applies": "Claims that apply:",
    "needs": "Claims that apply once objective, step size or durations satisfy what `python -m theory verify NAME` lists:",
    "fails": "Claims that do not apply:",
}


def plain(found: Mixing) -> dict[str, Any]:
    """As JSON has it: numbers, words, lists; what is not known, or infinite, is null."""
    bound, profile = found.contraction, found.profile
    return {
        "title": found.title,
        "nodes": found.nodes,
        "period": found.period,
        "rounds": found.rounds,
        "passed": found.passed,
        "assumptions": [{"name": a.name, "passed": a.passed, "evidence": a.evidence, "cure": a.cure} for a in found.assumptions],
        "smallest_share": _finite(found.smallest_share),
        "row_sums": list(found.row_sums),
        "doubly_stochastic": found.doubly_stochastic,
        "window": found.window,
        "diameters": list(found.diameters),
        "same_union_graph_in_every_window": found.same_windows,
        "positivity_time": None if bound is None else bound.time,
        "positivity_time_bound": found.time_bound,
        "smallest_product_entry": None if bound is None else bound.least,
        "contraction_factor": None if bound is None else bound.factor,
        "profile": None if profile is None else profile.norms.tolist(),
        "profile_tails": None if profile is None else [_finite(tail) for tail in profile.tails],
        "S1": None if profile is None else _finite(profile.first),
        "S2": None if profile is None else _finite(profile.second),
        "exact_after": None if profile is None else profile.exact_after,
        "second_singular_values": found.singular.tolist(),
        "second_singular_values_squared": (found.singular**2).tolist(),
        "spectral_gap": found.spectral_gap,
        "weights": None if found.weights is None else list(found.weights),
        "weight_lower_bound": found.weight_bound,
        "claims": [{"claim": a.claim, "status": a.status, "why": a.why} for a in found.applications],
    }


def show(found: Mixing, console: Console) -> None:
    """What is assumed, what was found, and which claims apply."""
    rounds = f"period {found.period}" if found.period is not None else f"never repeats, {found.rounds} rounds looked at"
    asked = Table(title=f"{found.title}: {found.nodes} nodes, {rounds}", title_justify="left", show_header=False)
    for assumption in found.assumptions:
        verdict = "[green]pass[/]" if assumption.passed else "[bold red]FAIL[/]"
        cure = f"\n[bold]cure:[/] {assumption.cure}" if assumption.cure else ""
        asked.add_row(verdict, assumption.name, assumption.evidence + cure)
    console.print(asked)
    figures = Table(show_header=False, box=None)
    for name, value in _figures(found):
        figures.add_row(name, value)
    console.print(figures)
    for status, title in APPLICATIONS.items():
        names = [application for application in found.applications if application.status == status]
        told = [f"{a.claim} ({a.why})" if status == "fails" else a.claim for a in names]
        if told:
            console.print(f"[bold]{title}[/] {'; '.join(told)}", highlight=False)


def _figures(found: Mixing) -> list[tuple[str, str]]:
    """Name and value of every quantity, in words."""
    stochastic = " (doubly stochastic: weights stay 1)" if found.doubly_stochastic else ""
    lines = [
        ("smallest nonzero share", _number(found.smallest_share)),
        ("row sums", f"{found.row_sums[0]:.6g} to {found.row_sums[1]:.6g}{stochastic}"),
    ]
    if found.window is not None:
        same = "the same" if found.same_windows else "another"
        told = f"{found.window}; union graph {same} in every window, diameters {_spread(found.diameters)}"
        lines.append(("smallest window B", told))
    lines.append(("second singular value of m rounds", _list(found.singular)))
    lines.append(("  its square", _list(found.singular**2)))
    if found.spectral_gap is not None:
        lines.append(("spectral gap per round", _number(found.spectral_gap)))
    if found.weights is not None:
        seen = f"{found.weights[0]:.4g} to {found.weights[1]:.4g}"
        lines.append(("weights", f"{seen}; at least {_number(found.weight_bound)} by B and the smallest share"))
    bound, profile = found.contraction, found.profile
    if bound is not None:
        form = "no C q^m form" if bound.geometric is None else "C = {:.4g}, q = {:.6g}".format(*bound.geometric)
        lines.append(("every product positive after T", f"{bound.time} rounds (proved: at most {found.time_bound})"))
        lines.append(("contraction (Lemma A)", f"lambda = {bound.factor:.6g}, delta = {bound.weight:.4g}; {form}"))
    if profile is not None:
        cut = f"{_number(profile.tails[0])} and {_number(profile.tails[1])} of it cut off"
        lines.append(("contraction profile eps_0, eps_1, ...", _list(profile.norms[:12])))
        lines.append(("S1 and S2", f"{_number(profile.first)} and {_number(profile.second)} ({cut})"))
        after = profile.exact_after
        lines.append(("exact averaging", "no, in the limit only" if after is None else f"after {after} rounds"))
    return lines


def draw(found: Mixing, path: Path) -> None:
    """eps_m and the second singular value against Lemma A's bound, over product length m, on a logarithmic scale."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    if found.profile is not None and found.contraction is not None:
        shown = np.flatnonzero(found.profile.norms > 1e-12)
        norms = found.profile.norms[: int(shown[-1]) + 2 if len(shown) else 1]
        lengths = np.arange(len(norms))
        axes.plot(lengths, np.where(norms > 1e-12, norms, np.nan), "o-", markersize=3, label=r"$\varepsilon_m$")
        limit = found.nodes * found.contraction.bound(lengths)
        axes.step(lengths, np.where(limit > 0, limit, np.nan), where="post", color="black", lw=1, label="bound (Lemma A)")
    else:
        axes.text(0.5, 0.95, "no bound: an assumption fails", ha="center", va="top", transform=axes.transAxes)
    singular = np.where(found.singular > 1e-12, found.singular, np.nan)
    axes.plot(np.arange(1, len(singular) + 1), singular, "s--", markersize=3, label="second singular value")
    axes.set_yscale("log")
    axes.set_xlabel("rounds in the product, m")
    axes.set_ylabel("distance from exact averaging")
    axes.set_title(found.title)
    axes.legend()
    figure.savefig(path, dpi=150)


def _spread(values: tuple[int, ...]) -> str:
    return str(values[0]) if min(values) == max(values) else f"{min(values)} to {max(values)}"


def _list(values: np.ndarray) -> str:
    return ", ".join(f"{value:.4g}" if value > 1e-12 else "0" for value in values)


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4g}"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
