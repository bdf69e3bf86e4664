"""Cells summed up over seeds, by hand; and the t interval against SciPy's."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dropout_lab import results
from dropout_lab.analysis.tables import (
    MISSING,
    chosen_on_validation,
    describe_missing_runs,
    half_width,
    read_study,
    summarize_cells,
)
from dropout_lab.config.grid import Run, runs_of, sweep_cells
from dropout_lab.errors import StorageError
from dropout_lab.folder.manifest import add_runs, join_study, label_runs, new_manifest, notes
from dropout_lab.results import cell_text, csv_text, find_studies
from dropout_lab.training import RECORD_COLUMNS
from tests.conftest import make_config

METRIC_COLUMNS = RECORD_COLUMNS[RECORD_COLUMNS.index("noisy_train_loss") :]
AFTER = (
    "best_epoch",
    "best_validation_accuracy",
    "best_test_accuracy",
    "seconds",
    "examples_per_second",
    "message",
)


def made_study(
    folder: Path,
    *settings: str,
    accuracies: list[float],
    statuses: list[str] | None = None,
    seeds: int = 2,
    epochs: int = 2,
    file: Path | None = None,
) -> Path:
    """Write a study's folder by hand, run for run with the test accuracies given."""
    config = make_config(*settings, sweep=True, file=file)
    made = sweep_cells(config)
    runs = runs_of(made, tuple(range(seeds)))
    assert len(runs) == len(accuracies)
    manifest = new_manifest(folder.name, "", config)
    join_study(manifest, config, made, folder)
    add_runs(manifest, [(run,) for run in runs])
    label_runs(manifest, runs)
    manifest |= notes(config)
    folder.mkdir(parents=True)
    (folder / results.MANIFEST).write_text(json.dumps(manifest))
    swept = manifest["swept"]
    statuses = statuses or ["completed"] * len(runs)

    def leading(run: Run) -> list[str]:
        return [str(run.seed), *(cell_text(run.cell.values.get(key)) for key in swept)]

    metrics, summary = [["run_id", "seed", *swept, *RECORD_COLUMNS]], []
    for run, accuracy, status in zip(runs, accuracies, statuses, strict=True):
        values = dict.fromkeys(METRIC_COLUMNS, 0.5)
        values |= {
            "test_accuracy": accuracy,
            "validation_accuracy": accuracy - 0.01,
            "train_accuracy": 0.99,
        }
        values |= {"accuracy_gap": 0.99 - accuracy}
        texts = [cell_text(values[column]) for column in METRIC_COLUMNS]
        for epoch in range(1, epochs + 1):
            metrics.append(
                [run.run_id, *leading(run), str(epoch), "8", "1.0", "0.1", "0.5", *texts]
            )
        summary.append(
            [
                run.run_id,
                status,
                *leading(run),
                "2",
                "16",
                *texts,
                "2",
                "0.9",
                "0.9",
                "1.0",
                "100.0",
                "",
            ]
        )
    header = [
        "run_id",
        "status",
        "seed",
        *swept,
        "epochs",
        "updates",
        *METRIC_COLUMNS,
        *AFTER,
    ]
    (folder / results.METRICS).write_text(csv_text(metrics))
    (folder / results.RUNS).write_text(csv_text([header, *summary]))
    return folder


def test_a_cell_by_hand(tmp_path: Path) -> None:
    """Without: 0.90, 0.92; with: 0.93, 0.94. Differences 0.03 and 0.02: mean 0.025.

    Their s.d. is 0.01 / sqrt(2), so the standard error 0.005, and t(0.975, 1) = 12.7062.
    """
    path = made_study(tmp_path / "s", "dropout.p=0,0.5", accuracies=[0.90, 0.92, 0.93, 0.94])
    table = summarize_cells(read_study(path))
    bare, dropped = table.iloc[0], table.iloc[1]
    assert (bool(bare["is_baseline"]), bool(dropped["is_baseline"])) == (True, False)
    assert (bare["seeds"], dropped["pairs"]) == (2, 2)
    assert bare["test_accuracy_mean"] == pytest.approx(0.91)
    assert bare["test_accuracy_sd"] == pytest.approx(0.02 / math.sqrt(2))
    assert dropped["accuracy_gap_mean"] == pytest.approx(0.055)
    assert dropped["difference_mean"] == pytest.approx(0.025)
    assert dropped["difference_half"] == pytest.approx(0.005 * 12.7062, rel=1e-5)
    assert math.isnan(bare["difference_mean"])


