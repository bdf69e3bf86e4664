"""A study's folder: complete, resumable, extendable, refusing what is not its own."""

import json
import signal
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import nn

from dropout_lab import results
from dropout_lab.cluster.trainer import cluster_trainer
from dropout_lab.config.grid import Run, single_cell, sweep_cells
from dropout_lab.errors import DataError, InterruptedStudyError, StorageError
from dropout_lab.results import RUNS, read_rows
from dropout_lab.study import Outcome, Study, preview, run_study
from dropout_lab.study.serial import serial_trainer
from dropout_lab.training import RECORD_COLUMNS, Epoch
from tests.conftest import make_config

TIMES = ["seconds", "examples_per_second"]


class Silent:
    """Counts what a study tells."""

    def __init__(self) -> None:
        self.epochs = 0
        self.problems: list[str] = []
        self.warnings: list[str] = []
        self.splits: list[list[int]] = []
        self.first_started_after: int | None = None

    def planned(self, fleets: Sequence[Sequence[Run]], finished: int) -> None:
        self.finished = finished

    def fleet_started(
        self, fleet: Sequence[Run], epochs_done: int, epochs: int, worker: str = ""
    ) -> None:
        self.started_after = epochs_done
        if self.first_started_after is None:
            self.first_started_after = epochs_done

    def epoch_ended(self, fleet: Sequence[Run], epoch: Epoch) -> None:
        self.epochs += 1

    def warned(self, text: str) -> None:
        self.warnings.append(text)

    def fleet_ended(self, fleet: Sequence[Run], problems: Sequence[str]) -> None:
        self.problems += problems

    def fleet_split(self, fleet: Sequence[Run], parts: Sequence[Sequence[Run]], why: str) -> None:
        self.splits.append([len(part) for part in parts])


class StopsAfter(Silent):
    """Breaks off with an exception after so many epochs, as a kill would."""

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self.last = epochs

    def epoch_ended(self, fleet: Sequence[Run], epoch: Epoch) -> None:
        super().epoch_ended(fleet, epoch)
        if self.epochs == self.last:
            self.stop()

    def stop(self) -> None:
        raise KeyboardInterrupt


def study(out: Path, *settings: str, sweep: bool = True, **changes: Any) -> Study:
    own = {field.name for field in fields(Study)}
    more = {key: changes.pop(key) for key in own & changes.keys() - {"seeds"}}
    config = make_config("training.epochs=3", *settings, sweep=sweep, **changes)
    cells = sweep_cells(config) if sweep else single_cell(config)
    return Study(
        config=config, cells=cells, out=out,
        data_dir=more.pop("data_dir", Path("unused")), device=torch.device("cpu"), **more,
    )  # fmt: skip


def go(asked: Study, events: Silent | None = None) -> Outcome:
    trainer = cluster_trainer if asked.on_cluster else serial_trainer
    return run_study(asked, events or Silent(), lambda line: None, trainer)


def without_times(path: Path) -> pd.DataFrame:
    frame = pd.read_csv(path)
    return frame.drop(columns=[column for column in TIMES if column in frame])


def assert_same_results(one: Path, other: Path) -> None:
    for name in (results.METRICS, RUNS):
        left, right = (without_times(folder / name) for folder in (one, other))
        pd.testing.assert_frame_equal(left, right, check_exact=True)


def test_a_sweep_leaves_what_the_contract_says(tmp_path: Path) -> None:
    out = tmp_path / "s"
    outcome = go(study(out, p="0,0.5", seeds="2"))
    assert outcome.count("completed") == outcome.trained == 4
    metrics, runs = pd.read_csv(out / results.METRICS), pd.read_csv(out / RUNS)
    assert list(metrics) == ["run_id", "seed", "dropout.p", *RECORD_COLUMNS]
    assert len(metrics) == 4 * 3
    assert list(runs)[:6] == ["run_id", "status", "seed", "dropout.p", "epochs", "updates"]
    assert list(runs)[-6:] == [
        "best_epoch", "best_validation_accuracy", "best_test_accuracy", "seconds",
        "examples_per_second", "message",
    ]  # fmt: skip
    for _, run in runs.iterrows():
        rows = metrics[metrics["run_id"] == run["run_id"]]
        assert run["test_accuracy"] == rows["test_accuracy"].iloc[-1]
        best = rows["validation_accuracy"].idxmax()
        assert run["best_epoch"] == rows["epoch"][best]
        assert run["best_test_accuracy"] == rows["test_accuracy"][best]
        assert run["examples_per_second"] == pytest.approx(3 * 500 / run["seconds"])
    manifest = json.loads((out / results.MANIFEST).read_text())
    assert sorted(run_id for fleet in manifest["fleets"] for run_id in fleet) == sorted(
        runs["run_id"]
    )
    assert not list((out / "runs").iterdir())  # nothing left that only resuming needs


