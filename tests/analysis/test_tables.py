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
    chosen_on_validation,
    describe_missing_runs,
    half_width,
    read_study,
    summarize_cells,
)
from dropout_lab.config.grid import runs_of, sweep_cells
from dropout_lab.config.sizes import training_examples, training_length
from dropout_lab.datasets import DATASETS
from dropout_lab.errors import DamageError, StorageError
from dropout_lab.folder.manifest import (
    add_runs,
    join_study,
    label_runs,
    new_manifest,
    record_config,
)
from dropout_lab.folder.run_summary import RunEnd, summary
from dropout_lab.results import Row, cell_text, find_studies, table_text
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
    config = make_config(*settings, sweep=True, file=file, epochs=epochs)
    made = sweep_cells(config)
    runs = runs_of(made, tuple(range(seeds)))
    assert len(runs) == len(accuracies)
    manifest = new_manifest(config)
    manifest.name = folder.name
    del manifest.settings["evaluation"]["inference"]  # as of before there was inference.csv
    manifest.settings_digest = results.digest(manifest.settings)
    join_study(manifest, config, made, folder)
    add_runs(manifest, [(run,) for run in runs])
    label_runs(manifest, runs)
    record_config(manifest, config)
    folder.mkdir(parents=True)
    (folder / results.MANIFEST).write_text(json.dumps(manifest.to_json()))
    swept = manifest.swept
    statuses = statuses or ["completed"] * len(runs)
    metrics: list[Row] = []
    ends = []
    for run, accuracy, status in zip(runs, accuracies, statuses, strict=True):
        values: dict[str, object] = dict.fromkeys(METRIC_COLUMNS, 0.5123456789012345)
        values |= {"test_errors": 7}
        values |= {
            "test_accuracy": accuracy,
            "validation_accuracy": accuracy - 0.01,
            "train_accuracy": 0.99,
            "accuracy_gap": 0.99 - accuracy,
            "loss_gap": 0.0,
            "test_errors": round((1 - accuracy) * DATASETS[run.settings.dataset.name].test),
        }
        swept_values = {key: run.cell.values.get(key) for key in swept}
        values |= {"seed": run.seed, **swept_values, "updates": 8}
        values |= {"seconds": 1.0, "learning_rate": 0.1, "p": 0.5}
        texts = {name: cell_text(value) for name, value in values.items()}
        last, _ = training_length(run.settings, training_examples(run.settings))
        own = [{"run_id": run.run_id, **texts, "epoch": str(e)} for e in range(1, last + 1)]
        metrics += own
        end = RunEnd(run, status, epochs=last, updates=8, examples=100, seconds=1.0)
        ends.append({**texts, **summary(end, own, METRIC_COLUMNS)})
    columns = ["run_id", "seed", *swept, *RECORD_COLUMNS]
    header = ["run_id", "status", "seed", *swept, "epochs", "updates", *METRIC_COLUMNS, *AFTER]
    (folder / results.METRICS).write_text(table_text(columns, metrics))
    (folder / results.RUNS).write_text(table_text(header, ends))
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


def test_keys_of_listed_cells_that_no_run_varied_name_no_cell(tmp_path: Path) -> None:
    """As after train with a config whose sweep lists cells."""
    path = made_study(tmp_path / "s", "dropout.p=0.5", accuracies=[0.9] * 4)
    manifest = json.loads((path / results.MANIFEST).read_text()) | {"labelled": ["model.hidden"]}
    (path / results.MANIFEST).write_text(json.dumps(manifest))
    assert summarize_cells(read_study(path))["label"].tolist() == [None, None]


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
def test_a_study_with_a_damaged_row_is_refused_and_the_row_named(tmp_path: Path, name: str) -> None:
    path = made_study(tmp_path / "s", "dropout.p=0,0.5", accuracies=[0.9, 0.92, 0.93, 0.94])
    spoiled(path, name, 0, "test_accuracy", "0.9x")
    with pytest.raises(DamageError) as refused:
        read_study(path)
    assert f"{path / name}: line 2 (run " in str(refused.value)
    assert "has '0.9x' in the column test_accuracy" in str(refused.value)
    assert f"dropout-lab doctor {path} --fix" in str(refused.value)
    assert refused.value.exit_status == 1


