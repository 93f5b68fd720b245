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

from theory.mixing import Application, Mixing

APPLICATIONS = {
    "applies": "Claims that apply:",
    "needs": "Claims that apply once objective, step size or durations satisfy what `python -m theory verify NAME` lists:",
    "rounds": "Claims that apply once more rounds are looked at (--rounds):",
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
        "row_sums": [_finite(total) for total in found.row_sums],
        "doubly_stochastic": found.doubly_stochastic,
        "window": found.window,
        "diameters": list(found.diameters),
        "same_union_graph_in_every_window": found.same_windows,
        "positivity_time": found.time,
        "positivity_time_bound": found.time_bound,
        "smallest_product_entry": None if bound is None else bound.least,
        "contraction_factor": None if bound is None else bound.factor,
        "profile": None if profile is None else profile.norms.tolist(),
        "profile_tails": None if profile is None else [_finite(tail) for tail in profile.tails],
        "S1": None if profile is None else _finite(profile.first),
        "S2": None if profile is None else _finite(profile.second),
        "exact_after": None if found.exact is None else found.exact[1],
        "exact_after_from_round_0": None if found.exact is None else found.exact[0],
        "exact_to": found.exact_to,
        "second_singular_values": found.singular.tolist(),
        "second_singular_values_squared": (found.singular**2).tolist(),
        "spectral_gap": found.spectral_gap,
        "starts_of_profile": dict(zip(("looked_at", "of"), found.starts, strict=True)),
        "starts_of_singular_values": dict(zip(("looked_at", "of"), found.singular_starts, strict=True)),
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
        _claims(title, [a for a in found.applications if a.status == status], status in ("rounds", "fails"), console)


def _claims(title: str, applications: list[Application], reasons: bool, console: Console) -> None:
    """One line of names, or a line per reason with the claims that share it."""
    if not applications:
        return
    if not reasons:
        console.print(f"[bold]{title}[/] {'; '.join(application.claim for application in applications)}", highlight=False)
        return
    console.print(f"[bold]{title}[/]")
    grouped: dict[str, list[str]] = {}
    for application in applications:
        grouped.setdefault(application.why, []).append(application.claim)
    for why, names in grouped.items():
        console.print(f"  {why}: {'; '.join(names)}", highlight=False, markup=False)


def _figures(found: Mixing) -> list[tuple[str, str]]:
    """Name and value of every quantity, in words."""
    stochastic = " (doubly stochastic: weights stay 1)" if found.doubly_stochastic else ""
    lines = [
        ("smallest share above 0", _number(found.smallest_share) if math.isfinite(found.smallest_share) else "there is none"),
        ("row sums", f"{found.row_sums[0]:.6g} to {found.row_sums[1]:.6g}{stochastic}"),
    ]
    if found.window is not None:
        same = "the same" if found.same_windows else "another"
        told = f"{found.window}; union graph {same} in every window, diameters {_spread(found.diameters)}"
        lines.append(("smallest window B", told))
    sampled = _sample(found.singular_starts)
    lines.append(("second singular value of m rounds", _list(found.singular) + sampled if len(found.singular) else "beyond all numbers"))
    lines.append(("  its square", _list(found.singular**2)))
    if found.spectral_gap is not None:
        exact = found.exact is not None and found.exact[1] is not None
        told = " (products average exactly; what rounding leaves of an eigenvalue 0 counts as 0)" if exact else ""
        lines.append(("spectral gap per round", _number(found.spectral_gap) + told))
    elif found.period is not None and found.passed:
        lines.append(("spectral gap per round", "not found: the iteration did not converge"))
    if found.weights is not None:
        seen = f"{found.weights[0]:.4g} to {found.weights[1]:.4g}"
        known = "" if found.weight_bound is None else f"; at least {_tiny(found.weight_bound)} by B and the smallest share"
        lines.append(("weights", seen + known))
    bound, profile = found.contraction, found.profile
    if found.window is not None and found.assumptions[0].passed:
        lines.append(("every product positive after T", _time(found)))
    if bound is not None:
        form = "no C q^m form" if bound.geometric is None else "C = {:.4g}, q = {:.6g}".format(*bound.geometric)
        if 0 < bound.nodes * bound.least < 1e-12:
            form = f"1 - lambda = {bound.nodes * bound.least:.3g}; {form}"
        lines.append(("contraction (Lemma A)", f"lambda = {bound.factor:.6g}, delta = {bound.weight:.4g}; {form}"))
    if profile is not None:
        cut = f"{_number(profile.tails[0])} and {_number(profile.tails[1])} of it cut off"
        sampled = _sample(found.starts)
        lines.append(("contraction profile eps_0, eps_1, ...", _list(profile.norms[:12], 1e-13) + sampled))
        lines.append(("S1 and S2", f"{_number(profile.first)} and {_number(profile.second)} ({cut}){sampled}"))
    if found.exact is not None:
        lines.append(("exact averaging", f"{_exactness(*found.exact)} (to rounding: |kernel| up to {_number(found.exact_to)} counts as 0)"))
    return lines


def _time(found: Mixing) -> str:
    proved = "" if found.time_bound is None else f"proved: at most {found.time_bound}"
    if found.time is not None:
        return f"{found.time} rounds" + (f" ({proved})" if proved else "")
    if proved:
        return f"{proved} rounds; products of up to {found.time_looked_at} were looked at, more rounds are needed"
    if found.period is None:
        return f"not within the {found.time_looked_at} rounds looked at"
    return "never: products go round in circles (no power of the product over a period is positive)"


def _exactness(from_start: int | None, from_any: int | None) -> str:
    if from_start is None:
        return "no, in the limit only"
    anywhere = "in the limit only" if from_any is None else f"after {from_any} rounds"
    return f"after {from_start} rounds from round 0, {anywhere} from any start"


def _sample(starts: tuple[int, int]) -> str:
    """What to add to figures that are the largest over some starts only."""
    return "" if starts[0] == starts[1] else f" (sample: the largest over {starts[0]} of {starts[1]} starts)"


ROUNDING = 1e-12
"""What a figure draws as 0."""


def draw(found: Mixing, path: Path) -> None:
    """eps_m and the second singular value against Lemma A's bound, over product length m, on a logarithmic scale; what is
    0 up to rounding, which that scale has no place for, as hollow marks at its foot."""
    from matplotlib.ticker import MaxNLocator

    from sgpsim.reports.plots import COLOURS, SINGLE, style
    from sgpsim.reports.plots import figure as empty

    with style():
        figure = empty(1.3 * SINGLE, 3.0)
        axes = figure.add_subplot()
        axes.set_yscale("log")
        curves = [(np.arange(1, len(found.singular) + 1), found.singular, "second singular value", "s--", COLOURS[1], 2.5)]
        if found.profile is not None and found.contraction is not None:
            norms = found.profile.norms
            last = np.flatnonzero(norms > ROUNDING)
            exact = found.exact is not None and found.exact[0] is not None  # else what is below ROUNDING still shrinks
            norms = norms[: int(last[-1]) + 1 + exact if len(last) else 1]
            lengths = np.arange(len(norms))
            curves.insert(0, (lengths, norms, r"contraction $\varepsilon_m$", "o-", COLOURS[0], 4.0))
            limit = found.nodes * found.contraction.bound(lengths)
            bound = np.where(limit > 0, limit, np.nan)
            axes.step(lengths, bound, where="post", color="black", linewidth=0.8, label=r"bound on $\varepsilon_m$ (Lemma A)")
        for lengths, values, label, look, colour, size in curves:
            axes.plot(lengths, np.where(values > ROUNDING, values, np.nan), look, color=colour, markersize=size, label=label)
        foot = axes.get_xaxis_transform()
        none = np.unique(np.concatenate([lengths[values <= ROUNDING] for lengths, values, *_ in curves]))
        if len(none):
            axes.set_ylim(bottom=axes.get_ylim()[0] / 3)
            hollow = {"marker": "o", "linestyle": "none", "color": "black", "markerfacecolor": "white", "markersize": 4.0}
            axes.plot(none, np.full(len(none), 0.02), transform=foot, clip_on=False, label="0, up to rounding", **hollow)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("rounds in the product, $m$")
        axes.set_ylabel("distance from exact averaging")
        axes.set_title(": ".join(part for part in (found.title, _headline(found)) if part))
        figure.legend(loc="outside lower center", ncols=2)
        figure.savefig(path, dpi=200)


def _headline(found: Mixing) -> str:
    """What the figure shows, in a few words."""
    if found.exact is not None and (rounds := found.exact[0]) is not None:
        return f"exact after {rounds} round{'s' if rounds > 1 else ''}"
    if not found.passed:
        return "no bound, as an assumption fails"
    return "" if found.spectral_gap is None else f"a factor {1 - found.spectral_gap:.3g} closer per round"


def _spread(values: tuple[int, ...]) -> str:
    return str(values[0]) if min(values) == max(values) else f"{min(values)} to {max(values)}"


def _list(values: np.ndarray, floor: float = 0.0) -> str:
    """The values; those up to `floor` are rounding of 0."""
    return ", ".join(f"{value:.4g}" if value > floor else "0" for value in values)


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4g}"


def _tiny(value: float) -> str:
    return "a number below the floating-point range" if value == 0.0 else f"{value:.4g}"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
