"""Compute times: draws against closed forms, at a stated confidence, and files of measured seconds."""

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special, stats

from sgpsim.clusters.cluster import Cluster
from sgpsim.clusters.compute_time import BLOCK, ComputeTime, ConstantTime
from sgpsim.clusters.distributions import (
    ExponentialTime,
    GammaTime,
    LogNormalTime,
    ParetoTime,
    ShiftedExponentialTime,
)
from sgpsim.clusters.measured_times import EVERYBODY, MeasuredTimes
from sgpsim.errors import SpecificationError
from sgpsim.streams import stream

CONFIDENT = 3.9
"""Standard errors: a right closed form stays within with probability 0.9999."""

FAMILIES: list[tuple[ComputeTime, Any]] = [
    (LogNormalTime(0.3, 0.1), stats.lognorm(0.1, scale=0.3 * math.exp(-0.005))),
    (LogNormalTime(2.0, 0.5), stats.lognorm(0.5, scale=2.0 * math.exp(-0.125))),
    (GammaTime(0.3, 0.1), stats.gamma(100.0, scale=0.003)),
    (GammaTime(0.3, 0.6), stats.gamma(1 / 0.36, scale=0.3 * 0.36)),
    (ExponentialTime(0.3), stats.expon(scale=0.3)),
    (ShiftedExponentialTime(0.7, 1.0), stats.expon(loc=0.7, scale=0.3)),
    (ParetoTime(0.2, 6.0), stats.pareto(6.0, scale=0.2)),
]


def drawn(compute: ComputeTime, blocks: int, node: int = 0, seed: int = 1) -> NDArray[np.float64]:
    return np.concatenate(list(itertools.islice(compute.durations(node, stream(seed, "compute", node)), blocks)))


def errors_of_mean(draws: NDArray[np.float64], law: Any, mean: float) -> float:
    """How many standard errors the sample mean is from `mean`, the spread taken from `law`."""
    return float((draws.mean() - mean) / (law.std() / math.sqrt(len(draws))))


@pytest.mark.parametrize(("compute", "law"), FAMILIES, ids=[repr(compute) for compute, _ in FAMILIES])
def test_mean_variance_and_shape(compute: ComputeTime, law: Any) -> None:
    draws = drawn(compute, 400)
    assert compute.mean == pytest.approx(law.mean(), rel=1e-12)
    assert abs(errors_of_mean(draws, law, compute.mean)) < CONFIDENT
    mean, variance, _, excess = (float(value) for value in law.stats("mvsk"))
    spread = variance * math.sqrt((excess + 2.0) / len(draws))
    assert abs(np.mean((draws - mean) ** 2) - variance) < CONFIDENT * spread
    assert stats.kstest(draws, law.cdf).pvalue > 1e-4


@pytest.mark.parametrize(("compute", "law"), FAMILIES, ids=[repr(compute) for compute, _ in FAMILIES])
def test_control_a_mean_wrong_by_a_twentieth_is_noticed(compute: ComputeTime, law: Any) -> None:
    assert abs(errors_of_mean(drawn(compute, 400), law, 1.05 * compute.mean)) > CONFIDENT


def fleet(compute: ComputeTime, nodes: int, blocks: int) -> NDArray[np.float64]:
    """Durations (steps, nodes) as a cluster hands them out."""
    cluster = Cluster(nodes, compute)
    return np.stack(
        [np.concatenate(list(itertools.islice(cluster.durations(node, 7), blocks))) for node in range(nodes)], axis=1
    )


def harmonic(nodes: int) -> float:
    return math.fsum(1 / k for k in range(1, nodes + 1))


