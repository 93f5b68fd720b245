"""Assumptions: what claims suppose, each looked at in a setting once and for all.

The rule: a hypothesis is decided from the setting alone, never from what a run did. What the setting does not say is
`unknown`. Letters A1 to A3 are those of Assran et al. 2019 (recalled).
"""

from __future__ import annotations

import math
from collections.abc import Container
from typing import get_args

import numpy as np

from sgpsim.objectives.objective import Constant
from sgpsim.schedules.validation import TOLERANCE
from theory.connectivity import connected_at_all
from theory.displacement import Displacement
from theory.setting import Method, Setting
from theory.theorem import Hypothesis

COLUMN_TOLERANCE = TOLERANCE
"""How far a column may be from 1: what validation grants."""

MORE_ROUNDS = "needs more rounds"
"""How the evidence of a hypothesis begins that looking at more rounds would decide."""


def nonnegative(setting: Setting) -> Hypothesis:
    least = float(setting.chain.rounds.min())
    return Hypothesis("all shares are at least 0", "holds" if least >= 0 else "fails", f"smallest entry {least:.3g}")


def column_sums(setting: Setting) -> Hypothesis:
    """To the same rounding as validation; what it grants, claims grant too (Setting.epsilon)."""
    chain = setting.chain
    return Hypothesis("every column sums to 1", "holds" if chain.conserves else "fails", f"largest |sum - 1| {chain.leak:.3g}")


def self_loops(setting: Setting) -> Hypothesis:
    own = float(np.diagonal(setting.chain.rounds, axis1=1, axis2=2).min())
    return Hypothesis("every node keeps a share", "holds" if own > 0 else "fails", f"smallest own share {own:.3g}")


def jointly_connected(setting: Setting) -> Hypothesis:
    found = setting.windows
    sentence = "A3: the union graph of every window of B rounds is strongly connected"
    if found is None and not setting.chain.periodic and connected_at_all(setting.chain):
        told = f"{MORE_ROUNDS}: all {setting.chain.horizon} together connect everybody, half of them do not"
        return Hypothesis(sentence, "unknown", told, "unknown")
    if found is None:
        return Hypothesis(sentence, "fails", "no window length works")
    changing = "" if found.constant else ", union graphs change"
    return Hypothesis(sentence, "holds", f"B = {found.length}, diameter {max(found.diameters)}{changing}")


def contracting(setting: Setting) -> Hypothesis:
    found = setting.contraction
    sentence = "every product of T rounds is positive"
    if found is None and setting.late_time_bound is not None:
        told = f"{MORE_ROUNDS}: T <= {setting.late_time_bound} is proved, {setting.steps} rounds were looked at"
        return Hypothesis(sentence, "unknown", told, "unknown")
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


def _said(sentence: str, holds: bool | None, told: str) -> Hypothesis:
    """One thing that a setting says of itself; `holds` is None where it says nothing."""
    return Hypothesis(sentence, "unknown" if holds is None else "holds" if holds else "fails", told)


def _of_method(setting: Setting, sentence: str, holding: Container[str]) -> Hypothesis:
    """That the method is one of `holding`."""
    if setting.method is None:
        return _said(sentence, None, "the method is not known")
    return _said(sentence, setting.method in holding, f"method: {setting.method}")


def independent_draws(setting: Setting) -> Hypothesis:
    sentence = "draws are independent, with replacement, across steps and nodes"
    if setting.sampling is None:
        return _said(sentence, None, "no objective was given")
    return _said(sentence, setting.sampling == "replacement", f"sampling: {setting.sampling}")


def own_stream(setting: Setting) -> Hypothesis:
    told = {None: "nothing is said of where the matrices come from", True: "streams of their own", False: "a shared stream"}
    return _said("schedule and delays are independent of the gradients' draws", setting.own_stream, told[setting.own_stream])


def at_ratios(setting: Setting) -> Hypothesis:
    """That a gradient is of the point that the claim calls z."""
    sentence = "gradients are taken at z = x / w"
    if setting.method is not None and setting.displacement is not None and not setting.displacement.sizes:
        return _said(sentence, False, "no gradient is taken")
    return _of_method(setting, sentence, ("push", "combine-then-adapt", "collective"))


