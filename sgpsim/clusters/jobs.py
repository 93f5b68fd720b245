"""Jobs: how big a model's message is and how long one of its gradients takes, by name.

The rule: every public value of type `Job` in this module is a job that presets know by its name; adding one is adding
a value with its source in the docstring below it.
"""

from __future__ import annotations

from sgpsim.clusters.calibration import RESNET50_BYTES, fitted_compute_seconds
from sgpsim.errors import SpecificationError, nearest, shown
from sgpsim.specification.ranges import Quantity
from sgpsim.specification.specification import specification


@specification
class Job:
    """message_bytes: bytes of one copy of the parameters, what a node sends. compute_seconds: mean seconds of one
    gradient on one node, everything included that communication does not hide."""

    message_bytes: Quantity
    compute_seconds: Quantity


resnet50_v100x8 = Job(RESNET50_BYTES, 0.0897)
"""ResNet-50 in float32 on eight V100 (16 GB) of one node, 256 images: 2855 images/s as NVIDIA publishes for PyTorch on
a DGX-1 (DeepLearningExamples, ConvNets/resnet50v1.5, recalled), so 256 / 2855 = 0.0897 s."""

resnet50_sgp2018 = Job(RESNET50_BYTES, fitted_compute_seconds())
"""The same as the paper's own code ran it, 0.290 s: fitted to SGP, see `calibration`. Three times `resnet50_v100x8`, as
it holds data loading, one process for eight GPUs and all else that its hours hold. The recalled time of overlap SGP,
0.231 s a step, lies below it: no compute time fits both."""

transformer_big = Job(840e6, 0.503)
"""Transformer-big (about 210 million parameters, recalled) in float32 on WMT'16 En-De, 8 nodes, 200k tokens per step:
0.503 s is the time of Local Adam, which hardly communicates (Wang et al. 2020, Table 2, recalled). With one message
over 10 Gb/s Ethernet that predicts 1.218 s for SGP, where the same table has 1.225 s."""


def jobs() -> dict[str, Job]:
    """All jobs of this module by name."""
    return {name: value for name, value in globals().items() if isinstance(value, Job)}


def job(name: str | Job) -> Job:
    """The job called `name`; a `Job` is returned as it is."""
    if isinstance(name, Job):
        return name
    known = jobs()
    if not isinstance(name, str) or name not in known:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise SpecificationError(f"job {shown(name)} does not exist; {nearest(shown(name), known)}")
    return known[name]
