"""Launches that are killed at random instants, each followed at once by another one.

The rule: the next launch ends with a whole run, or says exactly why not; no folder is damaged, nothing that lay in the
records is lost, no process and no hidden folder is left, and one more launch then works. Everything follows from the
seed but the instants themselves, which depend on the machine.

    python tests/kill_launches.py CHAINS [SEED]
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from pathlib import Path

from sgpsim.backends.processes.records import row_type
from sgpsim.errors import SpecificationError
from sgpsim.files.store import Store, load
from sgpsim.files.toml_files import read
from sgpsim.launching.unfinished import PREFIX, recover

NODES = 2
TOML = """
nodes = 2
seeds = [0, 1]
measure_every = 50
algorithm = {{ type = "SGP", descent = {{ type = "SGD", step_size = 0.05 }} }}
objective = {{ type = "Quadratic", dimension = 5, noise = 0.1 }}
schedule = "OnePeerExponential"
budget = {{ type = "Steps", count = {count} }}
backend = {{ type = "TorchDistributed", timeout = 20.0, trace = {trace} }}
"""
MARK = "SGPSIM_KILL_TEST"
PATIENCE = 120.0
"""Seconds within which whatever was started has ended, on a loaded machine."""
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


def marked(mark: str) -> set[int]:
    """Processes whose environment carries the mark; zombies have none."""
    alive: set[int] = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                if f"{MARK}={mark}".encode() in (entry / "environ").read_bytes():
                    alive.add(int(entry.name))
            except OSError:
                continue
    return alive


def started(file: Path, out: Path, mark: str, torchrun: bool = False) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "sgpsim", "launch", str(file), "--out", str(out)]
    if torchrun:
        command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(NODES), "--rdzv-backend", "c10d"]
        command += ["--rdzv-endpoint", "127.0.0.1:0", "-m", "sgpsim", "run", str(file), "--backend", "torch", "--out", str(out)]
    return subprocess.Popen(
        command,
        env={**os.environ, MARK: mark},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """(exit code, stdout, stderr); -99 where it hangs."""
    try:
        out, err = process.communicate(timeout=PATIENCE)
        return process.returncode, out, err
    except subprocess.TimeoutExpired:
        process.kill()
        return -99, *process.communicate()


def until(true: object, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():  # pyright: ignore[reportCallIssue, reportGeneralTypeIssues, reportUnknownVariableType]
            return True
        time.sleep(0.001)
    return False


def measured(out: Path, size: int) -> int:
    """Rows of the first seed that all processes of the launch that has most have written."""
    most = 0
    for folder in out.glob(f"{PREFIX}*"):
        try:
            sizes = [file.stat().st_size for file in folder.glob("case-0-seed-0-node-*.rows")]
        except OSError:
            continue
        most = max(most, min(sizes) // size if len(sizes) == NODES else 0)
    return most


def wait_for_instant(chance: random.Random, out: Path, size: int) -> str:
    """Wait until the instant of a kill; its name. Some aim at the instants that matter: the first records, the last
    words, the writing of the run folder, its renaming, the removal of the records."""
    instant = chance.choice(["any", "any", "records", "records", "ended", "writing", "renamed", "start"])
    match instant:
        case "any":
            time.sleep(chance.uniform(0, 9))
        case "start":
            until(lambda: list(out.glob(f"{PREFIX}*")), 30)
            time.sleep(chance.choice([0.0, 0.1, 1.0, 3.0]) * chance.random())
        case "records":
            until(lambda: measured(out, size) > 1, 60)
            time.sleep(chance.choice([0.1, 1.0]) * chance.random())
        case "ended":
            until(lambda: list(out.glob(f"{PREFIX}*/ended-*")), 60)
            time.sleep(chance.choice([0.0, 0.01, 0.1]) * chance.random())
        case "writing":
            until(lambda: list(out.glob(".sgpsim-writing-*")), 60)
            time.sleep(chance.choice([0.0, 0.01, 0.05]) * chance.random())
        case _:
            until(lambda: [path for path in out.glob("*/provenance.json") if not path.parent.name.startswith(".")], 60)
            time.sleep(chance.choice([0.0, 0.001, 0.01]) * chance.random())
    return instant


def kill(chance: random.Random, process: subprocess.Popen[str], mark: str) -> str:
    """Kill the launcher, its group, one of its processes, or all; what was done."""
    whom = chance.choice(["launcher", "launcher", "launcher", "rank", "group", "everybody", "stopped rank"])
    number = chance.choice(SIGNALS)
    ranks = sorted(marked(mark) - {process.pid})
    try:
        match whom:
            case "rank" if ranks:
                os.kill(chance.choice(ranks), number)
            case "stopped rank" if ranks:
                os.kill(chance.choice(ranks), signal.SIGSTOP)
                process.send_signal(number)
            case "group":
                os.killpg(process.pid, number)
            case "everybody":
                number = signal.SIGKILL
                for each in [process.pid, *ranks]:
                    os.kill(each, number)
            case _:
                process.send_signal(number)
    except ProcessLookupError:
        return f"{whom}, too late"
    return f"{whom} {number.name}"


def chain(place: Path, chance: random.Random, number: int) -> tuple[str, list[str]]:
    """One killed launch and those that follow it; (what is wrong, what was killed)."""
    out, file = place / f"runs-{number}", place / f"job-{number}.toml"
    count = chance.choice([100, 2000, 10_000])
    file.write_text(TOML.format(count=count, trace=chance.choice(["true", "false"])))
    size = row_type(read(file).experiment, False).itemsize
    torchrun = chance.random() < 0.25
    mark = uuid.uuid4().hex
    kills: list[str] = []
    unread: list[subprocess.Popen[str]] = []
    texts: list[str] = []
    wrong: list[str] = []
    rows = 0
    try:
        out.mkdir()
        for _ in range(chance.choice([1, 1, 2])):
            process = started(file, out, mark, torchrun)
            instant = wait_for_instant(chance, out, size)
            rows = max(rows, measured(out, size))
            kills.append(f"{'torchrun, ' if torchrun else ''}{kill(chance, process, mark)} ({instant})")
            if chance.random() < 0.6:
                texts.append("".join(map(str, ended(process))))
            else:  # at once: the processes of the first may still be ending
                kills[-1] += ", not waited for"
                unread.append(process)
        if chance.random() < 0.3:  # two at once
            both = [started(file, out, mark), started(file, out, mark)]
            kills.append("then two at once")
        else:
            both = [started(file, out, mark)]
        for process in both:
            code, said, complaint = ended(process)
            texts.append(f"{code} {said[-300:]} {complaint}")
            places = re.findall(r"^(?:saved in|sgpsim: found in) ([^;,\n]+)", said + complaint, re.MULTILINE)
            if code or not places or "Traceback" in complaint:
                wrong.append(f"the next launch ended with {code} and said of {places}")
            elif load(places[-1]).outcome != "finished":
                wrong.append(f"the next launch kept {places}, which is no whole run")
        texts += ["".join(map(str, ended(process))) for process in unread]
        if any("Traceback" in text for text in texts) and not torchrun:
            wrong.append("a traceback")
        if not until(lambda: not marked(mark), 130 if torchrun else 20):  # its ranks wait so long for their store
            wrong.append(f"left over: {marked(mark)}")
        code, said, complaint = ended(started(file, out, mark))
        texts.append(f"{code} {said[-300:]} {complaint}")
        if code or "found in" not in complaint:
            wrong.append(f"the third launch ended with {code}")
        hidden = [path.name for path in out.glob(".*")]
        if hidden:
            wrong.append(f"left: {hidden}, of which the next says {recover(out)}")
        best = 0
        for folder in sorted(path for path in out.iterdir() if not path.name.startswith(".")):
            try:
                run = load(folder)
            except SpecificationError as error:
                wrong.append(f"damaged: {error}")
                continue
            best = max(best, int(run.curve("loss")["step"].max()))  # pyright: ignore[reportArgumentType]
            said_of = sum(str(folder) in text for text in texts)
            if run.outcome in ("interrupted", "failed") and not said_of:
                wrong.append(f"nobody says of {folder.name}")
        if best < count:
            wrong.append(f"no whole run: {best} of {count}")
    finally:
        for each in marked(mark):
            os.kill(each, signal.SIGKILL)
    problem = f"chain {number} ({count} steps, {rows} rows): {'; '.join(kills)}: {'; '.join(wrong)}\n" + "\n".join(texts)
    return (problem if wrong else ""), kills


def main() -> None:
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(1 << 32)
    print(f"{sys.argv[1]} chains, seed {seed}", flush=True)
    chance = random.Random(seed)
    counts: Counter[str] = Counter()
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(int(sys.argv[1])):
            wrong, kills = chain(Path(folder), random.Random(chance.randrange(1 << 32)), number)
            counts.update(kills)
            failures += bool(wrong)
            if wrong:
                print(wrong, flush=True)
        assert Store(Path(folder)).recover() == []
    print("\n".join(f"{count:4d}  {killed}" for killed, count in sorted(counts.items())))
    print(f"{sum(counts.values())} kills; {failures} of {sys.argv[1]} chains left something wrong")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
