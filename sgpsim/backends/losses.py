"""Losses: which messages the cluster's faults empty on their way, and a remark on faults that met none.

The rule: backends that carry single messages ask here, and nowhere else, whether one is lost. A fault that met no message
(its round lies beyond the budget, or the method sends none of the schedule's) changed nothing, and the run says so.
"""

from __future__ import annotations

from collections.abc import Collection

from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.faults import Fault
from sgpsim.specification.wording import concise


class Losses:
    """Of one run with one seed, or of one process's part in it. met: places, among the cluster's faults, of those that
    emptied a message."""

    def __init__(self, cluster: Cluster | None) -> None:
        self.faults: tuple[Fault, ...] = () if cluster is None else cluster.faults
        self.met: set[int] = set()

    def takes(self, sender: int, receiver: int, step: int) -> bool:
        """Whether the message of round `step` from `sender` to `receiver` arrives with nothing in it."""
        places = [place for place, fault in enumerate(self.faults) if fault.loses(sender, receiver, step)]
        self.met.update(places)
        return bool(places)


def idle_faults(cluster: Cluster | None, seed: int, met: Collection[int]) -> list[str]:
    """A remark on every fault of `cluster` whose place is not among `met`."""
    faults = () if cluster is None else cluster.faults
    return [
        f"seed {seed}: {concise(fault)} met no message that was sent, so it changed nothing"
        for place, fault in enumerate(faults)
        if place not in met
    ]
