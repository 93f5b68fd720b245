"""Golden rows: what every example and one job per algorithm computed, as it was when each row was first written.

The rule: a row is written once and then only changed by name (`python tests/golden_rows.py --change NAME`), so that a
number that moves shows in review. A row that is missing (a new example, a new method) is added by
`python tests/golden_rows.py`. Digests hold to the bit where the machine's arithmetic is the one that wrote them
(`arithmetic`); elsewhere the figures hold, to 1 part in a billion.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import math
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import threadpoolctl

from sgpsim.algorithms.algorithm import Algorithm
from sgpsim.backends.backend import Backend
from sgpsim.backends.events.simulated import Simulated
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.budget import Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.distributions import LogNormalTime
from sgpsim.clusters.hockney import Hockney
from sgpsim.descents.momentum import Momentum
from sgpsim.descents.step_sizes import Constant
from sgpsim.errors import SpecificationError
from sgpsim.experiment import Experiment
from sgpsim.files.toml_files import read
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.results.run import Run
from sgpsim.schedules.bipartite_exponential import BipartiteExponential
from sgpsim.schedules.one_peer_exponential import OnePeerExponential
from sgpsim.schedules.ring import UndirectedRing
from sgpsim.schedules.schedule import Schedule
from sgpsim.specification.catalogue import implementations

HERE = Path(__file__).parent
ROWS = HERE / "golden_rows.json"
EXAMPLES = HERE.parent / "examples"
CLOSE = 1e-9

Row = dict[str, Any]
Job = Callable[[], Run]


def jobs() -> dict[str, Job]:
    """Every job by name: each example as `sgpsim run` would run it, each algorithm on both planes that carry it."""
    found: dict[str, Job] = {f"examples/{file.name}": _example(file) for file in sorted(EXAMPLES.glob("*.toml"))}
    for name, kind in implementations(Algorithm).items():
        if not kind.__module__.startswith("sgpsim."):
            continue
        for backend in (Vectorized, Simulated):
            found[f"{name} on {backend.__name__}"] = _method(kind, backend)
    return found


def _example(file: Path) -> Job:
    def run() -> Run:
        said = read(file)
        backend, _ = said.backend()
        return backend.run(said.experiment)

    return run


def _method(kind: type, backend: type) -> Job:
    """Eight unlike nodes, three seeds, noise, jitter and wires that cost time; on the first schedule that it takes."""

    def run() -> Run:
        descent = {"descent": Momentum(Constant(0.05))} if any(field.name == "descent" for field in fields(kind)) else {}
        cluster = Cluster(8, LogNormalTime(0.1, 0.2), Hockney(latency=1e-3, bandwidth=1e5))
        machines: Backend = backend(cluster)
        schedules: tuple[Schedule, ...] = (OnePeerExponential(8), UndirectedRing(8), BipartiteExponential(8))
        if not kind(**descent).needs_own_shares:  # D-PSGD's rows were written when it took symmetric rounds only
            schedules = schedules[1:]
        for schedule in schedules:
            try:
                experiment = Experiment(
                    kind(**descent), Quadratic(8, dimension=5, unequal=True), schedule, Steps(40), seeds=(0, 1, 2)
                )
                machines.check(experiment)
            except SpecificationError:
                continue
            return machines.run(experiment)
        raise LookupError(f"{kind.__name__} on {backend.__name__} runs on none of the schedules")

    return run


def row(job: Job) -> Row | None:
    """What came out of a job; None where the backend refuses the method."""
    try:
        run = job()
    except LookupError:
        return None
    final = run.final
    loss = run.curve("loss")
    return {
        "outcome": run.outcome,
        "values": digest(final.values),
        "weights": digest(np.array(final.weights)),
        "clocks": digest(final.clocks),
        "metrics": hashlib.sha256(
            run.metrics.select("seed", "step", "node", "time", "metric", "value")
            .sort("metric", "node", "seed", "time", "step")
            .write_csv(float_precision=17)
            .encode()
        ).hexdigest()[:16],
        "figures": {
            "norm of values": float(np.linalg.norm(final.values.astype(np.float64))),
            "sum of weights": float(final.weights.sum()),
            "last clock": float(final.clocks.max()),
            "sum of clocks": float(final.clocks.sum()),
            "last loss": float(loss["value"][-1]),
            "rows of metrics": run.metrics.height,
        },
    }


def digest(array: np.ndarray) -> str:
    """16 hexadecimal digits of an array's type, shape and bits."""
    content = np.ascontiguousarray(array)
    return hashlib.sha256(f"{content.dtype}{content.shape}".encode() + content.tobytes()).hexdigest()[:16]


def arithmetic() -> str:
    """What the bits of a sum or a logarithm rest on: numpy and its instruction sets, the kernels of BLAS, torch."""
    umath = importlib.import_module("numpy._core._multiarray_umath")
    sets = sorted(name for name, has in umath.__cpu_features__.items() if has)
    kernels = sorted(
        f"{pool['internal_api']} {pool['version']} {pool.get('architecture')}"
        for pool in threadpoolctl.threadpool_info()
        if pool["user_api"] == "blas"
    )
    try:
        torch = importlib.import_module("torch")
        framework = f"{torch.__version__} {torch.backends.cpu.get_cpu_capability()}"
    except ImportError:
        framework = "none"
    return hashlib.sha256(repr((np.__version__, sets, kernels, framework)).encode()).hexdigest()[:16]


def differences(name: str, now: Row | None, written: Row | None, exact: bool) -> list[str]:
    """In words, where a row is not what was written."""
    if now is None or written is None:
        return [] if now is written else [f"{name}: refused is {now is None}, was {written is None}"]
    found = [
        f"{name}: {figure} is {value!r}, was {written['figures'][figure]!r}"
        for figure, value in now["figures"].items()
        if not math.isclose(value, written["figures"][figure], rel_tol=CLOSE, abs_tol=1e-300)
    ]
    words = [word for word in now if word != "figures" and (exact or word == "outcome")]
    return found + [f"{name}: {word} is {now[word]!r}, was {written[word]!r}" for word in words if now[word] != written[word]]


def written() -> dict[str, Any]:
    """The file: `arithmetic` of the machine that wrote it, and `rows`."""
    return json.loads(ROWS.read_text(encoding="utf-8")) if ROWS.exists() else {"arithmetic": arithmetic(), "rows": {}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--change", nargs="*", default=[], metavar="NAME", help="rows to write anew")
    parser.add_argument("--elsewhere", action="store_true", help="write all digests anew for this machine's arithmetic")
    asked = parser.parse_args()
    content = written()
    if content["arithmetic"] != arithmetic() and not asked.elsewhere:
        parser.error("this machine computes other bits than the one that wrote the rows; see --elsewhere")
    for name, job in jobs().items():
        if name in content["rows"] and name not in asked.change and not asked.elsewhere:
            continue
        now = row(job)
        if asked.elsewhere and (wrong := differences(name, now, content["rows"].get(name), exact=False)):
            parser.error("; ".join(wrong))
        content["rows"][name] = now
        print(f"wrote {name}")
    content["arithmetic"] = arithmetic()
    ROWS.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
