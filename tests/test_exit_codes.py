"""Every end of every command that runs something, and its exit code, against the table that `sgpsim --help` shows.

The rule: the code that comes out is that of the table, on each way a run can end, and no end shows a traceback. torchrun
ends with 1 whatever its ranks ended with; what they ended with stands in its report.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sgpsim.__main__ import DESCRIPTION
from sgpsim.launching.unfinished import PREFIX

TOML = """
nodes = 2
measure_every = 20
algorithm = { type = "SGP", descent = { type = "SGD", step_size = 0.05 } }
objective = { type = "Quadratic", dimension = 5, noise = 0.1 }
schedule = "OnePeerExponential"
budget = { type = "Steps", count = 40 }
"""
ENDLESS = "budget.count=100000000"
LAUNCH = [sys.executable, "-m", "sgpsim", "launch"]
RUN = [sys.executable, "-m", "sgpsim", "run"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--rdzv-backend", "c10d"]
TORCHRUN += ["--rdzv-endpoint", "127.0.0.1:0", "-m", "sgpsim", "run"]
DROP = "cluster.faults=[{type='Drop',sender=0,receiver=1,step=3}]"
ENDS: dict[str, tuple[list[str], list[str], str, int]] = {
    "run, done": (RUN, [], "", 0),
    "run, bad input": (RUN, ["nodes=x"], "", 2),
    "run, diverged": (RUN, ["algorithm.descent.step_size=1e70"], "", 5),
    "run, no room for the output": (RUN, [], "full", 6),
    "run, SIGINT": (RUN, [ENDLESS], "SIGINT", 130),
    "run, SIGTERM": (RUN, [ENDLESS], "SIGTERM", 143),
    "run, SIGKILL": (RUN, [ENDLESS], "SIGKILL", -9),
    "launch, done": (LAUNCH, [], "", 0),
    "launch, bad input": (LAUNCH, ["nodes=x"], "", 2),
    "launch, lost mass": (LAUNCH, [DROP], "", 3),
    "launch, a process killed": (LAUNCH, [ENDLESS], "rank", 4),
    "launch, diverged": (LAUNCH, ["algorithm.descent.step_size=1e70"], "", 5),
    "launch, no room for the output": (LAUNCH, [], "full", 6),
    "launch, SIGINT": (LAUNCH, [ENDLESS], "SIGINT", 130),
    "launch, SIGTERM": (LAUNCH, [ENDLESS], "SIGTERM", 143),
    "launch, SIGKILL": (LAUNCH, [ENDLESS], "SIGKILL", -9),
    "torchrun, done": (TORCHRUN, [], "", 0),
    "torchrun, bad input": (TORCHRUN, ["nodes=3"], "", 1),
    "torchrun, lost mass": (TORCHRUN, [DROP], "", 1),
    "torchrun, a process killed": (TORCHRUN, [ENDLESS], "rank", 1),
    "torchrun, SIGTERM": (TORCHRUN, [ENDLESS], "SIGTERM", 1),
}
RANKS: dict[str, int] = {"torchrun, bad input": 2, "torchrun, lost mass": 3}
"""What a rank ended with, as torchrun's report says."""


def measuring(place: Path) -> bool:
    """Whether something was written down: by real processes, or in the journal of a simulation."""
    rows = [*place.glob(f"runs/{PREFIX}*/*-node-*.rows"), *place.glob("runs/.sgpsim-running-*/rows")]
    return bool(rows) and all(path.stat().st_size > 600 for path in rows)


def rank_of(process: int) -> int:
    """One of the processes that this one started."""
    children = [path.read_text().split() for path in Path(f"/proc/{process}/task").glob("*/children")]
    return int(next(number for numbers in children for number in numbers))


@pytest.mark.distributed
@pytest.mark.slow
@pytest.mark.parametrize("end", ENDS)
def test_every_end_has_its_code(end: str, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    command, changes, fault, code = ENDS[end]
    (tmp_path / "job.toml").write_text(TOML)
    command = [*command, str(tmp_path / "job.toml"), *changes, "--out", str(tmp_path / "runs")]
    command += ["--backend", "torch"] if "torchrun" in end else []
    output = Path("/dev/full") if fault == "full" else tmp_path / "told"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    with (tmp_path / "said").open("w") as said, output.open("w") as told:
        process = subprocess.Popen(command, stdout=told, stderr=said, start_new_session=True, env=environment)
        try:
            until = time.monotonic() + 90
            while fault not in ("", "full") and not measuring(tmp_path) and time.monotonic() < until:
                time.sleep(0.05)
            if fault == "rank":
                os.kill(rank_of(process.pid), signal.SIGKILL)
            elif fault.startswith("SIG"):
                process.send_signal(getattr(signal, fault))
            assert process.wait(90) == code, (tmp_path / "said").read_text()
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    words = (tmp_path / "said").read_text()
    if "torchrun" not in end:
        assert "Traceback" not in words
        assert code < 0 or re.search(rf"\b{code}\b", DESCRIPTION.split("Exit codes")[1])
    assert end not in RANKS or re.search(rf"exitcode\s*: {RANKS[end]}\b", words), words
    if fault not in ("SIGKILL", "full") and "bad input" not in end:
        assert len(list((tmp_path / "runs").glob("job-*"))) == 1, words