def test_finished_runs_are_never_trained_again(tmp_path: Path) -> None:
    go(study(tmp_path / "s", p="0,0.5"))
    events = Silent()
    outcome = go(study(tmp_path / "s", p="0,0.5"), events)
    assert (outcome.trained, events.epochs, events.finished) == (0, 0, 6)


def test_more_p_and_more_seeds_extend_the_study(tmp_path: Path) -> None:
    out = tmp_path / "s"
    go(study(out, p="0,0.5", seeds="1"))
    before = pd.read_csv(out / results.METRICS)
    assert go(study(out, p="0,0.25,0.5", seeds="2")).trained == 4
    after = pd.read_csv(out / results.METRICS)
    pd.testing.assert_frame_equal(after[after["run_id"].isin(before["run_id"])], before)
    go(study(tmp_path / "whole", p="0,0.25,0.5", seeds="2"))
    whole = pd.read_csv(tmp_path / "whole" / results.METRICS)
    keys = ["run_id", "epoch"]
    both = after.merge(whole, on=keys, suffixes=("", "_whole"), validate="one_to_one")
    assert len(both) == len(after) == len(whole)
    # Packed otherwise, the runs agree to rounding; 1 in 1,000 images may fall the other way.
    assert (both["test_accuracy"] - both["test_accuracy_whole"]).abs().max() <= 0.002


def test_train_then_sweep_share_a_folder_and_its_runs(tmp_path: Path) -> None:
    out = tmp_path / "s"
    go(study(out, sweep=False, seeds="2"))
    assert go(study(out, p="0,0.5", seeds="2")).trained == 2  # those without dropout
    runs = pd.read_csv(out / RUNS)
    assert sorted(runs["dropout.p"]) == [0.0, 0.0, 0.5, 0.5]
    assert list(pd.read_csv(out / results.METRICS))[2] == "dropout.p"


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_broken_off_anywhere_and_resumed_is_the_undisturbed_study(
    optimizer: str, tmp_path: Path
) -> None:
    """After each of the six epochs of its two fleets but the last."""
    asked = {"p": "0,0.25,0.5", "seeds": "2"}
    setting = f"training.optimizer={optimizer}"
    go(study(tmp_path / "undisturbed", setting, **asked))
    for epochs in range(1, 6):
        out = tmp_path / f"after {epochs}"
        with pytest.raises(KeyboardInterrupt):
            go(study(out, setting, **asked), StopsAfter(epochs))
        go(study(out, setting, **asked))
        assert_same_results(out, tmp_path / "undisturbed")


