"""One bad run never takes the others along."""

import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from dropout_lab import results
from dropout_lab.config.grid import Run
from dropout_lab.errors import InterruptedStudyError
from dropout_lab.folder.checkpoint import damage_of
from dropout_lab.folder.doctor import examine
from dropout_lab.results import RUNS, read_manifest, read_rows
from dropout_lab.study import failures
from dropout_lab.study import fleet_runner as engine
from dropout_lab.training import Epoch, Fleet, infer, train
from tests.conftest import make_sweep
from tests.study.test_run import Silent, StopsAfter, assert_same_results, go, study


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def fails(
    monkeypatch: pytest.MonkeyPatch,
    when: Callable[[Fleet], bool],
    error: BaseException,
    after: int = 0,
) -> None:
    """Let the training of some fleets fail after so many epochs."""

    def train_or_fail(fleet: Fleet, splits: Any) -> Iterator[Epoch]:
        for done, epoch in enumerate(train(fleet, splits)):
            if done == after and when(fleet):
                raise error
            yield epoch

    monkeypatch.setattr(engine, "train", train_or_fail)


def packing(out: Path) -> list[int]:
    return sorted(len(fleet) for fleet in read_manifest(out).fleets)


def test_a_run_at_fault_is_found_and_the_others_of_its_fleet_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go(study(tmp_path / "one_by_one", p="0.5", seeds="3", fleet_size=1))
    fails(monkeypatch, lambda fleet: 1 in fleet.seeds and bool(fleet.p), ValueError("no"), after=1)
    events = Silent()
    outcome = go(study(tmp_path / "s", p="0.5", seeds="3"), events)
    assert (outcome.count("failed"), outcome.count("completed")) == (1, 5)
    assert (outcome.trained, events.splits) == (6, [[1, 1, 1]])
    assert packing(tmp_path / "s") == [1, 1, 1, 3]
    runs = pd.read_csv(tmp_path / "s" / RUNS)
    (failed,) = runs[runs["status"] == "failed"].to_dict("records")
    assert (failed["seed"], failed["dropout.p"]) == (1, 0.5)
    assert failed["message"] == "ValueError: no"
    log = tmp_path / "s" / "runs" / failed["run_id"] / "log.txt"
    assert "Traceback" in log.read_text()
    assert events.problems == [f"run {failed['run_id']} failed: ValueError: no; see {log}"]
    # The others have the numbers they have alone, to rounding.
    metrics, alone = (
        pd.read_csv(tmp_path / name / results.METRICS).drop(columns="seconds")
        for name in ("s", "one_by_one")
    )
    ours = metrics[(metrics["seed"] != 1) & (metrics["dropout.p"] == 0.5)].reset_index(drop=True)
    alone = alone[(alone["seed"] != 1) & (alone["dropout.p"] == 0.5)].reset_index(drop=True)
    pd.testing.assert_frame_equal(ours, alone, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
    ],
    ids=["cuda", "python", "torch on a CPU"],
)
def test_a_fleet_too_large_for_the_memory_goes_on_in_smaller_ones(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go(study(tmp_path / "small", p="0.5", seeds="4", fleet_size=2))
    fails(monkeypatch, lambda fleet: len(fleet.runs) > 2, error, after=1)
    events = Silent()
    outcome = go(study(tmp_path / "s", p="0.5", seeds="4"), events)
    assert outcome.count("completed") == 8
    assert events.splits == [[2, 2], [2, 2]]
    assert packing(tmp_path / "s") == [2, 2, 2, 2]
    left, right = (pd.read_csv(tmp_path / name / RUNS) for name in ("s", "small"))
    accuracy = (left["test_accuracy"] - right["test_accuracy"]).abs().max()
    assert accuracy <= 0.002  # the first epoch in fleets of 4, the others in fleets of 2


def test_too_little_memory_for_the_last_predictions_does_not_fail_the_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def infer_or_fail(model: Any, *arguments: Any) -> Any:
        if model.runs > 1:
            raise MemoryError
        return infer(model, *arguments)

    monkeypatch.setattr("dropout_lab.study.final_measurements.infer", infer_or_fail)
    events = Silent()
    outcome = go(study(tmp_path / "s", sweep=False, seeds="2"), events)
    assert (outcome.count("completed"), events.splits) == (2, [[1, 1]])
    assert events.epochs == 3 + 2  # the last epoch again, for each of them


def test_a_run_too_large_on_its_own_fails_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails(monkeypatch, lambda fleet: bool(fleet.p), MemoryError("17 GB"))
    outcome = go(study(tmp_path / "s", p="0.5", seeds="2"))
    assert (outcome.count("failed"), outcome.count("completed")) == (2, 2)
    messages = {row["message"] for row in read_rows(tmp_path / "s" / RUNS)}
    assert messages == {"", "MemoryError: 17 GB"}


def test_torchs_own_words_for_too_little_memory_are_known() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**55, dtype=torch.uint8)
    assert failures.out_of_memory(caught.value)
    assert not failures.out_of_memory(RuntimeError("shapes differ"))


