"""The cycle time of deterministic runs."""

from __future__ import annotations

import numpy as np

from theory import assumptions
from theory.evidence import Path
from theory.setting import Setting
from theory.theorem import Curve, Hypothesis, Theorem
from theory.timing import cycle_time


class MaxPlusCycle(Theorem):
    """With constant compute times c_i, one message per node and round, and ports that are free again before the next
    round, the time per step tends to the largest mean weight of a cycle of t_i(k+1) = max_j (A_ij + t_j(k)) (Karp),
    and is equal to it over common periods once the start is forgotten.

    On the directed ring: max( max_i c_i, mean_i c_i + D ), D = transfer + latency.
    """

    name = "max-plus cycle time"
    kind = "pathwise"
    provenance = "derived"
    source = "Karp 1978; Baccelli, Cohen, Olsder and Quadrat 1992 (recalled)"
    relation = "="

    def hypotheses(self, setting: Setting) -> list[Hypothesis]:
        timing = setting.timing
        connected = assumptions.jointly_connected(setting)
        if timing is None:
            return [connected, Hypothesis("compute times are constant", "unknown", "no timing was given", "unknown")]
        single = bool(((setting.chain.rounds > 0).sum(axis=1) <= 2).all())
        free = timing.transfer <= min(timing.mean)
        return [
            connected,
            Hypothesis("compute times are constant", "holds" if timing.compute == "constant" else "fails", timing.compute),
            Hypothesis("at most one message per node and round", "holds" if single else "fails", "counted in the matrices"),
            Hypothesis("ports are free again before the next round", "holds" if free else "fails", str(timing)),
        ]

    def predicted(self, setting: Setting, evidence: Path) -> Curve:
        assert setting.timing is not None
        return Curve.of("node", np.arange(setting.nodes), np.full((setting.nodes, 1), cycle_time(setting.chain, setting.timing)))

    def measured(self, setting: Setting, evidence: Path) -> Curve:
        last = evidence.steps
        span = _common_period(setting, last // 2)
        found = (evidence.clocks[last] - evidence.clocks[last - span]) / span
        return Curve.of("node", np.arange(setting.nodes), found, 8.0 * evidence.clocks[last] / span * last)


def _common_period(setting: Setting, most: int) -> int:
    """The largest multiple of the schedule's period and of as many cycle lengths 2..n as fit into `most` steps."""
    span = len(setting.chain.rounds)
    for length in range(setting.nodes, 1, -1):
        wider = int(np.lcm(span, length))
        span = wider if wider <= most else span
    return span * (most // span)
