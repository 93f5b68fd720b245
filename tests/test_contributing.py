"""CONTRIBUTING.md: every template runs. Each is saved as the file that its first line names, in a copy of the packages,
and its test or command is run there; the same templates with one wrong number must fail."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
FILES = {
    path: block
    for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    for path in re.findall(r"\A# (\S+)\n", block)
}
COMMANDS = re.findall(r"^python -m .*$", TEXT, re.MULTILINE)
TESTS = [path for path in FILES if path.startswith("tests/")]

WRONG = {
    "sgpsim/schedules/skipping_ring.py": ("receiver: 0.5", "receiver: 0.6"),
    "sgpsim/objectives/pseudo_huber.py": ("return apart / np.sqrt(1.0", "return apart / np.sqrt(2.0"),
    "sgpsim/descents/inverse_root.py": ("step + 1", "step + 2"),
    "sgpsim/descents/clipped.py": ("axis=-1", "axis=None"),
    "sgpsim/algorithms/local_sgd.py": ("mass.value + move) - mass.value", "mass.value) + move - mass.value"),
    "sgpsim/clusters/uniform_time.py": ("2.0 * generator", "generator"),
    "sgpsim/clusters/saving.py": ("first += BLOCK", "first += BLOCK - 1"),
    "sgpsim/clusters/two_racks.py": ("size / racks.bandwidth", "1.0 - size / racks.bandwidth"),
    "sgpsim/clusters/central.py": ("2 * (nodes", "3 * (nodes"),
}
"""What is replaced in a template so that its test must fail."""

FOUND = """
from sgpsim.specification.catalogue import families


def test_the_catalogue_finds_every_part() -> None:
    found = {name for kinds in families().values() for name in kinds}
    assert not set(NAMES.split()) - found
"""
"""A test of the copy as a whole; NAMES are those of the templates' classes."""


def saved(folder: Path, files: dict[str, str]) -> Path:
    """A copy of the packages and the configuration, with the templates in their places."""
    for package in ("sgpsim", "theory", "studies"):
        shutil.copytree(ROOT / package, folder / package)
    shutil.copy(ROOT / "pyproject.toml", folder)
    parts = [text for path, text in files.items() if path.startswith("sgpsim/")]
    names = " ".join(name for text in parts for name in re.findall(r"^class ([A-Z]\w+)", text, re.MULTILINE))
    (folder / "tests").mkdir()
    (folder / "tests" / "test_all_parts.py").write_text(f"NAMES = {names!r}\n{FOUND}", encoding="utf-8")
    for path, text in files.items():
        assert not (folder / path).exists(), f"{path} is there already; give the template another name"
        (folder / path).write_text(text, encoding="utf-8")
    return folder


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command in the copy, which imports nothing of the original."""
    environment = os.environ | {"PYTHONPATH": str(folder)}
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False
    )


def outcomes(folder: Path) -> dict[str, str]:
    """PASSED, FAILED or ERROR by test, of the templates' tests."""
    run = python(folder, "-m", "pytest", "-rA", "-p", "no:cacheprovider", "--tb=line", "tests")
    found = {test: word for word, test in re.findall(r"^(PASSED|FAILED|ERROR) (tests/\S+)", run.stdout, re.MULTILINE)}
    assert found, run.stdout + run.stderr
    return found


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("contributing"), FILES)


@pytest.fixture(scope="module")
def results(copy: Path) -> dict[str, str]:
    return outcomes(copy)


@pytest.fixture(scope="module")
def wrong_results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of the templates with one number wrong in each."""
    changed = dict(FILES)
    for path, (right, wrong) in WRONG.items():
        assert FILES[path].count(right) == 1, f"{path} says {right!r} no more, or more than once"
        changed[path] = FILES[path].replace(right, wrong)
    return outcomes(saved(tmp_path_factory.mktemp("wrong"), changed))


def test_every_kind_of_part_has_a_template() -> None:
    """A section per row of the table, each with its file and its test or command."""
    table = re.findall(r"^\| \[([^\]]+)\]\(#([^)]+)\)", TEXT, re.MULTILINE)
    sections = [heading.lower() for heading in re.findall(r"^## (An? .*)$", TEXT, re.MULTILINE)]
    assert [name for name, _ in table] == sections
    assert [link for _, link in table] == [section.replace(" ", "-") for section in sections]
    checked = len(TESTS) + len(
        {command.split()[2] for command in COMMANDS if command.split()[2] in ("theory", "studies")}
    )
    assert checked == len(sections)


@pytest.mark.parametrize("test", [*TESTS, "tests/test_all_parts.py"])
def test_a_template_obeys_its_laws(test: str, results: dict[str, str]) -> None:
    mine = {name: word for name, word in results.items() if name.split("::")[0] == test}
    assert mine and set(mine.values()) == {"PASSED"}, mine


@pytest.mark.slow
@pytest.mark.parametrize("path", WRONG)
def test_a_template_with_one_number_wrong_is_refuted(path: str, wrong_results: dict[str, str]) -> None:
    mine = {name: word for name, word in wrong_results.items() if name.startswith(f"tests/test_{Path(path).stem}.py")}
    assert "FAILED" in mine.values(), mine


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_runs_and_finds_the_part(command: str, copy: Path) -> None:
    run = python(copy, *shlex.split(command)[1:])
    assert run.returncode == 0, run.stdout + run.stderr
    if "verify" in command:
        assert ("VIOLATED" if "WRONG" in command else "HOLDS") in run.stdout, run.stdout


@pytest.mark.slow
def test_templates_are_written_as_all_code_is(copy: Path) -> None:
    """ruff and pyright find nothing in them, and the formatter would change nothing."""
    (copy / ".venv").symlink_to(sys.prefix)
    files = [path for path in FILES if path.endswith(".py")]
    for tool in (["ruff", "check"], ["ruff", "format", "--check"], ["pyright"]):
        run = python(copy, "-m", *tool, *files)
        assert run.returncode == 0, run.stdout + run.stderr
    (copy / "sgpsim" / "wrong.py").write_text("import os\nx: int = 'a'\n", encoding="utf-8")
    assert python(copy, "-m", "ruff", "check", "sgpsim/wrong.py").returncode == 1
    assert python(copy, "-m", "pyright", "sgpsim/wrong.py").returncode == 1


def test_hooks_are_the_tools_of_the_environment_and_one_version_is_cited() -> None:
    hooks = re.findall(r"entry: \.venv/bin/(\S+)", (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert "ruff" in hooks and all((Path(sys.executable).parent / hook).exists() for hook in hooks)
    cited = re.findall(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    assert cited == re.findall(
        r'^version = "(\S+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE
    )
