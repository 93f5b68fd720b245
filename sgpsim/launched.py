"""Launched: the child's side of `sgpsim.launch`: `python -m sgpsim.launched FOLDER RANK`.

The rule: a child reads its job from the folder, writes its records there, and says nothing; its exit code tells the
launcher what to look for.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from sgpsim.backends.membership import FAILED, Child
from sgpsim.backends.post import PeerLost
from sgpsim.errors import MassLeak, NodeFailure

LEAKED = 5
"""Exit code of a process that found a message lost for good."""


def job_path(folder: Path) -> Path:
    return folder / "job.json"


def last_words_path(folder: Path, rank: int) -> Path:
    """Where a child writes why it failed, in one line."""
    return folder / f"last-words-{rank}"


def serve(folder: Path, rank: int) -> int:
    """Be node `rank` of all the job's cases, one after the other; the exit code."""
    job: dict[str, Any] = json.loads(job_path(folder).read_text())
    member = Child(folder, rank, job["processes"], job["interval"])
    try:
        from sgpsim.backends.one_rank import run_seed
        from sgpsim.backends.torch_distributed import TorchDistributed
        from sgpsim.experiment import Experiment
        from sgpsim.plain_data import from_plain

        cases = [
            (from_plain(case["experiment"], Experiment, consent="import"), from_plain(case["backend"], TorchDistributed))
            for case in job["cases"]
        ]
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
    except Exception as error:
        last_words_path(folder, rank).write_text(f"{type(error).__name__}: {error}")
        raise
    member.leave()
    return 0


def main() -> None:
    try:
        code = serve(Path(sys.argv[1]), int(sys.argv[2]))
    except Exception:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # gloo's threads may wait for a peer that is gone


if __name__ == "__main__":
    main()
