"""Kills at random instants: `sgpsim run` is ended by SIGINT, SIGTERM or SIGKILL, and what is left is looked at.

The rule: no damaged folder; no half-written one after the next command; INT and TERM keep what was measured and say
where, and after KILL the next command does; the exit code says which it was. Everything follows from the seed but the
instants themselves, which depend on the machine.

    python tests/kill_runs.py KILLS [SEED]
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from sgpsim.errors import SpecificationError
from sgpsim.files.store import Store, load

TEXT = """
nodes = 4
seeds = [0, 1]
objective = {{type = "Quadratic", dimension = 3}}
schedule = "OnePeerExponential"
algorithm = "{algorithm}"
budget = {{type = "Steps", count = {count}}}
backend = {{type = "{backend}", trace = {trace}}}
"""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
BEGIN = "sgpsim: interrupted by "
LONG = 3.0
"""Seconds after which even a loaded machine has measured something and kept it."""


def killed(place: Path, chance: random.Random, number: int) -> tuple[str, str]:
    """One kill; (what is wrong, how it ended)."""
    backend = chance.choice(["simulated", "vectorized"])
    count = chance.choice([200, 3000, 200_000])
    trace = "true" if count < 10_000 else "false"
    algorithm = chance.choice(["SGP", "OverlapSGP"])
    (place / "job.toml").write_text(TEXT.format(algorithm=algorithm, count=count, backend=backend, trace=trace))
    runs, ending = place / "runs", chance.choice(SIGNALS)
    before = {path.name for path in runs.iterdir()} if runs.is_dir() else set()
    command = [sys.executable, "-m", "sgpsim", "run", str(place / "job.toml"), f"name=job-{number}", "--out", str(runs)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    assert child.stdout is not None
    out = child.stdout.readline() if chance.random() < 0.8 else ""  # most kills meet a run, and not Python's imports
    lasted = chance.choice([0.02, 0.2, 2.0, 6.0]) * chance.random() * (1.0 if out else 0.0)
    time.sleep(lasted or chance.random())
    child.send_signal(ending)
    rest, err = child.communicate(timeout=60)
    out += rest
    case = f"kill {number}: {ending.name} on {backend} {algorithm} {count}: code {child.returncode}, {err!r}"
    new = {path for path in runs.iterdir() if path.name not in before} if runs.is_dir() else set()
    folders = [path for path in new if not path.name.startswith(".")]
    for folder in folders:
        try:
            outcome = load(folder).outcome
        except SpecificationError as error:
            return f"{case}: {error}", "damaged"
        if (outcome == "interrupted") != folder.name.endswith("-interrupted"):
            return f"{case}: {folder.name} is {outcome}", "wrong name"
    if ending != signal.SIGKILL and len(new) > len(folders):
        return f"{case}: something half-written is left", "left"
    if "saved in" in out or "found in" in out:  # the signal came too late, perhaps while Python was ending
        whole = len(folders) == (0 if "found in" in out else 1) and child.returncode in (0, -ending, 128 + ending)
        return ("", "finished") if whole else (f"{case} {folders}", "lost")
    if child.returncode == 0:
        return f"{case}: it says of no folder", "lost"
    if ending == signal.SIGKILL:
        kept = Store(runs).recover() if runs.is_dir() else []
        if child.returncode != -9 or len(kept) > 1:
            return f"{case} {kept}", "code"
        if not kept and lasted > LONG:
            return f"{case}: it ran for {lasted:.1f} s and left nothing", "lost"
        for sentence in kept:
            if load(sentence.split("lies in ")[1]).metrics.is_empty():
                return f"{case}: {sentence}, which is empty", "lost"
        return "", f"SIGKILL, {len(kept)} kept"
    if child.returncode == 128 + ending and err.startswith(f"{BEGIN}{ending.name}") and err.count("\n") == 1:
        said = err.strip().split("what was measured lies in ")
        if len(said) == 2 and [Path(said[1])] == folders:
            return "", f"{ending.name}, kept and said"
        if len(said) == 2 and not folders and Path(said[1]).name in before and load(Path(said[1])).outcome == "finished":
            return "", f"{ending.name}, while an earlier run of the same was shown"
        if len(said) == 1 and not folders and "saved in" not in out:
            return "", f"{ending.name}, before anything was measured"
    if not new and not out and child.returncode in (-ending, 1, 130) and "sgpsim/commands" not in err:
        return "", f"{ending.name}, while Python was starting"
    return f"{case} {out!r} {folders}", "unexpected"


def kill(kills: int, seed: int, place: Path) -> tuple[list[str], Counter[str]]:
    """The kills that left something wrong, and how often each ending came."""
    chance = random.Random(seed)
    endings: Counter[str] = Counter()
    failures: list[str] = []
    for number in range(kills):
        wrong, ending = killed(place, chance, number)
        endings[ending] += 1
        if wrong:
            failures.append(wrong)
    if (place / "runs").is_dir():
        Store(place / "runs").require_writable()  # as the next command does
        Store(place / "runs").recover()
        failures += [f"{path.name} is left after the next command" for path in (place / "runs").glob(".*")]
    return failures, endings


if __name__ == "__main__":
    chosen = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(1 << 32)
    print(f"{sys.argv[1]} kills, seed {chosen}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        wrong, counts = kill(int(sys.argv[1]), chosen, Path(folder))
    print("\n".join([*wrong, *(f"{count:4d}  {ending}" for ending, count in sorted(counts.items()))]))
    print(f"{len(wrong)} of {sys.argv[1]} kills left something wrong")
    sys.exit(bool(wrong))
