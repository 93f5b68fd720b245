"""Two hosts on one machine, as network namespaces joined by a cable: torchrun on both, one host killed or the cable cut.

The rule: the right node is named within the stated time on every host that lives, and each host keeps what it measured.
Needs Linux, root and `ip`; namespaces and cable are removed at the end.

    python tests/two_hosts.py {whole,killed,cut}
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sgpsim.files.store import load
from sgpsim.launching.unfinished import PREFIX, recover

TIMEOUT = 5.0
"""Seconds after which a host that shows no sign of life counts as dead."""
PATIENCE = 60.0
"""Seconds after the fault in which all ranks have to end."""
TOML = """
nodes = 4
measure_every = 20
algorithm = {{ type = "SGP", descent = {{ type = "SGD", step_size = 0.05 }} }}
objective = {{ type = "Quadratic", dimension = 5, noise = 0.1 }}
schedule = "OnePeerExponential"
budget = {{ type = "Steps", count = {count} }}
backend = {{ type = "TorchDistributed", timeout = {timeout} }}
"""
SPACES = [f"sgpsim-{os.getpid()}-{host}" for host in range(2)]
CABLE = [f"sgp{os.getpid() % 100_000}{end}" for end in "ab"]


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def lay_cable() -> None:
    """10.77.0.1 and 10.77.0.2, each in a namespace of its own."""
    for space in SPACES:
        ip("netns", "add", space)
    ip("link", "add", CABLE[0], "type", "veth", "peer", "name", CABLE[1])
    for host, (space, end) in enumerate(zip(SPACES, CABLE, strict=True)):
        ip("link", "set", end, "netns", space)
        ip("-n", space, "addr", "add", f"10.77.0.{host + 1}/24", "dev", end)
        ip("-n", space, "link", "set", "lo", "up")
        ip("-n", space, "link", "set", end, "up")


def begin(host: int, file: Path, out: Path) -> subprocess.Popen[bytes]:
    """torchrun on one host: two of four ranks, with a disk of its own."""
    command = ["ip", "netns", "exec", SPACES[host], sys.executable, "-m", "torch.distributed.run", "--nnodes", "2"]
    command += ["--nproc-per-node", "2", "--node-rank", str(host), "--master-addr", "10.77.0.1", "--master-port", "29511"]
    command += ["-m", "sgpsim", "run", str(file), "--backend", "torch", "--out", str(out)]
    with (file.parent / f"said-{host}").open("w") as said:
        return subprocess.Popen(command, stdout=said, stderr=said, start_new_session=True)


def ranks(torchrun: int) -> list[int]:
    children = Path(f"/proc/{torchrun}/task/{torchrun}/children").read_text().split()
    return [int(child) for child in children]


def main() -> None:
    fault = sys.argv[1]
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        file = place / "job.toml"
        file.write_text(TOML.format(count=200 if fault == "whole" else 10**8, timeout=TIMEOUT))
        hosts: list[subprocess.Popen[bytes]] = []
        try:
            lay_cable()
            hosts = [begin(host, file, place / f"disk-{host}") for host in range(2)]
            until = time.monotonic() + 150
            while fault != "whole" and time.monotonic() < until:
                records = [path for path in place.glob(f"disk-*/{PREFIX}*/*.rows") if path.stat().st_size > 4000]
                if len(records) == 4:
                    break
                time.sleep(0.1)
            began = time.monotonic()
            living = [ranks(process.pid) for process in hosts]
            if fault == "killed":  # host 1, wholly
                for process in [hosts[1].pid, *ranks(hosts[1].pid)]:
                    os.kill(process, signal.SIGKILL)
            elif fault == "cut":
                ip("-n", SPACES[1], "link", "set", CABLE[1], "down")
            for host in range(2):
                while living[host] and time.monotonic() < began + PATIENCE:
                    living[host] = [rank for rank in living[host] if Path(f"/proc/{rank}/cmdline").exists()]
                    time.sleep(0.02)
                print(f"host {host}: {len(living[host])} ranks hang; the others ended {time.monotonic() - began:.1f} s later")
            for host, process in enumerate(hosts):
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    print(f"torchrun itself still waits on host {host}")
                    process.terminate()
                    process.wait(60)
                said = (place / f"said-{host}").read_text().splitlines()
                print(f"host {host}: code {process.returncode}")
                print("\n".join(f"  {line}" for line in said if line.startswith(("sgpsim:", "saved", "found"))))
            for path in sorted(place.glob("disk-*/*")):
                rows = {file.name: file.stat().st_size for file in path.glob("*.rows")}
                print(f"  {path.relative_to(place)} {rows or ''}")
            for folder in place.glob(f"disk-0/{PREFIX}*"):  # as the sentence says
                for path in place.glob(f"disk-1/{folder.name}/case-*"):
                    if not (folder / path.name).exists() or path.stat().st_size > (folder / path.name).stat().st_size:
                        shutil.copy(path, folder)
            for sentence in recover(place / "disk-0"):
                run = load(sentence.split("lies in ")[1])
                print(f"brought together: {sentence}: {run.outcome}, to step {run.curve('loss')['step'].max()}")
        finally:
            for process in hosts:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
            for space in SPACES:
                for pid in subprocess.run(["ip", "netns", "pids", space], capture_output=True, text=True).stdout.split():
                    os.kill(int(pid), signal.SIGKILL)
                subprocess.run(["ip", "netns", "del", space])


if __name__ == "__main__":
    main()