def test_a_fleet_is_halved_for_memory_and_taken_apart_for_a_fault() -> None:
    runs = make_sweep("dropout.p=0.1,0.2,0.3,0.4,0.5")

    def sizes(runs: list[Run], error: BaseException) -> list[int]:
        return [len(part) for part in failures.parts(runs, error)]

    assert sizes(runs, MemoryError()) == [3, 2]
    assert sizes(runs, ValueError()) == [1, 1, 1, 1, 1]
    assert sizes(runs[:1], MemoryError()) == sizes(runs[:1], ValueError()) == []


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("two\nlines"), "ValueError: two"),
        (ValueError(), "ValueError"),
        (ValueError("x" * 1000), "ValueError: " + "x" * 188),
        (UnprintableError(), "UnprintableError: its message cannot be printed"),
        (SystemExit(0), "SystemExit: 0"),
        (ValueError(b"\xff\x00"), "ValueError: b'\\xff\\x00'"),
    ],
    ids=["two lines", "none", "huge", "unprintable", "exit", "bytes"],
)
def test_whatever_is_raised_becomes_one_line_and_a_log(
    error: BaseException, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails(monkeypatch, lambda fleet: bool(fleet.p), error)
    assert go(study(tmp_path / "s", p="0.5", seeds="1")).count("failed") == 1
    (row,) = (r for r in read_rows(tmp_path / "s" / RUNS) if r["status"] == "failed")
    assert row["message"] == message
    log = (tmp_path / "s" / "runs" / row["run_id"] / "log.txt").read_text()
    assert "Traceback" in log


def test_half_a_character_in_a_message_is_spelled_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails(monkeypatch, lambda fleet: bool(fleet.p), ValueError("\udc80"))
    assert go(study(tmp_path / "s", p="0.5", seeds="1")).count("failed") == 1
    assert "ValueError: \\udc80" in (tmp_path / "s" / RUNS).read_text()


def test_failed_runs_are_left_and_told_until_they_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"p": "0.5", "seeds": "2"}
    go(study(tmp_path / "undisturbed", **asked, fleet_size=1))
    fails(monkeypatch, lambda fleet: bool(fleet.p), ValueError("no"), after=2)
    assert go(study(tmp_path / "s", **asked, fleet_size=1)).count("failed") == 2
    monkeypatch.undo()
    events = Silent()
    outcome = go(study(tmp_path / "s", **asked), events)
    assert (outcome.trained, outcome.count("failed")) == (0, 2)
    assert events.warnings == ["2 runs failed before; --retry failed retries them."]
    events = Silent()
    outcome = go(study(tmp_path / "s", **asked, retry_failed=True), events)
    assert (outcome.trained, outcome.count("completed")) == (2, 4)
    assert (events.warnings, events.epochs) == ([], 2)  # from their checkpoints of epoch 2
    assert_same_results(tmp_path / "s", tmp_path / "undisturbed")
    assert not list((tmp_path / "s" / "runs").iterdir())  # their logs are gone


def test_a_run_lost_since_is_trained_alone_and_the_others_are_left(tmp_path: Path) -> None:
    out = tmp_path / "s"
    asked = {"p": "0.5", "seeds": "3"}
    go(study(out, **asked))
    runs = pd.read_csv(out / RUNS)
    lost = runs[(runs["dropout.p"] == 0.5) & (runs["seed"] == 1)]["run_id"].item()
    for name in (results.METRICS, RUNS):
        lines = (out / name).read_text().splitlines(keepends=True)
        (out / name).write_text("".join(line for line in lines if not line.startswith(lost)))
    outcome = go(study(out, **asked))
    assert (outcome.trained, outcome.count("completed")) == (1, 6)
    assert packing(out) == [1, 2, 3]
    after = pd.read_csv(out / RUNS)
    assert (after["test_accuracy"] - runs["test_accuracy"]).abs().max() <= 0.002
    assert go(study(out, **asked)).trained == 0


