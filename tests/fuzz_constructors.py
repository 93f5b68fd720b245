"""A fuzzer of constructors: every class that the catalogue finds, its good arguments exchanged for odd ones.

The rule: a case either builds an object that can be hashed, told in one line, written down and read back to an equal
one, or raises SpecificationError with one line; no other exception, no more than SECONDS of computing, no more than
ROOM bytes. A case is known by its seed and its number, so what was found can be looked at again:
`python -m tests.fuzz_constructors SEED NUMBER` tells what it tried.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import fractions
import itertools
import random
import resource
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
from scipy.sparse import csr_array

from sgpsim.algorithms.sgp import SGP
from sgpsim.budget import Steps
from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.faults import Drop
from sgpsim.clusters.jobs import Job
from sgpsim.clusters.stragglers import PersistentSlow
from sgpsim.descents.sgd import SGD
from sgpsim.descents.step_sizes import Constant
from sgpsim.errors import SpecificationError
from sgpsim.experiment import Experiment
from sgpsim.files.plain_data import from_plain, to_plain
from sgpsim.objectives.datasets import SyntheticClassification
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.schedules.ring import DirectedRing
from sgpsim.specification.catalogue import families

SECONDS = 10.0
"""Of computing in one case; the largest objects that are accepted take part of it."""
ROOM = 3 << 30
"""Bytes of address space beyond what the interpreter has at the beginning."""


class Hostile:
    """An object that fails at whatever is asked of it."""

    def _fail(self, *_: Any) -> Any:
        raise ZeroDivisionError("hostile")

    __repr__ = __iter__ = __len__ = __bool__ = __float__ = __index__ = __eq__ = __array__ = _fail  # pyright: ignore
    __hash__ = object.__hash__


def deep(levels: int) -> Any:
    """A tuple in a tuple in a tuple."""
    found: Any = ()
    for _ in range(levels):
        found = (found,)
    return found


def failing() -> Iterator[int]:
    """An iterator that fails at its second entry."""
    yield 1
    raise OSError("failing")


ODD: tuple[Callable[[], Any], ...] = (
    *(lambda value=value: value for value in (None, True, False, Ellipsis, NotImplemented, 0, 1, -1, 2, 3, 7, 1000)),
    *(lambda value=value: value for value in (2**24, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), 10**400, 10**5000)),
    *(lambda value=value: value for value in (0.0, -0.0, 0.5, 1.0, 1.5, -0.5, 1e9, 1e75, 1e155, 1e300, -1e300)),
    *(lambda value=value: value for value in (1e-75, 1e-155, 1e-300, 5e-324, float("nan"), float("inf"), -float("inf"))),
    *(lambda value=value: value for value in ("", "x", "0.1", "nan", "inf", "Digits", "SGD", "os:abort", "\0", "é\n")),
    *(lambda value=value: value for value in ("x" * 100_000, b"x", bytearray(b"x"), 1j, range(3), range(10**12), ".")),
    *(lambda value=value: value for value in ((), (1,), (1, 1), (0, 1, 2), (1.5, "a"), ((1,), (1, 2)), ("a",), (None,))),
    *(lambda value=value: value for value in ((0.5, 0.5), ((0.5, 0.5), (0.5, 0.5)), (-1,), (10**400,), (float("nan"),))),
    *(lambda value=value: value for value in (len, int, SGD, Constant, Quadratic, Path(), Path("/nowhere/x.npy"))),
    lambda: deep(50),
    lambda: deep(5000),
    lambda: [],
    lambda: [[]],
    lambda: [1, [2]],
    lambda: {},
    lambda: {"type": "SGD"},
    lambda: {"type": "SGD", "step_size": {"type": "Constant"}},
    lambda: {"type": "Digits"},
    lambda: {"type": 3},
    lambda: {"type": ["SGD"]},
    lambda: {1: 2},
    lambda: {"nodes": [], "edges": []},
    lambda: nx.node_link_data(nx.cycle_graph(4), edges="edges"),
    lambda: set(),
    lambda: {1, 2},
    lambda: frozenset(("a", 1)),
    lambda: collections.OrderedDict(seconds=1),
    lambda: iter(()),
    lambda: itertools.count(),
    lambda: failing(),
    lambda: (number for number in range(3)),
    lambda: memoryview(b"abc"),
    lambda: fractions.Fraction(1, 3),
    lambda: decimal.Decimal("0.1"),
    lambda: datetime.timedelta(seconds=1),
    lambda: np.float64(0.5),
    lambda: np.float32(0.1),
    lambda: np.float16("nan"),
    lambda: np.longdouble("1e4000"),
    lambda: np.int64(3),
    lambda: np.uint64(2**64 - 1),
    lambda: np.bool_(True),
    lambda: np.str_("Digits"),
    lambda: np.array(0.5),
    lambda: np.array(3),
    lambda: np.zeros(0),
    lambda: np.zeros((0, 3)),
    lambda: np.zeros(3),
    lambda: np.arange(4),
    lambda: np.eye(4),
    lambda: np.eye(3)[None],
    lambda: np.full((4, 4), np.nan),
    lambda: np.full((3, 3), 1e200),
    lambda: np.zeros((2, 2, 2, 2)),
    lambda: np.array(["a", "b"]),
    lambda: np.array([1, None], dtype=object),
    lambda: np.array([1j]),
    lambda: np.array(["2020-01-01"], dtype="datetime64[D]"),
    lambda: csr_array(np.eye(4)),
    lambda: SGD(),
    lambda: Constant(0.1),
    lambda: Steps(3),
    lambda: DirectedRing(4),
    lambda: DirectedRing(5),
    lambda: Quadratic(4, 2),
    lambda: Cluster(4),
    lambda: SGP(),
    lambda: SyntheticClassification(samples=40),
    lambda: PersistentSlow((3,), 2.0),
    lambda: (Drop(0, 1, 3), Drop(0, 99, 3)),
    lambda: nx.cycle_graph(4),
    lambda: nx.path_graph(5, nx.DiGraph),
    lambda: nx.MultiGraph([(0, 1), (0, 1)]),
    lambda: nx.Graph(),
    lambda: nx.Graph([("a", Hostile())]),
    lambda: lambda: None,
    lambda: object(),
    lambda: Hostile(),
    lambda: [Hostile()],
    lambda: {"type": Hostile()},
)
"""Makers of odd values, each made anew for its case."""


def good(folder: Path) -> dict[str, dict[str, Any]]:
    """Arguments with which each class can be built, by its name; the others have defaults for all. Files are written
    to `folder`."""
    np.save(folder / "p.npy", np.full((4, 4), 0.25))
    (folder / "g.edgelist").write_text("0 1\n1 2\n2 0\n")
    (folder / "t.csv").write_text("seconds\n0.5\n0.25\n")
    (folder / "d.csv").write_text("a,b,label\n1,2,x\n3,4,y\n5,6,x\n7,8,y\n")
    few = SyntheticClassification(samples=40)
    asked = {name: needed(kind) for name, kind in kinds().items()}
    return {
        **{name: {field: 4} for name, fields in asked.items() for field in ("size", "nodes") if fields == {field}},
        "ErdosRenyiDigraph": {"size": 5, "probability": 0.7},
        "RandomRegular": {"size": 6, "degree": 3},
        "Torus": {"size": 6, "rows": 2},
        "Matrices": {"matrices": np.full((4, 4), 0.25)},
        "UncheckedMatrices": {"matrices": np.eye(3)},
        "MatrixFile": {"path": str(folder / "p.npy")},
        "GraphFile": {"path": str(folder / "g.edgelist")},
        "GraphSchedule": {"graphs": nx.cycle_graph(4)},
        "Periodic": {"schedules": (DirectedRing(4), DirectedRing(4))},
        "Switched": {"first": DirectedRing(4), "then": DirectedRing(4), "at": 3},
        "Constant": {"step_size": 0.1},
        "RootNodesOverSteps": {"nodes": 4, "steps": 9},
        "WarmUp": {"then": 0.1, "steps": 3},
        "StepDecay": {"step_size": 0.1, "milestones": (3, 5)},
        "Steps": {"count": 3},
        "Gradients": {"total": 12},
        "Seconds": {"limit": 3.0},
        "TargetLoss": {"loss": 0.5, "steps": 9},
        "ConstantTime": {"seconds": 0.5},
        "LogNormalTime": {"seconds": 0.5, "sigma": 0.1},
        "GammaTime": {"seconds": 0.5, "variation": 0.1},
        "ExponentialTime": {"seconds": 0.5},
        "ShiftedExponentialTime": {"shift": 0.1, "seconds": 0.5},
        "ParetoTime": {"least": 0.1, "shape": 1.5},
        "MeasuredTimes": {"path": str(folder / "t.csv")},
        "Drop": {"sender": 0, "receiver": 1, "step": 0},
        "PersistentSlow": {"nodes": (1,), "factor": 2.0},
        "SlowFrom": {"nodes": (1,), "factor": 2.0, "instant": 3.0},
        "Quadratic": {"nodes": 4, "dimension": 3},
        "QuadraticArrays": {"hessians": np.eye(2), "centers": np.zeros((4, 2))},
        "LogisticRegression": {"nodes": 4, "data": few},
        "SigmoidLoss": {"nodes": 4, "data": few, "split": "EvenSplit"},
        "SoftmaxRegression": {"nodes": 4, "data": few},
        "Perceptron": {"nodes": 4, "data": few, "hidden": (3,)},
        "TorchModule": {"nodes": 4, "data": few, "module": linear},
        "Table": {"path": str(folder / "d.csv")},
        "Simulated": {"cluster": Cluster(4)},
        "Job": {"message_bytes": 1e6, "compute_seconds": 0.1},
        "Experiment": {"algorithm": SGP(), "objective": Quadratic(4, 2), "schedule": DirectedRing(4)},
    }


def needed(kind: Any) -> set[str]:
    """The fields without a default."""
    fields = [field for field in dataclasses.fields(kind) if field.init]
    return {field.name for field in fields if field.default is field.default_factory is dataclasses.MISSING}


def linear() -> Any:
    """A module that takes the samples of these cases."""
    import torch

    return torch.nn.Linear(10, 2)


def kinds() -> dict[str, type]:
    """Every public class that a user builds, by name; sgpsim's own."""
    known = [kind for family in families().values() for kind in family.values()] + [Cluster, Experiment, Job]
    without = () if find_spec("torch") else ("Perceptron", "TorchModule")
    ours = {kind.__name__: kind for kind in known if kind.__module__.startswith("sgpsim.")}  # not classes of other tests
    return {name: ours[name] for name in sorted(ours) if name not in without}