@pytest.mark.parametrize("nodes", [2, 8, 32])
def test_a_barrier_of_exponentials_takes_the_harmonic_number(nodes: int) -> None:
    barriers = fleet(ExponentialTime(1.0), nodes, 40).max(axis=1)
    error = math.sqrt(math.fsum(1 / k**2 for k in range(1, nodes + 1)) / len(barriers))
    assert abs(barriers.mean() - harmonic(nodes)) < CONFIDENT * error
    assert abs(barriers.mean() - harmonic(nodes + max(1, nodes // 8))) > CONFIDENT * error


def test_a_barrier_of_shifted_exponentials() -> None:
    barriers = fleet(ShiftedExponentialTime(0.7, 1.0), 16, 40).max(axis=1)
    error = 0.3 * math.sqrt(math.fsum(1 / k**2 for k in range(1, 17)) / len(barriers))
    assert abs(barriers.mean() - (0.7 + 0.3 * harmonic(16))) < CONFIDENT * error


@pytest.mark.parametrize(("nodes", "shape"), [(4, 3.0), (16, 5.0)])
def test_a_barrier_of_paretos(nodes: int, shape: float) -> None:
    """E[max^j] = n B(n, 1 - j/shape), as max has density n F^(n-1) f."""
    barriers = fleet(ParetoTime(0.5, shape), nodes, 80).max(axis=1)
    first, second = (nodes * special.beta(nodes, 1 - power / shape) for power in (1, 2))
    written = math.gamma(nodes + 1) * math.gamma(1 - 1 / shape) / math.gamma(nodes + 1 - 1 / shape)
    assert first == pytest.approx(written, rel=1e-12)
    error = 0.5 * math.sqrt((second - first**2) / len(barriers))
    assert abs(barriers.mean() - 0.5 * first) < CONFIDENT * error


def test_a_directed_ring_of_exponentials_takes_two_less_one_over_n() -> None:
    """The max-plus recursion t_i <- max(t_i, t_{i-1}) + c_i on the streams themselves; its mean step is 2 - 1/n."""
    nodes, seeds, steps, settle = 8, 24, 8 * BLOCK, 2 * BLOCK
    cluster = Cluster(nodes, ExponentialTime(1.0))
    durations = np.stack(
        [
            [np.concatenate(list(itertools.islice(cluster.durations(node, seed), steps // BLOCK))) for node in range(nodes)]
            for seed in range(seeds)
        ]
    )
    clock = np.zeros((seeds, nodes))
    begun = clock.max(axis=1)
    for step in range(steps):
        clock = np.maximum(clock, np.roll(clock, 1, axis=1)) + durations[:, :, step]
        if step == settle - 1:
            begun = clock.max(axis=1)
    per_step = (clock.max(axis=1) - begun) / (steps - settle)
    error = per_step.std(ddof=1) / math.sqrt(seeds)
    assert abs(per_step.mean() - (2 - 1 / nodes)) < 4.5 * error  # Student's t with 23 degrees of freedom: 0.9998
    assert abs(per_step.mean() - harmonic(nodes)) > 10 * error


def test_an_infinite_mean_is_said() -> None:
    assert ParetoTime(0.2, 1.0).mean == math.inf
    assert ParetoTime(0.2, 0.5).mean == math.inf
    assert np.isfinite(drawn(ParetoTime(0.2, 0.1), 100)).all()


EVERY = [compute for compute, _ in FAMILIES] + [ConstantTime(0.3), ConstantTime(1)]


@pytest.mark.parametrize("compute", EVERY, ids=repr)
def test_blocks_have_one_length_and_one_type(compute: ComputeTime) -> None:
    for block in itertools.islice(compute.durations(3, stream(0, "compute", 3)), 3):
        assert block.shape == (BLOCK,) and block.dtype == np.float64 and (block >= 0).all()


@pytest.mark.parametrize("compute", [compute for compute, _ in FAMILIES], ids=repr)
def test_durations_have_an_address(compute: ComputeTime) -> None:
    assert np.array_equal(drawn(compute, 3), drawn(compute, 3))
    assert not np.array_equal(drawn(compute, 3), drawn(compute, 3, node=1))
    assert not np.array_equal(drawn(compute, 3), drawn(compute, 3, seed=2))


def test_two_settings_of_a_family_meet_the_same_luck() -> None:
    assert np.allclose(drawn(ExponentialTime(0.6), 2), 2 * drawn(ExponentialTime(0.3), 2), rtol=1e-15)
    narrow, wide = (np.log(drawn(LogNormalTime(1.0, sigma), 2)) for sigma in (0.1, 0.2))
    assert np.allclose(2 * (narrow + 0.005), wide + 0.02)


def test_no_jitter_is_constant() -> None:
    assert (drawn(LogNormalTime(0.3, 0.0), 1) == 0.3).all()


BAD: list[tuple[Callable[[], object], str]] = [
    (lambda: ConstantTime(0.0), "ConstantTime(seconds)"),
    (lambda: ConstantTime(True), "ConstantTime(seconds)"),
    (lambda: LogNormalTime(-1.0, 0.1), "LogNormalTime(seconds)"),
    (lambda: LogNormalTime(1.0, -0.1), "LogNormalTime(sigma)"),
    (lambda: LogNormalTime(1.0, math.nan), "LogNormalTime(sigma)"),
    (lambda: GammaTime(math.inf, 0.1), "GammaTime(seconds)"),
    (lambda: GammaTime(1.0, 0.0), "GammaTime(variation)"),
    (lambda: ExponentialTime(math.nan), "ExponentialTime(seconds)"),
    (lambda: ShiftedExponentialTime(-0.1, 1.0), "ShiftedExponentialTime(shift)"),
    (lambda: ShiftedExponentialTime(0.1, 0.0), "ShiftedExponentialTime(seconds)"),
    (lambda: ShiftedExponentialTime(1.0, 1.0), "must be above `shift`"),
    (lambda: ParetoTime(0.0, 2.0), "ParetoTime(least)"),
    (lambda: ParetoTime(1.0, -2.0), "ParetoTime(shape)"),
    (lambda: ParetoTime(1.0, 0.01), "at least 0.1"),
]


@pytest.mark.parametrize(("build", "said"), BAD, ids=[said for _, said in BAD])
def test_bad_parameters_are_refused_when_built(build: Callable[[], object], said: str) -> None:
    with pytest.raises(SpecificationError) as refused:
        build()
    assert said in str(refused.value)


def written(folder: Path, text: str) -> str:
    path = folder / "times.csv"
    path.write_bytes(text.encode())
    return str(path)


@pytest.mark.parametrize("text", ["0.1\n0.2\n0.6\n", "seconds\r\n0.1\r\n0.2\r\n0.6\r\n", "\ufeffstep time\n0.1\n\n0.2\n 0.6"])
def test_one_column_is_shared_by_all_nodes(tmp_path: Path, text: str) -> None:
    compute = MeasuredTimes(written(tmp_path, text))
    assert compute.samples[EVERYBODY].tolist() == [0.1, 0.2, 0.6]
    assert compute.mean == pytest.approx(0.3)
    compute.check(1000)
    draws = drawn(compute, 400)
    assert set(draws) == {0.1, 0.2, 0.6}
    assert abs(draws.mean() - 0.3) < CONFIDENT * np.std([0.1, 0.2, 0.6]) / math.sqrt(len(draws))
    assert not np.array_equal(draws, drawn(compute, 400, node=1))


def test_replay_keeps_the_order_and_begins_again(tmp_path: Path) -> None:
    times = [0.1, 0.2, 0.6, 0.3, 0.5, 0.4, 0.7]  # seven, as 256 = 4 (mod 7): blocks begin at different lines
    compute = MeasuredTimes(written(tmp_path, "\n".join(map(str, times))), replay=True)
    assert drawn(compute, 3).tolist() == [times[k % 7] for k in range(3 * BLOCK)]


def test_columns_of_nodes_and_of_a_given_name(tmp_path: Path) -> None:
    bare = MeasuredTimes(written(tmp_path, "1,0.4\n0,0.1\n1,0.6\n"), replay=True)
    assert {node: found.tolist() for node, found in bare.samples.items()} == {0: [0.1], 1: [0.4, 0.6]}
    assert bare.mean == pytest.approx((0.1 + 0.5) / 2)
    assert drawn(bare, 1, node=1)[:4].tolist() == [0.4, 0.6, 0.4, 0.6]
    named = MeasuredTimes(written(tmp_path, "host,forward,node\na,0.5,0\nb,0.25,1\n"), column="forward")
    assert {node: found.tolist() for node, found in named.samples.items()} == {0: [0.5], 1: [0.25]}
    with pytest.raises(SpecificationError, match="no line for node 2"):
        Cluster(3, named)


def test_a_column_that_is_no_node_is_left_out_where_the_seconds_are_named(tmp_path: Path) -> None:
    compute = MeasuredTimes(written(tmp_path, "worker,seconds\n0,0.5\n1,0.25\n"), column="seconds")
    assert list(compute.samples) == [EVERYBODY]


def test_the_digest_holds_the_value_to_its_file(tmp_path: Path) -> None:
    path = written(tmp_path, "0.1\n")
    old = MeasuredTimes(path)
    assert old == MeasuredTimes(path, digest=old.digest) and hash(old) == hash(MeasuredTimes(path))
    written(tmp_path, "0.2\n")
    assert old != MeasuredTimes(path)
    assert drawn(old, 1)[0] == 0.1
    with pytest.raises(SpecificationError, match="the file changed"):
        MeasuredTimes(path, digest=old.digest)


@pytest.mark.parametrize(
    ("text", "column", "said"),
    [
        ("0.1\n0.2x\n", "", "line 2 of"),
        ("0.1x\n0.2\n", "", "line 1 of"),
        ("seconds\n0.1\n\n-0.2\n", "", "line 4 of"),
        ("0.1\nnan\n", "", "line 2 of"),
        ("0.1\ninf\n", "", "line 2 of"),
        ("0,0.1\n1\n", "", "line 2 of"),
        ("0,0.1\n1.5,0.1\n", "", "node number"),
        ("node,seconds\n0,0.1\n-1,0.1\n", "", "line 3 of"),
        ("", "", "holds no measurement"),
        ("seconds\n", "", "holds no measurement"),
        ("1,2,3\n", "", "which holds the seconds is unknown"),
        ("0.1\n", "second", "'second' cannot be found"),
        ("node,seconds\n0,0.1\n", "secnds", "did you mean 'seconds'?"),
        ("node,forward\n0,0.1\n", "", "no column 'seconds'"),
        ("worker,seconds\n0,0.1\n", "", "has a column 'worker' beside 'seconds'"),
        ("Node,step,seconds\n0,0,0.1\n", "seconds", "has a column 'Node' beside 'seconds'"),
        ("node,node,seconds\n0,1,0.1\n", "", "2 columns 'node'"),
        ("node,seconds\n" + "9" * 5000 + ",0.1\n", "", "node number"),
    ],
)
def test_broken_files_are_refused_with_their_line(tmp_path: Path, text: str, column: str, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(SpecificationError) as refused:
        MeasuredTimes(path, column)
    assert said in str(refused.value) and path in str(refused.value)


def test_missing_and_binary_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecificationError, match=r"nowhere\.csv.*cannot be read"):
        MeasuredTimes(str(tmp_path / "nowhere.csv"))
    with pytest.raises(SpecificationError, match="cannot be read"):
        MeasuredTimes(str(tmp_path))
    (tmp_path / "times.csv").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(SpecificationError, match="not a CSV text file"):
        MeasuredTimes(str(tmp_path / "times.csv"))


@pytest.mark.parametrize("name", ["ms", "time_ms", "Time (ms)", "step milliseconds"])
def test_a_column_that_names_another_unit_is_not_read_as_seconds(name: str, tmp_path: Path) -> None:
    path = written(tmp_path, f"{name}\n112.5\n")
    with pytest.raises(SpecificationError, match="Convert it to seconds"):
        MeasuredTimes(path)
    assert MeasuredTimes(path, column=name).mean == 112.5  # control: said to be seconds
    assert MeasuredTimes(written(tmp_path, "items\n112.5\n")).mean == 112.5  # control: another word with these letters
