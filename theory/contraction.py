"""Contraction: the constants with which products of rounds tend to exact averaging.

The rule: `Contraction` holds Lemma A's constants in the floor form lambda^{floor(m/T)} / delta, which also makes
sense where lambda = 0 (a schedule that averages exactly); the form C q^m exists only for lambda > 0. `Profile` holds
the norms eps_m = sup_s |E_{s+m:s}|_2 themselves, from which the sums S1 and S2 of theorems D1 and D2 come: exact up
to the horizon, or cut off with a tail bounded by the contraction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from theory.chain import Chain
from theory.connectivity import positivity_bound, positivity_time, windows

NEGLIGIBLE = 1e-14
"""Norms below this over the smallest weight are rounding of exact averaging."""


@dataclass(frozen=True)
class Contraction:
    """time: T, rounds after which every product is positive. least: eta, its smallest entry. weight: delta, the
    smallest weight. nodes: n."""

    time: int
    least: float
    weight: float
    nodes: int

    @property
    def factor(self) -> float:
        """lambda = 1 - n eta, in [0, 1); a negative value is rounding of 0."""
        return max(0.0, 1.0 - self.nodes * self.least)

    @property
    def geometric(self) -> tuple[float, float] | None:
        """(C, q) with C q^m >= lambda^{floor(m/T)} / delta: q = lambda^{1/T}, C = lambda^{-(T-1)/T} / delta; None
        where lambda = 0."""
        if self.factor == 0.0:
            return None
        return self.factor ** (-(self.time - 1) / self.time) / self.weight, self.factor ** (1 / self.time)

    def bound(self, lengths: NDArray[np.int64]) -> NDArray[np.float64]:
        """lambda^{floor(m/T)} / delta for each m of `lengths`; 0^0 = 1."""
        return np.power(self.factor, lengths // self.time) / self.weight

    def tail(self, longest: int, power: int) -> float:
        """Bound of sum_{m > longest} eps_m^power, from eps_m <= n lambda^{floor(m/T)} / delta (2-norm at most n times
        the largest entry)."""
        ratio = self.factor**power
        if ratio == 1.0:
            return math.inf
        return self.time * ratio ** ((longest + 1) // self.time) * (self.nodes / self.weight) ** power / (1.0 - ratio)


@dataclass(frozen=True, eq=False)
class Profile:
    """norms: eps_0, ..., eps_M. tails: bounds of sum_{m > M} eps_m and of sum_{m > M} eps_m^2; 0 where M is the
    horizon."""

    norms: NDArray[np.float64]
    tails: tuple[float, float]

    @property
    def first(self) -> float:
        """S1 = sum_{m >= 1} eps_m."""
        return float(self.norms[1:].sum()) + self.tails[0]

    @property
    def second(self) -> float:
        """S2 = sum_{m >= 0} eps_m^2."""
        return float(self.norms @ self.norms) + self.tails[1]

    @property
    def exact_after(self) -> int | None:
        """The smallest m from which on products average exactly; None if they do so in the limit only."""
        small = np.flatnonzero(self.norms <= 1e-12)
        if not len(small):
            return None
        first = int(small[0])
        return first if first == 0 or self.norms[first - 1] > 1e-6 else None  # a sudden end, not a slow one


def contraction(chain: Chain, longest: int) -> Contraction | None:
    """T, eta and delta computed from the products themselves; None where no product of up to `longest` rounds is
    positive."""
    time = positivity_time(chain, longest)
    if time is None:
        return None
    *_, found = chain.products(time)
    return Contraction(time, float(found[:, : chain.real].min()), chain.least_weight, chain.real)


def a_priori(chain: Chain, delay: int = 0) -> Contraction | None:
    """The same constants from B, Delta, tau and the smallest share 1/D alone: eta >= D^{-T}, delta >= D^{-T}; None
    where no B exists.

    chain: the rounds without delays.
    """
    found = windows(chain)
    if found is None:
        return None
    time = positivity_bound(found, chain.real, delay)
    share = float(chain.rounds[chain.rounds > 0].min())
    return Contraction(time, share**time, share**time, chain.real)


def profile(chain: Chain, longest: int, bound: Contraction | None) -> Profile:
    """eps_m for m = 0..longest (real rows and columns), stopped early where products have become exact to rounding.

    The tail is bounded by `bound`, or by composition where that is less: with F of Chain.remainders, M the cut and
    theta = sup |F_M|_2, eps_{m + qM} <= sup |E_m|_2 theta^q (all columns), so the tail is geometric in blocks of M.
    """
    norms: list[float] = []
    wide: list[float] = []
    theta, negligible = math.inf, NEGLIGIBLE / chain.least_weight
    for length, found in enumerate(chain.remainders(longest)):
        kernels = found[:, : chain.real] / chain.weights[np.arange(len(found)) + length][:, :, None]
        norms.append(_largest_norm(kernels[:, :, : chain.real]))
        wide.append(norms[-1] if chain.states == chain.real else _largest_norm(kernels))
        if norms[-1] <= negligible or length == longest:
            theta = _largest_norm(found)
            break
    cut = len(norms) - 1
    if cut == chain.horizon:
        return Profile(np.array(norms), (0.0, 0.0))
    tails = [math.inf, math.inf] if bound is None else [bound.tail(cut, 1), bound.tail(cut, 2)]
    if theta < 1 and cut >= 1:
        block = np.array(wide[1:])
        tails[0] = min(tails[0], float(block.sum()) * theta / (1 - theta))
        tails[1] = min(tails[1], float(block @ block) * theta**2 / (1 - theta**2))
    return Profile(np.array(norms), (tails[0], tails[1]))


def _largest_norm(matrices: NDArray[np.float64]) -> float:
    """The largest 2-norm of a stack of matrices."""
    return float(np.linalg.norm(matrices, ord=2, axis=(1, 2)).max())
