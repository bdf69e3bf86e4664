"""Cells against their references: by hand, at the limits, and in the words that may be used."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dropout_lab.analysis import statistics
from dropout_lab.analysis.mcnemar import compare_predictions
from dropout_lab.analysis.paired import (
    choose_on_validation,
    compare_cells,
    paired_differences,
)
from dropout_lab.analysis.statistics import min_seeds
from dropout_lab.analysis.tables import StudyTables, read_study, summarize_cells
from dropout_lab.analysis.verdicts import (
    BETTER,
    NO_PAIRS,
    UNDECIDED,
    WORSE,
    has_too_few_seeds,
)
from dropout_lab.errors import ConfigError, StorageError
from dropout_lab.results.predictions import PREDICTIONS
from tests.analysis.test_tables import made_study

BARE = [0.960, 0.962, 0.958, 0.961, 0.959, 0.963]
GAINS = [0.004, 0.006, 0.005, 0.003, 0.007, 0.005]


def study_of(folder: Path, *columns: list[float], p: str = "0,0.5", **rest: object) -> StudyTables:
    """Return a study with the given test accuracies of each cell, seed for seed."""
    accuracies = [round(float(value), 6) for column in columns for value in column]
    path = made_study(
        folder / "s", f"dropout.p={p}", accuracies=accuracies, seeds=len(columns[0]), **rest
    )
    return read_study(path)


def plus(gains: list[float]) -> list[float]:
    return [a + b for a, b in zip(BARE, gains, strict=True)]


def test_a_comparison_by_hand(tmp_path: Path) -> None:
    """Gains in thousandths 4, 6, 5, 3, 7, 5: mean 5, s.d. sqrt(10 / 5), t(0.975, 5) = 2.5706.

    All six are positive, so the p-value is 2 / 64. J(5) = gamma(2.5) / (sqrt(2.5) gamma(2)) =
    0.840749. For 0.1 points d = 1 / sqrt(2), which takes 18 pairs.
    """
    row = compare_cells(study_of(tmp_path, BARE, plus(GAINS))).iloc[1]
    s = 0.001 * math.sqrt(2)
    half = 2.570582 * s / math.sqrt(6)
    assert (row["pairs"], row["reference"]) == (6, 0)
    assert row["difference_mean"] == pytest.approx(0.005)
    assert row["difference_sd"] == pytest.approx(s)
    assert row["difference_half"] == pytest.approx(half, rel=1e-6)
    assert row["difference_low"] == pytest.approx(0.005 - half, rel=1e-6)
    assert row["difference_high"] == pytest.approx(0.005 + half, rel=1e-6)
    assert (
        0.0035 < row["difference_bca_low"] < 0.0045 < 0.0055 < row["difference_bca_high"] < 0.0065
    )
    assert row["p_value"] == row["p_holm"] == row["smallest_p"] == 2 / 64
    assert row["effect_size"] == pytest.approx(0.840749 * 5 / math.sqrt(2), rel=1e-5)
    assert row["seeds_needed"] == 18
    assert row["verdict"] == BETTER
    assert math.isnan(row["seeds_to_decide"])
    worse = compare_cells(study_of(tmp_path / "worse", plus(GAINS), BARE)).iloc[1]
    assert (worse["difference_mean"], worse["verdict"]) == (pytest.approx(-0.005), WORSE)
    accuracy = np.array(plus(GAINS))
    interval = statistics.t_interval(accuracy)
    assert (row["test_accuracy_low"], row["test_accuracy_high"]) == pytest.approx(interval)
    bootstrap = statistics.bca_interval(accuracy)
    assert (row["test_accuracy_bca_low"], row["test_accuracy_bca_high"]) == pytest.approx(bootstrap)


def test_the_table_is_that_of_the_cells_and_more(tmp_path: Path) -> None:
    study = study_of(tmp_path, BARE, plus(GAINS), plus([0.0] * 6), p="0,0.25,0.5")
    plain, whole = summarize_cells(study), compare_cells(study)
    assert set(plain) <= set(whole)
    for name in plain:
        known = plain[name].to_numpy(dtype=np.float64)
        np.testing.assert_allclose(whole[name].to_numpy(dtype=np.float64), known, 1e-12, 1e-15)


def test_the_word_significant_takes_six_pairs(tmp_path: Path) -> None:
    """Five differences that all agree, and closely, are still too few."""
    for n, verdict, few in ((1, UNDECIDED, True), (5, UNDECIDED, True), (6, BETTER, False)):
        table = compare_cells(study_of(tmp_path / str(n), BARE[:n], plus(GAINS)[:n]))
        assert table["verdict"].tolist() == [NO_PAIRS, verdict]
        assert table.apply(has_too_few_seeds, axis=1).tolist() == [False, few]


def test_the_word_takes_the_interval_and_the_corrected_test(tmp_path: Path) -> None:
    one_back = [0.004, 0.006, 0.005, 0.003, 0.007, -0.0005]  # the interval excludes 0, flips do not
    row = compare_cells(study_of(tmp_path / "a", BARE, plus(one_back))).iloc[1]
    assert (row["p_holm"], row["verdict"]) == (4 / 64, UNDECIDED)
    assert row["difference_low"] > 0
    one_far = [0.0001, 0.0001, 0.0002, 0.0001, 0.0002, 0.03]  # all agree, the interval holds 0
    row = compare_cells(study_of(tmp_path / "b", BARE, plus(one_far))).iloc[1]
    assert (row["p_holm"], row["verdict"]) == (2 / 64, UNDECIDED)
    assert row["difference_low"] < 0


def test_six_seeds_are_too_few_for_two_comparisons(tmp_path: Path) -> None:
    """Holm's correction doubles the smallest p-value, 1 / 32, and 1 / 16 is too large.

    The two cells with dropout may be compared as well, which takes 5 % of the error rate.
    """
    study = study_of(tmp_path, BARE, plus(GAINS), plus(GAINS), p="0,0.25,0.5")
    table = compare_cells(study)
    assert table["verdict"].tolist() == [NO_PAIRS, UNDECIDED, UNDECIDED]
    assert table.apply(has_too_few_seeds, axis=1).tolist() == [False, True, True]
    for name in ("p_holm", "smallest_p_holm"):
        assert table[name].tolist()[1:] == pytest.approx([1 / 16 / 0.95] * 2)
    assert table["seeds_needed"][1] > 18  # at the level that the correction leaves


def test_how_many_seeds_can_show_anything() -> None:
    """With m tests m 2 / 2^n must lie below 0.05 times 0.95: by hand."""
    assert [min_seeds(m) for m in (1, 2, 3, 4, 9, 21, 24, 25)] == [6, 7, 7, 8, 9, 10, 10, 11]


def test_equal_runs_are_not_significant_and_need_no_warning(tmp_path: Path) -> None:
    row = compare_cells(study_of(tmp_path, BARE, BARE)).iloc[1]
    assert (row["difference_mean"], row["difference_sd"]) == (0, 0)
    assert (row["difference_low"], row["difference_high"]) == (0, 0)
    assert (row["p_value"], row["effect_size"]) == (1, 0)
    assert (row["seeds_needed"], row["verdict"]) == (6, UNDECIDED)


def test_one_seed_has_a_difference_and_no_interval(tmp_path: Path) -> None:
    row = compare_cells(study_of(tmp_path, [0.9], [0.92])).iloc[1]
    assert (row["pairs"], row["p_value"], row["verdict"]) == (1, 1, UNDECIDED)
    assert row["difference_mean"] == pytest.approx(0.02)
    for name in ("difference_low", "difference_bca_high", "effect_size", "seeds_needed"):
        assert math.isnan(row[name])


def test_runs_that_did_not_complete_are_in_no_pair(tmp_path: Path) -> None:
    statuses = ["completed"] * 6 + ["completed", "diverged", "failed", "completed", "completed"]
    study = study_of(tmp_path, BARE, plus(GAINS), statuses=[*statuses, "interrupted"])
    row = compare_cells(study).iloc[1]
    assert (row["pairs"], row["others"], row["verdict"]) == (3, 3, UNDECIDED)
    assert row["difference_mean"] == pytest.approx(0.014 / 3)


def test_without_a_seed_in_common_there_are_no_pairs(tmp_path: Path) -> None:
    statuses = ["completed", "failed", "failed", "completed"]
    table = compare_cells(study_of(tmp_path, [0.9, 0.9], [0.91, 0.91], statuses=statuses))
    assert table["verdict"].tolist() == [NO_PAIRS, NO_PAIRS]
    assert table["reference"][1] == 0


def test_every_rate_has_its_own_reference(tmp_path: Path) -> None:
    path = made_study(
        tmp_path / "s", "training.learning_rate=0.1,0.2", "dropout.p=0,0.5",
        accuracies=[0.5, 0.6, 0.7, 0.8, 0.51, 0.62, 0.73, 0.84],
    )  # fmt: skip
    table = compare_cells(read_study(path))
    for _, row in table[~table["is_baseline"]].iterrows():
        reference = table.loc[row["reference"]]
        assert reference["is_baseline"]
        assert reference["training.learning_rate"] == row["training.learning_rate"]
    assert sorted(table["difference_mean"].dropna()) == pytest.approx([0.015, 0.035])


def test_another_reference_may_be_named(tmp_path: Path) -> None:
    study = study_of(tmp_path, BARE, plus(GAINS), plus([0.0] * 6), p="0,0.25,0.5")
    for value in (0.25, "0.25"):
        table = compare_cells(study, {"dropout.p": value})
        assert table["reference"].isna().tolist() == [False, True, False]
        assert table["difference_mean"].dropna().tolist() == pytest.approx([-0.005, -0.005])
    default, named = compare_cells(study), compare_cells(study, {"dropout.p": 0})
    assert named.equals(default)


def test_a_named_reference_is_equal_in_all_other_keys(tmp_path: Path) -> None:
    path = made_study(
        tmp_path / "s", "dropout.variant=inverted,gaussian", "dropout.p=0.25,0.5",
        accuracies=[0.90, 0.90, 0.91, 0.91, 0.93, 0.93, 0.96, 0.96, 0.95, 0.95],
    )  # fmt: skip
    table = compare_cells(read_study(path), {"dropout.p": 0.25})
    for _, row in table.iterrows():
        if not row["is_baseline"] and row["dropout.p"] == 0.5:
            reference = table.loc[row["reference"]]
            assert reference["dropout.variant"] == row["dropout.variant"]
            assert reference["dropout.p"] == 0.25
        else:
            assert row["verdict"] == NO_PAIRS
    bare = compare_cells(read_study(path), {"dropout.variant": "none"})
    assert bare.equals(compare_cells(read_study(path)))


def test_dropout_is_no_difference_to_a_reference_of_another_key(tmp_path: Path) -> None:
    """A cell of p = 0.5 alone is not compared with the decay alone: that is two changes."""
    path = made_study(
        tmp_path / "s", "dropout.p=0,0.5", "regularization.l2=0,0.001", accuracies=[0.9, 0.91] * 4
    )
    whole = read_study(path)
    both = (whole.runs["dropout.p"] == 0.5) & (whole.runs["regularization.l2"] == 0.001)
    study = dataclasses.replace(whole, runs=whole.runs[~both])
    table = compare_cells(study, {"regularization.l2": 0.001})
    assert table.loc[table["dropout.p"] == 0.5, "verdict"].tolist() == [NO_PAIRS]
    assert table["pairs"].tolist() == [2, 0, 0]
    without = compare_cells(study, {"regularization.l2": 0.001, "dropout.p": 0})
    assert without["pairs"].tolist() == [2, 0, 2]


def test_a_reference_that_is_not_there_is_refused_with_what_there_is(tmp_path: Path) -> None:
    study = study_of(tmp_path, BARE, plus(GAINS))
    with pytest.raises(ConfigError) as refusal:
        compare_cells(study, {"dropout.p": 0.3, "model.hidden": 5})
    first, second, _ = str(refusal.value).splitlines()
    assert first == "against dropout.p = 0.3: no cell has it; there are: 0, 0.5."
    assert second == "against model.hidden: it was not swept here; swept: dropout.p."


def test_values_that_no_cell_has_at_once_are_refused(tmp_path: Path) -> None:
    path = made_study(
        tmp_path / "s", "dropout.variant=inverted,gaussian", "dropout.p=0.25,0.5",
        accuracies=[0.9] * 10,
    )  # fmt: skip
    with pytest.raises(ConfigError, match="no cell has all of these"):
        compare_cells(read_study(path), {"dropout.variant": "gaussian", "dropout.p": 0})


def test_validation_chooses_and_the_test_part_is_told_beside(tmp_path: Path) -> None:
    """Validation accuracy is test accuracy less 0.01 in such a study, so the two agree."""
    study = study_of(tmp_path, BARE, plus(GAINS), plus([0.001] * 6), p="0,0.25,0.5")
    found = choose_on_validation(study, compare_cells(study))
    assert found is not None
    assert found.chosen["dropout.p"] == found.best_on_test["dropout.p"] == 0.25
    assert found.optimism.seeds == 6
    assert abs(found.optimism.value) < 1e-4


def test_the_choice_is_by_validation_where_the_two_disagree(tmp_path: Path) -> None:
    study = study_of(tmp_path, BARE, plus(GAINS), plus([0.004] * 6), p="0,0.25,0.5")
    table = compare_cells(study)
    table.loc[2, "validation_accuracy_mean"] = 0.99
    found = choose_on_validation(study, table)
    assert found is not None
    assert (found.chosen["dropout.p"], found.best_on_test["dropout.p"]) == (0.5, 0.25)
    values = np.array([plus(GAINS), plus([0.004] * 6)]).T.round(6)
    assert found.optimism == statistics.selection_optimism(values)
    assert found.optimism.value > 0
    table["validation_accuracy_mean"] = math.nan
    assert choose_on_validation(study, table) is None


def keep_predictions(study: StudyTables, right: list[list[bool]]) -> list[str]:
    """Give the first runs predictions that are right or wrong as said; return their ids."""
    run_ids = study.runs["run_id"].tolist()[: len(right)]
    labels = np.arange(len(right[0]), dtype=np.uint8) % 10
    for run_id, row in zip(run_ids, right, strict=True):
        predicted = np.where(row, labels, (labels + 1) % 10)
        log_probabilities = np.log(np.full((len(labels), 10), 0.02, np.float32))
        log_probabilities[np.arange(len(labels)), predicted] = math.log(0.82)
        folder = study.path / "runs" / run_id
        folder.mkdir(parents=True)
        np.savez(
            folder / PREDICTIONS, log_probabilities=log_probabilities, labels=labels, run_id=run_id
        )
    return run_ids


def test_two_runs_are_compared_by_their_predictions(tmp_path: Path) -> None:
    """Of 20 images 9 fall to the second alone, 1 to the first, 10 to both: 22 / 1,024."""
    study = study_of(tmp_path, [0.9, 0.9], [0.9, 0.9])
    first, second = keep_predictions(
        study, [[True] * 11 + [False] * 9, [True] * 10 + [False] + [True] * 9]
    )
    found = compare_predictions(study, first, second)
    assert (found.examples, found.only_first, found.only_second) == (20, 1, 9)
    assert found.p_value == pytest.approx(22 / 1024)
    assert compare_predictions(study, first, first).p_value == 1


def test_runs_without_predictions_are_refused_with_what_keeps_them(tmp_path: Path) -> None:
    study = study_of(tmp_path, [0.9, 0.9], [0.9, 0.9])
    one, other = study.runs["run_id"].tolist()[:2]
    with pytest.raises(StorageError, match="kept no predictions"):
        compare_predictions(study, one, other)
    with pytest.raises(ConfigError, match="has no run 000000000000"):
        compare_predictions(study, one, "000000000000")
    folder = study.path / "runs" / one
    folder.mkdir(parents=True)
    (folder / PREDICTIONS).write_bytes(b"torn")
    with pytest.raises(StorageError, match="cannot be loaded"):
        compare_predictions(study, one, other)


def test_runs_of_different_test_parts_are_not_compared(tmp_path: Path) -> None:
    study = study_of(tmp_path, [0.9, 0.9], [0.9, 0.9])
    (first,) = keep_predictions(study, [[True] * 20])
    second = study.runs["run_id"].tolist()[1]
    folder = study.path / "runs" / second
    folder.mkdir(parents=True)
    np.savez(
        folder / PREDICTIONS, log_probabilities=np.log(np.full((7, 10), 0.1)),
        labels=np.zeros(7, np.uint8), run_id=second,
    )  # fmt: skip
    with pytest.raises(ConfigError, match="different examples"):
        compare_predictions(study, first, second)


def test_differences_of_rounded_accuracies_are_equal_where_they_should_be() -> None:
    mine = pd.DataFrame({"test_accuracy": [0.94, 0.98, 0.5]}, index=[0, 1, 7])
    theirs = pd.DataFrame({"test_accuracy": [0.97, 0.93, 0.5]}, index=[1, 0, 8])
    assert paired_differences(mine, theirs).tolist() == [0.01, 0.01]


def test_a_cell_without_validation_is_not_chosen(tmp_path: Path) -> None:
    study = study_of(tmp_path, BARE, plus(GAINS), plus([0.0] * 6), p="0,0.25,0.5")
    table = compare_cells(study)
    table.loc[1, "validation_accuracy_mean"] = math.nan
    found = choose_on_validation(study, table)
    assert found is not None
    assert (found.chosen["dropout.p"], found.best_on_test["dropout.p"]) == (0.5, 0.25)


def test_a_key_that_the_reference_does_not_read_need_not_be_equal(tmp_path: Path) -> None:
    """The order of normalization and dropout has no meaning without either of them."""
    file = tmp_path / "c.yaml"
    file.write_text(
        "dataset: {train_size: 500, validation_size: 200}\n"
        "sweep:\n  baseline: false\n  cells:\n"
        "    - {dropout.variant: none}\n"
        "    - {dropout.p: 0.5}\n"
        "    - {dropout.variant: none, model.normalization: batch}\n"
        "    - {dropout.p: 0.5, model.normalization: batch}\n"
        "    - {dropout.p: 0.5, model.normalization: batch, model.normalization_position: after,"
        " model.normalization_order: after_dropout}\n"
        "    - {dropout.p: 0.2, dropout.variant: gaussian}\n"
    )
    path = made_study(tmp_path / "s", file=file, accuracies=[0.9, 0.91] * 6)
    study = read_study(path)
    table = compare_cells(study, {"dropout.variant": "none"})
    # the last cell with batch norm has another position, so it has no reference
    assert table["reference"].fillna(-1).astype(int).tolist() == [-1, 0, -1, 2, -1, 0]
    table = compare_cells(study, {"model.normalization": "none"})
    assert table["reference"].fillna(-1).astype(int).tolist() == [-1, -1, 0, 1, 1, -1]


def test_a_labelled_cell_may_be_the_reference_of_all_others(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(
        "dataset: {train_size: 500, validation_size: 200}\n"
        "sweep:\n  baseline: false\n  cells:\n"
        "    - {label: nothing, dropout.variant: none}\n"
        "    - {label: both, dropout.p: 0.5, regularization.max_norm: 3}\n"
        "    - {dropout.p: 0.2}\n"
    )
    path = made_study(tmp_path / "s", file=file, accuracies=[0.90, 0.92, 0.93, 0.97, 0.91, 0.93])
    study = read_study(path)
    table = compare_cells(study, {"label": "nothing"})
    assert table["reference"].fillna(-1).astype(int).tolist() == [-1, 0, 0]
    assert table["difference_mean"].tolist()[1:] == pytest.approx([0.04, 0.01])
    with pytest.raises(ConfigError, match="no cell has it; the labels are nothing, both"):
        compare_cells(study, {"label": "nought"})
    with pytest.raises(ConfigError, match="leave the other keys out"):
        compare_cells(study, {"label": "nothing", "dropout.p": 0.5})
