"""Schedules: the law suite over all that are discovered, combinators against their definition, and fields that break a rule."""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgpsim.errors import SpecificationError
from sgpsim.schedules.bipartite_exponential import BipartiteExponential
from sgpsim.schedules.complete import Complete
from sgpsim.schedules.erdos_renyi import ErdosRenyiDigraph
from sgpsim.schedules.laws import EXAMPLES, check_schedule, examples, schedule_classes
from sgpsim.schedules.one_peer_exponential import MPeerExponential, OnePeerExponential, PlusMinusExponential
from sgpsim.schedules.periodic import Periodic
from sgpsim.schedules.random_matching import RandomMatching
from sgpsim.schedules.random_peer import CyclingPeer
from sgpsim.schedules.random_regular import RandomRegular
from sgpsim.schedules.rotating_star import RotatingStar
from sgpsim.schedules.schedule import Schedule
from sgpsim.schedules.shares import Lazy
from sgpsim.schedules.switched import Switched
from sgpsim.schedules.torus import Torus
from sgpsim.schedules.validation import require_valid

SIZES = (1, 2, 3, 4, 5, 6, 8, 9, 16)


def name(schedule: Schedule) -> str:
    return f"{type(schedule).__name__}-{schedule.size}"


@pytest.mark.parametrize("schedule", [schedule for size in SIZES for schedule in examples(size)], ids=name)
def test_laws(schedule: Schedule) -> None:
    check_schedule(schedule, steps=12)
    require_valid(schedule)


def test_every_class_has_an_example_or_reads_a_file() -> None:
    tested = {type(schedule) for size in SIZES for schedule in examples(size)}
    assert {kind.__name__ for kind in schedule_classes() if kind not in tested} == {"GraphFile", "MatrixFile"}


@pytest.mark.parametrize("kind", list(schedule_classes()), ids=lambda kind: kind.__name__)
def test_every_class_is_a_frozen_dataclass_with_resolvable_fields(kind: type[Schedule]) -> None:
    assert dataclasses.is_dataclass(kind) and kind.__dataclass_params__.frozen  # pyright: ignore[reportAttributeAccessIssue]
    fields = dataclasses.fields(kind)
    assert fields[0].name == "size" and {field.name for field in fields} <= set(typing.get_type_hints(kind))
    assert kind.__doc__ and not kind.__doc__.startswith(kind.__name__ + "("), (
        f"{kind.__name__} needs a docstring of its own"
    )


@pytest.mark.parametrize("schedule", list(examples(6)), ids=name)
def test_a_schedule_is_a_value(schedule: Schedule) -> None:
    again = dataclasses.replace(schedule)  # pyright: ignore[reportArgumentType, reportType]
    assert again == schedule and hash(again) == hash(schedule) and again is not schedule
    with pytest.raises(dataclasses.FrozenInstanceError):
        schedule.size = 3
    assert all(schedule != other for other in examples(8))


@dataclass(frozen=True)
class Broken(Schedule):
    """A directed ring with one law broken."""

    size: int
    law: str

    @property
    def period(self) -> int | None:
        return 0 if self.law == "period 0" else 1

    def shares(self, sender: int, step: int) -> Mapping[int, float]:
        following = (sender + 1) % self.size
        match self.law:
            case "sum":
                return {sender: 0.5, following: 0.4}
            case "own":
                return {following: 1.0}
            case "negative":
                return {sender: 1.5, following: -0.5}
            case "period":
                return {sender: 0.5, (sender + 1 + step % 2) % self.size: 0.5}
            case "memory":
                object.__setattr__(self, "count", self.__dict__.get("count", 0) + 1)
                return {sender: 0.5, (sender + 1 + self.__dict__["count"] % 2) % self.size: 0.5}
            case "range":
                return {sender: 0.5, sender + 1: 0.5}
            case _:
                return {sender: 0.5, following: 0.5}

    def phase(self, step: int) -> int:
        return step + 1 if self.law == "phase" else step % max(self.period or 1, 1)


@pytest.mark.parametrize("law", ["sum", "own", "negative", "period", "memory", "range", "phase", "period 0"])
def test_the_laws_catch_a_schedule_that_breaks_one(law: str) -> None:
    check_schedule(Broken(5, "none"))
    with pytest.raises(AssertionError, match=r"Broken\(size=5\)"):
        check_schedule(Broken(5, law))


@pytest.mark.parametrize("schedule", [ErdosRenyiDigraph(16, 0.4), RotatingStar(9), Complete(7), Torus(12, 3)], ids=name)
def test_the_matrix_product_adds_own_share_first_then_ascending_senders(schedule: Schedule) -> None:
    held = np.random.default_rng(0).normal(size=(schedule.size, 5))
    for step in range(3):
        found = schedule.round(step)
        by_hand = np.empty_like(held)
        for receiver in range(schedule.size):
            total = found.kept[receiver] * held[receiver]
            for sender in schedule.senders(receiver, step):
                total = total + schedule.shares(sender, step)[receiver] * held[sender]
            by_hand[receiver] = total
        assert np.array_equal(schedule.matrix(step) @ held, by_hand)


PLAIN = st.sampled_from(
    [
        OnePeerExponential(6),
        RotatingStar(6),
        Complete(6),
        PlusMinusExponential(6),
        RandomMatching(6, 2),
        BipartiteExponential(6),
        CyclingPeer(6),
    ]
)