def test_pairs_are_of_one_seed_and_otherwise_equal_settings(tmp_path: Path) -> None:
    """Two rates: each dropped cell is compared with the run without dropout of its own rate."""
    path = made_study(
        tmp_path / "s", "training.learning_rate=0.1,0.2", "dropout.p=0,0.5",
        accuracies=[0.5, 0.6, 0.7, 0.8, 0.51, 0.62, 0.73, 0.84],
    )  # fmt: skip
    table = summarize_cells(read_study(path)).set_index(["dropout.p", "training.learning_rate"])
    assert table.loc[(0.5, 0.1), "difference_mean"] == pytest.approx(0.015)
    assert table.loc[(0.5, 0.2), "difference_mean"] == pytest.approx(0.035)


def test_runs_that_did_not_complete_are_counted_apart(tmp_path: Path) -> None:
    path = made_study(
        tmp_path / "s", "dropout.p=0,0.5", accuracies=[0.9, 0.92, 0.93, 0.1],
        statuses=["completed", "completed", "completed", "diverged"],
    )  # fmt: skip
    dropped = summarize_cells(read_study(path)).iloc[1]
    assert (dropped["seeds"], dropped["others"], dropped["pairs"]) == (1, 1, 1)
    assert dropped["test_accuracy_mean"] == pytest.approx(0.93)
    assert math.isnan(dropped["difference_half"])  # one pair has no interval


def test_the_cell_is_chosen_on_validation_among_those_with_dropout(tmp_path: Path) -> None:
    path = made_study(
        tmp_path / "s", "dropout.p=0,0.25,0.5", accuracies=[0.99, 0.99, 0.93, 0.93, 0.95, 0.95]
    )
    chosen = chosen_on_validation(summarize_cells(read_study(path)))
    assert chosen is not None
    assert chosen["dropout.p"] == 0.5


def test_values_without_meaning_are_missing_not_lost(tmp_path: Path) -> None:
    path = made_study(
        tmp_path / "s", "dropout.placement=input,[0,1]", "dropout.p=0,0.5",
        accuracies=[0.9, 0.9, 0.91, 0.91, 0.92, 0.92],
    )  # fmt: skip
    table = summarize_cells(read_study(path))
    assert len(table) == 3
    assert table["dropout.placement"].isna().sum() == 1
    assert table["dropout.placement"].tolist()[2] == "[0, 1]"
    assert table["seeds"].tolist() == [2, 2, 2]


@pytest.mark.parametrize("values", [[0.1, 0.4], [1.0, 2.0, 4.0, 8.0], list(np.linspace(0, 1, 30))])
def test_the_interval_is_scipys(values: list[float]) -> None:
    array = np.array(values)
    low, high = stats.t.interval(0.95, len(array) - 1, array.mean(), stats.sem(array))
    assert half_width(array) == pytest.approx((high - low) / 2, rel=1e-10)


def test_one_value_has_no_interval_and_equal_values_one_of_no_width() -> None:
    assert math.isnan(half_width(np.array([0.9])))
    assert half_width(np.array([0.9, 0.9, 0.9])) == 0


def test_every_csv_opens_as_it_is(tmp_path: Path) -> None:
    path = made_study(tmp_path / "s", "dropout.p=0,0.5", accuracies=[0.9, 0.92, 0.93, 0.94])
    frame = pd.read_csv(path / results.METRICS)
    assert frame["test_accuracy"].dtype == float
    assert len(frame) == 8


