"""A study's folder after damage: what is whole is kept, what is not is trained again, and said."""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from dropout_lab import files, results
from dropout_lab.config.grid import Run
from dropout_lab.errors import StorageError
from dropout_lab.folder.lock import describe_writer, is_alive
from dropout_lab.folder.study_folder import StudyFolder
from dropout_lab.results import INFERENCE, METRICS, MONTE_CARLO, RUNS, read_rows
from dropout_lab.study import fleet_runner as engine_module
from dropout_lab.study import preview
from dropout_lab.training import Epoch
from tests.study.test_final_measurements import ASKED
from tests.study.test_run import Silent, StopsAfter, assert_same_results, go, study, without_times

REFERENCE = Path(__file__).parents[2] / "results" / "reference"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study of four runs, without dropout and with, two seeds."""
    out = tmp_path_factory.mktemp("whole") / "s"
    go(small(out))
    return out


def assert_same_rows(one: Path, other: Path) -> None:
    """What was trained again stands at the end of metrics.csv."""
    for name, keys in ((METRICS, ["run_id", "epoch"]), (RUNS, ["run_id"])):
        left, right = (
            without_times(folder / name).sort_values(keys, ignore_index=True)
            for folder in (one, other)
        )
        pd.testing.assert_frame_equal(left, right, check_exact=True)


def small(out: Path, **changes: Any) -> Any:
    """Fleets of one run, so that a run trained again, alone, has the same bits."""
    return study(out, **{"p": "0,0.5", "seeds": "2", "fleet_size": 1, **changes})


@pytest.fixture
def out(tmp_path: Path, whole: Path) -> Path:
    shutil.copytree(whole, tmp_path / "s")
    return tmp_path / "s"


def findings(out: Path) -> list[str]:
    folder = StudyFolder(out)
    folder.read()
    return folder.findings


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# ------------------------------------------------------------------- what a finished run must have


def without_rows(path: Path, keep: Any) -> None:
    head, *rows = path.read_text().splitlines(keepends=True)
    path.write_text("".join([head, *(row for index, row in enumerate(rows) if keep(index, row))]))


def test_a_whole_study_is_finished_and_says_nothing(out: Path, whole: Path) -> None:
    assert findings(out) == []
    assert go(small(out)).trained == 0
    assert_same_results(out, whole)
    assert not list(out.glob("*damaged*"))


@pytest.mark.parametrize("lost", [0, 5, 11])
def test_a_completed_run_without_one_of_its_records_is_trained_again(
    out: Path, whole: Path, lost: int
) -> None:
    run_id = read_rows(out / METRICS)[lost]["run_id"]
    without_rows(out / METRICS, lambda index, row: index != lost)
    assert f"run {run_id}: metrics.csv lacks its epoch" in findings(out)[0]
    assert go(small(out)).trained == 1
    assert_same_rows(out, whole)


def test_what_is_not_evaluated_is_not_missed(tmp_path: Path) -> None:
    asked = study(tmp_path / "s", "evaluation.every=2", p="0.5", seeds="1")
    go(asked)
    assert {row["epoch"] for row in read_rows(tmp_path / "s" / METRICS)} == {"2", "3"}
    assert go(asked).trained == 0
    without_rows(tmp_path / "s" / METRICS, lambda index, row: index)
    assert go(asked).trained == 1


def test_early_stopping_ends_a_run_before_its_last_epoch_and_it_is_whole(tmp_path: Path) -> None:
    settings = ("training.epochs=30", "training.patience=2", "training.learning_rate=0.1")
    asked = study(tmp_path / "s", *settings, p="0.5", seeds="1")
    go(asked)
    assert min(int(row["epochs"]) for row in read_rows(tmp_path / "s" / RUNS)) < 30
    assert go(asked).trained == 0


@pytest.mark.parametrize("name", [INFERENCE, MONTE_CARLO])
def test_a_completed_run_without_what_was_asked_of_it_is_trained_again(
    tmp_path: Path, name: str
) -> None:
    asked = study(tmp_path / "s", *ASKED, p="0.5", seeds="1")
    go(asked)
    before = (tmp_path / "s" / name).read_text()
    without_rows(tmp_path / "s" / name, lambda index, row: index != 2)
    assert any("lacks" in sentence for sentence in findings(tmp_path / "s"))
    assert go(asked).trained == 1
    assert (tmp_path / "s" / name).read_text() == before
    assert go(asked).trained == 0


@pytest.mark.parametrize("name", ["inference", "mnist_placement", "quickstart", "variants"])
def test_a_published_study_is_finished_as_it_is(tmp_path: Path, name: str) -> None:
    """Without its runs/, and those of the first version without inference.csv."""
    shutil.copytree(REFERENCE / name, tmp_path / name)
    folder = StudyFolder(tmp_path / name)
    folder.read()
    assert folder.findings == []
    assert folder.finished == {row["run_id"] for row in read_rows(REFERENCE / name / RUNS)}


def test_an_ensemble_whose_predictions_are_gone_keeps_its_row(tmp_path: Path) -> None:
    out = tmp_path / "s"
    go(study(out, *ASKED, p="0.5", seeds="2"))
    before = pd.read_csv(out / results.ENSEMBLES)
    shutil.rmtree(out / "runs")
    assert go(study(out, *ASKED, p="0.5", seeds="2")).trained == 0
    pd.testing.assert_frame_equal(pd.read_csv(out / results.ENSEMBLES), before)
    assert go(study(out, *ASKED, p="0.25,0.5", seeds="2")).trained == 2
    after = pd.read_csv(out / results.ENSEMBLES)
    assert sorted(after["dropout.p"]) == [0.0, 0.25, 0.5]
    both = after.merge(before, on=list(before))
    assert len(both) == 2  # the old rows, to the digit


def test_an_ensembles_row_outlives_a_key_that_is_swept_only_since(tmp_path: Path) -> None:
    out = tmp_path / "s"
    go(study(out, *ASKED, p="0.5", seeds="2"))
    before = pd.read_csv(out / results.ENSEMBLES)
    shutil.rmtree(out / "runs")
    go(study(out, *ASKED, "training.learning_rate=0.05,0.1", p="0.5", seeds="2"))
    after = pd.read_csv(out / results.ENSEMBLES)
    assert sorted(after["training.learning_rate"]) == [0.05, 0.05, 0.1, 0.1]
    old = after[after["training.learning_rate"] == 0.05]
    assert sorted(old["test_loss"]) == sorted(before["test_loss"])


# ----------------------------------------------------------------------------------- damaged rows


def damage_row(path: Path, index: int, change: Any) -> str:
    """Change a row of a table as bytes; return the run it is of."""
    lines = path.read_bytes().splitlines(keepends=True)
    run_id = read_rows(path)[index]["run_id"]
    lines[1 + index] = change(lines[1 + index])
    path.write_bytes(b"".join(lines))
    return run_id


@pytest.mark.parametrize("name", [METRICS, RUNS])
@pytest.mark.parametrize(
    "change",
    [
        lambda row: row.rpartition(b",")[0] + b"\n",
        lambda row: row.replace(b"0.", b"\x00.", 1),
        lambda row: row.replace(b"0.", b"O.", 2),
        lambda row: b"\xff" + row,
    ],
    ids=["narrow", "NUL", "letter", "no text"],
)
def test_a_damaged_row_is_left_out_kept_beside_and_made_again(
    out: Path, whole: Path, name: str, change: Any
) -> None:
    damage_row(out / name, 1, change)
    damaged = (out / name).read_bytes()
    with StudyFolder(out) as folder:
        assert any(sentence.startswith(f"{out / name}: line 3") for sentence in folder.findings)
        assert (out / name).read_bytes() == damaged  # nothing is written before it is planned
    # A row of runs.csv is made again from metrics.csv; a record must be trained for.
    assert go(small(out)).trained == (0 if name == RUNS else 1)
    assert (out / f"{name}.damaged").read_bytes() == damaged
    assert_same_rows(out, whole)
    assert go(small(out)).trained == 0
    assert findings(out) == []


def test_a_torn_last_row_is_done_again_in_silence(out: Path, whole: Path) -> None:
    path = out / METRICS
    path.write_bytes(path.read_bytes()[:-20])
    assert [each for each in findings(out) if "line" in each] == []
    go(small(out))
    assert_same_results(out, whole)
    assert not list(out.glob("*.damaged"))


def test_a_damaged_row_before_a_checkpoint_makes_the_checkpoint_useless(tmp_path: Path) -> None:
    out = tmp_path / "s"
    with pytest.raises(KeyboardInterrupt):
        go(small(out, p="0.5"), StopsAfter(5))  # the second fleet has done two of three epochs
    last = read_rows(out / METRICS)[-1]["run_id"]
    index = next(i for i, row in enumerate(read_rows(out / METRICS)) if row["run_id"] == last)
    damage_row(out / METRICS, index, lambda row: b"x" + row)
    with StudyFolder(out) as folder:
        (run,) = [run for run in folder._known.values() if run.run_id == last]
        other = folder._known[read_rows(out / METRICS)[0]["run_id"]]
        assert folder.lacks_records(run, 2)
        assert not folder.lacks_records(other, 3)


def test_rows_of_a_run_that_the_manifest_does_not_list_are_never_lost(out: Path) -> None:
    for name in (METRICS, RUNS):
        path = out / name
        row = path.read_text().splitlines()[1]
        path.write_text(path.read_text() + "0123456789ab" + row[12:] + "\n")
    before = content(out)
    go(small(out))
    for name in (METRICS, RUNS):
        assert (out / f"{name}.damaged").read_bytes() == before[name]
        assert "0123456789ab" not in (out / name).read_text()


def test_a_column_of_another_program_goes_only_after_the_file_was_kept(out: Path) -> None:
    path = out / RUNS
    head, *rows = path.read_text().splitlines()
    path.write_text("\n".join([f"{head},remark", *(f"{row},mine" for row in rows), ""]))
    assert findings(out) == [
        f"{path} has columns of another program, which it loses: remark.",
    ]
    assert go(small(out)).trained == 0
    assert "remark" in (out / "runs.csv.damaged").read_text()


@pytest.mark.parametrize("name", [METRICS, RUNS])
@pytest.mark.parametrize(
    "spoil", [lambda b: b"", lambda b: bytes(len(b)), lambda b: b.replace(b"run_id", b"run")]
)
def test_a_table_that_is_not_ours_any_more_is_refused_untouched(
    out: Path, name: str, spoil: Any
) -> None:
    (out / name).write_bytes(spoil((out / name).read_bytes()))
    before = content(out)
    with pytest.raises(StorageError, match=rf"{name} .+ dropout-lab doctor {out}"):
        go(small(out))
    assert content(out) == before


# ------------------------------------------------------------------------------ what is lost whole


def test_a_lost_runs_csv_is_made_again_without_training(out: Path, whole: Path) -> None:
    (out / RUNS).unlink()
    assert findings(out)[0].endswith("; made again from metrics.csv.")
    assert go(small(out)).trained == 0
    assert_same_results(out, whole)
    one, other = (pd.read_csv(folder / RUNS) for folder in (out, whole))
    pd.testing.assert_frame_equal(one, other)  # the times too


@pytest.mark.parametrize(
    "setting",
    ["training.patience=2", "training.updates=20", "evaluation.diagnostics=noise",
     "training.epochs=1"],
)  # fmt: skip
def test_a_lost_runs_csv_is_not_made_up_where_metrics_cannot_tell(
    tmp_path: Path, setting: str
) -> None:
    settings = [setting, *(["training.epochs=null"] if "updates" in setting else [])]
    asked = study(tmp_path / "s", *settings, p="0.5", seeds="1")
    go(asked)
    (tmp_path / "s" / RUNS).unlink()
    folder = StudyFolder(tmp_path / "s")
    folder.read()
    noisy = {i for i, run in folder._known.items() if run.cell.values["dropout.p"]}
    assert not folder.finished & noisy
    assert go(asked).count("completed") == 2


def test_a_run_broken_off_before_its_inference_is_not_taken_for_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(engine_module, "keep_inferences", kill)
    with pytest.raises(KeyboardInterrupt):
        go(small(tmp_path / "s"))
    monkeypatch.undo()
    assert findings(tmp_path / "s") == []
    outcome = go(small(tmp_path / "s"))
    assert (outcome.trained, outcome.count("completed")) == (4, 4)


def test_a_lost_manifest_is_made_again_by_the_same_command(out: Path, whole: Path) -> None:
    (out / results.MANIFEST).unlink()
    assert preview(small(out)).fleets == []
    assert go(small(out)).trained == 0
    assert_same_results(out, whole)
    made, before = (json.loads((f / results.MANIFEST).read_text()) for f in (out, whole))
    for entry in before["runs"].values():
        assert entry.pop("sessions") == [0]  # which session trained a run is lost
    assert (made["runs"], made["fleets"]) == (before["runs"], before["fleets"])


def test_a_lost_manifest_is_not_made_again_by_less_than_the_same_command(out: Path) -> None:
    (out / results.MANIFEST).unlink()
    before = content(out)
    with pytest.raises(StorageError, match="its tables hold 2 runs not asked for here"):
        go(small(out, seeds="1"))
    after = content(out)
    after.pop(".lock", None)
    before.pop(".lock", None)
    assert after == before


# ---------------------------------------------------------------------------- who may write, where


def test_a_folder_of_another_program_is_never_written(tmp_path: Path) -> None:
    """Also where it has dot files only, or tables with the names of ours."""
    for index, (name, text) in enumerate(
        [("notes.txt", "mine"), (".git", "x"), (".hidden.tmp.txt", "x"), (RUNS, "run_id,a\n1,2\n"),
         (METRICS, "step,loss\n1,2\n")]
    ):  # fmt: skip
        folder = tmp_path / str(index)
        folder.mkdir()
        (folder / name).write_text(text)
        with pytest.raises(StorageError, match="is not the folder of a study"):
            go(small(folder))
        assert content(folder) == {name: text.encode()}


def test_a_folder_reached_through_a_link_is_written_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "s").symlink_to(tmp_path / "disk")
    assert go(small(tmp_path / "s", seeds="1")).count("completed") == 2
    assert (tmp_path / "disk" / RUNS).exists()
    assert (tmp_path / "s").is_symlink()


def test_a_link_to_nothing_or_to_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s").symlink_to(tmp_path / "nowhere")
    with pytest.raises(StorageError, match="is a symbolic link to nothing"):
        go(small(tmp_path / "s"))
    (tmp_path / "nowhere").write_text("x")
    with pytest.raises(StorageError, match="is a file"):
        go(small(tmp_path / "s"))
    assert (tmp_path / "nowhere").read_text() == "x"


@pytest.mark.parametrize(
    "name", ["manifest.json", "metrics.csv", "runs.csv", "inference.csv", "runs", "plots",
             "plugins", ".lock", "runs/0123456789ab"],
)  # fmt: skip
def test_nothing_is_written_through_a_link_in_the_folder(
    out: Path, tmp_path: Path, name: str
) -> None:
    outside = tmp_path / "outside"
    path = out / name
    path.parent.mkdir(exist_ok=True)
    if path.is_dir():
        shutil.rmtree(path)
    if path.exists():
        path.rename(outside)
    else:
        outside.mkdir()
        (outside / "mine.txt").write_text("mine")
    path.symlink_to(outside)
    before = content(tmp_path)
    with pytest.raises(StorageError, match="is a symbolic link, and nothing is written"):
        go(small(out, seeds="3"))
    assert content(tmp_path) == before


def test_a_file_in_the_place_of_a_folder_is_refused(tmp_path: Path, out: Path) -> None:
    shutil.rmtree(out / "runs", ignore_errors=True)
    (out / "runs").write_text("x")
    with pytest.raises(StorageError, match="runs is no folder"):
        go(small(out))


def test_a_folder_that_may_not_be_written_is_said_so() -> None:
    for folder in (Path("/proc/results/s"), Path("/dev/null/s")):
        with pytest.raises(StorageError, match="cannot be"):
            go(small(folder))


def test_the_second_writer_is_told_who_the_first_is(tmp_path: Path) -> None:
    class SecondStarts(Silent):
        def epoch_ended(self, fleet: Sequence[Run], epoch: Epoch) -> None:
            with pytest.raises(StorageError) as caught:
                go(small(tmp_path / "s"))
            self.message = str(caught.value)
            self.alive = is_alive(tmp_path / "s")

    events = SecondStarts()
    go(small(tmp_path / "s", seeds="1"), events)
    who = f"is being written by process {os.getpid()} on {socket.gethostname()} (dropout-lab"
    assert who in events.message
    assert "wait for it to end. Or give another folder with --out." in events.message
    assert events.alive is True
    assert not (tmp_path / "s" / results.WRITER).exists()
    assert go(small(tmp_path / "s", seeds="1")).trained == 0  # the lock is free again


def test_the_note_and_the_lock_of_a_dead_process_are_harmless(out: Path) -> None:
    dead = subprocess.run(["sh", "-c", "echo $$"], capture_output=True, text=True, check=True)
    note = {"process": int(dead.stdout), "host": socket.gethostname(), "command": "x"}
    (out / results.WRITER).write_text(json.dumps({**note, "started": "2026-01-01"}))
    (out / results.LOCK).touch()
    assert is_alive(out) is False
    assert go(small(out)).trained == 0
    assert not (out / results.WRITER).exists()


@pytest.mark.parametrize(
    "text", ["", "[]", "{", "\x00", '{"process": -1}', '{"process": true}', "[" * 5000,
             '{"process": 99999999999999999999, "host": 1, "command": "\\u0007", "started": []}'],
)  # fmt: skip
def test_a_note_that_says_nothing_is_no_obstacle(out: Path, text: str) -> None:
    (out / results.WRITER).write_text(text)
    assert "\x07" not in describe_writer(out)
    is_alive(out)
    assert go(small(out)).trained == 0


def test_a_file_system_without_locks_is_no_traceback(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: object) -> None:
        raise NotImplementedError("FileSystem does not appear to support flock")

    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    with pytest.raises(StorageError, match="its file system has no locks"):
        go(small(out))


def test_a_folder_that_cannot_be_opened_lets_its_lock_go(out: Path) -> None:
    good = (out / METRICS).read_bytes()
    (out / METRICS).write_bytes(b"")
    folder = StudyFolder(out)
    with pytest.raises(StorageError, match="the file is empty"), folder:
        pass
    (out / METRICS).write_bytes(good)
    with StudyFolder(out):
        assert (out / results.WRITER).exists()


def test_a_message_of_a_spreadsheets_formula_is_kept_as_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError("\n=HYPERLINK(1)")

    monkeypatch.setattr(engine_module, "train", fail)
    go(small(tmp_path / "s", seeds="1"))
    text = (tmp_path / "s" / RUNS).read_text()
    assert len(text.splitlines()) == 3
    (cell,) = {row["message"] for row in read_rows(tmp_path / "s" / RUNS)}
    assert cell.startswith("RuntimeError")
    folder = StudyFolder(tmp_path / "s")
    with folder:
        for row in folder._runs.values():
            row["message"] = "=1+1"
        assert folder.manifest is not None
        folder.rewrite(folder.manifest.list_runs(), folder.manifest.swept)
    assert (tmp_path / "s" / RUNS).read_text().count(",'=1+1\n") == 2
    assert {row["message"] for row in read_rows(tmp_path / "s" / RUNS)} == {"=1+1"}


def test_leftovers_of_a_killed_write_go(out: Path) -> None:
    (out / ".metrics.csv.0123.tmp").write_text("half")
    with StudyFolder(out):
        assert files.find_temporary_files(out) == []


def test_a_manifest_put_back_to_before_an_extension_loses_no_run(out: Path) -> None:
    earlier = (out / results.MANIFEST).read_bytes()
    go(small(out, p="0,0.25,0.5"))
    after = {name: (out / name).read_text() for name in (results.METRICS, RUNS)}
    (out / results.MANIFEST).write_bytes(earlier)
    events = Silent()
    assert go(small(out, p="0,0.25,0.5"), events).trained == 0
    assert events.warnings == []
    assert {name: (out / name).read_text() for name in after} == after
    assert not list(out.glob("*.damaged"))


@pytest.mark.parametrize("how", ["a row", "a torn row", "the file"])
def test_lost_rows_of_the_mean_network_are_made_again(how: str, out: Path) -> None:
    path = out / results.INFERENCE
    before = path.read_text()
    lines = before.splitlines(keepends=True)
    if how == "the file":
        path.unlink()
    else:
        path.write_text("".join(lines[:-1]) if how == "a row" else before[:-5])
    outcome = go(small(out))
    assert outcome.trained == (4 if how == "the file" else 1)
    assert path.read_text() == before


def test_a_study_from_before_there_were_inferences_is_finished_without(tmp_path: Path) -> None:
    shutil.copytree(REFERENCE / "mnist_placement", tmp_path / "s")
    assert not (tmp_path / "s" / INFERENCE).exists()
    folder = StudyFolder(tmp_path / "s")
    folder.read()
    assert len(folder.finished) == 21
    assert folder.findings == []


def test_fewer_epochs_than_asked_are_not_whole(out: Path) -> None:
    path = out / RUNS
    header, first, *rest = path.read_text().splitlines(keepends=True)
    at = header.split(",").index("epochs")
    fields = first.split(",")
    assert fields[at] == "3"
    fields[at] = "2"
    path.write_text("".join([header, ",".join(fields), *rest]))
    assert findings(out)[0].endswith("after 2 of 3 epochs; it will be retrained.")
    assert go(small(out)).trained == 1


@pytest.mark.parametrize("existing", [False, True])
def test_a_study_that_cannot_begin_leaves_nothing(tmp_path: Path, existing: bool) -> None:
    out = tmp_path / "results" / "s"
    if existing:
        out.mkdir(parents=True)
    with pytest.raises(KeyError), StudyFolder(out):
        raise KeyError  # as where the workers of a cluster cannot be used
    assert not any(out.glob("*"))
    assert out.exists() == (tmp_path / "results").exists() == existing
