"""Which backend runs an experiment best on a cluster, and why.

The rule: the array program wherever it is exact, since it is faster and gives the same bits; the event simulation where
the numbers depend on timing.
"""

from __future__ import annotations

from sgpsim.backends.backend import Backend
from sgpsim.backends.simulated import Simulated
from sgpsim.backends.vectorized import Vectorized
from sgpsim.clusters.cluster import Cluster
from sgpsim.experiment import Experiment


def best_for(experiment: Experiment, cluster: Cluster) -> tuple[Backend, str]:
    """(backend, the reason in a sentence)."""
    name = type(experiment.algorithm).__name__
    if not experiment.algorithm.in_step:
        return Simulated(cluster), f"Simulated: the nodes of {name} do not run in step, so an event clock is needed."
    if experiment.algorithm.depends_on_timing:
        return Simulated(
            cluster
        ), f"Simulated: the numbers of {name} depend on when messages arrive, so an event clock is needed."
    return Vectorized(
        cluster
    ), f"Vectorized: {name} has the same numbers and times on arrays of all nodes and seeds, only faster."
