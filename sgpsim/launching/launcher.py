"""Launcher: the processes of one job on this machine, started, watched and stopped.

The rule: the job goes to the children by a file and their records come back by files, so what was computed outlives a
child, and the launcher. Whoever dies or hangs is named in one sentence, all others are stopped, and no child outlives
its launcher: each holds the other end of a pipe. The launcher itself needs no torch.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import gettempdir
from types import TracebackType

from sgpsim.backends.backend import Progress
from sgpsim.backends.processes.group import FAILED
from sgpsim.backends.processes.liveness import Verdict, Watch, and_so_the_others
from sgpsim.backends.processes.meeting import START_TIMEOUT
from sgpsim.backends.processes.pulse_boards import FileBoard
from sgpsim.backends.processes.torch_distributed import require_size
from sgpsim.budget import most_steps
from sgpsim.errors import MassLeak, NodeFailure, SpecificationError
from sgpsim.files.whole_folders import clear, hold, locked_folder
from sgpsim.interruption import name_of
from sgpsim.launching.child import LEAKED, STOP, last_words_path
from sgpsim.launching.unfinished import Case, as_stored, write_job
from sgpsim.results.run import Outcome, Run, with_run
from sgpsim.specification.definitions import require_not_importing

TEMPORARY = "sgpsim-launch-"
"""How the folders of launches that keep nothing begin, in the temporary folder of the system."""
LOOK_EVERY = 0.05
"""Seconds between two looks at the children."""
REASON_WITHIN = 2.0
"""Seconds to wait for the cause, once a child says that it lost another."""

ENDING_WITHIN = 3.0
"""Seconds that children have for writing down what they measured and ending."""


class Launcher:
    """The children of one job, while they run.

    folder: for their records, from `sgpsim.launching.unfinished.begin`, kept at the end; None: a temporary one. name, key: of the
    run folder that is made of the records if the launcher is killed. children: their processes, by rank.
    """

    def __init__(
        self,
        cases: Sequence[Case],
        processes: int | None = None,
        progress: Progress | None = None,
        folder: Path | None = None,
        name: str = "",
        key: str = "",
    ) -> None:
        require_not_importing()
        if not cases:
            raise SpecificationError(
                "launch_all got no cases; it must have at least one. Give (experiment, TorchDistributed())."
            )
        self.cases, self._progress = tuple(cases), progress
        self.size = cases[0][0].nodes if processes is None else processes
        for experiment, backend in cases:
            backend.check(experiment)
            require_size(experiment, self.size)
        self.timeout = max(backend.timeout for _, backend in cases)
        self.hung_after = max(backend.hung_after for _, backend in cases)
        self.children: list[subprocess.Popen[bytes]] = []
        self._temporary = folder is None
        self._interval = max(0.05, min(1.0, self.timeout / 20))
        if folder is None:
            clear(Path(gettempdir()), TEMPORARY)
            self.folder, self._lock = locked_folder(Path(gettempdir()), TEMPORARY, shared=True)
        else:
            self.folder, lock = folder, hold(folder)
            assert lock is not None, "whoever gave the folder holds it"
            self._lock = lock
        try:
            write_job(self.folder, cases, name, key=key)
        except BaseException:
            self._clear()
            raise
        self._leash = -1

    def __enter__(self) -> Launcher:
        self.board = FileBoard(self.folder / "pulses", self.size)
        # children import what this process would: its path, and not the working folder in front of it (-P)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(place or os.getcwd() for place in sys.path)}
        environment.setdefault("OMP_NUM_THREADS", "1")
        if sys.platform.startswith("linux"):
            environment.setdefault("GLOO_SOCKET_IFNAME", "lo")
        listening, self._leash = os.pipe()
        stderr = os.dup(2)
        try:
            for rank in range(self.size):
                command = [sys.executable, "-P", "-m", "sgpsim.launching.child", str(self.folder.resolve()), str(rank)]
                command += [str(self.size), str(self._interval), str(stderr)]
                with self._log(rank).open("wb") as log:
                    child = subprocess.Popen(
                        command,
                        stdin=listening,
                        stdout=log,
                        stderr=log,
                        env=environment,
                        pass_fds=(stderr,),
                        start_new_session=True,  # a terminal's Ctrl-C is for the launcher, which tells the children
                    )
                self.children.append(child)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        finally:
            os.close(listening)
            os.close(stderr)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        self._clear()

    def _stop(self) -> None:
        """Ask all children to end, and kill those that do not."""
        if self._leash >= 0:
            try:
                os.write(self._leash, STOP * len(self.children))
            except BrokenPipeError:
                pass  # all have ended
            os.close(self._leash)
            self._leash = -1
        until = time.monotonic() + ENDING_WITHIN
        while any(child.poll() is None for child in self.children) and time.monotonic() < until:
            time.sleep(0.01)
        for child in self.children:
            if child.poll() is None:
                child.kill()
        for child in self.children:
            child.wait()

    def _clear(self) -> None:
        os.close(self._lock)
        if self._temporary:
            shutil.rmtree(self.folder, ignore_errors=True)

    def watch(self) -> None:
        """Wait for all children to end well. Raises NodeFailure that names who did not, and MassLeak where a message
        was lost for good."""
        watch = Watch(self.size, self.timeout, START_TIMEOUT, self.hung_after)
        failed_since: float | None = None
        while True:
            codes = [child.poll() for child in self.children]
            if all(code == 0 for code in codes):
                return
            culprits = [(code, rank) for rank, code in enumerate(codes) if code is not None and code not in (0, FAILED)]
            if culprits:
                code, rank = min(culprits)  # signals are negative: who was killed comes first
                self._end(self._blamed(rank, code), code == LEAKED)
            verdict = watch.look(self.board.read(), self._work())
            if verdict is not None:
                self._end(verdict)
            if FAILED in codes:
                failed_since = failed_since or time.monotonic()
                if time.monotonic() - failed_since > REASON_WITHIN:
                    rank = codes.index(FAILED)
                    self._end(Verdict(rank, self._last_words(rank).rstrip(".")))
            if self._progress is not None:
                self._progress(*self._done())
            time.sleep(LOOK_EVERY)

    def runs(self) -> list[Run]:
        """What came out of all cases."""
        return [run for number in range(len(self.cases)) if (run := self._run(number, None)) is not None]

    # -- how it can end

    def interrupted(self, stop: KeyboardInterrupt) -> Run | None:
        """Stop all children; what was measured until the user ended the launch."""
        self._stop()
        place = max(self.board.read(), key=lambda pulse: pulse.step).place
        runs = [self._run(number, f"interrupted by {name_of(stop)} {place}", "interrupted") for number in range(len(self.cases))]
        known = [run for run in runs if run is not None]
        return known[-1] if known else None

    def _blamed(self, rank: int, code: int) -> Verdict:
        """A child that ended by itself, and not because of another."""
        pulse = self.board.read()[rank]
        if code < 0:
            return Verdict(rank, f"node {rank} died (signal {-code}{_named(-code)}) {pulse.place}")
        words = self._last_words(rank)
        return Verdict(
            rank,
            words.rstrip(".")
            if code == LEAKED
            else f"node {rank} failed {pulse.place} ({words or f'exit code {code}'})",
        )

    def _last_words(self, rank: int) -> str:
        """Why a child said it failed; else the last line that it printed."""
        path = last_words_path(self.folder, rank)
        if path.exists():
            return path.read_text()
        printed = self._log(rank).read_text(errors="replace").strip().splitlines()
        return printed[-1] if printed else ""

    def _end(self, verdict: Verdict, leaked: bool = False) -> None:
        """Stop all children, and raise with what there is."""
        self._stop()
        sentence = and_so_the_others(verdict, self.size)
        partial = [self._run(number, None if leaked else sentence) for number in range(len(self.cases))]
        known = [run for run in partial if run is not None]
        error = MassLeak(sentence) if leaked else NodeFailure(sentence)
        if verdict.rank is not None and (printed := self._log(verdict.rank).read_text(errors="replace").strip()):
            error.add_note(printed)
        raise with_run(error, known[-1] if known else None)

    def _run(self, number: int, failure: str | None, outcome: Outcome = "failed") -> Run | None:
        experiment, backend = self.cases[number]
        return as_stored(self.folder, experiment, backend, failure, outcome, number)

    def _work(self) -> list[float] | None:
        """Processor time of each child so far, in ticks; None where the system does not show it."""
        try:
            told = [Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split() for child in self.children]
            return [float(fields[11]) + float(fields[12]) for fields in told]  # utime and stime of proc(5)
        except (OSError, IndexError, ValueError):
            return None

    def _done(self) -> tuple[int, int]:
        expected = (
            sum((most_steps(experiment.budget, self.size) or 0) * len(experiment.seeds) for experiment, _ in self.cases)
            * self.size
        )
        return sum(pulse.steps for pulse in self.board.read()), expected

    def _log(self, rank: int) -> Path:
        return self.folder / f"printed-{rank}"


def _named(number: int) -> str:
    """`, SIGKILL` for 9."""
    try:
        return f", {signal.Signals(number).name}"
    except ValueError:
        return ""
