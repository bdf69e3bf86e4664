"""A study of the user's data keeps the promises that a study of MNIST keeps."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from dropout_lab.errors import StorageError
from dropout_lab.folder.doctor import examine
from dropout_lab.results import RUNS
from dropout_lab.results.predictions import read_predictions
from dropout_lab.study import Study
from dropout_lab.training import Fleet
from tests.conftest import make_runs
from tests.study.test_run import StopsAfter, assert_same_results, go, study
from tests.tables import write_table

SIZES = ("dataset.test_size=60", "dataset.validation_size=40", "dataset.train_size=null",
         "dataset.target=kind", "dataset.missing=mean", "training.batch_size=20")  # fmt: skip


def own(out: Path, table: Path, *settings: str, **changes: Any) -> Study:
    name = ("dataset.name=arrays", f"dataset.path={table}", *SIZES)
    return study(out, *name, *settings, **{"p": "0,0.25,0.5", "seeds": "2", **changes})


@pytest.mark.parametrize("epochs", [1, 3, 4])
def test_broken_off_and_resumed_is_the_undisturbed_study(epochs: int, tmp_path: Path) -> None:
    table = write_table(tmp_path / "t.csv")
    go(own(tmp_path / "undisturbed", table))
    with pytest.raises(KeyboardInterrupt):
        go(own(tmp_path / "s", table), StopsAfter(epochs))
    go(own(tmp_path / "s", table))
    assert_same_results(tmp_path / "s", tmp_path / "undisturbed")


def test_a_worker_gives_the_same_bits_and_a_fleet_of_one_the_same_numbers(tmp_path: Path) -> None:
    table = write_table(tmp_path / "t.csv")
    go(own(tmp_path / "s", table))
    go(own(tmp_path / "worker", table, workers=1))
    assert_same_results(tmp_path / "s", tmp_path / "worker")
    go(own(tmp_path / "alone", table, fleet_size=1))
    left, right = (pd.read_csv(tmp_path / name / RUNS) for name in ("s", "alone"))
    columns = ["run_id", "test_accuracy", "test_loss"]
    pd.testing.assert_frame_equal(
        left[columns].sort_values("run_id", ignore_index=True),
        right[columns].sort_values("run_id", ignore_index=True),
        rtol=1e-4,
    )


def test_runs_of_a_seed_begin_with_the_same_weights(tmp_path: Path) -> None:
    table = write_table(tmp_path / "t.csv")
    name = ("dataset.name=arrays", f"dataset.path={table}", *SIZES)
    with_dropout, without = (
        Fleet(make_runs(*name, f"dropout.variant={variant}"), torch.device("cpu")).model
        for variant in ("inverted", "none")
    )
    assert with_dropout.weights[0].shape == (1, 6, 16)  # a to d, color blue, color red
    for one, other in zip(with_dropout.parameters(), without.parameters(), strict=True):
        assert torch.equal(one, other)


def test_everything_is_measured_kept_and_repaired(tmp_path: Path) -> None:
    table, out = write_table(tmp_path / "t.csv"), tmp_path / "s"
    settings = (
        "evaluation.at_end=[histograms,reliability,predictions]",
        "evaluation.inference=[monte_carlo,ensemble]", "evaluation.samples=2",
        "evaluation.diagnostics=[activations,co_adaptation,gradients,noise]",
    )  # fmt: skip
    go(own(out, table, *settings, p="0.25"))
    runs = pd.read_csv(out / RUNS)
    assert set(runs["status"]) == {"completed"}
    assert runs["test_accuracy"].min() > 0.5
    assert not [finding for finding in examine(out) if finding.damaged]
    (out / "runs" / runs["run_id"][0] / "predictions.npz").write_bytes(b"torn")
    go(own(out, table, *settings, p="0.25"))
    assert read_predictions(out / "runs" / runs["run_id"][0] / "predictions.npz") is not None


def test_more_than_256_classes(tmp_path: Path) -> None:
    table, out = write_table(tmp_path / "t.csv", rows=2100, classes=300), tmp_path / "s"
    sizes = ("dataset.test_size=600", "dataset.validation_size=300")
    go(own(out, table, *sizes, "evaluation.at_end=predictions", p="0.25", seeds="1"))
    (run_id, *_) = pd.read_csv(out / RUNS)["run_id"]
    read = read_predictions(out / "runs" / run_id / "predictions.npz")
    assert read is not None
    assert read[1].max() == 299


def test_a_moved_file_is_the_same_study_and_a_changed_one_another(tmp_path: Path) -> None:
    table, out = write_table(tmp_path / "t.csv"), tmp_path / "s"
    go(own(out, table, seeds="1"))
    moved = table.rename(tmp_path / "moved.csv")
    outcome = go(own(out, moved, seeds="2"))
    assert outcome.count("completed") == 6
    assert outcome.finished == 3
    write_table(moved, rows=330)
    with pytest.raises(
        StorageError, match=r"another study; it differs in dataset.contents \(there 240 examples"
    ):
        go(own(out, moved, seeds="2"))


def test_the_manifest_names_the_classes(tmp_path: Path) -> None:
    table, out = write_table(tmp_path / "t.csv"), tmp_path / "s"
    go(own(out, table, seeds="1", p="0.25"))
    contents = json.loads((out / "manifest.json").read_text())["settings"]["dataset"]["contents"]
    assert contents["classes"] == ["kind 0", "kind 1", "kind 2"]
    assert (contents["train"], contents["test"], contents["shape"]) == (240, 60, [6])