def test_a_resumed_fleet_goes_on_where_it_stopped(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        go(study(tmp_path / "s", p="0.5", seeds="2"), StopsAfter(5))
    events = Silent()
    go(study(tmp_path / "s", p="0.5", seeds="2"), events)
    # Two fleets of three epochs: the first was done, the second had done two of its three.
    assert events.epochs == 1
    assert events.started_after == 2


def test_a_signal_ends_after_the_epoch_and_the_study_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Signals(Silent):
        def epoch_ended(self, fleet: Sequence[Run], epoch: Epoch) -> None:
            super().epoch_ended(fleet, epoch)
            signal.raise_signal(signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(InterruptedStudyError, match="Stopped after epoch 1 of 3") as caught:
        go(study(tmp_path / "s", p="0,0.5"), Signals())
    assert caught.value.exit_status == 143
    assert signal.getsignal(signal.SIGTERM) == before
    statuses = {row["status"] for row in read_rows(tmp_path / "s" / RUNS)}
    assert statuses == {"interrupted"}
    assert go(study(tmp_path / "s", p="0,0.5")).count("completed") == 6


def test_a_torn_row_is_trained_again_not_believed(tmp_path: Path) -> None:
    asked = {"p": "0.5", "seeds": "2"}
    go(study(tmp_path / "undisturbed", **asked))
    with pytest.raises(KeyboardInterrupt):
        go(study(tmp_path / "s", **asked), StopsAfter(2))
    path = tmp_path / "s" / results.METRICS
    last = path.read_text().splitlines()[-1]
    path.write_text(path.read_text() + last[: len(last) // 2])
    go(study(tmp_path / "s", **asked))
    assert_same_results(tmp_path / "s", tmp_path / "undisturbed")


def test_a_table_changed_by_a_spreadsheet_is_read_and_written_as_it_was(tmp_path: Path) -> None:
    asked = study(tmp_path / "s", p="0.5", seeds="1")
    go(asked)
    path = tmp_path / "s" / results.METRICS
    before = path.read_text()
    path.write_text(before, encoding="utf-8-sig")  # a mark at the start
    assert go(asked).trained == 0
    assert path.read_text() == before
    path.write_text(before.replace(",", ";"))
    assert go(asked).trained == 0
    assert path.read_text() == before


def test_runs_whose_records_are_lost_are_trained_again(tmp_path: Path) -> None:
    go(study(tmp_path / "undisturbed", p="0.5", seeds="1"))
    asked = study(tmp_path / "s", p="0.5", seeds="1")
    go(asked)
    (tmp_path / "s" / results.METRICS).unlink()
    assert go(asked).trained == 2
    assert_same_results(tmp_path / "s", tmp_path / "undisturbed")


def test_what_a_kill_in_the_first_write_leaves_is_no_obstacle(tmp_path: Path) -> None:
    out = tmp_path / "s"
    out.mkdir()
    (out / ".lock").touch()
    (out / ".manifest.json.abc.tmp").write_text("{torn")
    assert go(study(out, p="0.5", seeds="1")).count("completed") == 2
    assert not list(out.glob("*.tmp")) + list(out.glob(".*.tmp"))


def test_a_signal_in_a_last_epoch_ends_before_the_next_fleet(tmp_path: Path) -> None:
    class Signals(Silent):
        def epoch_ended(self, fleet: Sequence[Run], epoch: Epoch) -> None:
            super().epoch_ended(fleet, epoch)
            if epoch.number == epoch.of:
                signal.raise_signal(signal.SIGINT)

    events = Signals()
    with pytest.raises(InterruptedStudyError, match="Stopped between two fleets") as caught:
        go(study(tmp_path / "s", p="0,0.5", seeds="1"), events)
    assert (caught.value.exit_status, events.epochs) == (130, 3)


def test_a_second_signal_stops_at_once(tmp_path: Path) -> None:
    class Signals(Silent):
        def fleet_started(self, fleet: Sequence[Run], epochs_done: int, epochs: int) -> None:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)

    events = Signals()
    with pytest.raises(InterruptedStudyError, match="Stopped at once") as caught:
        go(study(tmp_path / "s", p="0.5", seeds="1"), events)
    assert (caught.value.exit_status, events.epochs) == (143, 0)


def test_a_terminal_that_goes_away_fails_no_run(tmp_path: Path) -> None:
    class Gone(Silent):
        def epoch_ended(self, *arguments: object) -> None:
            raise BrokenPipeError

        fleet_started = fleet_ended = epoch_ended

    assert go(study(tmp_path / "s", p="0.5", seeds="1"), Gone()).count("completed") == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("training.epochs=4", "training.epochs (there 3, asked 4)"),
        ("dropout.placement=input", 'dropout.placement (there "hidden", asked "input")'),
        ("dataset.label_noise=0.1", "dataset.label_noise (there 0.0, asked 0.1)"),
    ],
)
def test_a_study_of_another_setting_is_refused(tmp_path: Path, change: str, words: str) -> None:
    go(study(tmp_path / "s", p="0,0.5", seeds="1"))
    before = {path: path.read_bytes() for path in (tmp_path / "s").iterdir() if path.is_file()}
    with pytest.raises(StorageError, match="holds another study") as caught:
        go(study(tmp_path / "s", change, p="0,0.5", seeds="1"))
    assert words in str(caught.value)
    assert all(path.read_bytes() == content for path, content in before.items())


def test_a_foreign_folder_and_a_file_are_refused_untouched(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(StorageError, match="is not the folder of a study"):
        go(study(tmp_path, p="0.5"))
    with pytest.raises(StorageError, match="is a file"):
        go(study(tmp_path / "notes.txt", p="0.5"))
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_manifest_of_a_newer_program_is_refused(tmp_path: Path) -> None:
    (tmp_path / results.MANIFEST).write_text('{"format": 99}')
    with pytest.raises(StorageError, match="has format 99"):
        go(study(tmp_path, p="0.5"))
    (tmp_path / results.MANIFEST).write_text("{torn")
    with pytest.raises(StorageError, match="cannot be read as a manifest"):
        go(study(tmp_path, p="0.5"))


def test_a_folder_being_written_is_left_to_its_writer(tmp_path: Path) -> None:
    class SecondStarts(Silent):
        def epoch_ended(self, fleet: Sequence[Run], epoch: Epoch) -> None:
            with pytest.raises(StorageError, match=r"is being written by process \d+ on .+since 2"):
                go(study(tmp_path / "s", p="0.5"))
            super().epoch_ended(fleet, epoch)

    events = SecondStarts()
    go(study(tmp_path / "s", p="0.5", seeds="1"), events)
    assert events.epochs == 6


def test_absent_data_leave_nothing_behind(tmp_path: Path, no_network: None) -> None:
    asked = study(tmp_path / "s", "dataset.name=mnist", p="0.5", data_dir=tmp_path / "data")
    with pytest.raises(DataError, match="could not be downloaded"):
        go(asked)
    assert not (tmp_path / "s").exists()


def test_changed_data_are_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        go(study(tmp_path / "s", p="0.5"), StopsAfter(1))
    path = tmp_path / "s" / results.MANIFEST
    manifest = json.loads(path.read_text())
    manifest["data_digests"] = dict.fromkeys(manifest["data_digests"], "0" * 64)
    path.write_text(json.dumps(manifest))
    with pytest.raises(DataError, match="is not the one this study began with"):
        go(study(tmp_path / "s", p="0.5"))


def test_diverged_runs_are_finished_and_told(tmp_path: Path) -> None:
    events = Silent()
    asked = study(tmp_path / "s", "training.learning_rate=0.05,1e20", p="0.5", seeds="1")
    outcome = go(asked, events)
    assert (outcome.count("diverged"), outcome.count("completed")) == (2, 2)
    assert all("the loss is not finite in epoch 1" in problem for problem in events.problems)
    rows = {row["status"]: row for row in read_rows(tmp_path / "s" / RUNS)}
    assert rows["diverged"]["message"] == "the loss is not finite in epoch 1"
    assert rows["diverged"]["test_accuracy"] == ""
    assert (rows["diverged"]["epochs"], rows["completed"]["epochs"]) == ("1", "3")
    assert (rows["diverged"]["updates"], rows["completed"]["updates"]) == ("8", "24")
    assert go(asked).trained == 0


def test_saved_weights_load_into_a_plain_network(tmp_path: Path) -> None:
    asked = study(tmp_path / "s", sweep=False, seeds="1", save_models=True)
    go(asked)
    (path,) = (tmp_path / "s" / "runs").rglob("weights.pt")
    net = nn.Sequential(
        nn.Linear(784, 16), nn.ReLU(), nn.Dropout(0.5),
        nn.Linear(16, 12), nn.ReLU(), nn.Dropout(0.5), nn.Linear(12, 10),
    )  # fmt: skip
    net.load_state_dict(torch.load(path, weights_only=True))
    from dropout_lab import data

    dataset = asked.config.dataset.model_dump()
    test = data.load(data_dir=Path("unused"), say=lambda line: None, **dataset).test
    right = (net.eval()(test.images / 255).argmax(1) == test.labels).float().mean()
    (row,) = read_rows(tmp_path / "s" / RUNS)
    assert float(right) == pytest.approx(float(row["test_accuracy"]), abs=1e-6)


def test_a_plan_writes_nothing_and_names_what_is_missing(tmp_path: Path) -> None:
    asked = study(tmp_path / "s", p="0,0.5", seeds="2")
    assert sum(map(len, preview(asked).fleets)) == 4
    assert not (tmp_path / "s").exists()
    go(asked)
    assert preview(asked).fleets == []
    assert sum(map(len, preview(study(tmp_path / "s", p="0,0.5", seeds="3")).fleets)) == 2


def test_different_data_sizes_in_one_study(tmp_path: Path) -> None:
    asked = study(tmp_path / "s", "dataset.train_size=100,300", p="0.5", seeds="1")
    assert go(asked).count("completed") == 4
    manifest = json.loads((tmp_path / "s" / results.MANIFEST).read_text())
    assert len(set(manifest["data_digests"].values())) == 2


def test_a_training_that_ends_within_an_epoch_counts_what_it_did(tmp_path: Path) -> None:
    """11 updates at 8 an epoch: an epoch of 500 examples and three batches of 64."""
    go(study(tmp_path / "s", "training.epochs=null", "training.updates=11", p="0.5", seeds="1"))
    for row in read_rows(tmp_path / "s" / RUNS):
        assert (row["epochs"], row["updates"]) == ("2", "11")
        pace = float(row["examples_per_second"]) * float(row["seconds"])
        assert pace == pytest.approx(500 + 3 * 64)


def test_a_run_is_charged_for_the_epochs_until_it_diverged(tmp_path: Path) -> None:
    """One of two runs diverges in the first of three epochs: a third of the other's seconds."""
    asked = study(tmp_path / "s", "training.learning_rate=0.05,1e20", "dropout.p=0.5", seeds="1")
    go(asked)
    seconds = {}
    for row in read_rows(tmp_path / "s" / RUNS):
        if row["dropout.p"] == "0.5":
            seconds[row["status"]] = float(row["seconds"])
    assert seconds["completed"] == pytest.approx(3 * seconds["diverged"], rel=1e-9)


def test_without_a_validation_part_no_epoch_is_the_best(tmp_path: Path) -> None:
    go(study(tmp_path / "s", "dataset.validation_size=0", p="0.5", seeds="1"))
    for row in read_rows(tmp_path / "s" / RUNS):
        assert (row["best_epoch"], row["best_test_accuracy"]) == ("", "")
        assert float(row["test_accuracy"]) > 0
