"""Presets: whole clusters by name, `preset("ethernet_10g", nodes=16, job="resnet50_v100x8")`.

The rule: every public function of this module that is annotated to return a Cluster and takes (nodes, job, noise) is a
preset, known by its name. Figures stand in `links`, `jobs` and `calibration`, with their sources.
The bytes of a message belong to the experiment: take them from `job(name).message_bytes`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

from sgpsim.clusters.calibration import fitted_collective
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.collective import Ring
from sgpsim.clusters.compute_time import ComputeTime, ConstantTime
from sgpsim.clusters.distributions import LogNormalTime
from sgpsim.clusters.faults import Fault
from sgpsim.clusters.jobs import Job, job
from sgpsim.clusters.links import ETHERNET_10G, INFINIBAND_EDR, NCCL_NET_STEP
from sgpsim.clusters.straggler import Straggler
from sgpsim.errors import SpecificationError, nearest, shown
from sgpsim.specification.arguments import checked
from sgpsim.specification.ranges import OWN, NotNegative

DEFAULT_JOB = "resnet50_v100x8"


def _compute(work: str | Job, noise: float) -> ComputeTime:
    """Constant without noise, else log-normal with that sigma and the same mean."""
    seconds = job(work).compute_seconds
    try:
        random = LogNormalTime(seconds, noise)  # whose rule for sigma is that of `noise`
    except SpecificationError as error:
        raise SpecificationError(str(error).replace("LogNormalTime(sigma)", "preset(noise)")) from None
    return random if random.sigma else ConstantTime(seconds)


def ethernet_10g(nodes: int, job: str | Job = DEFAULT_JOB, noise: float = 0.0) -> Cluster:
    """10 Gb/s Ethernet as the textbook has it: payload at line rate, all-reduce by a ring that reaches all of it."""
    return Cluster(nodes, _compute(job, noise), ETHERNET_10G, Ring())


def ethernet_10g_fitted(nodes: int, job: str | Job = DEFAULT_JOB, noise: float = 0.0) -> Cluster:
    """The same wires with the collective that the paper's AllReduce times imply: recursive doubling at 0.43 of the
    payload rate, fitted to one recalled cell (32 nodes) and within 1.5 % on the other three of AllReduce. With the job
    resnet50_sgp2018 it takes half as long for D-PSGD as recalled (-53 to -57 %) and 26 % longer for overlap SGP; see
    `calibration`. On 32 nodes a ring at 0.166 takes the same time: `calibration.fitted_collective(Ring())`."""
    return Cluster(nodes, _compute(job, noise), ETHERNET_10G, fitted_collective())


def infiniband_edr(nodes: int, job: str | Job = DEFAULT_JOB, noise: float = 0.0) -> Cluster:
    """100 Gb/s InfiniBand, all-reduce by a ring whose steps take 14 us each beside the bytes, as NCCL reckons."""
    step_overhead = NCCL_NET_STEP - INFINIBAND_EDR.latency
    return Cluster(nodes, _compute(job, noise), INFINIBAND_EDR, Ring(step_overhead=step_overhead))


def presets() -> dict[str, Callable[[int, str | Job, float], Cluster]]:
    """All presets of this module by name."""
    wanted = ["nodes", "job", "noise"]
    functions = {name: value for name, value in globals().items() if inspect.isfunction(value)}
    return {name: make for name, make in functions.items() if list(inspect.signature(make).parameters) == wanted}


@checked
def preset(
    name: str,
    nodes: int,
    job: Annotated[str | Job, OWN] = DEFAULT_JOB,
    noise: NotNegative = 0.0,
    stragglers: tuple[Straggler, ...] = (),
    faults: tuple[Fault, ...] = (),
) -> Cluster:
    """The cluster called `name` with `nodes` nodes that work on `job`.

    noise: sigma of log-normal compute times, 0 for none. stragglers: causes of slowness put on top. faults: what
    empties messages.
    """
    known = presets()
    if not isinstance(name, str) or name not in known:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise SpecificationError(f"preset {shown(name)} does not exist; {nearest(shown(name), known)}")
    return replace(known[name](nodes, job, noise), stragglers=stragglers, faults=faults)
