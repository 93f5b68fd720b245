"""Wrong claims: plausible statements that are false, and true ones with a constant made a little too small."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theory import assumptions
from theory.connectivity import positivity_time
from theory.evidence import Path
from theory.setting import Setting
from theory.spectrum import levels, one_peer_exponential
from theory.theorem import Curve, Hypothesis, Provenance, Theorem


class OwnNodeBound(Theorem):
    """WRONG: |z_i^k - xbar^k| <= c_k |x_i^0| + sum_{s<=k} c_{k-s} |m_i^s|, by node i's own start and moves only.

    n = 4, starts (0, 1, 1, 1), no gradients: node 0 is 0.75 away from the average, and its own start is 0.
    """

    name = "WRONG: consensus bound by own node"
    kind = "pathwise"
    provenance: Provenance = "recalled"
    source = "consensus lemma of Assran et al. 2019 as recalled, read node by node"

    def hypotheses(self, setting: Setting) -> list[Hypothesis]:
        return [*assumptions.matrices(setting), assumptions.mixed_moves(setting)]

    def predicted(self, setting: Setting, evidence: Path) -> Curve:
        assert setting.contraction is not None
        factors = setting.contraction.bound(np.arange(evidence.steps + 1))
        pushes = np.linalg.norm(evidence.moves, axis=-1)
        found = factors[:, None, None] * np.linalg.norm(evidence.values[0], axis=-1)
        for step in range(evidence.steps):
            found[step] += np.tensordot(factors[step::-1], pushes[: step + 1], 1)
        return Curve.of("step", np.arange(evidence.steps + 1), found)

    def measured(self, setting: Setting, evidence: Path) -> Curve:
        found = np.linalg.norm(evidence.deviations, axis=-1)
        return Curve.of("step", np.arange(evidence.steps + 1), found, evidence.deviation_rounding(setting)[:, None])


class DiameterTime(Theorem):
    """WRONG: every product of Delta B + B - 1 rounds is positive, whether or not the union graph changes.

    The star with rotating centre has diameter 2 at every step, and products of n - 2 rounds with zeros.
    """

    name = "WRONG: positivity time by diameter"
    kind = "pathwise"
    provenance: Provenance = "recalled"
    source = "consensus lemma of Assran et al. 2019 as recalled"

    def hypotheses(self, setting: Setting) -> list[Hypothesis]:
        return [assumptions.nonnegative(setting), assumptions.self_loops(setting), assumptions.jointly_connected(setting)]

    def predicted(self, setting: Setting, evidence: None) -> Curve:
        assert setting.windows is not None
        return Curve.of("rounds", 0, (max(setting.windows.diameters) + 1) * setting.windows.length - 1)

    def measured(self, setting: Setting, evidence: None) -> Curve:
        found = positivity_time(setting.chain, setting.steps)
        return Curve.of("rounds", 0, setting.steps + 1 if found is None else found)


class AveragingAtAnySize(Theorem):
    """WRONG: ceil(log2 n) rounds of the one-peer exponential graph average exactly for every n."""

    name = "WRONG: one-peer exact averaging at any n"
    kind = "pathwise"
    provenance: Provenance = "derived"
    source = "Ying et al. 2021 (recalled) without its condition on n"
    relation = "="

    def hypotheses(self, setting: Setting) -> list[Hypothesis]:
        return [one_peer_exponential(setting)]

    def predicted(self, setting: Setting, evidence: None) -> Curve:
        count = levels(setting.nodes)
        flat = np.full((count, setting.nodes, setting.nodes), 1.0 / setting.nodes)
        return Curve.of("start", np.arange(count), flat)

    def measured(self, setting: Setting, evidence: None) -> Curve:
        count = levels(setting.nodes)
        found = np.stack([setting.chain.product(start, start + count) for start in range(count)])
        return Curve.of("start", np.arange(count), found, np.array(4.0 * count))


class Divided(Theorem):
    """WRONG: a true bound with its constant divided until it lies just below what is measured, at `share` of it.

    inner: the true claim. share: of the measured value; 0.999 where there is no sampling error.
    """

    def __init__(self, inner: Theorem, share: float = 0.999) -> None:
        self.inner, self.share = inner, share
        self.name, self.kind, self.provenance = f"WRONG: {inner.name}, constant divided", inner.kind, inner.provenance
        self.source, self.relation, self.span = inner.source, inner.relation, inner.span

    def hypotheses(self, setting: Setting) -> list[Hypothesis]:
        return self.inner.hypotheses(setting)

    def predicted(self, setting: Setting, evidence: Any) -> Curve:
        bound, found = self.inner.predicted(setting, evidence), self.inner.measured(setting, evidence)
        left, right = found.values, bound.values
        if self.kind == "expectation" and left.ndim > 1:  # seeds: compare what is expected
            left = left.mean(axis=-1)
            right = right.mean(axis=-1) if right.ndim > 1 else right
        left, right = np.broadcast_arrays(left, right)
        largest = float((left[right > 0] / right[right > 0]).max())
        return Curve.of(bound.over, bound.at, bound.values * largest * self.share, bound.rounding)

    def measured(self, setting: Setting, evidence: Any) -> Curve:
        return self.inner.measured(setting, evidence)

    def missing(self, setting: Setting, evidence: Any) -> str:
        return self.inner.missing(setting, evidence)

    def trivial(self, setting: Setting, evidence: Any) -> float | None:
        return self.inner.trivial(setting, evidence)

    def law(self, setting: Setting) -> Callable[[NDArray[np.float64]], NDArray[np.float64]] | None:
        return self.inner.law(setting)
