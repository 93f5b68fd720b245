"""sgpsim: Stochastic Gradient Push and its relatives, simulated with real numerics on the clock of a heterogeneous
cluster.

run = Vectorized(Cluster(nodes=16)).run(Experiment(SGP(), SoftmaxRegression(16), OnePeerExponential(16), Steps(200)))

The rule: the names below are the few that most uses need; everything else is reached by its module. Each is imported
when it is first asked for, so `import sgpsim` costs nothing, and imports neither torch nor scikit-learn.
"""

from __future__ import annotations

import ast
import importlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sgpsim.algorithms.adpsgd import ADPSGD as ADPSGD
    from sgpsim.algorithms.allreduce_sgd import AllReduceSGD as AllReduceSGD
    from sgpsim.algorithms.dpsgd import DPSGD as DPSGD
    from sgpsim.algorithms.overlap_sgp import OverlapSGP as OverlapSGP
    from sgpsim.algorithms.push_sum import PushSum as PushSum
    from sgpsim.algorithms.sgp import SGP as SGP
    from sgpsim.backends.choice import best_for as best_for
    from sgpsim.backends.events.simulated import Simulated as Simulated
    from sgpsim.backends.fleet.vectorized import Vectorized as Vectorized
    from sgpsim.budget import Gradients as Gradients
    from sgpsim.budget import Seconds as Seconds
    from sgpsim.budget import Steps as Steps
    from sgpsim.budget import TargetLoss as TargetLoss
    from sgpsim.clusters.cluster import Cluster as Cluster
    from sgpsim.clusters.presets import preset as preset
    from sgpsim.descents.adam import Adam as Adam
    from sgpsim.descents.momentum import Momentum as Momentum
    from sgpsim.descents.sgd import SGD as SGD
    from sgpsim.errors import SpecificationError as SpecificationError
    from sgpsim.experiment import Experiment as Experiment
    from sgpsim.files.store import Store as Store
    from sgpsim.files.store import load as load
    from sgpsim.objectives.logistic import LogisticRegression as LogisticRegression
    from sgpsim.objectives.quadratic import Quadratic as Quadratic
    from sgpsim.objectives.softmax import SoftmaxRegression as SoftmaxRegression
    from sgpsim.results.run import Run as Run
    from sgpsim.schedules.bipartite_exponential import BipartiteExponential as BipartiteExponential
    from sgpsim.schedules.graph_schedule import GraphSchedule as GraphSchedule
    from sgpsim.schedules.matrix_file import MatrixFile as MatrixFile
    from sgpsim.schedules.one_peer_exponential import OnePeerExponential as OnePeerExponential


@cache
def _homes() -> dict[str, str]:
    """Public name -> its module, read from the imports above, so that these are the only list."""
    tree = ast.parse(Path(__file__).read_text(encoding="utf-8"))
    imports = [line for line in ast.walk(tree) if isinstance(line, ast.ImportFrom)]
    homes = {alias.name: str(line.module) for line in imports for alias in line.names}
    return {name: home for name, home in homes.items() if home.startswith(f"{__name__}.")}


def __getattr__(name: str) -> Any:
    if name == "__all__":  # asked for by `from sgpsim import *` and by whoever writes the API page
        return sorted(_homes())
    if name.startswith("_") or name not in _homes():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it may be in one of its modules")
    value = globals()[name] = getattr(importlib.import_module(_homes()[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_homes()})