class Finding(AssertionError):
    """A case that broke the rule."""


def case(seed: int, number: int, known: Mapping[str, type], arguments: Mapping[str, dict[str, Any]]) -> tuple[str, bool]:
    """Try one case; what was tried, and whether something was built. Raises Finding."""
    chance = random.Random(f"{seed} {number}")
    name = chance.choice(list(known))
    kind = known[name]
    given = dict(arguments.get(name, {}))
    fields = [field.name for field in dataclasses.fields(kind) if field.init]
    for field in chance.sample(fields, min(len(fields), chance.choice((1, 1, 1, 2, 3)))):
        given[field] = chance.choice(ODD)()
    words = f"seed {seed}, number {number}: {name}({', '.join(f'{key}={_told(value)}' for key, value in given.items())})"
    try:
        with _limited():
            built = kind(**given)
            _require_usable(built, kind)
    except SpecificationError as error:
        if "\n" in str(error) or not str(error) or len(str(error)) > 1000:
            raise Finding(f"{words} is refused by a message of many lines, or too long: {str(error)[:300]!r}") from error
        return words, False
    except Finding as error:
        raise Finding(f"{words}: {error}") from None
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        raise Finding(f"{words} ends in {type(error).__name__}: {str(error)[:200]}") from error
    return words, True


