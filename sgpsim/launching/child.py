"""Launched: the child's side of `sgpsim.launch`: `python -m sgpsim.launching.child FOLDER RANK STDERR`.

The rule: a child reads its job from the folder, writes its records there, and says nothing; its exit code tells the
launcher what to look for. Its standard input is a pipe that only the launcher holds: a byte on it asks the child to
write down what it has and end; if the pipe ends without one the launcher is gone, and the children make a run of the
records themselves. So no child outlives its launcher.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
from pathlib import Path

from sgpsim.backends.processes.group import FAILED, Child
from sgpsim.backends.processes.transport import PeerLost
from sgpsim.errors import MassLeak, NodeFailure, one_line

_closing = threading.Event()
"""Set once the launcher asked for the end or is gone; from then on the thread that noticed ends the process."""
LEAKED = 5
"""Exit code of a process that found a message lost for good."""
STOP = b"s"
"""What the launcher writes to ask a child to end."""


def last_words_path(folder: Path, rank: int) -> Path:
    """Where a child writes why it failed, in one line."""
    return folder / f"last-words-{rank}"


def process_path(folder: Path, rank: int) -> Path:
    """Where a child writes its process number."""
    return folder / f"process-{rank}"


def serve(folder: Path, rank: int, processes: int, interval: float, stderr: int) -> int:
    """Be node `rank` of all the job's cases, one after the other; the exit code."""
    process_path(folder, rank).write_text(str(os.getpid()))
    member = Child(folder, rank, processes, interval)
    from sgpsim.files.whole_folders import hold
    from sgpsim.launching.unfinished import end

    lock = hold(folder)
    if lock is None:  # the launcher was killed at once, and another one has cleared this away
        return FAILED
    threading.Thread(target=_watch_launcher, args=(member, folder, lock, stderr), daemon=True).start()
    try:
        from sgpsim.backends.processes.process import run_seed
        from sgpsim.launching.unfinished import cases_of, read_job, require_same_texts
        from sgpsim.specification.definitions import bring

        job = read_job(folder)
        bring(job["sources"])
        cases = cases_of(job, consent="import")
        require_same_texts(job, cases)
        member.join()
        for number, (experiment, backend) in enumerate(cases):
            for seed in experiment.seeds:
                run_seed(backend, experiment, seed, member, folder, number)
        member.set_out()
    except PeerLost as lost:
        last_words_path(folder, rank).write_text(str(member.failure(lost)))
        return FAILED
    except NodeFailure as failure:
        last_words_path(folder, rank).write_text(str(failure))
        return FAILED
    except MassLeak as leak:
        last_words_path(folder, rank).write_text(str(leak))
        return LEAKED
    except BaseException as error:  # a signal to this process alone among them
        last_words_path(folder, rank).write_text(f"{type(error).__name__}: {one_line(error)}".rstrip(": "))
        raise
    end(folder, rank)
    member.leave()
    return 0


def _watch_launcher(member: Child, folder: Path, lock: int, stderr: int) -> None:
    """Wait for the launcher to ask for the end, or to be gone."""
    try:
        asked = os.read(sys.stdin.fileno(), 1) == STOP
        _closing.set()
        member.keep()
        if not asked:
            from sgpsim.launching.unfinished import close_down

            sentence = close_down(folder, lock, f"the launcher was killed {member.pulse.now.place}")
            if sentence is not None:
                os.write(stderr, f"sgpsim: {sentence}\n".encode())
    finally:
        os._exit(FAILED)


def main() -> None:
    try:
        code = serve(
            Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5])
        )
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    if _closing.is_set():
        threading.Event().wait()
    os._exit(code)  # gloo's threads may wait for a peer that is gone


if __name__ == "__main__":
    main()