def combined(parts: st.SearchStrategy[Schedule]) -> st.SearchStrategy[Schedule]:
    return st.one_of(
        st.builds(Periodic, st.lists(parts, min_size=1, max_size=3).map(tuple), st.integers(1, 4)),
        st.builds(Switched, parts, parts, st.integers(1, 9)),
    )


def by_definition(schedule: Schedule, sender: int, step: int) -> dict[int, float]:
    """The combinators once more, as a walk: every part has a clock, and a part's clock ticks when it runs."""
    match schedule:
        case Periodic():
            clocks = [0] * len(schedule.schedules)
            for past in range(step):
                clocks[past // schedule.each % len(clocks)] += 1
            which = step // schedule.each % len(clocks)
            return by_definition(schedule.schedules[which], sender, clocks[which])
        case Switched():
            if step < schedule.at:
                return by_definition(schedule.first, sender, step)
            return by_definition(schedule.then, sender, step - schedule.at)
        case _:
            return dict(schedule.shares(sender, step))


@settings(max_examples=30, deadline=None)
@given(st.recursive(PLAIN, combined, max_leaves=5))
def test_nested_combinators_obey_the_laws_and_their_definition(schedule: Schedule) -> None:
    check_schedule(schedule, steps=10)
    for step in (0, 1, 2, 3, 5, 8, 13, 21, 34):
        for sender in (0, 5):
            assert dict(schedule.shares(sender, step)) == by_definition(schedule, sender, step)


def test_periodic_runs_each_on_its_own_clock() -> None:
    schedule = Periodic((Complete(8), OnePeerExponential(8)), each=2)
    assert schedule.period == 12
    hops = [
        (min(set(schedule.shares(0, step)) - {0}) if len(schedule.shares(0, step)) == 2 else None) for step in range(12)
    ]
    assert hops == [None, None, 1, 2, None, None, 4, 1, None, None, 2, 4]


def test_switched_keeps_its_rounds_though_it_has_no_period() -> None:
    schedule = Switched(Complete(8), OnePeerExponential(8), at=30)
    assert schedule.period is None
    for step in range(2000):
        schedule.round(step)
    assert len(schedule.__dict__["_rounds"]) == 1 + 3
    assert schedule.round(31) is schedule.round(1003)
    assert schedule.round(30).pushes == OnePeerExponential(8).round(0).pushes


def test_combinators_refuse_parts_that_do_not_fit() -> None:
    with pytest.raises(SpecificationError, match=r"sizes \[4, 8\]"):
        Periodic((Complete(4), Complete(8)))
    with pytest.raises(SpecificationError, match="at least one schedule"):
        Periodic(())
    with pytest.raises(SpecificationError, match="sizes"):
        Switched(Complete(4), Complete(8), 3)
    with pytest.raises(SpecificationError, match=r"Switched\(at\)"):
        Switched(Complete(4), Complete(4), 0)
    with pytest.raises(SpecificationError, match=r"Periodic\(each\)"):
        Periodic((Complete(4),), each=0)
    with pytest.raises(SpecificationError, match=r"Periodic\(schedules\)\[1\].type: .ring. is unknown"):
        Periodic((Complete(4), "ring"))  # pyright: ignore[reportArgumentType]


FROM_SIZE_ALONE = [type(schedule) for schedule in examples(4) if type(schedule) not in EXAMPLES]


@pytest.mark.parametrize("size", [0, -1, 2.0, True, "8"])
@pytest.mark.parametrize("kind", FROM_SIZE_ALONE)
def test_sizes_must_be_whole_numbers_of_at_least_1(kind: type[Schedule], size: object) -> None:
    with pytest.raises(SpecificationError, match=rf"{kind.__name__}\(size\) is {size!r}"):
        kind(size)  # pyright: ignore[reportCallIssue]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: MPeerExponential(4, 4), "only 3 others.*at most 3"),
        (lambda: MPeerExponential(4, 0), r"MPeerExponential\(peers\) is 0"),
        (lambda: Torus(10, 4), "rows times columns. Take rows from 1, 2, 5, 10"),
        (lambda: BipartiteExponential(5), "must be even. Take 4 or 6"),
        (lambda: ErdosRenyiDigraph(8, 0.0), r"probability\) is 0.0"),
        (lambda: ErdosRenyiDigraph(8, math.nan), r"probability\) is nan"),
        (lambda: ErdosRenyiDigraph(64, 0.01), "none strongly connected. Give a probability above"),
        (lambda: ErdosRenyiDigraph(8, 0.5, seed=-1), r"seed\) is -1"),
        (lambda: RandomRegular(5, 3), "degree times size must be even"),
        (lambda: RandomRegular(4, 4), "only 3 others"),
        (lambda: RandomRegular(8, 1), "parts that never exchange"),
        (lambda: RandomMatching(8, seed=1.5), r"seed\) is 1.5"),  # pyright: ignore[reportArgumentType]
        (lambda: Lazy(1.0), r"Lazy\(own\) is 1.0"),
        (lambda: Lazy("half"), r"Lazy\(own\) is 'half'"),  # pyright: ignore[reportArgumentType]
        (lambda: ErdosRenyiDigraph(8, "0.5"), r"probability\) is '0.5'"),  # pyright: ignore[reportArgumentType]
        (lambda: Lazy(math.nan), r"Lazy\(own\) is nan"),
    ],
)
def test_fields_that_break_a_rule(make: typing.Callable[[], object], sentence: str) -> None:
    with pytest.raises(SpecificationError, match=sentence):
        make()
