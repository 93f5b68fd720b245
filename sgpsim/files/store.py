"""The store: runs as folders on disk, `<name>-<first 12 digits of the key>`.

The rule: a folder is whole or not there, and holds what sgpsim.files.run_folders says. The same experiment on the same
backend is not computed twice. What was computed is not thrown away: a run that was interrupted, or whose processes
failed, lies in `<name>-<key>-interrupted` (or `-failed`), which is never taken for the run itself; a run that its place
has no room for is kept in the system's temporary folder, or without its large tables, and NotSaved says where.
"""

from __future__ import annotations

import itertools
import os
import tempfile
import warnings
from collections.abc import Generator, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated, TypeAlias

from sgpsim.backends.backend import Backend, Progress
from sgpsim.errors import LONGEST_PATH, MassLeak, Notice, NotSaved, SpecificationError, note, require_folder_name, shown
from sgpsim.experiment import Experiment
from sgpsim.files.journal import Journal, recover
from sgpsim.files.keys import digest, files_read, key, originals
from sgpsim.files.run_folders import NO_FILES, read_run, write_run
from sgpsim.files.whole_folders import beside, clear, put
from sgpsim.results.run import Outcome, Run, run_of, with_run
from sgpsim.specification.arguments import checked
from sgpsim.specification.input_files import reason_of
from sgpsim.specification.ranges import OWN
from sgpsim.specification.specification import specification

Name: TypeAlias = Annotated[str, OWN]
"""The name of a run, for which `require_folder_name` has a rule of its own."""
PARTIAL = ("interrupted", "failed")
"""Outcomes of runs that did not come to their end for a reason outside their numbers."""


@specification
class Store:
    """A folder of run folders: `Store("runs")`."""

    folder: Path

    def require_writable(self) -> None:
        """Raise SpecificationError unless files can be written here; makes the folder, and clears it of what killed
        programs left half-written."""
        require_folder(self.folder)
        clear(self.folder)

    def recover(self) -> list[str]:
        """Make runs of what killed programs and failed runs left of theirs (see sgpsim.files.journal); a sentence for each."""
        return recover(
            self.folder, lambda name, key, outcome: _places(self.folder, _stem(name, key, outcome), outcome)
        )

    @checked
    def find(self, experiment: Experiment, backend: Backend) -> Path | None:
        """The folder of this experiment on this backend, under whatever name, if it is there. Raises SpecificationError
        where a folder is called so and holds another run."""
        wanted = key(experiment, backend)
        for place in sorted(self.folder.glob(f"*-{wanted[:12]}")):
            with suppress(OSError):
                place.rmdir()  # one that is empty, as all else stays
                continue
            try:
                known = load(place).provenance.get("key")
            except SpecificationError as error:
                reason = str(error) if (place / "provenance.json").exists() else "it is no run folder."
                raise SpecificationError(
                    f"{str(place)!r} stands where the run that is wanted would lie, and cannot be read: {reason}"
                    f" {'Or' if 'Delete' in reason else 'Delete it, or'} move it away."
                ) from None
            if known != wanted:
                own = f"Call it {place.name.rpartition('-')[0] + '-' + known[:12]!r}" if isinstance(known, str) else "Move it away"
                raise SpecificationError(
                    f"{str(place)!r} has the name of the run that is wanted, and holds another. {own}, or delete it."
                )
            return place
        return None

    @checked
    def run(
        self, name: Name, experiment: Experiment, backend: Backend, progress: Progress | None = None
    ) -> tuple[Run, Path, bool]:
        """(run, its folder, whether it was there already). What killed programs left is made runs of first, with a Notice
        for each.

        Raises MassLeak where the monitor found one and is set to raise, KeyboardInterrupt where the user ended the run,
        and whatever a user's class raises, as it is, with a note that says where what was measured lies; what was
        computed is saved first, and the exception carries it as `run`, its place as `folder`. Raises NotSaved, with the
        same, where the place has no room.
        """
        require_folder_name("the name of the run", name)
        backend.check(experiment)
        files = originals(experiment, backend)
        self.require_writable()
        for sentence in self.recover():
            warnings.warn(sentence, Notice, stacklevel=2)
        there = self.find(experiment, backend)
        if there is not None:
            return load(there), there, True
        about = {"name": name, "key": key(experiment, backend)}
        journal = Journal(self.folder, experiment, backend, about, files)
        run: Run | None = None
        try:
            run = _with_changes(backend.run(experiment, progress, journal), backend)
            return run, self.save(name, run, backend, about["key"], files=files), False
        except NotSaved:
            raise
        except (MassLeak, KeyboardInterrupt) as ending:  # an interruption may also come while the whole run is saved
            run = run_of(ending) or run
            if run is not None:
                with_run(ending, run, self.save(name, run, backend, about["key"], files=files))
            raise
        except BaseException as error:  # of a user's class, sys.exit() among it; a deadlock
            if run is None and (run := run_of(error)) is not None:
                try:
                    place = self.save(name, run, backend, about["key"], files=files)
                    note(with_run(error, run, place), f"what was measured lies in {place}")
                except NotSaved as unsaved:
                    note(with_run(error, run, unsaved.folder), str(unsaved))
            raise
        finally:
            journal.close()

    @checked
    def save(
        self,
        name: Name,
        run: Run,
        backend: Backend,
        known: str = "",
        elsewhere: bool = True,
        files: Mapping[str, bytes] = NO_FILES,
    ) -> Path:
        """Write `run`; its folder. If the same run was written meanwhile, that one stays. known: its key, where it was
        worked out before the run, during which files may change. Raises NotSaved where there is no room; its `folder` is
        where the run lies instead. elsewhere: False where no other place is wanted, which raises the OSError. files: what
        keys.originals gave before the run."""
        require_folder_name("the name of the run", name)
        self.require_writable()
        about = {"name": name, "key": known or key(run.experiment, backend)}
        run = _with_changes(run, backend)
        stem = _stem(name, about["key"], run.outcome)
        try:
            return _saved(self.folder, stem, run, backend, about, files)
        except OSError as error:
            if not elsewhere:
                raise
            raise _kept_elsewhere(self.folder, stem, run, backend, about, files, error) from None


