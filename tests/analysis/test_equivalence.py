"""Two one-sided tests: by hand, against SciPy, and against the interval, the correction, draws."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dropout_lab.analysis.comparisons import draw_cells
from dropout_lab.analysis.equivalence import (
    MANY_SEEDS,
    equivalence_p,
    equivalence_power,
    seeds_to_decide,
)
from dropout_lab.analysis.family import ComparisonPlan
from dropout_lab.analysis.paired import compare_cells
from dropout_lab.analysis.statistics import t_interval
from dropout_lab.analysis.tables import StudyTables
from dropout_lab.analysis.verdicts import (
    BETTER,
    EQUIVALENT,
    NO_PAIRS,
    UNDECIDED,
    is_within_margin,
    verdict_text,
)
from dropout_lab.config.report import ReportSettings
from tests.analysis.test_paired import BARE, plus, study_of

# Mean 0.5 and sum of squares about it 5.5, so s = sqrt(1.1), and s / sqrt(6) = 0.428174.
DIFFERENCES = [1.0, -1.0, 2.0, 0.0, 1.0, 0.0]
SMALL = [0.0002, -0.0001, 0.0, 0.0001, -0.0002, 0.0001, 0.0, -0.0001]
BARE_8 = [*BARE, 0.957, 0.964]


def test_the_p_value_by_hand_and_with_scipy() -> None:
    """t(5, 0.95) = 2.015048: with the margin 0.5 + 2.015048 x 0.428174 = 1.362792, p is 0.05."""
    assert equivalence_p(DIFFERENCES, 1.362792) == pytest.approx(0.05, abs=1e-6)
    for margin in (0.2, 0.5, 1.0, 2.0):
        low = stats.ttest_1samp(DIFFERENCES, -margin, alternative="greater").pvalue
        high = stats.ttest_1samp(DIFFERENCES, margin, alternative="less").pvalue
        assert equivalence_p(DIFFERENCES, margin) == pytest.approx(max(low, high), rel=1e-6)
    negative = [-value for value in DIFFERENCES]
    assert equivalence_p(negative, 1.0) == equivalence_p(DIFFERENCES, 1.0)


def test_the_test_is_the_interval_within_the_margin() -> None:
    """At the level a, exactly if the interval of level 1 - 2 a is within ± the margin."""
    random, outcomes = np.random.default_rng(0), set()
    for _ in range(300):
        values = random.normal(random.normal(), 1, random.integers(6, 20))
        margin, a = random.uniform(0.1, 2), random.choice([0.01, 0.05, 0.2])
        low, high = t_interval(values, 1 - 2 * a)
        inside = bool(-margin <= low and high <= margin)
        assert (equivalence_p(values, margin) <= a) == inside
        outcomes.add(inside)
    assert outcomes == {True, False}


def test_below_six_pairs_nothing_is_equivalent() -> None:
    assert equivalence_p([0.0] * 5, 1.0) == 1.0
    assert math.isnan(equivalence_p([], 1.0))


def test_equal_differences_are_tested_by_their_signs() -> None:
    """Each of n differences is on the inner side of each bound: one of 2^n patterns."""
    assert equivalence_p([0.0] * 6, 0.001) == 1 / 64
    assert equivalence_p([0.0005] * 8, 0.001) == 1 / 256
    assert equivalence_p([0.94 - 0.93] * 6, 0.01) == 1  # as large as the margin, but for rounding
    assert equivalence_p([0.02] * 6, 0.01) == 1


@pytest.mark.parametrize(("n", "mean", "level"), [(6, 0.0, 0.9), (8, 0.5, 0.9), (12, 0.3, 0.98)])
def test_the_power_is_the_share_of_simulated_tests(n: int, mean: float, level: float) -> None:
    draws = np.random.default_rng(1).normal(mean, 1, (20_000, n))
    half = stats.t.ppf((1 + level) / 2, n - 1) * draws.std(axis=1, ddof=1) / math.sqrt(n)
    share = (np.abs(draws.mean(axis=1)) + half <= 1.2).mean()
    error = math.sqrt(share * (1 - share) / len(draws))
    assert equivalence_power(n, mean, 1.0, 1.2, level) == pytest.approx(share, abs=4 * error)


def test_at_the_margin_the_power_is_the_level_of_the_test() -> None:
    assert equivalence_power(200, 1.2, 1.0, 1.2, 0.9) == pytest.approx(0.05, abs=1e-3)
    assert equivalence_power(6, 1.2, 1.0, 1.2, 0.9) < 0.05


def test_the_seeds_that_decide() -> None:
    """For no difference about (1.645 + 1.282)^2 (s / margin)^2 = 34.3, and one or two more."""
    n = seeds_to_decide(0.0, 1.0, 0.5, 0.05)
    assert n == 36
    assert equivalence_power(n - 1, 0.0, 1.0, 0.5, 0.9) < 0.8
    assert equivalence_power(n, 0.0, 1.0, 0.5, 0.9) >= 0.8
    # A difference of one SD takes 10 pairs (Cohen 1988), whatever the margin below it.
    assert seeds_to_decide(1.0, 1.0, None, 0.05) == seeds_to_decide(1.0, 1.0, 0.5, 0.05) == 10
    assert seeds_to_decide(0.0, 1.0, None, 0.05) == math.inf
    assert seeds_to_decide(0.01, 1.0, None, 0.05) == math.inf  # above 1,000
    assert seeds_to_decide(0.0, 0.0, 0.5, 0.05) <= 2
    assert seeds_to_decide(0.0, 100.0, 0.5, 0.05) == math.inf
    assert math.isnan(seeds_to_decide(0.1, math.nan, 0.5, 0.05))
    assert MANY_SEEDS == 1_000


def test_equivalences_are_corrected_over_all_comparisons() -> None:
    """Three planned comparisons, one of them removed: 0.01 x 3, then 0.02 x 2."""
    plan = ComparisonPlan({frozenset((0, 1)): 1, frozenset((0, 2)): 2}, (), removed=1)
    assert plan.correct_equivalences(np.array([0.02, 0.01])).tolist() == [0.04, 0.03]
    assert ComparisonPlan({frozenset((0, 1)): 1}, (), 0).correct_equivalences(
        np.array([0.04])
    ).tolist() == [0.04]


def test_a_margin_does_not_change_what_is_significant(tmp_path: Path) -> None:
    study = study_of(tmp_path, BARE_8, [a + 0.01 for a in BARE_8], [a + 0.0001 for a in BARE_8],
                     p="0,0.25,0.5")  # fmt: skip
    plain = compare_cells(study, bootstrap=False)
    found = compare_cells(study, margin=0.001, bootstrap=False)
    for name in ("p_holm", "smallest_p_holm", "seeds_needed"):
        assert found[name].equals(plain[name])
    assert plain["verdict"].tolist() == [NO_PAIRS, BETTER, BETTER]
    assert found["verdict"].tolist() == [NO_PAIRS, BETTER, BETTER]
    assert found["p_equivalence"].tolist()[1:] == [1.0, 2**-8]
    assert found["p_equivalence_holm"].tolist()[1:] == [1.0, 2**-7]


def compared(folder: Path, gains: list[float], **options: object) -> pd.Series:
    study = study_of(folder, BARE_8, [a + b for a, b in zip(BARE_8, gains, strict=True)])
    return compare_cells(study, bootstrap=False, **options).iloc[1]


def test_settings_are_equivalent_only_with_a_margin(tmp_path: Path) -> None:
    without = compared(tmp_path / "a", SMALL)
    assert (without["verdict"], math.isnan(without["p_equivalence"])) == (UNDECIDED, True)
    row = compared(tmp_path / "b", SMALL, margin=0.001)
    assert (row["verdict"], row["margin"], verdict_text(row)) == (EQUIVALENT, 0.001, "equivalent")
    assert row["p_equivalence"] == pytest.approx(equivalence_p(SMALL, 0.001))
    assert row["p_equivalence_holm"] == row["p_equivalence"]  # one comparison, one of two is true
    assert math.isnan(row["seeds_to_decide"])
    assert row["p_holm"] == without["p_holm"]
    tight = compared(tmp_path / "c", SMALL, margin=0.00005)
    assert tight["verdict"] == UNDECIDED
    assert tight["seeds_to_decide"] > 8
    assert verdict_text(tight) == f"undecided: needs about {tight['seeds_to_decide']:.0f} seeds"


def test_a_significant_difference_may_be_within_the_margin(tmp_path: Path) -> None:
    gains = [0.0003, 0.0005, 0.0004, 0.0002, 0.0006, 0.0004, 0.0003, 0.0005]
    row = compared(tmp_path / "a", gains, margin=0.001)
    assert (row["verdict"], is_within_margin(row)) == (BETTER, True)
    assert verdict_text(row) == "better, by less than 0.1 pp"
    row = compared(tmp_path / "b", gains, margin=0.0004)
    assert (row["verdict"], is_within_margin(row), verdict_text(row)) == (BETTER, False, "better")


def test_the_margin_of_the_config_counts_unless_another_is_given(tmp_path: Path) -> None:
    study = study_of(tmp_path, BARE_8, [a + b for a, b in zip(BARE_8, SMALL, strict=True)])
    settings = {"report": ReportSettings(margin=0.2)}
    manifest = study.manifest.model_copy(update=settings)
    study = dataclasses.replace(study, manifest=manifest)
    assert compare_cells(study, bootstrap=False).iloc[1]["margin"] == 0.002
    assert compare_cells(study, margin=0.003, bootstrap=False).iloc[1]["margin"] == 0.003


def test_an_undecided_verdict_says_what_limits_it(tmp_path: Path) -> None:
    study = study_of(tmp_path, BARE[:3], plus([0.004, 0.006, -0.001, 0, 0, 0])[:3])
    table = compare_cells(study, margin=0.001)
    assert table["verdict"].tolist() == [NO_PAIRS, UNDECIDED]
    needed = table["seeds_to_decide"][1]
    few = "undecided: too few seeds, needs"
    assert verdict_text(table.iloc[1]) == f"{few} about {needed:.0f} seeds"
    table["seeds_to_decide"] = math.inf
    assert verdict_text(table.iloc[1]) == f"{few} more than 1,000 seeds"
    one = compare_cells(study_of(tmp_path / "one", [0.9], [0.92]))
    assert verdict_text(one.iloc[1]) == f"{few} at least 6 seeds"


def test_without_the_bootstrap_the_rest_is_the_same(tmp_path: Path) -> None:
    study: StudyTables = study_of(tmp_path, BARE, plus([0.001] * 6))
    quick, full = compare_cells(study, bootstrap=False), compare_cells(study)
    bootstrap = [name for name in full if "_bca_" in name]
    assert len(bootstrap) == 4
    assert quick[bootstrap].isna().all(axis=None)
    assert quick.drop(columns=bootstrap).equals(full.drop(columns=bootstrap))


def test_the_margin_is_a_band_in_the_plot_of_differences(tmp_path: Path) -> None:
    study = study_of(tmp_path, BARE, plus([0.001] * 6))
    table = compare_cells(study, bootstrap=False)
    figure = draw_cells(study, table, "name", 0.002)
    spans = [[patch.get_x(), patch.get_width()] for patch in figure.axes[1].patches]
    assert spans == [pytest.approx([-0.002, 0.004])]
    assert not draw_cells(study, table, "name").axes[1].patches
    assert "shaded: ± 0.2 pp, the margin" in " ".join(text.get_text() for text in figure.texts)
