"""Fuzzing of everything that is read: TOML texts with overrides, run folders, input files.

The rule: a case is made from (seed, number) alone, so that one that failed can be made again; its outcome must be an
answer, or a SpecificationError of one line, within a time limit. Crashes of the process are seen because the process
that fuzzes would be gone.

    python tests/fuzz_files.py {toml,folders,inputs} CASES [SEED]
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, NamedTuple

import networkx as nx
import numpy as np
import scipy.sparse

from sgpsim.__main__ import CODES, main
from sgpsim.commands.run import DIVERGED
from sgpsim.files.run_folders import seal

LIMIT = 20
"""Seconds that one case may take on a loaded machine."""


ENDINGS: Counter[int] = Counter()
"""How often commands ended with which code, so that a fuzzer that only ever sees refusals is seen."""


class Failure(NamedTuple):
    number: int
    reason: str
    case: str


class TooLong(BaseException):
    """A case did not end within LIMIT."""


@contextlib.contextmanager
def limited() -> Generator[None]:
    def stop(*_: Any) -> None:
        raise TooLong(f"longer than {LIMIT} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(LIMIT)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def command(*arguments: str | Path) -> str:
    """What is wrong with how this command ended; empty if nothing is."""
    out, err = io.StringIO(), io.StringIO()
    code: Any = None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with limited():
                main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = end.code
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            place = traceback.extract_tb(error.__traceback__)[-1]
            return f"{type(error).__name__}: {str(error)[:300]} ({Path(place.filename).name}:{place.lineno})"
    if code not in (0, DIVERGED, *CODES.values()):
        return f"exit code {code!r}"
    ENDINGS[code] += 1
    lines = err.getvalue().strip().splitlines()
    if code == 2 and (len(lines) != 1 or not lines[0].startswith("sgpsim: ")):
        return f"no single sentence: {err.getvalue()[:400]!r}"
    if "Traceback" in err.getvalue():
        return err.getvalue()[-400:]
    return ""


# -- TOML texts


TEXT = """
name = "fuzz"
nodes = 4
seeds = [0, 1]
dtype = "float64"
measure_every = 1
start = 0.5
message_bytes = 100.0
algorithm = {type = "SGP", descent = {type = "Momentum", step_size = {type = "WarmUp", then = 0.1, steps = 3}}}
objective = {type = "Quadratic", dimension = 3, noise = 0.5}
schedule = {type = "OnePeerExponential"}
budget = {type = "Steps", count = 3}
backend = {type = "auto", trace = true}

