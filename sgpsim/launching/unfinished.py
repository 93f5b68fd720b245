"""Unfinished: the records of real processes, in a hidden folder beside the run folders until they are one.

The rule: what processes measure lies in `.sgpsim-unfinished-NAME-...` from the first instant, and each process holds a
lock on that folder, so what was measured outlives them all. Whoever comes to the end first makes a run of it: the
launcher; if that was killed, the first of its processes to notice; if all were killed, the next command that starts
processes with the same `--out`. That last one imports nobody's code: where it would have to, it says what to do.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl

from sgpsim.backends.processes.assembly import as_run
from sgpsim.backends.processes.records import record_paths
from sgpsim.backends.processes.torch_distributed import TorchDistributed
from sgpsim.errors import SpecificationError
from sgpsim.experiment import Experiment
from sgpsim.files.keys import changed, files_read, own_texts, versions, with_files
from sgpsim.files.plain_data import from_plain, to_plain
from sgpsim.files.run_folders import require_sizes, without_drop
from sgpsim.files.store import Store
from sgpsim.files.whole_folders import A_FOLDER, locked_folder, same_folder
from sgpsim.results.run import Outcome, Run
from sgpsim.specification.definitions import bring, sources
from sgpsim.specification.functions import Consent
from sgpsim.specification.input_files import content_of, reason_of

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None

PREFIX = ".sgpsim-unfinished-"
FORMAT = 2
KEY = re.compile("[0-9a-f]{64}")
MOST_PROCESSES = 10_000
PATIENCE = 5.0
"""Seconds that whoever makes a run of the records waits for the other processes to end."""

DAMAGE = (ValueError, LookupError, TypeError, AttributeError, RecursionError, MemoryError, pl.exceptions.PolarsError)
"""What reading records raises that no process of ours wrote."""

Case = tuple[Experiment, TorchDistributed]


# -- the folder


def begin(out: Path, name: str) -> tuple[Path, int]:
    """A new folder for the records of a run that will be called `name`, and its open lock: another launch takes what
    nobody holds."""
    return locked_folder(out, f"{PREFIX}{name}-", shared=True)


def write_job(folder: Path, cases: Sequence[Case], name: str = "", interval: float = 1.0, key: str = "") -> None:
    """Write down what the processes are to do. name: of the run folder; empty where none is wanted. key: of the run, as
    it is before files can change."""
    job: dict[str, Any] = {
        "format": FORMAT,
        "name": name,
        "processes": cases[0][0].nodes,
        "interval": interval,
        "key": key,
        "sources": sorted({source for case in cases for part in case for source in sources(part)}),
        "texts": _texts(cases),
        "cases": [
            {
                "experiment": with_files(to_plain(experiment), _absolute),
                "backend": with_files(to_plain(backend), _absolute),
                "files": {_absolute(path): read for path, read in files_read(experiment, backend).items()},
            }
            for experiment, backend in cases
        ],
    }
    written = folder / f"job-{os.getpid()}"  # several processes may write the same job
    try:
        written.write_text(json.dumps(job), encoding="utf-8")
        os.replace(written, folder / "job.json")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder)) from None  # a full disk names no file


def read_job(folder: Path) -> dict[str, Any]:
    """The job of a folder. Raises SpecificationError where there is none that can be read."""
    try:
        job = json.loads(content_of("the job", folder / "job.json"))
        if job["format"] != FORMAT:
            raise ValueError(f"its format is {job['format']!r}, not {FORMAT}")
        return job
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise SpecificationError(
            f"{str(folder / 'job.json')!r} cannot be read ({error}). Delete the folder {str(folder)!r}."
        ) from None


def cases_of(job: Mapping[str, Any], consent: Consent) -> list[Case]:
    """The experiments and backends of a job. consent: as in `from_plain`, whether functions that it names are imported.
    Raises SpecificationError where a file has changed since the job was written."""
    cases: list[Case] = []
    for case in job["cases"]:
        built = from_plain(case["experiment"], Experiment, consent=consent), from_plain(without_drop(case["backend"]), TorchDistributed)
        for path, read in files_read(*built).items():
            if case.get("files", {}).get(path, read) != read:
                raise changed(path)
        cases.append(built)
    return cases


def require_same_texts(job: Mapping[str, Any], cases: Sequence[Case]) -> None:
    """Raise SpecificationError where this process's versions, or the user's own files, are not those of the launcher."""
    given, here = job.get("texts", {}), _texts(cases)
    other = sorted(name for name in {*given, *here} if given.get(name) != here.get(name)) if given else []
    if other:
        raise SpecificationError(
            f"{', '.join(other)}: the text or version is another one in this process than it was when the launch began;"
            " all processes must run the same. Launch again, and change no file while processes start."
        )


def _texts(cases: Sequence[Case]) -> dict[str, str]:
    """The versions that determine bits, and the digests of the user's own texts by the names of what they define."""
    own = own_texts(*(part for case in cases for part in case))
    return {**versions(), **{name.rpartition(":")[2]: text for name, text in own.items()}}


