"""The studies' framework, and the three studies that put runs beside the theory: rate, consensus deviation, mixing.

What is drawn is tested as data: facts that are known apart from the study, laws that must hold, and controls that must fail.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl
import pytest
from matplotlib.figure import Figure

from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.fleet.vectorized import Vectorized
from sgpsim.budget import Steps
from sgpsim.descents.sgd import SGD
from sgpsim.descents.step_sizes import Constant, RootNodesOverSteps
from sgpsim.errors import SpecificationError
from sgpsim.experiment import Experiment
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.schedules.erdos_renyi import ErdosRenyiDigraph
from studies import __main__ as command
from studies import figure
from studies.consensus_deviation import SCHEDULES, ConsensusDeviation, drops, exponents, largest_shares, levels
from studies.consensus_deviation import Case as DeviationCase
from studies.consensus_deviation import measured as deviation_of
from studies.mixing_table import SCHEMES, MixingTable, exact_sizes, summary
from studies.rate_against_theory import RateAgainstTheory, time_averages
from studies.rate_fits import collapse, fits, least_steps_of, share_of_bound
from studies.rate_problems import NODES, PROBLEMS, UnequalQuadratics, UnlikeSigmoid
from studies.study import Progress, Study, StudyResult
from theory.chain import Chain
from theory.claims.consensus_bound import ConsensusBound
from theory.evidence import Path as RunPath
from theory.setting import Setting


class Halves(Study):
    """A study of nothing much."""

    question: ClassVar[str] = "What is half of it?"

    def cases(self, fast: bool) -> list[int]:
        return [2, 4] if fast else [2, 4, 6]

    def measure(self, cases: Sequence[int], progress: Progress) -> pl.DataFrame:
        progress(len(cases), len(cases))
        return pl.DataFrame({"whole": cases, "half": [case / 2 for case in cases]})

    def draw(self, data: pl.DataFrame) -> Figure:
        drawn = figure.blank(figure.COLUMN, 2)
        drawn.subplots().plot(data["whole"], data["half"])
        return drawn

    def answer(self, data: pl.DataFrame) -> str:
        return f"At most {data['half'].max()}."


def test_a_study_writes_its_three_files_the_same_each_time(tmp_path: Path) -> None:
    seen: list[tuple[float, float]] = []
    first = Halves().run(True, tmp_path / "a", lambda done, total: seen.append((done, total)))
    second = Halves().run(True, tmp_path / "b")
    assert first.answer == "At most 2.0." and first.name == "test_studies_theory" and seen == [(2, 2)]
    for kind in ("png", "pdf", "csv"):
        one, other = getattr(first, kind), getattr(second, kind)
        assert one.suffix == f".{kind}" and one.read_bytes() == other.read_bytes()
    assert pl.read_csv(first.csv).equals(first.data)
    assert len(Halves().run(False, tmp_path / "c").data) == 3


def test_a_folder_that_cannot_be_written_to_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SpecificationError, match="cannot be written to"):
        Halves().run(True, tmp_path / "file")


def test_studies_are_found_by_walking(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--list"]) == 0
    told = capsys.readouterr().out
    for name in ("rate_against_theory", "consensus_deviation", "mixing_table", "bench"):
        assert name in told
    assert "rate_fits" not in told and "figure" not in told.split()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["mixing_tables"], "there is no study 'mixing_tables'; did you mean 'mixing_table'?"),
        (["rate_fits"], "there is no study 'rate_fits'"),
        (["mixing_table", "--quick"], "'--quick' is not understood"),
    ],
)
def test_bad_arguments_end_with_exit_code_2(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(arguments) == 2
    told = capsys.readouterr().err
    assert sentence in told and told.count("\n") == 1


# --- mixing ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mixing(tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    return MixingTable().run(True, tmp_path_factory.mktemp("mixing"))


def test_mixing_on_the_command_line(mixing: StudyResult, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["mixing_table", "--fast", "--out", str(tmp_path)]) == 0
    assert mixing.answer in capsys.readouterr().out.replace("\n", " ").replace("  ", " ")
    assert {path.suffix for path in tmp_path.iterdir()} == {".png", ".pdf", ".csv"}
    assert (tmp_path / "mixing_table.csv").read_bytes() == mixing.csv.read_bytes()


def test_mixing_reproduces_what_is_known_of_32_nodes(mixing: StudyResult) -> None:
    at = {name: summary(mixing.data, name).filter(nodes=32)["s2"].item() for name in SCHEMES}
    assert at["deterministic exponential"] == 0
    assert at["cycling complete"] == pytest.approx(0.761, abs=5e-4)
    assert at["random exponential"] == pytest.approx(0.646, abs=0.03)
    assert at["random complete"] == pytest.approx(0.453, abs=0.03)
    assert exact_sizes(mixing.data, "deterministic exponential") == [4, 8, 16, 32]
    assert exact_sizes(mixing.data, "random complete") == []
    assert mixing.data["s2_squared"].to_numpy() == pytest.approx(mixing.data["s2"].to_numpy() ** 2, rel=1e-15)


def test_mixing_of_circulants_is_the_product_of_their_eigenvalues(mixing: StudyResult) -> None:
    """Rounds of (I + S^h)/2 commute: singular values of the product are |prod_k (1 + w^h_k)/2| over the n-th roots w of 1."""
    hops = {"deterministic exponential": lambda n, k: 2 ** (k % math.ceil(math.log2(n))), "cycling complete": lambda n, k: 1 + k % (n - 1)}
    for name, hop in hops.items():
        for size in (6, 24, 64):
            roots = np.exp(2j * np.pi * np.arange(size) / size)
            values = np.abs(np.prod([(1 + roots ** hop(size, k)) / 2 for k in range(5)], axis=0))
            known = np.sort(values)[-2]
            assert summary(mixing.data, name).filter(nodes=size)["s2"].item() == pytest.approx(known, abs=1e-12)


def test_mixing_tells_squares_from_values_by_the_data(mixing: StudyResult) -> None:
    assert "are squares, to 0.02" in mixing.answer
    swapped = mixing.data.rename({"s2": "s2_squared", "s2_squared": "s2"})
    assert "are singular values, to 0.02" in MixingTable().answer(swapped)


# --- consensus deviation --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def deviation(tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    return ConsensusDeviation().run(True, tmp_path_factory.mktemp("deviation"))


def test_deviation_stays_below_both_bounds_everywhere(deviation: StudyResult) -> None:
    assert max(largest_shares(deviation.data)) <= 1
    assert "both bounds hold" in deviation.answer
    just_below = deviation.data.with_columns(pl.col("profile_share") / deviation.data["profile_share"].max() * 1.01)
    assert "both bounds FAIL" in ConsensusDeviation().answer(just_below)


def test_deviation_is_proportional_to_the_step_size_and_less_on_denser_graphs(deviation: StudyResult) -> None:
    assert all(0.85 < exponent < 1.02 for exponent in exponents(deviation.data).values())
    for _, rows in levels(deviation.data).group_by("step_size"):
        found = dict(rows.select("schedule", "deviation").iter_rows())
        assert found["static exponential"] < found["one-peer exponential"] < found["irregular digraph"] < found["directed ring"]
    falls = drops(deviation.data)
    assert set(falls) == set(SCHEDULES) and all(9 < fall < 11 for fall in falls["static exponential"])


def test_bounds_on_moves_are_the_claim_where_the_step_size_is_constant() -> None:
    case = DeviationCase("irregular digraph", 0.05, False, 40)
    found = deviation_of(case)
    schedule = SCHEDULES[case.schedule][0]
    objective = Quadratic(16, 10, noise=1.0, spread=1.0, structure="diagonal")
    experiment = Experiment(SGP(SGD(Constant(0.05))), objective, schedule, Steps(40), (0, 1, 2, 3))
    run = Vectorized(keep_trajectory=True).run(experiment)
    path = RunPath.of(run.trajectory, 40)
    setting = Setting.of("the same", schedule, 40, objective, step_size=0.05)
    assert found["lemma_a"].to_numpy() == pytest.approx(ConsensusBound().predicted(setting, path).values[:, 0].mean(axis=1), rel=1e-12)
    largest = run.curve("consensus_max")["value"].to_numpy().reshape(4, 41).mean(axis=0)
    assert found["deviation"].to_numpy() == pytest.approx(largest, rel=1e-12, abs=1e-15)


# --- rate -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rate(tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    return RateAgainstTheory().run(True, tmp_path_factory.mktemp("rate"))


def test_rate_is_minus_one_half_and_without_communication_it_is_not(rate: StudyResult) -> None:
    found = fits(rate.data)
    assert {(fit.problem, fit.nodes) for fit in found if fit.communicating} == {(problem.name, n) for problem in PROBLEMS for n in NODES}
    assert all(fit.follows for fit in found if fit.communicating)
    alone = [fit for fit in found if not fit.communicating]
    assert {fit.problem for fit in alone} == {problem.name for problem in PROBLEMS}
    assert not any(fit.follows for fit in alone) and all(fit.slope.lower > -0.2 for fit in alone)
    assert rate.answer.startswith("Yes")
    last = rate.data.filter(nodes=NODES[-1], steps=rate.data["steps"].max()).group_by("problem", "method").agg(pl.col("average").mean())
    for problem in PROBLEMS:
        of = dict(last.filter(problem=problem.name).select("method", "average").iter_rows())
        assert of["no communication"] > 5 * of["SGP"]


def test_rate_answer_says_no_if_the_curves_did_not_communicate(rate: StudyResult) -> None:
    alone = rate.data.filter(method="no communication").drop("method", "least_steps", "bound")
    keys = ["problem", "nodes", "steps", "seed"]
    rest = rate.data.join(alone.rename({"average": "other"}), on=keys, how="left")
    pretended = rest.with_columns(pl.coalesce("other", "average").alias("average")).drop("other")
    assert RateAgainstTheory().answer(pretended).startswith("Not everywhere")


def test_rate_stays_below_d2_whose_least_steps_lie_inside_the_sweep(rate: StudyResult) -> None:
    needed, steps = least_steps_of(rate.data), rate.data["steps"].unique().to_list()
    assert list(needed) == list(NODES)
    assert all(min(steps) < least < max(steps) for least in needed.values())
    share, points = share_of_bound(rate.data)
    assert 0.01 < share < 1 and points == sum(k >= least for k in steps for least in needed.values())
    assert rate.data.filter(problem="quadratics")["bound"].null_count() == len(rate.data.filter(problem="quadratics"))


def test_rate_bound_is_twelve_a_over_root_nk(rate: StudyResult) -> None:
    problem = UnlikeSigmoid()
    for nodes in NODES:
        objective = problem.objective(nodes)
        constants = objective.constants()
        assert {constants.smoothness.evidence, constants.variance.evidence, constants.heterogeneity.evidence} == {"certified"}
        lipschitz, variance, unlike = (getattr(constants, name).value for name in ("smoothness", "variance", "heterogeneity"))
        gap = float(objective.loss(np.asarray(problem.start()))) + lipschitz * variance / 2
        rows = rate.data.filter(problem="sigmoid", method="SGP", nodes=nodes, seed=0)
        assert rows["bound"].to_numpy() == pytest.approx(12 * gap / np.sqrt(nodes * rows["steps"].to_numpy()), rel=1e-12)
        first = math.log2(nodes) - 1  # S1 of p exact rounds is at most p - 1, and reaches it here
        third = nodes * (lipschitz**2 * nodes * first**2 * (variance + 3 * unlike) / gap) ** 2
        assert least_steps_of(rate.data)[nodes] == pytest.approx(max(24 * nodes * (lipschitz * first) ** 2, third), rel=1e-9)


def test_rate_curves_collapse_on_nk(rate: StudyResult) -> None:
    assert max(collapse(rate.data).values()) < 0.1
    shifted = rate.data.with_columns(pl.when(pl.col("nodes") == 4).then(pl.col("average") * 1.5).otherwise("average").alias("average"))
    assert min(collapse(shifted).values()) > 0.3


def test_rate_figure_says_what_is_hollow_and_why_one_problem_has_no_bound(rate: StudyResult) -> None:
    left, middle, _ = RateAgainstTheory().draw(rate.data).axes
    legend = left.get_legend()
    assert legend is not None
    told = [text.get_text() for text in legend.get_texts()]
    assert any("bound D2" in text for text in told) and any("hollow" in text and "5, 49, 942" in text for text in told)
    assert "A2 fails" in middle.get_title()
    hollow = [line for line in left.lines if line.get_markerfacecolor() == "white"]
    drawn = sum(len(np.asarray(line.get_xdata())) for line in hollow)
    assert drawn == sum(k < least for k in rate.data["steps"].unique() for least in least_steps_of(rate.data).values())


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)
def test_all_numbers_of_nodes_minimize_one_function(problem: UnlikeSigmoid | UnequalQuadratics) -> None:
    at = np.random.default_rng(0).normal(size=(6, problem.objective(4).dimension))
    whole = problem.objective(NODES[-1])
    for nodes in NODES[:-1]:
        objective = problem.objective(nodes)
        assert objective.full_gradient(at) == pytest.approx(whole.full_gradient(at), rel=1e-12, abs=1e-15)
        assert np.ptp(objective.loss(at) - whole.loss(at)) < 1e-12


def test_quadratics_of_the_rate_study_are_irregular_and_break_a2() -> None:
    problem = UnequalQuadratics()
    for nodes in NODES:
        assert np.ptp(Chain.of(problem.schedule(nodes), 50).weights[-1]) > 0.5
        assert problem.objective(nodes).constants().heterogeneity.value is None
        averaged = problem.objective(nodes).centers.mean(axis=0)
        assert np.linalg.norm(problem.objective(nodes).full_gradient(averaged)) > 0.05  # so P = I does not minimize f


def test_time_averages_are_exact_where_every_step_is_measured_and_close_where_not() -> None:
    objective, steps = Quadratic(4, 3, noise=1.0, distance=2.0), 400
    step_size = RootNodesOverSteps(4, steps)
    whole = Experiment(SGP(SGD(step_size)), objective, ErdosRenyiDigraph(4, 0.6), Steps(steps), (0, 1, 2), 0.0)
    run = Vectorized().run(whole)
    values = run.curve("squared_gradient_norm")["value"].to_numpy().reshape(3, steps + 1)
    assert time_averages(run) == pytest.approx(values[:, :-1].mean(axis=1), rel=1e-12)
    every = int(0.25 / step_size.at(0))
    assert every == 2
    assert time_averages(Vectorized().run(dataclasses.replace(whole, measure_every=every))) == pytest.approx(time_averages(run), rel=0.05)
    # a last gap that is shorter: 7 does not divide 400
    assert time_averages(Vectorized().run(dataclasses.replace(whole, measure_every=7))) == pytest.approx(time_averages(run), rel=0.2)
