"""The time of a ring all-reduce."""

from __future__ import annotations

import numpy as np

from theory.evidence import Path
from theory.setting import Setting
from theory.theorem import Curve, Hypothesis, Theorem


class RingAllReduceTime(Theorem):
    """Reduce-scatter and all-gather over a ring, m/n bytes to the next node in each of 2 (n - 1) rounds, end 2 (n -
    1)(alpha + m/(n B)) seconds after the start; if one node comes d seconds late, d seconds later.

    Setting: transfer = m/(n B) and latency = alpha of one message. Every node waits for what it forwards, so the
    slowest chain counts.
    """

    name = "ring all-reduce time"
    kind = "pathwise"
    provenance = "derived"
    source = "Patarasuk and Yuan 2009 (recalled), as messages of Hockney's model"
    relation = "="

    def hypotheses(self, setting: Setting) -> list[Hypothesis]:
        evidence = "unknown" if setting.timing is None else str(setting.timing)
        status = "unknown" if setting.timing is None else "holds"
        return [
            Hypothesis(
                "latency and transfer of one message are known",
                status,
                evidence,
                "certified" if setting.timing else "unknown",
            )
        ]

    def predicted(self, setting: Setting, evidence: Path) -> Curve:
        assert setting.timing is not None
        timing = setting.timing
        return Curve.of("run", 0, [[2 * (setting.nodes - 1) * (timing.latency + timing.transfer) + timing.late]])

    def measured(self, setting: Setting, evidence: Path) -> Curve:
        ended = evidence.clocks[-1].max(axis=0)
        return Curve.of("run", 0, ended[None], np.array(8.0 * setting.nodes * ended.max()))
