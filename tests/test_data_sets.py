"""Data sets, tables and splits: what is loaded, what is refused, and who gets which samples."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgpsim.errors import SpecificationError
from sgpsim.files.plain_data import from_plain, to_plain
from sgpsim.objectives.datasets import BreastCancer, Dataset, Digits, Samples, SyntheticClassification
from sgpsim.objectives.logistic import LogisticRegression
from sgpsim.objectives.split import ByGroup, ByLabel, DirichletSplit, EvenSplit, Split
from sgpsim.objectives.table import Table

SPLITS = st.one_of(
    st.builds(EvenSplit, seed=st.integers(0, 9)),
    st.builds(ByLabel, seed=st.integers(0, 9)),
    st.builds(DirichletSplit, alpha=st.sampled_from([1e-3, 0.1, 1.0, 100.0]), seed=st.integers(0, 9)),
    st.builds(ByGroup),
)


@settings(max_examples=80, deadline=None)
@given(split=SPLITS, nodes=st.integers(1, 12), samples=st.integers(24, 90), classes=st.integers(2, 5))
def test_a_split_is_a_partition(split: Split, nodes: int, samples: int, classes: int) -> None:
    rows = np.arange(samples)
    given_samples = Samples(np.zeros((samples, 1)), rows % classes, rows % 12)
    parts = split.parts(given_samples, nodes)
    assert len(parts) == nodes and min(len(part) for part in parts) >= 1
    assert np.array_equal(np.sort(np.concatenate(parts)), rows)
    assert all((np.diff(part) > 0).all() for part in parts)
    assert all(
        np.array_equal(part, again) for part, again in zip(parts, split.parts(given_samples, nodes), strict=True)
    )
    if isinstance(split, EvenSplit | ByLabel):
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


def shares(split: Split, nodes: int) -> float:
    """The mean over nodes of the share of the commonest label."""
    samples = Digits().load()
    found = [np.bincount(samples.labels[part]).max() / len(part) for part in split.parts(samples, nodes)]
    return float(np.mean(found))


def test_label_skew_follows_alpha() -> None:
    skews = [
        shares(split, 16)
        for split in (ByLabel(), DirichletSplit(0.05), DirichletSplit(0.5), DirichletSplit(1000.0), EvenSplit())
    ]
    assert skews[:3] == sorted(skews[:3], reverse=True)
    assert skews[0] > 0.8 and max(skews[3:]) < 0.25 < skews[2]


def test_a_group_stays_together() -> None:
    samples = SyntheticClassification(samples=60, groups=6).load()
    for part in ByGroup().parts(samples, 3):
        assert len(part) == 20 and len(np.unique(samples.groups[part])) == 2
    assert len(ByGroup().parts(samples, 4)) == 4
    with pytest.raises(SpecificationError, match="6 groups"):
        ByGroup().parts(samples, 7)


def test_dirichlet_leaves_at_least_as_many_as_asked() -> None:
    parts = DirichletSplit(alpha=0.01, least=8).parts(Digits().load(), 32)
    assert min(map(len, parts)) >= 8


def test_shipped_data() -> None:
    digits, cancer = Digits().load(), BreastCancer().load()
    assert (
        digits.features.shape == (1797, 64)
        and digits.classes == 10
        and digits.features.min() == 0
        and digits.features.max() == 1
    )
    assert cancer.features.shape == (569, 30) and cancer.classes == 2
    assert np.allclose(cancer.features.mean(axis=0), 0, atol=1e-12) and np.allclose(cancer.features.std(axis=0), 1)


def test_synthetic_data_are_as_described() -> None:
    data = SyntheticClassification(
        samples=6000, features=20, classes=3, groups=2, separation=2.0, unlikeness=0.5, seed=3
    )
    samples = data.load()
    assert np.array_equal(np.bincount(samples.labels), [2000, 2000, 2000])
    assert np.array_equal(np.bincount(samples.groups), [3000, 3000])
    cloud = samples.features[(samples.labels == 1) & (samples.groups == 0)]
    assert abs(((cloud - cloud.mean(axis=0)) ** 2).sum(axis=1).mean() - 1) < 0.05  # radius 1
    alike = SyntheticClassification(samples=6000, features=20, separation=2.0).load()
    means = [alike.features[alike.labels == label].mean(axis=0) for label in (0, 1)]
    assert np.allclose(means[0], -means[1], atol=0.05) and abs(np.linalg.norm(means[0]) - 2) < 0.05
    flipped = SyntheticClassification(samples=6000, flipped=0.25).load().labels
    assert abs((flipped != np.arange(6000) % 2).mean() - 0.25) < 0.03


def test_samples_are_read_once_and_only() -> None:
    data = SyntheticClassification()
    assert data.load() is data.load() and np.array_equal(
        data.load().features, SyntheticClassification().load().features
    )
    with pytest.raises(ValueError, match="read-only"):
        data.load().features[0] = 1


def test_objectives_leave_the_data_alone() -> None:
    data = SyntheticClassification(samples=20)
    before = data.load().features.copy()
    LogisticRegression(2, data)
    assert np.array_equal(data.load().features, before)


def test_table_from_csv(tmp_path: Path) -> None:
    file = tmp_path / "irises.csv"
    file.write_text("length, width,species,garden\n1.0,2.5,setosa,b\n3,4e0,virginica,a\n\n5,6,setosa,b\n")
    samples = Table(str(file), label="species", group="garden").load()
    assert np.array_equal(samples.features, [[1, 2.5], [3, 4], [5, 6]])
    assert samples.labels.tolist() == [0, 1, 0] and samples.groups.tolist() == [1, 0, 1]
    scaled = Table(str(file), label="species", group="garden", standardized=True).load()
    assert np.allclose(scaled.features.mean(axis=0), 0) and np.allclose(scaled.features.std(axis=0), 1)
    data: Dataset = from_plain(
        {"type": "Table", "path": "irises.csv", "label": "species", "group": "garden"}, Dataset, base=tmp_path
    )  # pyright: ignore[reportAbstractUsage]
    assert np.array_equal(data.load().features, samples.features)


def test_numbers_as_labels_keep_their_order(tmp_path: Path) -> None:
    (tmp_path / "numbers.csv").write_text("a,label\n" + "".join(f"{k},{k}\n" for k in (10, 9, 2)))
    assert Table(str(tmp_path / "numbers.csv")).load().labels.tolist() == [2, 1, 0]


def test_table_from_npz(tmp_path: Path) -> None:
    file = tmp_path / "samples.npz"
    np.savez(file, features=np.arange(6).reshape(3, 2), labels=np.array(["b", "a", "b"]))
    samples = Table(str(file)).load()
    assert (
        samples.features.dtype == np.float64
        and samples.labels.tolist() == [1, 0, 1]
        and samples.groups.tolist() == [0, 0, 0]
    )
    assert LogisticRegression(2, Table(str(file))).dimension == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,label\n1,0\nx,1\n", "line 3, column 'a': 'x'"),
        ("a,label\n1,0\n2,1\nnan,1\n", "line 4.*'nan'.*finite"),
        ("a,label\n1,0\n2\n", "line 3: 1 cells; the header has 2"),
        ("a,lable\n1,0\n", "did you mean 'lable'"),
        ("label\n0\n", "no column besides"),
        ("label,a,label\n0,1,0\n1,2,1\n", "2 such columns"),
        (",a,label\n0,1,0\n1,2,1\n", "column 1 has no name"),
        ("a,label\n1,\n2,1\n", "line 2: the label is empty"),
        ("a,label\n", "no samples"),
        ("", "line 1"),
    ],
)
def test_broken_csv(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "broken.csv").write_text(text)
    with pytest.raises(SpecificationError, match=words):
        LogisticRegression(1, Table(str(tmp_path / "broken.csv")))


def arrays(**given_arrays: np.ndarray) -> Callable[[Path], None]:
    return lambda file: np.savez(file, allow_pickle=True, **given_arrays)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda file: file.write_bytes(b"no archive"), "cannot be read"),
        (arrays(features=np.eye(2)), "no array 'labels'"),
        (arrays(features=np.eye(2), labels=np.zeros(3)), r"\(2, 2\), labels \(3,\)"),
        (arrays(features=np.array([[1.0], [np.inf]]), labels=np.zeros(2)), "row 1"),
        (arrays(features=np.array([["x"]]), labels=np.zeros(1)), "real numbers"),
        (arrays(features=np.array([[None]]), labels=np.zeros(1)), "cannot be read"),
        (arrays(features=np.eye(2).astype("m8[s]"), labels=np.zeros(2)), "real numbers"),
        (arrays(features=np.eye(2), labels=np.zeros(2, complex)), "labels are complex128"),
        (arrays(features=np.eye(2), labels=np.zeros(2, [("a", int)])), "labels are .*numbers or words"),
    ],
)
def test_broken_npz(tmp_path: Path, write: Callable, words: str) -> None:
    write(tmp_path / "broken.npz")
    with pytest.raises(SpecificationError, match=words):
        Table(str(tmp_path / "broken.npz")).load()


def test_missing_and_unknown_files(tmp_path: Path) -> None:
    with pytest.raises(SpecificationError, match="No such file"):
        LogisticRegression(2, Table(str(tmp_path / "missing.csv")))
    (tmp_path / "samples.parquet").touch()
    with pytest.raises(SpecificationError, match=r"\.csv or \.npz"):
        Table(str(tmp_path / "samples.parquet")).load()


@pytest.mark.parametrize("data", [Digits(), BreastCancer(), SyntheticClassification(flipped=0.5), Table("here.csv")])
def test_data_sets_survive_plain_data(data: Dataset) -> None:
    assert from_plain(to_plain(data), Dataset) == data  # pyright: ignore[reportAbstractUsage]
