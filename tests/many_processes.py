"""Random experiments on real processes against the simulation: final states and measurements to the bit.

The rule: an all-reduce adds in gloo's order, and what is under way while a method leaves messages in flight is known to
real processes as a sum that is carried along; there numbers are equal to rounding.

    python tests/many_processes.py EXPERIMENTS [SEED]
"""

from __future__ import annotations

import random
import sys
from collections import Counter

import numpy as np
import polars as pl
from hypothesis import HealthCheck, Phase, given, seed, settings
from random_experiments import experiments

from sgpsim.algorithms.allreduce_sgd import AllReduceSGD
from sgpsim.backends.events.simulated import Simulated
from sgpsim.backends.processes.torch_distributed import TorchDistributed
from sgpsim.clusters.cluster import Cluster
from sgpsim.experiment import Experiment
from sgpsim.launch import launch_all
from sgpsim.results.run import Run


def drawn(count: int, number: int) -> list[Experiment]:
    """So many experiments, all of the seed."""
    collected: list[Experiment] = []

    @seed(number)
    @settings(max_examples=count, database=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.too_slow], deadline=None)
    @given(experiments(most_nodes=4))
    def collect(experiment: Experiment) -> None:
        collected.append(experiment)

    collect()
    return collected[:count]


def rows(run: Run) -> pl.DataFrame:
    return run.metrics.filter(pl.col("metric") != "mass_defect").drop("time").sort("seed", "metric", "step", "node")


def differs(run: Run, simulated: Run) -> str:
    """What is not equal, empty where all is."""
    if run.outcome != simulated.outcome:
        return f"{run.outcome} against {simulated.outcome}: {run.remarks} {simulated.remarks}"
    if isinstance(run.experiment.algorithm, AllReduceSGD):
        tolerance = 1e-4 if run.experiment.dtype == "float32" else 1e-10
        near = np.allclose(run.final.values, simulated.final.values, rtol=tolerance, atol=tolerance)
        return "" if near else f"all-reduce differs by {np.abs(run.final.values - simulated.final.values).max()}"
    if not np.array_equal(run.final.values, simulated.final.values, equal_nan=True):
        return f"values differ by {np.abs(run.final.values - simulated.final.values).max()}"
    if not np.array_equal(run.final.weights, simulated.final.weights):
        return "weights differ"
    if run.experiment.algorithm.leaves_in_flight:
        both = [rows(each)["value"].to_numpy() for each in (run, simulated)]
        return "" if np.allclose(*both, rtol=1e-12, atol=1e-14, equal_nan=True) else "metrics differ beyond rounding"
    return "" if rows(run).equals(rows(simulated), null_equal=True) else "metrics differ"


def main() -> None:
    number = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(1 << 32)
    print(f"{sys.argv[1]} experiments, seed {number}", flush=True)
    backend = TorchDistributed(timeout=120.0, monitor="record", trace=False)
    counts: Counter[str] = Counter()
    wrong = 0
    collected = drawn(int(sys.argv[1]), number)
    for nodes in sorted({experiment.nodes for experiment in collected}):
        same = [experiment for experiment in collected if experiment.nodes == nodes]
        for run in launch_all([(experiment, backend) for experiment in same]):
            problem = differs(run, Simulated(Cluster(nodes), monitor="record").run(run.experiment))
            counts[f"{type(run.experiment.algorithm).__name__} {run.experiment.dtype}"] += 1
            wrong += bool(problem)
            if problem:
                print(f"{problem}: {run.experiment}", flush=True)
        print(f"{nodes} nodes: {len(same)} experiments", flush=True)
    print("\n".join(f"{count:4d}  {name}" for name, count in sorted(counts.items())))
    print(f"{wrong} of {len(collected)} experiments differ")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