def test_smaller_fleets_are_asked_for_in_the_middle(tmp_path: Path) -> None:
    asked = {"p": "0.5", "seeds": "4"}
    with pytest.raises(KeyboardInterrupt):
        go(study(tmp_path / "s", **asked), StopsAfter(1))
    assert packing(tmp_path / "s") == [4, 4]
    events = Silent()
    go(study(tmp_path / "s", **asked, fleet_size=2), events)
    assert packing(tmp_path / "s") == [2, 2, 2, 2]
    assert events.epochs == 2 * 2 + 2 * 3  # the begun fleet's parts go on after its first epoch
    seconds = pd.read_csv(tmp_path / "s" / results.METRICS).groupby("run_id")["seconds"]
    assert seconds.apply(lambda values: values.is_monotonic_increasing).all()


def test_weights_that_were_not_kept_are_told(tmp_path: Path) -> None:
    go(study(tmp_path / "s", sweep=False, seeds="2"))
    events = Silent()
    go(study(tmp_path / "s", sweep=False, seeds="3", save_models=True), events)
    (warning,) = events.warnings
    assert warning.startswith("2 runs finished before without --save-models")
    events = Silent()
    go(study(tmp_path / "s", sweep=False, seeds="3", save_models=False), events)
    assert events.warnings == []


STOPPING = ("training.patience=2", "training.learning_rate=0.5", "training.epochs=12")


def test_a_run_that_stopped_early_does_not_keep_its_fleet_from_resuming(tmp_path: Path) -> None:
    asked = {"p": "0.5", "seeds": "4"}
    go(study(tmp_path / "undisturbed", *STOPPING, **asked))
    runs = pd.read_csv(tmp_path / "undisturbed" / RUNS)
    fleet = runs[runs["dropout.p"] == 0.0]
    assert fleet["epochs"].min() < fleet["epochs"].max() - 1  # one has stopped before the others
    epochs = int(fleet["epochs"].min()) + 1
    with pytest.raises(KeyboardInterrupt):
        go(study(tmp_path / "s", *STOPPING, **asked), StopsAfter(epochs))
    assert all(not finding.damaged for finding in examine(tmp_path / "s"))
    events = Silent()
    go(study(tmp_path / "s", *STOPPING, **asked), events)
    assert events.first_started_after == epochs
    assert_same_results(tmp_path / "s", tmp_path / "undisturbed")


def test_a_run_that_diverged_does_not_keep_its_fleet_from_resuming(tmp_path: Path) -> None:
    rates = ("training.learning_rate=0.05,1e30", "training.epochs=5")
    asked = {"p": "0.5", "seeds": "2"}
    go(study(tmp_path / "undisturbed", *rates, **asked))
    with pytest.raises(KeyboardInterrupt):
        go(study(tmp_path / "s", *rates, **asked), StopsAfter(3))
    assert all(not finding.damaged for finding in examine(tmp_path / "s"))
    events = Silent()
    go(study(tmp_path / "s", *rates, **asked), events)
    assert events.first_started_after == 3
    assert_same_results(tmp_path / "s", tmp_path / "undisturbed")


def test_runs_whose_checkpoints_are_lost_do_not_take_the_others_along(tmp_path: Path) -> None:
    asked, epochs = {"p": "0.5", "seeds": "3"}, "training.epochs=8"
    with pytest.raises(KeyboardInterrupt):
        go(study(tmp_path / "s", epochs, **asked), StopsAfter(6))
    shutil.rmtree(min((tmp_path / "s" / "runs").iterdir()))
    events = StopsAfter(3)
    with pytest.raises(KeyboardInterrupt):
        go(study(tmp_path / "s", epochs, **asked), events)
    assert events.splits == [[2, 1]]
    assert events.first_started_after == 6
    again = Silent()
    outcome = go(study(tmp_path / "s", epochs, **asked), again)
    assert outcome.count("completed") == 6
    assert (again.first_started_after, again.splits) == (1, [])
    assert packing(tmp_path / "s") == [1, 2, 3]


def test_checkpoints_ahead_of_a_fleet_that_begins_anew_do_not_displace_its_own(
    tmp_path: Path,
) -> None:
    """Else the newest two by number stay, and each kill would begin from 0 for ever."""
    asked, epochs = {"p": "0.5", "seeds": "1"}, "training.epochs=8"
    with pytest.raises(KeyboardInterrupt):
        go(study(tmp_path / "s", epochs, **asked), StopsAfter(6))
    metrics = tmp_path / "s" / results.METRICS
    lines = metrics.read_text().splitlines(keepends=True)
    metrics.write_text("".join(lines[:2] + lines[3:]))  # the record of epoch 2 is lost
    for begun in (0, 3):
        events = StopsAfter(3)
        with pytest.raises(KeyboardInterrupt):
            go(study(tmp_path / "s", epochs, **asked), events)
        assert events.first_started_after == begun
    go(study(tmp_path / "undisturbed", epochs, **asked))
    go(study(tmp_path / "s", epochs, **asked))
    assert_same_results(tmp_path / "s", tmp_path / "undisturbed")


