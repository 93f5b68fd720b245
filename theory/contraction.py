"""Contraction: the constants with which products of rounds tend to exact averaging.

The rule: `Contraction` holds Lemma A's constants in the floor form lambda^{floor(m/T)} / delta, which also makes
sense where lambda = 0 (a schedule that averages exactly); the form C q^m exists only for lambda > 0. `Profile` holds
the norms eps_m = sup_s |E_{s+m:s}|_2 themselves, from which the sums S1 and S2 of theorems D1 and D2 come: exact up
to the horizon, or cut off with a tail bounded by the contraction.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from theory.chain import Chain
from theory.connectivity import Windows, positivity_bound, positivity_time, windows
from theory.iteration import product_map, singular_value

BATCH = 2**24
"""Entries of products that are held at once."""

NEGLIGIBLE = 1e-14
"""Norms below this over the smallest weight are rounding of exact averaging."""


COARSEST = 1e-6
"""Rounded shares are never granted more than this: beyond, exact averaging is not told apart from a quick decay."""


def exact_to(chain: Chain, rounds: int) -> float:
    """What rounding may leave of |E_{s+m:s}|_F = 0 where k = s + m = `rounds`: 2 sqrt(n) (k + 1) (r + 1) u / delta, at
    most COARSEST.

    r: the most entries in a row; u: machine epsilon, or the largest |column sum - 1| of rounds whose shares were rounded;
    delta: the smallest weight. A round moves a column of a product by (r + 1) u in the 1-norm, which bounds the 2-norm;
    m of them move A and k of them the weights, and there are n columns.
    """
    entries = int(np.count_nonzero(chain.rounds, axis=2).max())
    unit = max(float(np.finfo(np.float64).eps), chain.leak)
    return min(COARSEST, 2 * chain.states**0.5 * (rounds + 1) * (entries + 1) * unit / chain.least_weight)


def exact_averaging(chain: Chain, longest: int) -> tuple[int | None, int | None]:
    """After how many rounds products average exactly, to the rounding of `exact_to`: those that start at round 0, and those
    that start anywhere (the most over all starts); None where they do so in the limit only, or not within `longest` rounds.

    Once exact from a start, products stay so, as remainders compose. A slow decay gets below any number, so only an end
    that comes at once counts: one round that takes the norm from above the root of that rounding to below the rounding
    itself. All starts that can differ are looked at, of a chain that never repeats those that leave `longest` rounds.
    """
    first = _exact_from(chain, 0, longest)
    if first is None:
        return None, None
    others = min(chain.distinct, chain.horizon + 1 - longest)
    found = [_exact_from(chain, start, longest) for start in range(1, others)]
    return first, None if None in found else max([first, *(length for length in found if length is not None)])


def _exact_from(chain: Chain, start: int, longest: int) -> int | None:
    before = math.inf
    for length, found in enumerate(chain.products(longest, np.array([chain.index(start)]))):
        granted = exact_to(chain, start + length)
        weights = chain.weights[start + length][:, None]
        norm = float(np.linalg.norm(found[0] / weights - 1.0 / chain.real))
        if norm <= granted:
            return length if before > granted**0.5 else None
        if norm <= granted**0.5:
            return None
        before = norm
    return None


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


def contraction(chain: Chain, longest: int) -> Contraction | None:
    """T, eta and delta computed from the products themselves; None where no product of up to `longest` rounds is
    positive."""
    time = positivity_time(chain, longest)
    if time is None:
        return None
    batch = max(1, int(BATCH // chain.states**2))
    least = math.inf
    for first in range(0, chain.starts if chain.periodic else chain.horizon + 1 - time, batch):
        starts = np.arange(first, min(first + batch, chain.starts if chain.periodic else chain.horizon + 1 - time))
        (found,) = deque(chain.products(time, starts), maxlen=1)  # the last alone: all of them may not fit into memory
        least = min(least, float(found[:, : chain.real].min()))
    return Contraction(time, least, chain.least_weight, chain.real)


def a_priori(chain: Chain, delay: int = 0, found: Windows | None = None) -> Contraction | None:
    """The same constants from B, Delta, tau and the smallest share 1/D alone: eta >= D^{-T}, delta >= D^{-T}; None
    where no B exists, or no share is above 0.

    chain: the rounds without delays. found: their windows, where these are known already.
    """
    found = found or windows(chain)
    shares = chain.rounds[chain.rounds > 0]
    if found is None or not len(shares):
        return None
    time = positivity_bound(found, chain.real, delay)
    share = float(shares.min())
    return Contraction(time, share**time, share**time, chain.real)


def profile(chain: Chain, longest: int, bound: Contraction | None, starts: NDArray[np.int64] | None = None) -> Profile:
    """eps_m for m = 0..longest (real rows and columns), stopped early where products have become exact to rounding;
    the largest over all starts that can differ, or over those given.

    The tail is bounded by `bound`, or by composition where that is less: with F of Chain.remainders, M the cut and
    theta = sup |F_M|_2, eps_{m + qM} <= sup |E_m|_2 theta^q (all columns), so the tail is geometric in blocks of M.
    """
    norms: list[float] = []
    wide: list[float] = []
    theta, negligible = math.inf, NEGLIGIBLE / chain.least_weight
    for own, whole, last in _norms(chain, min(longest, chain.horizon), starts, negligible):
        norms.append(own)
        wide.append(whole)
        theta = last
    cut = len(norms) - 1
    if cut == chain.horizon:
        return Profile(np.array(norms), (0.0, 0.0))
    tails = [math.inf, math.inf] if bound is None else [bound.tail(cut, 1), bound.tail(cut, 2)]
    if theta < 1 and cut >= 1:
        block = np.array(wide[1:])
        tails[0] = min(tails[0], float(block.sum()) * theta / (1 - theta))
        tails[1] = min(tails[1], float(block @ block) * theta**2 / (1 - theta**2))
    return Profile(np.array(norms), (tails[0], tails[1]))


def _norms(chain: Chain, longest: int, starts: NDArray[np.int64] | None, negligible: float) -> Iterator[tuple[float, float, float]]:
    """For m = 0, 1, ...: the largest |E_m|_2 over real columns, that over all columns, and, in the last item, |F_M|_2."""
    if chain.large and chain.states == chain.real:
        begin = np.arange(chain.distinct) if starts is None else starts
        for length in range(longest + 1):
            seen = begin[begin + length <= chain.horizon]
            norm = max(_iterated(chain, int(start), length, weighted=True) for start in seen)
            ends = norm <= negligible or length == longest
            yield norm, norm, max(_iterated(chain, int(start), length, weighted=False) for start in seen) if ends else math.inf
            if ends:
                return
    for length, found in enumerate(chain.remainders(longest, starts)):
        kernels = found[:, : chain.real] / chain.weights[_ends(chain, starts, length)][:, :, None]
        own = _largest_norm(kernels[:, :, : chain.real])
        whole = own if chain.states == chain.real else _largest_norm(kernels)
        ends = own <= negligible or length == longest
        yield own, whole, _largest_norm(found) if ends else math.inf
        if ends:
            return


def _ends(chain: Chain, starts: NDArray[np.int64] | None, length: int) -> NDArray[np.int64]:
    """The steps s + m at which products that begin at the starts end, within the horizon."""
    found = (np.arange(chain.distinct) if starts is None else starts) + length
    return found[found <= chain.horizon]


def _iterated(chain: Chain, start: int, length: int, weighted: bool) -> float:
    """|F_{s+m:s}|_2, or |E_{s+m:s}|_2 if `weighted`, found by iteration."""
    weights = chain.weights[start + length]
    return singular_value(product_map(chain, start, length, weights / chain.real, 1.0 / weights if weighted else 1.0))


def _largest_norm(matrices: NDArray[np.float64]) -> float:
    """The largest 2-norm of a stack of matrices."""
    return float(np.linalg.norm(matrices, ord=2, axis=(1, 2)).max())
