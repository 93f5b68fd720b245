"""References: what a run must go through, as a function that was written apart from the method's text says it, and the
comparison of a run with it.

The rule: a reference is given the experiment, one seed and the number of steps (where timing decides, the run's trace
too) and answers with an `Expected`. Run and reference are float64 and may differ by the rounding of what is moved, no
more; the sentence names method, step and node of the first difference.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sgpsim.errors import SpecificationError, kind_of
from sgpsim.results.run import Run

ROUNDING = 1e-12
"""What run and reference may differ by, in units of the largest number that the reference goes through."""


class Expected(NamedTuple):
    """What all nodes go through under one seed.

    values: (cuts, nodes, dimension) and weights: (cuts, nodes), after 0, 1, ... steps, and one cut more where mass that
    was in flight is received at the end. flight_values: (cuts, dimension) and flight_weights: (cuts,), mass in flight
    (None: there is none). Where nodes do not keep step, one cut: the end.
    """

    values: NDArray[np.float64]
    weights: NDArray[np.float64]
    flight_values: NDArray[np.float64] | None = None
    flight_weights: NDArray[np.float64] | None = None


Reference: TypeAlias = Callable[..., Expected]
"""(experiment, seed, steps) -> Expected; (experiment, seed, steps, trace) where the method depends on timing."""


def require_as_expected(run: Run, reference: Reference, steps: int) -> None:
    """AssertionError where the trajectory of `run` (its end, where nodes do not keep step) is not what `reference`
    says of `steps` steps; SpecificationError where the reference's answer is no Expected of that size."""
    experiment, method = run.experiment, run.experiment.algorithm
    assert run.outcome == "finished", f"{_name(run)}: the run {run.outcome}: {'; '.join(run.remarks)}"
    for column, seed in enumerate(experiment.seeds):
        given = (experiment, seed, steps, run.trace) if method.depends_on_timing else (experiment, seed, steps)
        actual = _gone_through(run, column)
        expected = _filled(reference(*given), actual, type(method).__name__)
        _require_equal(f"{_name(run)}, seed {seed}", actual, expected, steps)


def _name(run: Run) -> str:
    method, schedule = run.experiment.algorithm, run.experiment.schedule
    parts = " and ".join(type(part).__name__ for part in method.parts())
    return f"{type(method).__name__}{parts and f' with {parts}'} on {type(schedule).__name__}(size={schedule.size}), {run.backend}"


def _gone_through(run: Run, column: int) -> Expected:
    """What the run went through under the seed of `column`."""
    if not run.experiment.algorithm.in_step:
        values, weights = run.final.values[None, :, column], run.final.weights[None, :, column]
        return Expected(values, weights, np.zeros_like(values[:, 0]), np.zeros(1))
    kept = run.trajectory
    assert kept is not None, "a trajectory was asked for"
    return Expected(kept.values[:, :, column], kept.weights, kept.flight_values[:, column], kept.flight_weights)


def _filled(answer: Any, actual: Expected, method: str) -> Expected:
    """The reference's answer, with zeros where it leaves out mass in flight."""
    if not isinstance(answer, Expected):
        raise SpecificationError(
            f"check_algorithm(reference) gave {kind_of(answer)} for {method}; it must give an Expected. Return"
            " sgpsim.testing.Expected(values, weights)."
        )
    parts: list[NDArray[np.float64]] = []
    for name, part, like in zip(Expected._fields, answer, actual, strict=True):
        shape = np.asarray(like).shape
        parts.append(np.zeros(shape) if part is None else np.asarray(part))
        if parts[-1].shape != shape:
            raise SpecificationError(
                f"check_algorithm(reference) gave {name} shaped {parts[-1].shape} for {method}; the run has {shape}:"
                " cuts first, the start among them, and one more if mass is received after the last step. Give that"
                " shape."
            )
    return Expected(*parts)


def _require_equal(what: str, actual: Expected, expected: Expected, steps: int) -> None:
    """The first cut that differs, and there the node that differs most."""
    largest = float(np.abs(expected.values).max(initial=0.0))
    nodes = expected.weights.shape[1]
    scales = (largest, 1.0, nodes * largest, float(nodes))
    for cut in range(len(expected.values)):
        ended = cut > steps or len(expected.values) == 1
        when = f"at the end (steps: {steps})" if ended else f"after step {cut} of {steps}"
        for name, scale in zip(Expected._fields, scales, strict=True):
            is_, must = getattr(actual, name)[cut], getattr(expected, name)[cut]
            away = np.abs(is_ - must)
            if (away <= ROUNDING * scale).all():  # NaN is not
                continue
            place = np.unravel_index(int(np.argmax(np.where(np.isnan(away), np.inf, away))), away.shape)
            where = "in flight" if name.startswith("flight") else f"at node {place[0]}"
            noun = "the weight" if name.endswith("weights") else f"coordinate {place[-1]} of x"
            raise AssertionError(
                f"{what}: {when}, {noun} {where} is {is_[place]:.10g}; the reference says {must[place]:.10g}"
                f" (off by {away[place]:.3g}, rounding is {ROUNDING * scale:.1g})"
            )