def test_what_is_no_study_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"is not the folder of a study"):
        read_study(tmp_path)
    with pytest.raises(StorageError, match="holds no study"):
        find_studies(tmp_path)
    with pytest.raises(StorageError, match="is not a folder"):
        find_studies(tmp_path / "absent")
    path = made_study(tmp_path / "s", "dropout.p=0,0.5", accuracies=[0.9, 0.92, 0.93, 0.94])
    header = (path / results.RUNS).read_text().splitlines()[0]
    (path / results.RUNS).write_text(header + "\n")
    with pytest.raises(StorageError, match="has no finished run yet"):
        read_study(path)


def spoiled(path: Path, name: str, row: int, column: str, value: str) -> Path:
    """Put a value into a table."""
    lines = [line.split(",") for line in (path / name).read_text().splitlines()]
    lines[1 + row][lines[0].index(column)] = value
    (path / name).write_text("\n".join(",".join(line) for line in lines) + "\n")
    return path


@pytest.mark.parametrize("name", [results.METRICS, results.RUNS])
def test_a_run_with_a_damaged_row_is_left_out_and_named(tmp_path: Path, name: str) -> None:
    path = made_study(tmp_path / "s", "dropout.p=0,0.5", accuracies=[0.9, 0.92, 0.93, 0.94])
    spoiled(path, name, 0, "test_accuracy", "0.9x")
    whole = read_study(path)
    (run_id,) = whole.runs.loc[whole.runs["status"] == MISSING, "run_id"]
    assert run_id not in set(whole.metrics["run_id"])
    assert len(whole.runs) == 4
    first, second = whole.damage
    assert f"line 2 (run {run_id}) has '0.9x' in the column test_accuracy" in first
    assert f"left out are runs with a damaged row: {run_id}" in second
    assert summarize_cells(whole)["seeds"].tolist() == [1, 2]
    assert summarize_cells(whole)["missing"].tolist() == [1, 0]
    assert describe_missing_runs(whole) == "incomplete: 1 of 4 runs is missing"


def test_swept_values_are_those_of_the_manifest(tmp_path: Path) -> None:
    path = made_study(tmp_path / "s", "dropout.p=0,0.5", accuracies=[0.9, 0.92, 0.93, 0.94])
    spoiled(spoiled(path, results.RUNS, 0, "dropout.p", "O.0"), results.RUNS, 1, "seed", "")
    study = read_study(path)
    assert study.damage == ()
    assert study.runs["dropout.p"].tolist() == [0.0, 0.0, 0.5, 0.5]
    assert study.runs["seed"].tolist() == [0, 1, 0, 1]


def test_a_torn_last_row_is_what_a_kill_leaves_and_not_told(tmp_path: Path) -> None:
    path = made_study(tmp_path / "s", "dropout.p=0,0.5", accuracies=[0.9, 0.92, 0.93, 0.94])
    (path / results.METRICS).write_text((path / results.METRICS).read_text()[:-9])
    study = read_study(path)
    assert (study.damage, len(study.metrics), len(study.runs)) == ((), 7, 4)


def test_not_finite_values_are_numbers(tmp_path: Path) -> None:
    path = made_study(tmp_path / "s", "dropout.p=0,0.5", accuracies=[0.9, 0.92, 0.93, 0.94])
    spoiled(spoiled(path, results.METRICS, 0, "test_loss", "nan"), results.METRICS, 1, "p", "inf")
    study = read_study(path)
    assert study.damage == ()
    assert math.isnan(study.metrics["test_loss"][0])
    assert study.metrics["test_loss"].dtype == float


def test_a_study_that_was_just_extended_is_read(tmp_path: Path) -> None:
    """Killed after its manifest names a new swept key, before the tables have the column."""
    path = made_study(tmp_path / "s", "dropout.p=0,0.5", accuracies=[0.9, 0.92, 0.93, 0.94])
    manifest = json.loads((path / results.MANIFEST).read_text())
    manifest["swept"].append("training.learning_rate")
    (path / results.MANIFEST).write_text(json.dumps(manifest))
    assert set(read_study(path).runs["training.learning_rate"]) == {0.05}
    assert len(summarize_cells(read_study(path))) == 2