[cluster]
compute = {type = "ExponentialTime", seconds = 1.0}
network = {latency = 0.1, bandwidth = 1e6}
stragglers = [{type = "PersistentSlow", nodes = [1], factor = 5.0}]
"""
WORDS = [
    "0", "1", "-1", "2", "7", "1e400", "-1e400", "1e-320", "nan", "inf", "-inf", "true", "false", "[]", "{}", "[[]]",
    "[1, 2]", "[0.5, 0.5, 0.5]", "''", "'x'", "'é'", "'SGP'", "'Constant'", "'Steps'", "none", "{type = 'SGD'}",
    "{type = 'Seconds', limit = 2}", "{type = 'TargetLoss', loss = 0.1, steps = 3}", "{type = 'Gradients', total = 9}",
    "{a = {b = {c = 1}}}", "2020-01-01", "9" * 25, "9" * 5000, "9223372036854775808", "[" * 300, "[" * 3000, "0x10",
    "'os:getcwd'", "'a/b'", "'../x'", "{type = 'TorchModule', nodes = 4, module = 'os:sep'}", "'" + "n" * 300 + "'",
    "{type = 'ADPSGD'}", "'AllReduceSGD'", "'DPSGD'", "{type = 'OverlapSGP', delay = 2}", "'PushSum'", "'Complete'",
    "{type = 'MatrixFile', path = 'no.npy'}", "{type = 'GraphFile', path = '.'}", "'float32'", "'ethernet_10g'",
    "{preset = 'ethernet_10g', job = {a = 1}}", "{preset = 'infiniband_edr', noise = 0.1}", "{type = 'Vectorized'}",
    "'simulated'", "'torch'", "{type = 'Drop', sender = 0, receiver = 1, step = 0}", "{type = 'Ring', size = 3}", "1979-05-27T07:32:00Z",
]  # fmt: skip
PATHS = [
    "name", "nodes", "seeds", "seeds.0", "seeds.9", "dtype", "measure_every", "start", "message_bytes", "algorithm",
    "algorithm.type", "algorithm.descent", "algorithm.descent.type", "algorithm.descent.step_size", "algorithm.descent.x",
    "algorithm.descent.step_size.then", "algorithm.descent.step_size.steps", "algorithm.descent.momentum", "objective",
    "objective.type", "objective.dimension", "objective.noise", "objective.seed", "objective.nodes", "schedule",
    "schedule.type", "schedule.size", "schedule.path", "budget", "budget.type", "budget.count", "backend", "backend.type",
    "backend.trace", "backend.monitor", "backend.keep_trajectory", "backend.check_every", "backend.device",
    "cluster", "cluster.compute", "cluster.compute.type", "cluster.compute.seconds", "cluster.network",
    "cluster.network.latency", "cluster.network.bandwidth", "cluster.stragglers", "cluster.stragglers.0",
    "cluster.stragglers.0.factor", "cluster.stragglers.0.nodes", "cluster.nodes", "cluster.preset", "cluster.graph_file",
    "cluster.graph", "cluster.job", "cluster.faults", "cluster.faults.0", "", ".", "a..b", "nodes.x.y",
]  # fmt: skip


def mutated_text(chance: random.Random) -> bytes:
    """The text with a few lines, words or bytes changed, or as it is."""
    lines = [str(line) for line in TEXT.split("\n")]
    for _ in range(chance.choice([0, 0, 1, 1, 2, 4])):
        place = chance.randrange(len(lines))
        what = chance.randrange(6)
        if what == 0:
            del lines[place]
        elif what == 1:
            lines.insert(place, chance.choice(lines))
        elif what == 2 and "=" in lines[place]:
            lines[place] = f"{lines[place].split('=')[0]}= {chance.choice(WORDS)}"
        elif what == 3:
            words = lines[place].split()
            if words:
                words[chance.randrange(len(words))] = chance.choice(WORDS)
                lines[place] = " ".join(words)
        elif what == 4 and lines[place]:
            cut = chance.randrange(len(lines[place]))
            letter = chance.choice(["", "\0", '"', "[", "=", "é", "#", "\\", "\r"])
            lines[place] = lines[place][:cut] + letter + lines[place][cut + 1 :]
        else:
            lines[place] += chance.choice(WORDS)
        lines = lines or [""]
    content = bytearray("\n".join(lines).encode())
    if chance.random() < 0.1:
        for _ in range(chance.choice([1, 3])):
            content[chance.randrange(len(content))] = chance.randrange(256)
    return chance.choice([b"", b"", b"", b"\xef\xbb\xbf"]) + bytes(content)


def toml_case(chance: random.Random, place: Path) -> tuple[str, str]:
    (place / "fuzz.toml").write_bytes(mutated_text(chance))
    overrides = [
        f"{chance.choice(PATHS)}{chance.choice(['=', '=', '=', '=', ''])}{chance.choice(WORDS)}"
        for _ in range(chance.choice([0, 1, 1, 2]))
    ]
    overrides = [override for override in overrides if not override.startswith("-")]
    told = command("run", place / "fuzz.toml", *overrides, "--out", place / "runs")
    shutil.rmtree(place / "runs", ignore_errors=True)
    return told, f"{overrides!r}\n{(place / 'fuzz.toml').read_bytes()!r}"


# -- run folders


def changed_json(chance: random.Random, content: Any) -> Any:
    """The same plain data with one value somewhere changed."""
    if isinstance(content, dict) and content and chance.random() < 0.9:
        name = chance.choice(list(content))
        if chance.random() < 0.15:
            return {key: value for key, value in content.items() if key != name}
        return {**content, name: changed_json(chance, content[name])}
    if isinstance(content, list) and content and chance.random() < 0.7:
        place = chance.randrange(len(content))
        return [*content[:place], changed_json(chance, content[place]), *content[place + 1 :]]
    return chance.choice(
        [None, True, 0, -1, 1, 2, 10**30, 0.5, 1e308, "", "x", "inf", "nan", "os:abort", [], {}, [1], {"type": "SGP"},
         "experiment.json", "../../etc/passwd", [[1, 2], [3]], {"a": {}}, "Quadratic", 5, 1000]
    )  # fmt: skip


def broken_bytes(chance: random.Random, content: bytes) -> bytes:
    """Flipped, cut, doubled, emptied, or with a piece moved."""
    what = chance.randrange(6)
    if what == 0 or not content:
        return b""
    cut = chance.randrange(len(content))
    if what == 1:
        return content[:cut]
    if what == 2:
        return content + content[:cut]
    if what == 3:
        return content[cut:]
    flipped = bytearray(content)
    for _ in range(chance.choice([1, 1, 2, 8])):
        flipped[chance.randrange(len(flipped))] = chance.randrange(256)
    return bytes(flipped)


def folder_case(chance: random.Random, place: Path) -> tuple[str, str]:
    whole = template(place)
    folder = place / "fuzzed-run"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(whole, folder)
    names = [file.relative_to(folder).as_posix() for file in sorted(folder.rglob("*")) if file.is_file()]
    done: list[str] = []
    for _ in range(chance.choice([1, 1, 1, 2])):
        name = chance.choice(names)
        file, what = folder / name, chance.randrange(5)
        if chance.random() < 0.1:
            done.append(f"{name} {unending(chance, file)}")
            break  # a further change would read it
        done.append(f"{name} {what}")
        if not file.is_file():
            continue
        if what == 0:
            file.unlink()
            if chance.random() < 0.3:
                file.mkdir()
        elif what == 1:
            shutil.copyfile(whole / chance.choice(names), file)
        elif what == 2 and name.endswith(".json"):
            with contextlib.suppress(ValueError):
                file.write_text(json.dumps(changed_json(chance, json.loads(file.read_text()))))
        else:
            file.write_bytes(broken_bytes(chance, file.read_bytes()))
    if chance.random() < 0.8 and (folder / "provenance.json").is_file() and (folder / "provenance.json").stat().st_size < 1 << 26:
        # as a forger would
        with contextlib.suppress(ValueError, TypeError, AttributeError, OSError, KeyError):
            provenance = json.loads((folder / "provenance.json").read_text())
            for name in list(provenance["files"]):
                if (folder / name).is_file() and (folder / name).stat().st_size < 1 << 26:
                    provenance["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
            (folder / "provenance.json").write_text(json.dumps({**provenance, "digest": seal(provenance)}))
    commands: list[tuple[str | Path, ...]] = [
        ("trace", folder),
        ("run", folder, "--out", place / "again"),
        ("show", folder),
        ("compare", folder, "--loss", "0.5", "--out", place / "c"),
        ("report", folder, "--out", place / "r.html"),
    ]
    chosen = commands[chance.choice([0, 0, 0, 0, 0, 1, 2, 3, 4])]  # the others take long where they draw
    shutil.rmtree(place / "again", ignore_errors=True)
    return command(*chosen), f"{chosen[0]} {done!r}"


def template(place: Path) -> Path:
    """A whole run folder with every kind of file, made once."""
    folder = place / "template"
    if not folder.is_dir():
        text = TEXT.replace('{type = "OnePeerExponential"}', "{type = 'MatrixFile', path = 'p.npy'}")
        (place / "template.toml").write_text(text)
        np.save(place / "p.npy", np.full((4, 4), 0.25))
        change = "backend={type='simulated', keep_trajectory=true}"
        said = command("run", place / "template.toml", change, "--out", place / "whole")
        assert not said, said
        next((place / "whole").iterdir()).rename(folder)
    return folder


# -- input files


def input_files(place: Path) -> dict[str, str]:
    """Whole files of every kind that can be read -> the override that reads them; made once."""
    kinds = {
        "p.npy": "schedule={type='MatrixFile', path='%s'}",
        "stack.npy": "schedule={type='MatrixFile', path='%s'}",
        "p.npz": "schedule={type='MatrixFile', path='%s'}",
        "csr.npz": "schedule={type='MatrixFile', path='%s'}",
        "coo.npz": "schedule={type='MatrixFile', path='%s'}",
        "g.graphml": "schedule={type='GraphFile', path='%s'}",
        "g.gml": "schedule={type='GraphFile', path='%s'}",
        "g.json": "schedule={type='GraphFile', path='%s'}",
        "g.edges": "schedule={type='GraphFile', path='%s'}",
        "c.graphml": "cluster.graph_file='%s'",
        "c.gml": "cluster.graph_file='%s'",
        "t.csv": "cluster.compute={type='MeasuredTimes', path='%s'}",
        "d.csv": "objective={type='LogisticRegression', data={type='Table', path='%s'}}",
        "d.npz": "objective={type='LogisticRegression', data={type='Table', path='%s'}}",
    }
    home = place / "inputs"
    if home.is_dir():
        return kinds
    home.mkdir()
    uniform = np.full((4, 4), 0.25)
    np.save(home / "p.npy", uniform)
    np.save(home / "stack.npy", np.stack([uniform, uniform]))
    np.savez(home / "p.npz", uniform, uniform)
    scipy.sparse.save_npz(home / "csr.npz", scipy.sparse.csr_array(uniform), compressed=False)
    scipy.sparse.save_npz(home / "coo.npz", scipy.sparse.coo_array(uniform), compressed=True)
    graph = nx.complete_graph(4)
    nx.write_graphml(graph, home / "g.graphml")
    nx.write_gml(graph, home / "g.gml")
    (home / "g.json").write_text(json.dumps(nx.node_link_data(graph, edges="edges")))
    (home / "g.edges").write_text("".join(f"{one} {other}\n{other} {one}\n" for one, other in graph.edges))
    nx.set_edge_attributes(graph, {edge: {"latency": 0.1, "bandwidth": 1e6} for edge in graph.edges})
    nx.set_node_attributes(graph, dict.fromkeys(graph, 2.0), "pace")
    nx.write_graphml(graph, home / "c.graphml")
    nx.write_gml(graph, home / "c.gml")
    (home / "t.csv").write_text("node,seconds\n" + "".join(f"{node % 4},{0.1 + node}\n" for node in range(12)))
    (home / "d.csv").write_text("a,b,label\n" + "".join(f"{row},{row * 0.5},{row % 2}\n" for row in range(12)))
    np.savez(home / "d.npz", features=np.arange(24.0).reshape(12, 2), labels=np.arange(12) % 2)
    return kinds


TEXT_WORDS = [
    "nan", "inf", "-1", "1e400", "0", "", "\0", "é", "9" * 5000, "\n", ",", '"', "<", ">", "[", "]", "4", "2147483648", "x", "label",
    "-0.0", "99999", "1e-320", "\\", "&amp;", "&x;", "\ufeff", "node", "5", "true", "source", "1 1\n", "graph", "#",
]  # fmt: skip


def rewritten_text(chance: random.Random, content: bytes) -> bytes:
    """A text with words of its own kind put in, taken out or exchanged."""
    text = content.decode()
    for _ in range(chance.choice([1, 1, 2, 5])):
        begin = chance.randrange(len(text) + 1)
        text = text[:begin] + chance.choice(TEXT_WORDS) + text[begin + chance.choice([0, 1, 1, 3, 20]) :]
    return text.encode(chance.choice(["utf-8"] * 8 + ["utf-8-sig", "utf-16"]))


def rewritten_arrays(chance: random.Random, content: bytes) -> bytes:
    """An archive with one of its arrays changed, left out or of another type."""
    archive = dict(np.load(io.BytesIO(content), allow_pickle=False))
    name = chance.choice(list(archive))
    array = np.asarray(archive[name])
    what = chance.randrange(8)
    if what == 0:
        del archive[name]
    elif what == 1 and array.size:
        flat = array.reshape(-1).copy()
        if flat.dtype.kind in "iuf":
            flat[chance.randrange(flat.size)] = chance.choice([-1, 0, 1, 3, 100, 2**31 - 1, -(2**31)])
        archive[name] = flat.reshape(array.shape)
    elif what == 2:
        archive[name] = array.reshape(-1)[: array.size // 2]
    elif what == 3:
        with contextlib.suppress(ValueError):
            archive[name] = array.astype(chance.choice(["U8", "c16", "f4", "i1", "?", "f2"]))
    elif what == 4:
        archive[name] = array[None]
    elif what == 5:
        archive[name] = np.array(chance.choice([0, -1, 10**9, "csr", b"bsr", 0.5, np.nan]))
    elif what == 6:
        archive[name] = np.array(chance.choice([[4, 5], [0, 0], [2**40, 2**40], [-1, -1], [4], [3, 3]]))
    else:
        archive["more"] = array
    out = io.BytesIO()
    np.savez(out, **archive)
    return out.getvalue()


def unending(chance: random.Random, file: Path) -> str:
    """Put something in the place of `file` that never ends, or is larger than it says; what it is."""
    if file.is_dir() and not file.is_symlink():
        file.rmdir()
    else:
        file.unlink(missing_ok=True)
    what = chance.choice(["pipe", "zeros", "folder", "sparse", "bomb", "promise", "itself"])
    if what == "pipe":
        os.mkfifo(file)
    elif what in ("zeros", "itself"):
        file.symlink_to("/dev/zero" if what == "zeros" else file)
    elif what == "folder":
        file.mkdir()
    elif what == "sparse":
        with file.open("wb") as written:
            written.truncate(chance.choice([1 << 20, 10 << 30]))
    else:
        head = io.BytesIO()
        shape = (1 << 22,) if what == "bomb" else (10**6, 10**6)
        np.lib.format.write_array_header_2_0(head, {"descr": "<f8", "fortran_order": False, "shape": shape})  # pyright: ignore[reportArgumentType]
        content = head.getvalue() + (bytes(1 << 25) if what == "bomb" else b"")
        if file.suffix == ".npz":
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
                for name in ("features.npy", "labels.npy"):
                    archive.writestr(name, content)
        else:
            file.write_bytes(content)
    return what


def input_case(chance: random.Random, place: Path) -> tuple[str, str]:
    kinds = input_files(place)
    name = chance.choice(list(kinds))
    content = (place / "inputs" / name).read_bytes()
    how: Callable[[random.Random, bytes], bytes] = broken_bytes
    if chance.random() < 0.75:
        if name.endswith(".npz"):
            how = rewritten_arrays
        elif not name.endswith(".npy"):
            how = rewritten_text
    broken = how(chance, content)
    fuzzed, what = place / f"fuzzed-{name}", how.__name__
    if chance.random() < 0.15:
        what = unending(chance, fuzzed)
    else:
        fuzzed.write_bytes(broken)
    (place / "fuzz.toml").write_text(TEXT)
    told = command("run", place / "fuzz.toml", kinds[name] % f"fuzzed-{name}", "--out", place / "runs")
    shutil.rmtree(place / "runs", ignore_errors=True)
    fuzzed.rmdir() if fuzzed.is_dir() else fuzzed.unlink()
    return told, f"{name} {what} {broken[:2000]!r}"


CASES = {"toml": toml_case, "folders": folder_case, "inputs": input_case}


def fuzz(kind: str, cases: int, seed: int, place: Path, first: int = 0) -> list[Failure]:
    """The cases of one kind that did not end as they should."""
    failures: list[Failure] = []
    for number in range(first, first + cases):
        (place / "current").write_text(f"{kind} seed {seed} case {number}")  # read where the process is gone
        told, case = CASES[kind](random.Random(f"{seed} {number}"), place)
        if told:
            failures.append(Failure(number, told, case))
    return failures


if __name__ == "__main__":
    chosen, count = sys.argv[1], int(sys.argv[2])
    chosen_seed = int(sys.argv[3]) if len(sys.argv) > 3 else random.SystemRandom().randrange(1 << 32)
    print(f"{chosen}: {count} cases, seed {chosen_seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        wrong = fuzz(chosen, count, chosen_seed, Path(folder), int(sys.argv[4]) if len(sys.argv) > 4 else 0)
    for failure in wrong[:20]:
        print(f"case {failure.number}: {failure.reason}\n    {failure.case[:1500]}")
    print(f"{len(wrong)} of {count} cases did not end as they should; exit codes: {dict(ENDINGS)}")
    sys.exit(bool(wrong))