@pytest.mark.parametrize("value", ["0.9999", "0.91"])
def test_a_study_with_a_changed_number_is_refused(tmp_path: Path, value: str) -> None:
    path = made_study(tmp_path / "s", "dropout.p=0,0.5", accuracies=[0.9, 0.92, 0.93, 0.94])
    spoiled(path, results.RUNS, 0, "test_accuracy", value)
    with pytest.raises(DamageError, match=f"test_accuracy is {value}, and metrics.csv makes it 0."):
        read_study(path)


def test_swept_values_are_those_of_the_manifest(tmp_path: Path) -> None:
    path = made_study(tmp_path / "s", "dropout.p=0,0.5", accuracies=[0.9, 0.92, 0.93, 0.94])
    spoiled(spoiled(path, results.RUNS, 0, "dropout.p", "O.0"), results.RUNS, 1, "seed", "")
    study = read_study(path)
    assert study.damage == ()
    assert study.runs["dropout.p"].tolist() == [0.0, 0.0, 0.5, 0.5]
    assert study.runs["seed"].tolist() == [0, 1, 0, 1]


def test_a_torn_last_row_is_what_a_kill_leaves_and_not_told(tmp_path: Path) -> None:
    path = made_study(tmp_path / "s", "dropout.p=0,0.5", accuracies=[0.9, 0.92, 0.93, 0.94])
    lines = (path / results.RUNS).read_text().splitlines(keepends=True)
    (path / results.RUNS).write_text("".join(lines[:-1]))  # the last run is not done
    (path / results.METRICS).write_text((path / results.METRICS).read_text()[:-9])
    study = read_study(path)
    assert (study.damage, len(study.metrics), len(study.runs)) == ((), 7, 4)
    assert describe_missing_runs(study) == "incomplete: 1 of 4 runs is missing"


def test_not_finite_values_are_numbers(tmp_path: Path) -> None:
    path = made_study(tmp_path / "s", "dropout.p=0,0.5", accuracies=[0.9, 0.92, 0.93, 0.94])
    spoiled(
        spoiled(path, results.METRICS, 0, "test_macro_f1", "nan"), results.METRICS, 0, "p", "inf"
    )
    study = read_study(path)
    assert study.damage == ()
    assert math.isnan(study.metrics["test_macro_f1"][0])
    assert study.metrics["test_macro_f1"].dtype == float


def test_a_study_that_was_just_extended_is_read(tmp_path: Path) -> None:
    """Killed after its manifest names a new swept key, before the tables have the column."""
    path = made_study(tmp_path / "s", "dropout.p=0,0.5", accuracies=[0.9, 0.92, 0.93, 0.94])
    manifest = json.loads((path / results.MANIFEST).read_text())
    manifest["swept"].append("training.learning_rate")
    (path / results.MANIFEST).write_text(json.dumps(manifest))
    assert set(read_study(path).runs["training.learning_rate"]) == {0.05}
    assert len(summarize_cells(read_study(path))) == 2


def test_labels_over_keys_that_are_null_name_the_added_baselines(tmp_path: Path) -> None:
    file = tmp_path / "named.yaml"
    file.write_text(
        "dropout: {p: 0.5}\nsweep:\n  cells:\n"
        "    - {label: free, model.hidden: [8]}\n"
        "    - {label: bound, model.hidden: [8], regularization.max_norm: 2}\n"
        "    - {label: pieces, model.hidden: [4], model.activation: maxout, model.pieces: 2}\n"
    )
    study = read_study(made_study(tmp_path / "s", accuracies=[0.9] * 12, file=file))
    table = summarize_cells(study)
    named = {
        (label.text, baseline)
        for label, baseline in zip(table["label"], table["is_baseline"], strict=True)
    }
    assert named == {(name, bare) for name in ("free", "bound", "pieces") for bare in (True, False)}
