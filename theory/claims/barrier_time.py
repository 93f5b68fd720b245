"""The price of a barrier: the slowest of n."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from theory.setting import Setting
from theory.theorem import Curve, Hypothesis, Theorem
from theory.timing import Durations


class BarrierTime(Theorem):
    """If all n nodes wait for each other at every step, gradients take Exp(c) seconds and messages none, a step takes
    the maximum of n exponentials: P(T <= t) = (1 - e^{-t/c})^n and E T = c H_n, H_n = 1 + 1/2 + ... + 1/n.
    """

    name = "barrier H_n"
    kind = "distribution"
    provenance = "derived"
    source = "order statistics of exponentials (Renyi 1953, recalled)"
    relation = "="

    def hypotheses(self, setting: Setting) -> list[Hypothesis]:
        timing = setting.timing
        if timing is None:
            return [Hypothesis("gradients take Exp(c) seconds, messages none", "unknown", "no timing was given", "unknown")]
        fits = timing.compute == "exponential" and len(set(timing.mean)) == 1 and timing.latency == timing.transfer == 0
        return [Hypothesis("gradients take Exp(c) seconds, messages none", "holds" if fits else "fails", str(timing))]

    def predicted(self, setting: Setting, evidence: Durations) -> Curve:
        assert setting.timing is not None
        return Curve.of("step", 0, setting.timing.mean[0] * sum(1 / rank for rank in range(1, setting.nodes + 1)))

    def measured(self, setting: Setting, evidence: Durations) -> Curve:
        return Curve.of("step", 0, evidence.values)

    def law(self, setting: Setting) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
        assert setting.timing is not None
        mean = setting.timing.mean[0]
        return lambda seconds: (1 - np.exp(-seconds / mean)) ** setting.nodes
