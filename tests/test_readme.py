"""README: what it shows must run. Every Python block is executed, and every command names what exists."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)


def test_the_tour_is_short_and_runs() -> None:
    lines = [line for line in BLOCKS[0].splitlines() if line.strip()]
    assert len(lines) <= 15
    told = subprocess.run([sys.executable, "-c", BLOCKS[0]], cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert told.returncode == 0, told.stderr
    seconds = [float(number) for number in re.findall(r"after ([\d.]+) simulated seconds", told.stdout)]
    assert len(seconds) == 3
    assert seconds[0] > seconds[1] > seconds[2], "AllReduce, SGP, AD-PSGD: each waits less for the slow node than the one before"


def test_the_added_algorithm_runs_and_obeys_the_laws(tmp_path: Path) -> None:
    (tmp_path / "local_sgp.py").write_text(BLOCKS[1])
    script = "from local_sgp import LocalSGP; from sgpsim.testing import check_algorithm; check_algorithm(LocalSGP())"
    told = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False)
    assert told.returncode == 0, told.stderr


def test_an_experiment_of_ones_own_is_judged() -> None:
    said = subprocess.run([sys.executable, "-c", BLOCKS[2]], cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert said.stdout.startswith("True I1 average step") and "measured / bound" in said.stdout, said.stderr


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\(((?!http)[^)#]+)\)", TEXT)) | set(re.findall(r"examples/\w+\.toml", TEXT))))
def test_files_named_exist(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("line", re.findall(r"^sgpsim (\w+)", TEXT, flags=re.MULTILINE))
def test_commands_named_exist(line: str) -> None:
    command = [sys.executable, "-m", "sgpsim", line, "--help"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert told.returncode == 0, told.stderr