def test_too_little_memory_to_read_a_checkpoint_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyboardInterrupt):
        go(study(tmp_path / "s", p="0.5", seeds="2"), StopsAfter(2))

    def no_memory(*arguments: object, **more: object) -> None:
        raise MemoryError

    monkeypatch.setattr(torch, "load", no_memory)
    with pytest.raises(MemoryError):
        damage_of(next((tmp_path / "s" / "runs").rglob("*.pt")))
    assert go(study(tmp_path / "s", p="0.5", seeds="2")).count("failed") == 2
    monkeypatch.undo()
    events = Silent()
    go(study(tmp_path / "s", p="0.5", seeds="2", retry_failed=True), events)
    assert events.first_started_after == 2
    assert not list((tmp_path / "s").rglob("*.damaged"))


def test_a_lost_record_costs_the_epochs_since_it_and_no_more(tmp_path: Path) -> None:
    asked, epochs = {"p": "0.5", "seeds": "3"}, "training.epochs=5"
    go(study(tmp_path / "undisturbed", epochs, **asked))
    with pytest.raises(KeyboardInterrupt):
        go(study(tmp_path / "s", epochs, **asked), StopsAfter(4))
    metrics = tmp_path / "s" / results.METRICS
    metrics.write_text(metrics.read_text()[:-30])  # the last row, one of epoch 4, is torn
    events = Silent()
    go(study(tmp_path / "s", epochs, **asked), events)
    (warning,) = events.warnings
    assert warning.endswith("checkpoint_000004.pt is not used: a record from before it is lost.")
    assert events.first_started_after == 3
    assert_same_results(tmp_path / "s", tmp_path / "undisturbed")


def test_a_failed_runs_row_is_of_its_last_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails(monkeypatch, lambda fleet: bool(fleet.p), ValueError("no"), after=2)
    go(study(tmp_path / "s", p="0.5", seeds="1"))
    (row,) = (r for r in read_rows(tmp_path / "s" / RUNS) if r["status"] == "failed")
    last = [r for r in read_rows(tmp_path / "s" / results.METRICS) if r["run_id"] == row["run_id"]]
    shared = ("updates", "seconds", "test_accuracy")
    assert row["epochs"] == last[-1]["epoch"] == "2"
    assert [row[name] for name in shared] == [last[-1][name] for name in shared]
    assert row["examples_per_second"] == ""


def test_checkpoints_left_by_a_kill_after_the_end_are_cleared(tmp_path: Path) -> None:
    asked = {"p": "0.5", "seeds": "1"}
    with pytest.raises(KeyboardInterrupt):
        go(study(tmp_path / "s", **asked), StopsAfter(2))
    left = {path: path.read_bytes() for path in (tmp_path / "s" / "runs").rglob("*.pt")}
    go(study(tmp_path / "s", **asked))
    for path, content in left.items():
        path.parent.mkdir()
        path.write_bytes(content)
        break
    assert go(study(tmp_path / "s", **asked)).trained == 0
    assert not list((tmp_path / "s" / "runs").iterdir())


def test_a_begun_fleet_with_a_member_that_has_ended_goes_on_as_it_was(tmp_path: Path) -> None:
    """A run that diverged in it has its row when the study is stopped; the others have none."""
    rates = ("training.learning_rate=0.05,1e30", "training.epochs=5")
    asked = {"p": "0.5", "seeds": "2"}
    with pytest.raises(InterruptedStudyError):
        go(study(tmp_path / "s", *rates, **asked), Stops(3))
    before = packing(tmp_path / "s")
    assert "diverged" in {row["status"] for row in read_rows(tmp_path / "s" / RUNS)}
    go(study(tmp_path / "s", *rates, **asked))
    assert packing(tmp_path / "s") == before
    go(study(tmp_path / "undisturbed", *rates, **asked))
    assert_same_results(tmp_path / "s", tmp_path / "undisturbed")


class Stops(StopsAfter):
    """Asks to stop, as a cluster does."""

    def stop(self) -> None:
        signal.raise_signal(signal.SIGTERM)
