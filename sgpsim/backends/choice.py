"""Which backend runs an experiment best on a cluster, and why.

The rule: the array program wherever it takes the experiment and the cluster, since it is exact there, faster, and gives
the same bits; else the event simulation. A text from outside sgpsim is tried for a few steps on both.
"""

from __future__ import annotations

from sgpsim.backends.backend import Backend
from sgpsim.backends.events.simulated import Simulated
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.clusters.cluster import Cluster
from sgpsim.errors import SpecificationError
from sgpsim.experiment import Experiment
from sgpsim.specification.arguments import checked


@checked
def best_for(experiment: Experiment, cluster: Cluster) -> tuple[Backend, str]:
    """(backend, the reason in a sentence)."""
    name = type(experiment.algorithm).__name__
    if not experiment.algorithm.in_step:
        return Simulated(cluster), f"Simulated: the nodes of {name} do not run in step, so an event clock is needed."
    if experiment.algorithm.depends_on_timing:
        return Simulated(
            cluster
        ), f"Simulated: the numbers of {name} depend on when messages arrive, so an event clock is needed."
    vectorized = Vectorized(cluster)
    try:
        vectorized.check(experiment)
    except SpecificationError as refusal:
        return Simulated(cluster), f"Simulated: {refusal}"
    return vectorized, f"Vectorized: {name} has the same numbers and times on arrays of all nodes and seeds, only faster."
