"""Classes of the user's own reach the processes of a launch, or a sentence says why they do not."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from sgpsim.algorithms.sgp import SGP
from sgpsim.errors import SpecificationError
from sgpsim.experiment import Experiment
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.schedules.one_peer_exponential import OnePeerExponential
from sgpsim.specification.definitions import bring, sources

SCRIPT = '''
from dataclasses import dataclass

import numpy as np

from sgpsim.algorithms.algorithm import Algorithm
from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.events.simulated import Simulated
from sgpsim.budget import Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.experiment import Experiment
from sgpsim.launch import launch
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.schedules.one_peer_exponential import OnePeerExponential
{imports}

@dataclass(frozen=True)
class HalvedQuadratic(Quadratic):
    """Gradients are halved."""

    def gradients(self, nodes, points, draws):
        return super().gradients(nodes, points, draws) / 2


def start():
    experiment = Experiment({algorithm}(), HalvedQuadratic(2, dimension=3, noise=0.1), OnePeerExponential(2), Steps(12))
    run = launch(experiment, timeout=20)
    assert np.array_equal(run.final.values, Simulated(Cluster(2)).run(experiment).final.values)
    print("equal", run.outcome)


{guard}start()
'''
MODULE = '''
from dataclasses import dataclass

from sgpsim.algorithms.sgp import SGP


@dataclass(frozen=True)
class MyMethod(SGP):
    """SGP under another name."""
'''


def _python(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *command], cwd=folder, capture_output=True, text=True, timeout=120)


@pytest.mark.distributed
@pytest.mark.slow
@pytest.mark.parametrize("command", [["own.py"], ["-m", "own"]])
def test_classes_of_a_script_and_of_a_module_reach_the_processes(tmp_path: Path, command: list[str]) -> None:
    pytest.importorskip("torch")
    (tmp_path / "methods.py").write_text(MODULE)
    names = {"imports": "from methods import MyMethod\n", "algorithm": "MyMethod"}
    (tmp_path / "own.py").write_text(SCRIPT.format(**names, guard='if __name__ == "__main__":\n    '))
    done = _python(tmp_path, *command)
    assert done.stdout == "equal finished\n", done


@pytest.mark.distributed
@pytest.mark.slow
def test_a_script_that_launches_when_it_is_only_read_is_told(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    (tmp_path / "own.py").write_text(SCRIPT.format(imports="", algorithm="SGP", guard=""))
    done = _python(tmp_path, "own.py")
    assert done.returncode == 1 and 'must stand under `if __name__ == "__main__":`' in done.stderr.replace("\n", " "), done


def test_where_definitions_come_from() -> None:
    plain = Experiment(SGP(), Quadratic(2), OnePeerExponential(2))
    assert sources(plain) == []
    assert sources((plain, test_where_definitions_come_from)) == [__name__]

    @dataclass(frozen=True)
    class Inside(Quadratic):
        """Defined in a function."""

    with pytest.raises(SpecificationError, match="inside a function"):
        sources(Inside(2))
    with pytest.raises(SpecificationError, match=r"'no_such_module'.*cannot import it"):
        bring(["no_such_module"])


def test_an_interactive_session_is_told(tmp_path: Path) -> None:
    told = _python(
        tmp_path,
        "-c",
        "from sgpsim.specification.definitions import sources\ndef mine(): pass\n"
        "try: sources(mine)\nexcept ValueError as error: print(error)",
    )
    assert "interactive session" in told.stdout, told
