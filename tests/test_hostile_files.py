"""Files that never end, promise more than they hold, or lie where a run is to go: each ends in one sentence, at once,
and in little memory."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from test_store import experiment, simulated

from sgpsim.__main__ import main
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.errors import SpecificationError
from sgpsim.files.store import Store, load
from sgpsim.schedules.matrix_file import MatrixFile
from sgpsim.specification.input_files import array_in, arrays_in, content_of, opened

GIANT = 10 << 30


def header(shape: tuple[int, ...], kind: str = "<f8", content: bytes = b"") -> bytes:
    """An array that promises `shape` and holds `content`."""
    file = io.BytesIO()
    np.lib.format.write_array_header_2_0(file, {"descr": kind, "fortran_order": False, "shape": shape})  # pyright: ignore[reportArgumentType]
    return file.getvalue() + content


def archive(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as written:
        for name, content in members.items():
            written.writestr(f"{name}.npy", content)
    return file.getvalue()


def sparse(file: Path) -> None:
    with file.open("wb") as written:
        written.truncate(GIANT)


KINDS: dict[str, Callable[[Path], object]] = {
    "is no regular file": lambda file: os.mkfifo(file),
    "is a directory": lambda file: file.mkdir(),
    "10,737,418,240 bytes": sparse,
    "no regular file": lambda file: file.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("words", KINDS)
def test_what_never_ends_is_not_begun(tmp_path: Path, words: str) -> None:
    KINDS[words](file := tmp_path / "file")
    with pytest.raises(SpecificationError, match=words):
        content_of("x", file)


def test_a_file_is_read_up_to_what_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    assert content_of("x", tmp_path / "file", 5) == b"12345"
    with pytest.raises(SpecificationError, match="5 bytes, and at most 4"):
        content_of("x", tmp_path / "file", 4)


ARCHIVES: dict[str, bytes] = {
    "promises 8,000,000,000,000 bytes": archive(a=header((10**6, 10**6))),
    "promises 1,000,000,000 bytes": archive(a=header((10**9,), "<U0")),
    "promises -8 bytes": archive(a=header((-1,))),
    "promises 16 bytes": archive(a=header((2,), content=bytes(8))),
    "Object arrays": archive(a=header((1,), "|O", bytes(8))),
    "magic": archive(a=b"no array at all"),
}


@pytest.mark.parametrize("words", ARCHIVES)
def test_an_array_is_as_large_as_its_file(words: str) -> None:
    with pytest.raises(ValueError, match=words):
        arrays_in(io.BytesIO(ARCHIVES[words]))
    member = zipfile.ZipFile(io.BytesIO(ARCHIVES[words])).read("a.npy")
    with pytest.raises(ValueError, match=words):
        array_in(member)


def test_bombs_are_not_unpacked() -> None:
    content = archive(a=header((1 << 18,), content=bytes(1 << 21)))
    assert len(content) < 1 << 14
    with pytest.raises(ValueError, match="it unpacks to"):
        arrays_in(io.BytesIO(content), most=1 << 20)
    arrays = arrays_in(io.BytesIO(archive(a=header((2,), content=bytes(16)), b=header((1, 0)))))
    assert [array.tolist() for array in arrays.values()] == [[0.0, 0.0], [[]]]  # the control


@pytest.mark.parametrize("shape", [(10**6, 10**6), (5, 5)])
def test_a_sparse_matrix_has_an_entry_in_each_column(tmp_path: Path, shape: tuple[int, int]) -> None:
    whole = {"format": np.array(b"coo"), "data": np.ones(4), "row": np.arange(4), "col": np.arange(4)}
    np.savez(tmp_path / "p.npz", **whole, shape=np.array(shape))
    with pytest.raises(SpecificationError, match="every node sends, or keeps, a share"):
        MatrixFile(str(tmp_path / "p.npz"))
    np.savez(tmp_path / "p.npz", **whole, shape=np.array((4, 4)))
    assert MatrixFile(str(tmp_path / "p.npz")).size == 4


def forged(folder: Path, name: str, change: Callable[[Path], object]) -> None:
    """`name` in the run folder changed, and every digest as it should be."""
    from sgpsim.files.run_folders import seal
    from sgpsim.specification.input_files import digest

    change(folder / name)
    provenance = json.loads((folder / "provenance.json").read_text())
    if not (folder / name).stat().st_size >= GIANT:
        provenance["files"][name] = digest(folder / name)
    (folder / "provenance.json").write_text(json.dumps({**provenance, "digest": seal(provenance)}))


def experiment_with(**more: object) -> Callable[[Path], object]:
    def change(file: Path) -> None:
        content = json.loads(file.read_text())
        for name, value in more.items():
            place = content["experiment"]
            *path, last = name.split("__")
            for step in path:
                place = place[step]
            place[last] = value
        file.write_text(json.dumps(content))

    return change


@pytest.mark.parametrize(
    ("name", "change"),
    [
        *((name, sparse) for name in ("experiment.json", "metrics.parquet", "final.npz", "trace.parquet")),
        ("experiment.json", experiment_with(schedule__size=10**7, objective__nodes=10**7)),
        ("experiment.json", experiment_with(objective__dimension=10**9)),
        ("experiment.json", experiment_with(seeds=list(range(100_000)))),
        ("final.npz", lambda file: file.write_bytes(archive(**dict.fromkeys(("format", "values"), header((10**6, 10**6, 1)))))),  # pyright: ignore[reportUnknownLambdaType]
        ("final.npz", lambda file: file.write_bytes(archive(values=header((1 << 17, 1, 1), content=bytes(1 << 20))))),  # pyright: ignore[reportUnknownLambdaType]
    ],
)  # fmt: skip
def test_a_run_folder_holds_no_giants(tmp_path: Path, name: str, change: Callable[[Path], object]) -> None:
    _, folder, _ = Store(tmp_path).run("whole", experiment(), simulated())
    forged(folder, name, lambda _: None)
    load(folder)  # the control
    forged(folder, name, change)
    with pytest.raises(SpecificationError, match="is damaged"):
        load(folder)


def test_an_empty_folder_in_the_place_of_a_run_makes_way_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    store, task = Store(tmp_path), (experiment(), Vectorized())
    _, folder, _ = store.run("job", *task)
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    other = tmp_path / f"other{folder.name[3:]}"
    other.mkdir()
    assert store.run("job", *task)[1:] == (folder, False) and not other.exists()
    (folder / "provenance.json").write_text("{}")
    with pytest.raises(SpecificationError, match=r"stands where the run that is wanted would lie, and cannot be read: .*Delete"):
        store.run("job", *task)
    (folder / "provenance.json").unlink()
    with pytest.raises(SpecificationError, match="move it away"):
        store.run("job", *task)
    assert (folder / "final.npz").exists()
    folder.rename(tmp_path / "elsewhere")
    assert store.run("job", *task)[1:] == (folder, False)


def test_pipes_are_opened_by_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SpecificationError, match="no regular file"):
        opened("x", tmp_path / "pipe")


def test_a_timeline_that_shows_nothing_is_refused_before_anything_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, folder, _ = Store(tmp_path).run("whole", experiment(), simulated())
    for start, code in (("1e9", 2), ("0", 0)):
        with pytest.raises(SystemExit) as ending:
            main(["show", str(folder), "--start", start, "--out", str(tmp_path / "figures")])
        said = capsys.readouterr()
        assert ending.value.code == code and bool(said.out) == (code == 0) and ("shows nothing" in said.err) == (code == 2)


@pytest.mark.parametrize("line", ["studies.bench --only nix"])
def test_commands_end_well_under_any_backend_of_matplotlib(line: str) -> None:
    module, *rest = line.split()
    told = subprocess.run(
        [sys.executable, "-m", module, *rest], env={**os.environ, "MPLBACKEND": "nope"}, capture_output=True, text=True
    )
    assert told.returncode == 2 and told.stderr.count("\n") == 1 and "names no row" in told.stderr, told.stderr
