"""Assumptions: what claims suppose, each looked at in a setting once and for all.

The rule: a hypothesis is decided from the setting alone, never from what a run did. What the setting does not say is
`unknown`. Letters A1 to A3 are those of Assran et al. 2019 (recalled).
"""

from __future__ import annotations

import numpy as np

from sgpsim.objectives.objective import Constant
from theory.setting import Setting
from theory.theorem import Hypothesis

COLUMN_TOLERANCE = 1e-12
"""How far a column may be from 1: a few hundred roundings."""


def nonnegative(setting: Setting) -> Hypothesis:
    least = float(setting.chain.rounds.min())
    return Hypothesis("all shares are at least 0", "holds" if least >= 0 else "fails", f"smallest entry {least:.3g}")


def column_sums(setting: Setting) -> Hypothesis:
    off = float(np.abs(setting.chain.rounds.sum(axis=1) - 1.0).max())
    return Hypothesis("every column sums to 1", "holds" if off <= COLUMN_TOLERANCE else "fails", f"largest |sum - 1| {off:.3g}")


def self_loops(setting: Setting) -> Hypothesis:
    own = float(np.diagonal(setting.chain.rounds, axis1=1, axis2=2).min())
    return Hypothesis("every node keeps a share", "holds" if own > 0 else "fails", f"smallest own share {own:.3g}")


def jointly_connected(setting: Setting) -> Hypothesis:
    found = setting.windows
    sentence = "A3: the union graph of every window of B rounds is strongly connected"
    if found is None:
        return Hypothesis(sentence, "fails", "no window length works")
    changing = "" if found.constant else ", union graphs change"
    return Hypothesis(sentence, "holds", f"B = {found.length}, diameter {max(found.diameters)}{changing}")


def contracting(setting: Setting) -> Hypothesis:
    found = setting.contraction
    sentence = "every product of T rounds is positive"
    if found is None:
        return Hypothesis(sentence, "fails", f"none within {setting.steps} rounds")
    drawn = "" if setting.chain.periodic else ", of the rounds as drawn"
    return Hypothesis(sentence, "holds", f"T = {found.time}, eta = {found.least:.3g}, delta = {found.weight:.3g}{drawn}")


def matrices(setting: Setting) -> list[Hypothesis]:
    """All that push-sum needs of the rounds."""
    return [
        nonnegative(setting),
        column_sums(setting),
        self_loops(setting),
        jointly_connected(setting),
        contracting(setting),
    ]


def doubly_stochastic(setting: Setting) -> Hypothesis:
    off = float(np.abs(setting.chain.rounds.sum(axis=2) - 1.0).max())
    return Hypothesis("every row sums to 1", "holds" if off <= COLUMN_TOLERANCE else "fails", f"largest |sum - 1| {off:.3g}")


def known(sentence: str, constant: Constant) -> Hypothesis:
    """That a constant of the objective exists, with what supports it."""
    if constant.value is None:
        return Hypothesis(sentence, "unknown", constant.how, "unknown")
    return Hypothesis(sentence, "holds", f"{constant.value:.4g} ({constant.evidence}: {constant.how})", constant.evidence)


def smooth(setting: Setting) -> Hypothesis:
    return known("A1: every f_i is L-smooth", setting.constants.smoothness)


def bounded_variance(setting: Setting) -> Hypothesis:
    return known("A2: E|g_i - grad f_i|^2 <= sigma^2 at every point", setting.constants.variance)


def bounded_heterogeneity(setting: Setting) -> Hypothesis:
    return known("A2: (1/n) sum_i |grad f_i - grad f|^2 <= zeta^2 at every point", setting.constants.heterogeneity)


def bounded_below(setting: Setting) -> Hypothesis:
    return known("f is bounded below", setting.constants.lowest)


def independent_draws(setting: Setting) -> Hypothesis:
    sentence = "draws are independent, with replacement, across steps and nodes"
    if setting.sampling is None:
        return Hypothesis(sentence, "unknown", "no objective was given")
    return Hypothesis(sentence, "holds" if setting.sampling == "replacement" else "fails", f"sampling: {setting.sampling}")


def own_stream(setting: Setting) -> Hypothesis:
    sentence = "schedule and delays are independent of the gradients' draws"
    if setting.own_stream is None:
        return Hypothesis(sentence, "unknown", "nothing is said of where the matrices come from")
    told = "streams of their own" if setting.own_stream else "a shared stream"
    return Hypothesis(sentence, "holds" if setting.own_stream else "fails", told)


def stochastic(setting: Setting) -> list[Hypothesis]:
    """A1, the variance half of A2, and how draws are made."""
    return [smooth(setting), bounded_variance(setting), independent_draws(setting), own_stream(setting)]


def constant_step(setting: Setting) -> Hypothesis:
    sentence = "the step size is constant"
    if setting.step_size is None:
        return Hypothesis(sentence, "unknown", "none was given")
    return Hypothesis(sentence, "holds", f"gamma = {setting.step_size:.4g}")


def step_at_most(setting: Setting, limit: float | None, formula: str) -> Hypothesis:
    """gamma <= limit; unknown where either is."""
    sentence = f"gamma <= {formula}"
    if setting.step_size is None or limit is None:
        return Hypothesis(sentence, "unknown", "the step size or a constant in the limit is not known")
    return Hypothesis(sentence, "holds" if setting.step_size <= limit else "fails", f"{setting.step_size:.4g} against {limit:.4g}")


def late(setting: Setting) -> Hypothesis:
    """That messages take a stated number of further rounds at most."""
    sentence = "messages are at most tau rounds late, and are mixed in once"
    return Hypothesis(sentence, "holds", f"tau = {setting.delay}")


def theorem_d1(setting: Setting) -> list[Hypothesis]:
    """All that theorem D1 and its parts suppose."""
    smoothness, limit = setting.constants.smoothness.value, None
    if smoothness is not None and setting.contraction is not None:
        limit = min(1.0, 1 / (24**0.5 * setting.profile.first)) / smoothness if setting.profile.first > 0 else 1 / smoothness
    return [
        *matrices(setting),
        *stochastic(setting),
        bounded_heterogeneity(setting),
        bounded_below(setting),
        step_at_most(setting, limit, "min(1/L, 1/(sqrt(24) L S1))"),
    ]
