"""inference.csv, monte_carlo.csv and ensembles.csv: what is in them, and that it survives."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from dropout_lab.folder.doctor import examine
from dropout_lab.folder.study_folder import StudyFolder
from dropout_lab.results import DIGESTS
from dropout_lab.results.predictions import PREDICTIONS
from dropout_lab.study import fleet_runner as engine_module
from dropout_lab.study.final_measurements import ensembles
from tests.study.test_run import Silent, StopsAfter, assert_same_results, go, study

ASKED = (
    "evaluation.inference=[monte_carlo,geometric,ensemble]",
    "evaluation.samples=6",
    "evaluation.curve=4",
)
FILES = ("inference.csv", "monte_carlo.csv", "ensembles.csv")


def test_every_run_has_a_row_for_each_way_it_was_used(tmp_path: Path) -> None:
    go(study(tmp_path / "s", *ASKED, p="0.5", seeds="2"))
    table = pd.read_csv(tmp_path / "s" / "inference.csv")
    runs = pd.read_csv(tmp_path / "s" / "runs.csv").set_index("run_id")
    used = table.groupby("dropout.p")["inference"].apply(list).to_dict()
    assert used == {0.0: ["mean"] * 2, 0.5: ["mean", "monte_carlo", "geometric"] * 2}
    assert list(table.columns) == [
        "run_id", "seed", "dropout.p", "inference", "samples", "test_accuracy", "test_errors",
        "test_loss", "test_brier", "test_ece", "test_entropy", "test_mutual_information",
    ]  # fmt: skip
    mean = table[table["inference"] == "mean"].set_index("run_id")
    for column in ("test_accuracy", "test_errors", "test_loss"):
        np.testing.assert_allclose(mean[column], runs.loc[mean.index, column], rtol=1e-6)
    assert (table["test_mutual_information"].notna() == (table["inference"] == "monte_carlo")).all()
    assert (
        table["samples"].where(table["inference"] != "mean", 1).tolist()
        == table["samples"].tolist()
    )
    curve = pd.read_csv(tmp_path / "s" / "monte_carlo.csv")
    assert curve["samples"].tolist() == [1, 2, 3, 4] * 2
    assert set(curve["dropout.p"]) == {0.5}


def test_an_ensemble_is_the_average_of_its_members(tmp_path: Path) -> None:
    go(study(tmp_path / "s", *ASKED, p="0.5", seeds="3"))
    folder = tmp_path / "s"
    table = pd.read_csv(folder / "ensembles.csv")
    runs = pd.read_csv(folder / "runs.csv")
    assert table["dropout.p"].tolist() == [0.0, 0.5]
    assert table["seeds"].tolist() == [3, 3]
    for _, row in table.iterrows():
        members = runs[runs["dropout.p"] == row["dropout.p"]]["run_id"]
        probabilities = []
        for run_id in members:
            with np.load(folder / "runs" / run_id / PREDICTIONS) as file:
                probabilities.append(np.exp(file["log_probabilities"].astype(float)))
                labels = file["labels"]
        p = np.mean(probabilities, axis=0)
        assert row["test_accuracy"] == pytest.approx((p.argmax(axis=1) == labels).mean())
        of_label = p[np.arange(len(labels)), labels]
        assert row["test_loss"] == pytest.approx(-np.log(of_label).mean(), rel=1e-5)
        assert row["test_mutual_information"] > 0
        # By convexity an average has no higher loss than its members have on average.
        assert row["test_loss"] < runs[runs["dropout.p"] == row["dropout.p"]]["test_loss"].mean()


def test_more_seeds_make_a_larger_ensemble(tmp_path: Path) -> None:
    go(study(tmp_path / "s", *ASKED, p="0.5", seeds="2"))
    go(study(tmp_path / "s", *ASKED, p="0.5", seeds="3"))
    go(study(tmp_path / "whole", *ASKED, p="0.5", seeds="3"))
    ours, whole = (pd.read_csv(tmp_path / f / "ensembles.csv") for f in ("s", "whole"))
    assert ours["seeds"].tolist() == [3, 3]
    pd.testing.assert_frame_equal(ours, whole, rtol=1e-4)


DIAGNOSED = (*ASKED, "evaluation.diagnostics=[activations,co_adaptation,gradients]")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "s"
    go(study(out, *DIAGNOSED, p="0.5", seeds="2"))
    return out


@pytest.mark.parametrize("after", [2, 3, 5])
def test_broken_off_and_resumed_is_the_undisturbed_study(
    tmp_path: Path, undisturbed: Path, after: int
) -> None:
    """Also in the last epoch of a fleet, before its rows of runs.csv are there."""
    asked = study(tmp_path / "s", *DIAGNOSED, p="0.5", seeds="2")
    with pytest.raises(KeyboardInterrupt):
        go(asked, StopsAfter(after))
    go(asked)
    assert_same_results(undisturbed, tmp_path / "s")
    for name in FILES:
        assert (tmp_path / "s" / name).read_text() == (undisturbed / name).read_text()


def test_another_axis_gives_every_file_its_column(tmp_path: Path) -> None:
    go(study(tmp_path / "s", *ASKED, p="0.5", seeds="2"))
    go(study(tmp_path / "s", *ASKED, "dropout.variant=inverted,gaussian", p="0.5", seeds="2"))
    for name in FILES:
        table = pd.read_csv(tmp_path / "s" / name)
        assert {"dropout.p", "dropout.variant"} <= set(table.columns)
        assert set(table["dropout.variant"].dropna()) >= {"inverted", "gaussian"}


def test_damaged_predictions_are_made_again_and_lost_ones_shrink_no_ensemble(
    tmp_path: Path,
) -> None:
    asked = study(tmp_path / "s", *ASKED, p="0.5", seeds="3")
    go(asked)
    before = pd.read_csv(tmp_path / "s" / "ensembles.csv")
    damaged = sorted((tmp_path / "s" / "runs").iterdir())[0] / PREDICTIONS
    damaged.write_bytes(damaged.read_bytes()[:100])
    assert go(asked).trained == 1
    after = pd.read_csv(tmp_path / "s" / "ensembles.csv")
    pd.testing.assert_frame_equal(after, before, rtol=1e-5)  # trained alone: equal to rounding
    damaged.unlink()
    assert go(asked).trained == 0
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "s" / "ensembles.csv"), after)


def test_a_diverged_run_has_no_row(tmp_path: Path) -> None:
    asked = study(
        tmp_path / "s", *ASKED, "training.learning_rate=0.05,1e30", "dropout.p=0.5", seeds="2"
    )
    go(asked)
    table = pd.read_csv(tmp_path / "s" / "inference.csv")
    assert set(table["training.learning_rate"]) == {0.05}
    assert set(pd.read_csv(tmp_path / "s" / "ensembles.csv")["training.learning_rate"]) == {0.05}


def test_early_stopping_reports_the_epoch_it_gives_back(tmp_path: Path) -> None:
    """runs.csv, inference.csv and the kept weights are all of the best epoch by validation."""
    settings = ("training.epochs=30", "training.patience=2", "training.learning_rate=0.1")
    go(study(tmp_path / "s", *settings, p="0.5", seeds="2"))
    runs = pd.read_csv(tmp_path / "s" / "runs.csv")
    metrics = pd.read_csv(tmp_path / "s" / "metrics.csv")
    table = pd.read_csv(tmp_path / "s" / "inference.csv").set_index("run_id")
    for _, run in runs.iterrows():
        own = metrics[metrics["run_id"] == run["run_id"]]
        best = own.loc[own["validation_accuracy"].idxmax()]
        assert run["status"] == "completed"
        assert run["epochs"] == own["epoch"].max() == best["epoch"] + 2
        assert run["updates"] == own["updates"].max()
        assert run["best_epoch"] == best["epoch"]
        for column in ("test_accuracy", "test_loss", "validation_accuracy", "train_loss"):
            assert run[column] == best[column]
        assert table.loc[run["run_id"], "test_loss"] == pytest.approx(best["test_loss"], rel=1e-6)


def test_a_trained_network_is_the_average_and_its_record_too(tmp_path: Path) -> None:
    """Beside the same training without an average: other weights, from the same steps."""
    settings = ("training.average=none,last", "training.average_epochs=3", "training.epochs=4")
    go(study(tmp_path / "s", *settings, p="0.5", seeds="1", save_models=True))
    runs = pd.read_csv(tmp_path / "s" / "runs.csv").set_index("training.average")
    runs = runs[runs["dropout.p"] == 0.5]
    table = pd.read_csv(tmp_path / "s" / "inference.csv").set_index("run_id")
    first = {}
    for average, run in runs.iterrows():
        path = tmp_path / "s" / "runs" / run["run_id"] / "weights.pt"
        first[average] = torch.load(path, weights_only=True)["0.weight"]
        assert table.loc[run["run_id"], "test_loss"] == pytest.approx(run["test_loss"], rel=1e-6)
    assert runs["noisy_train_loss"].nunique() == 1
    assert runs["test_loss"].nunique() == 2
    assert not torch.equal(first["none"], first["last"])


def test_killed_before_its_status_a_stopped_fleet_has_its_rows_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All runs have stopped early, so the checkpoint is of their last epoch."""
    settings = (*ASKED, "training.epochs=30", "training.patience=2", "training.learning_rate=0.1")
    go(study(tmp_path / "whole", *settings, p="0.5", seeds="2"))
    asked = study(tmp_path / "s", *settings, p="0.5", seeds="2")

    def kill(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(engine_module, "_ends", kill)
    with pytest.raises(KeyboardInterrupt):
        go(asked)
    monkeypatch.undo()
    assert (tmp_path / "s" / "inference.csv").exists()
    go(asked)
    for name in FILES:
        assert (tmp_path / "s" / name).read_text() == (tmp_path / "whole" / name).read_text()


def test_only_completed_runs_are_in_an_ensemble(tmp_path: Path) -> None:
    go(study(tmp_path / "s", *ASKED, p="0.5", seeds="3"))
    path = tmp_path / "s" / "runs.csv"
    head, first, *rest = path.read_text().splitlines(keepends=True)
    path.write_text("".join([head, first.replace("completed", "failed"), *rest]))
    with StudyFolder(tmp_path / "s") as folder:
        assert [row["seeds"] for row in ensembles(folder)] == [2, 3]


def test_one_network_is_no_ensemble(tmp_path: Path) -> None:
    go(study(tmp_path / "s", *ASKED, p="0.5", seeds="1"))
    assert not (tmp_path / "s" / "ensembles.csv").exists()


def test_a_run_trained_again_has_no_row_until_it_is_done(tmp_path: Path) -> None:
    """Its records are lost; the other fleet's rows stay."""
    asked = study(tmp_path / "s", *ASKED, p="0.5", seeds="2")
    go(asked)
    metrics = tmp_path / "s" / "metrics.csv"
    head, *rows = metrics.read_text().splitlines(keepends=True)
    metrics.write_text("".join([head, *(row for row in rows if ",0.5," not in row)]))
    with pytest.raises(KeyboardInterrupt):
        go(asked, StopsAfter(1))
    assert set(pd.read_csv(tmp_path / "s" / "inference.csv")["dropout.p"]) == {0.0}


def test_a_file_whose_runs_are_all_trained_again_goes(tmp_path: Path) -> None:
    asked = study(tmp_path / "s", p="0", seeds="1")
    go(asked)
    metrics = tmp_path / "s" / "metrics.csv"
    metrics.write_text(metrics.read_text().splitlines(keepends=True)[0])
    with pytest.raises(KeyboardInterrupt):
        go(asked, StopsAfter(1))
    assert not (tmp_path / "s" / "inference.csv").exists()
    go(asked)
    assert len(pd.read_csv(tmp_path / "s" / "inference.csv")) == 1


def changed_predictions(folder: Path, **changes: object) -> Path:
    """Change arrays of the predictions of one run; return the file."""
    path = sorted(folder.rglob(PREDICTIONS))[0]
    with np.load(path) as file:
        arrays = dict(file)
    for name, change in changes.items():
        arrays[name] = change(arrays[name])
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("change", [lambda a: a[:7], lambda a: np.full_like(a, np.nan)])
def test_predictions_that_are_none_are_damage_and_no_part_of_an_ensemble(
    tmp_path: Path, change: Callable[[Any], Any]
) -> None:
    out = tmp_path / "s"
    asked = study(out, *ASKED, p="0.5", seeds="2")
    go(asked)
    before = pd.read_csv(out / "ensembles.csv")
    path = changed_predictions(out, log_probabilities=change)
    damaged = [finding for finding in examine(out) if finding.damaged]
    assert all(PREDICTIONS in f"{finding.path} {finding.words}" for finding in damaged)
    assert path in [finding.path for finding in damaged]
    assert go(asked).trained == 1
    pd.testing.assert_frame_equal(pd.read_csv(out / "ensembles.csv"), before)  # but for rounding


def test_of_predictions_with_different_labels_no_ensemble_is_made(tmp_path: Path) -> None:
    out = tmp_path / "s"
    asked = study(out, *ASKED, p="0.5", seeds="2")
    go(asked)
    before = (out / "ensembles.csv").read_text()
    changed_predictions(out, labels=lambda labels: labels[::-1])
    (out / DIGESTS).unlink()  # as of a study that was written before there were digests
    events = Silent()
    go(asked, events)
    assert (out / "ensembles.csv").read_text() == before
    assert [text for text in events.warnings if "have different labels, and no ensemble" in text]