@checked
def load(path: Path | str, trust: bool = False) -> Run:
    """The run in the folder `path`. Reading runs no code of anybody's: functions that the experiment names stay names,
    and it cannot be run again, unless `trust` is set. Raises SpecificationError that names the file where one is
    missing, damaged, or of another format."""
    return read_run(Path(path), trust)


@checked
def load_all(paths: Iterable[Path]) -> dict[str, Run]:
    """Several runs by the names of their folders; at least one, none twice."""
    given = list(paths)
    if not given:
        raise SpecificationError(
            "no run folder is given; at least one is needed. Give folders that `sgpsim run` wrote."
        )
    places = [os.path.realpath(path) for path in given]
    for number, path in enumerate(given):
        if places[number] in places[:number]:
            raise SpecificationError(f"the run folder {str(path)!r} is given twice; each must be another. Give it once.")
    runs = {str(path): load(path) for path in given}
    names = [os.path.basename(place) for place in places]
    return dict(zip(names, runs.values(), strict=True)) if len(set(names)) == len(names) else runs


def require_folder(folder: Path) -> Path:
    """`folder`, made if need be; SpecificationError unless files can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except (OSError, ValueError) as error:
        raise SpecificationError(
            f"nothing can be written to {shown(str(folder), LONGEST_PATH)} ({reason_of(error)}); results need a place, so nothing was done."
            " Give a folder that you may write to, as in --out runs."
        ) from None


def _with_changes(run: Run, backend: Backend) -> Run:
    """`run`, which says which of the files that it was computed from are not what they were."""
    remarks: list[str] = []
    for path, read in files_read(run.experiment, backend).items():
        try:
            same = digest(path) == read
        except SpecificationError:  # it is gone
            same = False
        if not same:
            remarks.append(f"{path} has changed since it was read; the numbers of this run are those of the old content")
    return replace(run, remarks=(*run.remarks, *(remark for remark in remarks if remark not in run.remarks)))


def _saved(
    parent: Path,
    stem: str,
    run: Run,
    backend: Backend,
    about: Mapping[str, str],
    files: Mapping[str, bytes],
    tables: bool = True,
) -> Path:
    """The folder in `parent` that now holds `run`: `stem`, or with a number where a partial run already lies there."""
    with beside(parent / stem) as folder:
        write_run(folder, run, backend, about, tables, files)
        for place in _places(parent, stem, run.outcome):
            try:
                put(folder, place)
            except OSError:
                if not (place / "provenance.json").is_file():
                    raise
                if run.outcome in PARTIAL:
                    continue
            return place
    raise AssertionError("there is always another number")


def _stem(name: str, key: str, outcome: Outcome) -> str:
    """The name of the folder of a run."""
    return f"{name}-{key[:12]}" + (f"-{outcome}" if outcome in PARTIAL else "")


def _places(parent: Path, stem: str, outcome: Outcome) -> Generator[Path]:
    """Where the run may lie: a partial one beside others of the same name and key."""
    yield parent / stem
    if outcome in PARTIAL:
        yield from (parent / f"{stem}-{number}" for number in itertools.count(2))


def _kept_elsewhere(
    parent: Path, stem: str, run: Run, backend: Backend, about: Mapping[str, str], files: Mapping[str, bytes], error: OSError
) -> NotSaved:
    """Keep what can be kept: the whole run in the temporary folder, else without its large tables; and say so."""
    reason = f"the run cannot be saved in {str(parent)!r} ({error.strerror or error})"
    temporary = Path(tempfile.gettempdir())
    folder: Path | None = None
    for place, tables in ((temporary, True), (parent, False), (temporary, False)):
        try:
            if place is temporary:
                place = Path(tempfile.mkdtemp(prefix="sgpsim-kept-", dir=temporary))
            folder = _saved(place, stem, run, backend, about, files, tables)
        except OSError:
            continue
        what = "all of it lies" if tables else "without its trace and trajectory it lies"
        return NotSaved(f"{reason}; {what} in {str(folder)!r}. Make room, and move it.", run, folder)
    return NotSaved(f"{reason}, nor in {str(temporary)!r}; its numbers are lost. Make room, and run it again.", run, None)
