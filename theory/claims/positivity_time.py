"""How many rounds until everything has reached everybody."""

from __future__ import annotations

from theory import assumptions
from theory.connectivity import positivity_bound, positivity_time
from theory.setting import Setting
from theory.theorem import Curve, Hypothesis, Theorem


class PositivityTime(Theorem):
    """Every product of T rounds is positive for some T <= (n-1) B + B - 1, and T <= Delta B + B - 1 if the union
    graph is the same in every window.

    In each whole window the set of nodes reached grows by one node at least (along a shortest path by one hop, if the
    graph stays); B - 1 rounds are lost before the first window. A diameter alone does not bound T where union graphs
    change (theory.controls has the counterexample).
    """

    name = "positivity time"
    kind = "pathwise"
    provenance = "derived"
    source = "growth of the reached set; Assran et al. 2019, lemma on consensus (recalled) has (Delta+1) B"

    def hypotheses(self, setting: Setting) -> list[Hypothesis]:
        return [
            assumptions.nonnegative(setting),
            assumptions.self_loops(setting),
            assumptions.jointly_connected(setting),
        ]

    def predicted(self, setting: Setting, evidence: None) -> Curve:
        assert setting.windows is not None
        return Curve.of("rounds", 0, positivity_bound(setting.windows, setting.nodes))

    def measured(self, setting: Setting, evidence: None) -> Curve:
        found = positivity_time(setting.chain, setting.steps)
        return Curve.of("rounds", 0, setting.steps + 1 if found is None else found)
