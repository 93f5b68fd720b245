"""For `bench`: peak memory of one job, in a process of its own: `python -m studies.bench_memory simulated` prints MB,
`vectorized` prints the peak over the bytes of state and data.

The rule: nothing is imported here that the job does not need, since what is imported counts.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from sgpsim.algorithms.dpsgd import DPSGD
from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.events.simulated import Simulated
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.schedules.one_peer_exponential import OnePeerExponential
from studies import bench_jobs as jobs


def measure(what: str) -> float:
    """Run the job; its peak."""
    if what == "simulated":
        Simulated(jobs.cluster(256), trace=False).run(jobs.common(256).experiment(DPSGD, jobs.regular(256), 100))
        return peak() / 1e6
    job = jobs.MEMORY
    Vectorized(jobs.cluster(job.nodes)).run(job.experiment(SGP, OnePeerExponential(job.nodes), 3))
    return peak() / (job.nodes * (1 + job.samples) * job.dimension * 8)


def peak() -> float:
    """Peak resident bytes of this process alone: getrusage would count the parent's, from before this program was
    loaded."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return float(line.split()[1]) * 1024


if __name__ == "__main__":
    print(measure(sys.argv[1]))
