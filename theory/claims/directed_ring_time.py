"""The price of neighbours: how fast a directed ring goes when compute times are exponential."""

from __future__ import annotations

import numpy as np

from theory.setting import Setting
from theory.spectrum import circulant
from theory.theorem import Curve, Hypothesis, Theorem
from theory.timing import Durations


class DirectedRingTime(Theorem):
    """If node i waits at every step for itself and node i - 1 only, gradients take Exp(c) seconds and messages none, then in
    the long run a step takes E T = c (2 - 1/n) on average, below 2c for every n, where a barrier takes c H_n.

    Steps done are particles of an exclusion process with n particles on a ring of 2n sites, whose stationary measure is
    uniform: speed n / (2n - 1).
    """

    name = "directed ring 2 - 1/n"
    kind = "distribution"
    provenance = "derived"
    source = "totally asymmetric exclusion on a ring (Spitzer 1970, recalled)"
    relation = "="

    def hypotheses(self, setting: Setting) -> list[Hypothesis]:
        ring = np.abs(setting.chain.rounds - circulant(setting.nodes, [1])).max() < 1e-12
        found = [Hypothesis("every round is the directed ring", "holds" if ring else "fails", "compared entry by entry")]
        timing = setting.timing
        if timing is None:
            return [
                *found,
                Hypothesis("gradients take Exp(c) seconds, messages none", "unknown", "no timing was given", "unknown"),
            ]
        fits = timing.compute == "exponential" and len(set(timing.mean)) == 1 and timing.latency == timing.transfer == 0
        return [
            *found,
            Hypothesis("gradients take Exp(c) seconds, messages none", "holds" if fits else "fails", str(timing)),
        ]

    def predicted(self, setting: Setting, evidence: Durations) -> Curve:
        assert setting.timing is not None
        return Curve.of("step", 0, setting.timing.mean[0] * (2 - 1 / setting.nodes))

    def measured(self, setting: Setting, evidence: Durations) -> Curve:
        return Curve.of("step", 0, evidence.values)