def end(folder: Path, rank: int) -> None:
    """Process `rank` came to its end."""
    (folder / f"ended-{rank}").touch()


# -- what becomes of it


def close_down(folder: Path, lock: int, sentence: str, outcome: Outcome = "interrupted") -> str | None:
    """What a process does with the records when nobody is left to do it: the first to call makes a run of them, once
    the others have ended; the others do nothing. A sentence that says where the run lies, None from the others."""
    try:
        os.close(os.open(folder / "closing", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except OSError:
        return None
    try:
        if not _alone(lock, PATIENCE, keeping=True):
            _kill_others(folder)
            _alone(lock, 1.0, keeping=True)
    except BlockingIOError:
        return None  # another launch makes a run of them already
    if not same_folder(lock, folder):
        return None
    try:
        return settle(folder, sentence, outcome, consent="import")
    except OSError as error:
        note_why(folder, sentence, outcome)
        return f"{sentence}; {_stays(folder, error)}"


def settle(
    folder: Path, sentence: str, outcome: Outcome = "interrupted", consent: Consent = "refuse"
) -> str | None:
    """Make a run with this outcome of the folder's records, and remove them; a sentence that says where it lies. Raises
    OSError where it cannot be saved; the records stay then."""
    job = read_job(folder)
    largest = max((file.stat().st_size for file in folder.glob("*.rows")), default=0)
    if not job["name"]:
        discard(folder)
        return None
    if not largest:
        discard(folder)
        return f"{sentence}; nothing had been measured"
    for case in job["cases"]:
        require_sizes(folder, case, (MOST_PROCESSES, 0, largest // 4))
    experiment, backend = cases_of(job, consent)[0]
    absent = [
        str(rank)
        for rank in range(experiment.nodes)
        if not record_paths(folder, 0, experiment.seeds[0], rank)[0].exists()
    ]
    if absent:
        note_why(folder, sentence, outcome)
        return (
            f"{sentence}; the records of this machine lie in {folder}, those of nodes {', '.join(absent)} elsewhere. Put"
            " all of them there, and the next launch with this --out makes a run of them"
        )
    run = made(folder, experiment, backend, sentence, outcome)
    if run is None:
        discard(folder)
        return f"{sentence}; nothing had been measured"
    known = str(job.get("key", ""))
    place = Store(folder.parent).save(job["name"], run, backend, known if KEY.fullmatch(known) else "", elsewhere=False)
    discard(folder)
    return f"{sentence}; what was measured lies in {place}"


def made(
    folder: Path, experiment: Experiment, backend: TorchDistributed, sentence: str, outcome: Outcome = "interrupted"
) -> Run | None:
    """The run that the folder's records hold: the whole one where all processes had come to their end."""
    whole = all((folder / f"ended-{rank}").exists() for rank in range(experiment.nodes))
    return as_stored(folder, experiment, backend, None if whole else sentence, outcome)


def discard(folder: Path) -> None:
    """Remove the records. The job goes first: without it the rest is no records, whatever ends this program meanwhile."""
    (folder / "job.json").unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def note_why(folder: Path, sentence: str, outcome: Outcome) -> None:
    """Leave a word for whoever makes a run of the records later, if there is room for it."""
    with suppress(OSError):
        (folder / "why").write_text(json.dumps([sentence, outcome]), encoding="utf-8")


def _stays(folder: Path, error: OSError) -> str:
    return (
        f"what was measured stays in {folder}, since it cannot be saved ({error.strerror or error}). Make room, and the next"
        " launch with this --out makes a run of it"
    )


def recover(out: Path | str, trust: bool = False) -> list[str]:
    """Make runs of what launches left behind in `out` whose processes are all gone; a sentence for each. trust: import
    the modules that the records name."""
    sentences = Store(Path(out)).recover()
    for folder in sorted(Path(out).glob(f"{PREFIX}*")):
        try:
            lock = os.open(folder, A_FOLDER)
        except OSError:
            continue
        try:
            if not _alone(lock, 0.0) or not same_folder(lock, folder):
                continue
            if not (folder / "job.json").exists():
                shutil.rmtree(folder, ignore_errors=True)
                continue
            if trust:
                bring(read_job(folder)["sources"])
            consent: Consent = "import" if trust else "refuse"
            sentence = settle(folder, *_why(folder), consent=consent)
            sentences += [sentence] if sentence else []
        except SpecificationError as error:
            sentences.append(
                f"an earlier launch was killed, and its records in {folder} are no run yet: {error} To make one of them"
                f" with the code that they name, call sgpsim.launching.unfinished.recover({str(out)!r}, trust=True)"
            )
        except OSError as error:
            sentences.append(f"an earlier launch was killed; {_stays(folder, error)}")
        except DAMAGE as error:
            reason = f"{type(error).__name__}: {reason_of(error)}"
            sentences.append(f"an earlier launch was killed, and its records in {folder} are damaged ({reason}). Delete that folder")
        finally:
            os.close(lock)
    return sentences


def as_stored(
    folder: Path, experiment: Experiment, backend: TorchDistributed, failure: str | None, outcome: Outcome, case: int = 0
) -> Run | None:
    """The records of one case as a Run; None where nothing common to all was recorded."""
    return as_run(experiment, backend, folder, case, failure, outcome)


def _why(folder: Path) -> tuple[str, Outcome]:
    """Why the processes ended, and the outcome, where one of them could still say."""
    with suppress(ValueError, TypeError, RecursionError):
        sentence, outcome = json.loads(content_of("the reason", folder / "why"))
        return " ".join(str(sentence).split()), "failed" if outcome == "failed" else "interrupted"
    return "an earlier launch was killed with all its processes", "interrupted"


def tell(sentence: str) -> None:
    """A sentence on stderr, as the command line says it."""
    print(f"sgpsim: {sentence}", file=sys.stderr, flush=True)


def _absolute(path: str) -> str:
    return str(Path(path).resolve())


def _alone(lock: int, patience: float, keeping: bool = False) -> bool:
    """Whether no other living process uses the folder, or ends within so many seconds. keeping: stay one who uses it
    meanwhile, as who fails to get a lock alone loses the shared one; raises BlockingIOError where another has it alone."""
    if fcntl is None:
        return True
    until = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if keeping:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            if time.monotonic() >= until:
                return False
            time.sleep(0.05)
        except OSError:
            return True  # a file system without locks


def _kill_others(folder: Path) -> None:
    """End the processes of a launch that do not end by themselves: those stopped from outside cannot."""
    for file in folder.glob("process-*"):
        with suppress(OSError, ValueError):
            process = int(file.read_text())
            command = Path(f"/proc/{process}/cmdline").read_bytes()
            if process != os.getpid() and str(folder).encode() in command:
                os.kill(process, signal.SIGKILL)
