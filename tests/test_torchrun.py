"""`sgpsim run` under torchrun: node 0 decides for all, one disk or several, and what was measured is kept."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from sgpsim.backends.processes import group as membership
from sgpsim.backends.processes import meeting
from sgpsim.backends.processes.transport import PeerLost
from sgpsim.files.store import load
from sgpsim.launching.unfinished import PREFIX

TOML = """
nodes = 3
measure_every = 20
algorithm = { type = "SGP", descent = { type = "SGD", step_size = 0.05 } }
objective = { type = "Quadratic", dimension = 5, noise = 0.1 }
schedule = "OnePeerExponential"
budget = { type = "Steps", count = COUNT }
backend = { type = "TorchDistributed", timeout = 20.0 }
"""


def _started(folder: Path, count: int, out: str) -> subprocess.Popen[str]:
    """torchrun on three processes; `out` may hold $RANK, as on hosts whose disks are separate."""
    (folder / "own.toml").write_text(TOML.replace("COUNT", str(count)))
    line = f"exec {sys.executable} -m sgpsim run {folder}/own.toml --backend torch --out {folder}/{out}"
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "3", "--rdzv-backend", "c10d"]
    command += ["--rdzv-endpoint", "127.0.0.1:0", "--no-python", "bash", "-c", line]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def _ended(process: subprocess.Popen[str], seconds: float = 100) -> tuple[int, str, str]:
    try:
        said, complaint = process.communicate(timeout=seconds)
        return process.returncode, said, complaint
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def _ranks(process: subprocess.Popen[str]) -> list[int]:
    """The processes that torchrun started."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(number) for number in children.read_text().split()]


@pytest.mark.distributed
@pytest.mark.slow
@pytest.mark.parametrize("out", ["runs", "runs-$RANK"])
def test_the_same_line_twice_computes_once(tmp_path: Path, out: str) -> None:
    pytest.importorskip("torch")
    code, said, complaint = _ended(_started(tmp_path, 40, out))
    assert code == 0 and said.count("saved in") == 1, (said, complaint)
    code, said, complaint = _ended(_started(tmp_path, 40, out))
    assert code == 0 and said.count("nothing was computed anew") == 1, (said, complaint)
    (folder,) = (tmp_path / out.replace("$RANK", "0")).iterdir()
    assert load(folder).outcome == "finished"
    assert not list(tmp_path.glob(f"runs*/{PREFIX}*"))


@pytest.mark.distributed
@pytest.mark.slow
@pytest.mark.parametrize("out", ["runs", "runs-$RANK"])
@pytest.mark.parametrize("fault", ["killed rank", "SIGTERM", "SIGINT"])
def test_what_was_measured_is_kept(tmp_path: Path, out: str, fault: str) -> None:
    pytest.importorskip("torch")
    process = _started(tmp_path, 10**8, out)
    until = time.monotonic() + 80
    while time.monotonic() < until:
        if sum(path.stat().st_size > 1000 for path in tmp_path.glob(f"runs*/{PREFIX}*/*.rows")) == 3:
            break
        time.sleep(0.05)
    if fault == "killed rank":
        os.kill(_ranks(process)[2], signal.SIGKILL)
    else:
        process.send_signal(getattr(signal, fault))
    code, _, complaint = _ended(process, 60)
    assert code != 0
    sentences = [line for line in complaint.splitlines() if line.startswith("sgpsim: ")]
    outcome = "failed" if fault == "killed rank" else "interrupted"
    assert any(("node 2 died" if outcome == "failed" else f"interrupted by {fault}") in line for line in sentences)
    if out == "runs":
        (folder,) = (tmp_path / "runs").iterdir()
        run = load(folder)
        assert run.outcome == outcome and run.curve("loss")["step"].max() >= 20  # pyright: ignore[reportOperatorIssue]
        assert sum(f"what was measured lies in {folder}" in line for line in sentences) == 1, complaint
    else:
        assert sum("the records of this machine lie in" in line for line in sentences) >= 2, complaint


def test_the_store_listens_where_the_address_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("127.0.0.1", "localhost"):
        opened = meeting._listening(name, 0)  # pyright: ignore[reportPrivateUsage]
        assert opened is not None
        with socket.socket(fileno=opened) as listening:
            assert listening.getsockname()[0] == "127.0.0.1"
    for name in (socket.gethostname(), "192.0.2.1"):  # a name may mean something else elsewhere; not this host's
        assert meeting._listening(name, 0) is None  # pyright: ignore[reportPrivateUsage]


def test_gloos_interface_is_the_one_towards_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host whose own name means 127.0.0.1 looks at where the others are."""
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "")  # so that it is restored at the end
    monkeypatch.delenv("GLOO_SOCKET_IFNAME")
    monkeypatch.setenv("MASTER_ADDR", "own-host")
    monkeypatch.setattr(meeting, "_towards", {"own-host": "127.0.0.1", "10.9.9.2": "10.9.9.1"}.__getitem__)
    monkeypatch.setattr(meeting, "_interface", {"10.9.9.1": "fast0", "127.0.0.1": "lo"}.__getitem__)

    class Store(dict[str, str]):
        set = dict.__setitem__

        def get(self, key: str) -> bytes:  # pyright: ignore[reportIncompatibleMethodOverride]
            return self[key].encode()

    meeting.choose_interface(0, 2, Store({"address/1": "10.9.9.2"}))
    assert os.environ["GLOO_SOCKET_IFNAME"] == "fast0"
    monkeypatch.delenv("GLOO_SOCKET_IFNAME")
    meeting.choose_interface(0, 2, Store({"address/1": "127.0.0.1"}))
    assert os.environ["GLOO_SOCKET_IFNAME"] == "lo"


class CutOff:
    """A rendezvous store behind a cable that is cut after so many calls: they do not come back."""

    def __init__(self, calls: int) -> None:
        self.left, self.forever = calls, threading.Event()

    def answer(self, answer: Any) -> Any:
        self.left -= 1
        if self.left < 0:
            self.forever.wait()
        return answer

    def set(self, name: str, value: str) -> None:
        self.answer(None)

    def check(self, names: list[str]) -> bool:
        return self.answer(False)


@pytest.mark.parametrize("calls", [5, 10**9], ids=["cut", "whole"])
def test_who_is_cut_off_from_the_store_says_so_within_the_timeout(calls: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "192.0.2.7", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    store = CutOff(calls)
    monkeypatch.setattr(membership, "corner", lambda *_: store)
    monkeypatch.setattr(membership.Volunteer, "_join", lambda *_: None)
    member = membership.Volunteer(0.4, 9.0)
    reasons: list[str] = []
    member.call_off = reasons.append
    time.sleep(1.0)
    assert len(reasons) == (calls == 5)
    if reasons:
        assert "MASTER_ADDR=192.0.2.7 has not answered node 1 for 0.4 s" in reasons[0] and "node 1 was stopped" in reasons[0]
        failure = member.failure(PeerLost(None, reasons[0]))  # as the node's own thread comes to hear of it
        assert str(failure) == reasons[0]
    monkeypatch.setattr(membership, "LEAVE_WITHIN", 0.1)
    member.leave()  # ends too, though the heart stands still
    store.forever.set()