def known_rounds(setting: Setting) -> Hypothesis:
    """That the rounds of the setting are those by which the run moved its mass."""
    return _of_method(setting, "mass moves by the rounds P^k, each message as late as stated", get_args(Method))


def mixed_moves(setting: Setting) -> Hypothesis:
    """That x' = P (x + move): a move is mixed in the round of its own step."""
    return _of_method(setting, "moves are mixed with the round of their step, X' = P (X + M)", ("push", "biased push"))


def stochastic(setting: Setting) -> list[Hypothesis]:
    """A1, the variance half of A2, how draws are made and where gradients are taken."""
    return [smooth(setting), bounded_variance(setting), independent_draws(setting), own_stream(setting), at_ratios(setting)]


def plain_step(setting: Setting) -> Hypothesis:
    """That moves are -gamma g with one gamma: no momentum, no changing step size."""
    sentence = "every move is -gamma g, gamma constant (plain SGD)"
    if setting.step_size is not None:
        return Hypothesis(sentence, "holds", f"gamma = {setting.step_size:.4g}")
    if setting.displacement is not None:
        return Hypothesis(sentence, "fails", f"descent: {setting.displacement}")
    return Hypothesis(sentence, "unknown", "no step size was given")


def step_at_most(setting: Setting, limit: float | None, formula: str) -> Hypothesis:
    """Plain SGD with gamma <= limit; unknown where either is."""
    plain = plain_step(setting)
    sentence = f"gamma <= {formula}"
    if plain.status == "fails":
        return Hypothesis(sentence, "fails", plain.evidence)
    if setting.step_size is None or limit is None:
        return Hypothesis(sentence, "unknown", "the step size or a constant in the limit is not known")
    return Hypothesis(sentence, "holds" if setting.step_size <= limit else "fails", f"{setting.step_size:.4g} against {limit:.4g}")


def rate_step(moving: Displacement | None, nodes: int, steps: int) -> Hypothesis:
    """gamma = sqrt(n/K), as the rate asks."""
    sentence, asked = "gamma = sqrt(n/K)", math.sqrt(nodes / steps)
    if moving is None:
        return Hypothesis(sentence, "unknown", "no step size was given")
    if moving.step_size is None:
        return Hypothesis(sentence, "fails", f"descent: {moving}")
    same = math.isclose(moving.step_size, asked, rel_tol=1e-12)
    return Hypothesis(sentence, "holds" if same else "fails", f"{moving.step_size:.4g} against {asked:.4g}")


def known_start(setting: Setting) -> Hypothesis:
    """That F0 and X0 can be computed."""
    sentence = "the start and its loss are known"
    if setting.start_loss is None or setting.start_spread is None:
        return Hypothesis(sentence, "unknown", "none was given")
    return Hypothesis(sentence, "holds", f"f(xbar^0) = {setting.start_loss:.4g}, X0 = {setting.start_spread:.4g}")


def reciprocal(value: float) -> float:
    """1 / value, and infinity for 0: a limit of the form 1/L is none where L = 0."""
    return float("inf") if value == 0 else 1.0 / value


def late(setting: Setting) -> Hypothesis:
    """That messages take a stated number of further rounds at most."""
    sentence = "messages are at most tau rounds late, and are mixed in once"
    if setting.method is None:
        return Hypothesis(sentence, "unknown", "the method is not known")
    mixing, nodes = setting.mixing, setting.nodes
    longest = mixing.states // nodes - 1
    once = "once" if mixing.conserves else "not once"
    told = f"tau = {setting.delay}; the rounds hold messages for {longest}, each column of them {once}"
    return Hypothesis(sentence, "holds" if longest <= setting.delay and mixing.conserves else "fails", told)


def theorem_d1(setting: Setting) -> list[Hypothesis]:
    """All that theorem D1 and its parts suppose."""
    smoothness, limit = setting.constants.smoothness.value, None
    if smoothness is not None and setting.contraction is not None:
        limit = min(1.0, reciprocal(24**0.5 * setting.profile.first)) * reciprocal(smoothness)
    return [
        *matrices(setting),
        mixed_moves(setting),
        *stochastic(setting),
        bounded_heterogeneity(setting),
        bounded_below(setting),
        known_start(setting),
        step_at_most(setting, limit, "min(1/L, 1/(sqrt(24) L S1))"),
    ]