def _require_usable(built: Any, kind: type) -> None:
    """Raise Finding unless `built` can be hashed, told, written down and read again."""
    hash(built)
    if "\n" in repr(built):
        raise Finding("repr has several lines")
    try:
        plain = to_plain(built)
    except SpecificationError as error:
        if "cannot be written down" in str(error):
            return  # a function or a module without a name
        raise
    again = from_plain(plain, kind)
    if again != built or hash(again) != hash(built):
        raise Finding(f"written down and read again it is another: {again!r}")


def _told(value: Any) -> str:
    try:
        return repr(value)[:80]
    except BaseException:
        return f"<{type(value).__name__}>"


@contextmanager
def _limited() -> Iterator[None]:
    """At most SECONDS of the processor's time (so that a busy machine makes no finding)."""

    def stop(*_: Any) -> None:
        raise TimeoutError(f"more than {SECONDS:g} s of computing")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
        signal.signal(signal.SIGVTALRM, before)


@contextmanager
def _room() -> Iterator[None]:
    """At most ROOM bytes more than now; what asks for more gets a MemoryError."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + ROOM, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def fuzz(seed: int, cases: int, known: Mapping[str, type] | None = None, first: int = 0) -> tuple[list[str], int]:
    """Findings of cases number first..first+cases-1, and how many of the cases built something."""
    findings: list[str] = []
    built = 0
    known = kinds() if known is None else known
    with tempfile.TemporaryDirectory() as folder, _room(), np.errstate(all="ignore"):
        arguments = good(Path(folder))
        for number in range(first, first + cases):
            try:
                built += case(seed, number, known, arguments)[1]
            except Finding as finding:
                findings.append(str(finding))
    return findings, built


if __name__ == "__main__":
    findings, built = fuzz(int(sys.argv[1]), int(sys.argv[3]) if len(sys.argv) > 3 else 1, first=int(sys.argv[2]))
    print(*findings, f"{len(findings)} findings; {built} built", sep="\n")
