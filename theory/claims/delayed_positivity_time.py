"""How many rounds until everything has reached everybody, when messages are late."""

from __future__ import annotations

from theory import assumptions
from theory.connectivity import positivity_bound, positivity_time
from theory.setting import Setting
from theory.theorem import Curve, Hypothesis, Theorem


class DelayedPositivityTime(Theorem):
    """With messages at most tau rounds late, every product of T' rounds is positive in the rows of real nodes, for
    all columns (messages under way too): T' <= tau + (B-1) + (hops-1) B (1 + ceil(tau/B)) + B + tau, hops = n-1, or
    Delta where the union graph is the same in every window.

    For B = 1 this is (tau+1) hops + tau, the exponent in the paper's lambda = 1 - n D^{-(tau+1) Delta B}.
    """

    name = "positivity time, late messages"
    kind = "pathwise"
    provenance = "derived"
    source = "growth of the reached set over augmented states"

    def hypotheses(self, setting: Setting) -> list[Hypothesis]:
        return [
            assumptions.nonnegative(setting),
            assumptions.self_loops(setting),
            assumptions.jointly_connected(setting),
            assumptions.late(setting),
        ]

    def predicted(self, setting: Setting, evidence: None) -> Curve:
        assert setting.windows is not None
        return Curve.of("rounds", 0, positivity_bound(setting.windows, setting.nodes, setting.delay))

    def measured(self, setting: Setting, evidence: None) -> Curve:
        found = positivity_time(setting.mixing, setting.steps)
        return Curve.of("rounds", 0, setting.steps + 1 if found is None else found)
