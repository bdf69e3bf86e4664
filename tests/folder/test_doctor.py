"""Real damage to real studies: doctor names it, mends it, and the same command finishes."""

import json
import os
import shutil
import socket
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dropout_lab import results
from dropout_lab.analysis.tables import read_study
from dropout_lab.catalogue import CATALOGUE
from dropout_lab.errors import StorageError
from dropout_lab.folder.doctor import Finding, examine, repair
from dropout_lab.folder.study_folder import StudyFolder
from dropout_lab.results import INFERENCE, METRICS, RUNS, csv_text, find_studies, read_rows
from dropout_lab.results.predictions import PREDICTIONS
from tests.folder.test_study_folder import assert_same_rows, content
from tests.study.test_final_measurements import ASKED
from tests.study.test_run import Silent, StopsAfter, go, study

REFERENCE = Path(__file__).parents[2] / "results" / "reference"
MODELS = {"fleet_size": 1, "p": "0,0.5", "seeds": "2", "save_models": True}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study with everything in it: inference, predictions, weights."""
    out = tmp_path_factory.mktemp("whole") / "s"
    go(study(out, *ASKED, **MODELS))
    return out


@pytest.fixture
def out(tmp_path: Path, whole: Path) -> Path:
    shutil.copytree(whole, tmp_path / "s")
    return tmp_path / "s"


def damages(found: list[Finding]) -> list[Finding]:
    return [finding for finding in found if finding.damaged]


def field(path: Path, row: int, column: str, value: str) -> None:
    """Put another value into a table."""
    table = results.read_table(path)
    table.rows[row] = {**table.rows[row], column: value}
    path.write_text(results.table_text(table.header, table.rows))


def flip(path: Path, place: float = 0.5) -> None:
    data = bytearray(path.read_bytes())
    data[int(place * (len(data) - 1))] ^= 1
    path.write_bytes(data)


def first(out: Path, name: str) -> Path:
    return sorted((out / "runs").rglob(name))[0]


def text_damage(name: str, change: Callable[[str], str]) -> Callable[[Path], None]:
    def damage(out: Path) -> None:
        text = (out / name).read_text()
        assert change(text) != text
        (out / name).write_text(change(text))

    return damage


def edit_manifest(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def damage(out: Path) -> None:
        manifest = json.loads((out / results.MANIFEST).read_text())
        change(manifest)
        (out / results.MANIFEST).write_text(json.dumps(manifest))

    return damage


def lines(change: Callable[[list[str]], list[str]]) -> Callable[[str], str]:
    return lambda text: "".join(change(text.splitlines(keepends=True)))


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "torn row": (text_damage(METRICS, lambda t: t[:-20]), "is cut short"),
    "narrow row": (text_damage(METRICS, lines(lambda r: [*r[:2], "x,1\n", *r[2:]])), "2 fields"),
    "doubled header": (text_damage(METRICS, lines(lambda r: [*r, r[0]])), "the header again"),
    "doubled row": (text_damage(METRICS, lines(lambda r: [*r, r[1]])), "there already in line 2"),
    "out of order": (
        text_damage(METRICS, lines(lambda r: [r[0], *reversed(r[1:])])),
        "is out of order",
    ),
    "NUL bytes": (text_damage(METRICS, lines(lambda r: [*r, "\0\0\0\n"])), "NUL bytes"),
    "decimal comma": (lambda out: field(METRICS_OF(out), 3, "test_loss", "0,5"), "is no number"),
    "a hole": (text_damage(METRICS, lines(lambda r: [*r[:3], *r[4:]])), "lacks its epoch"),
    "an empty table": (text_damage(METRICS, lambda t: ""), "the file is empty"),
    "zeros": (text_damage(RUNS, lambda t: "\0" * len(t)), "cut short or no text"),
    "semicolons": (text_damage(METRICS, lambda t: t.replace(",", ";")), "separated by ';'"),
    "no header": (text_damage(RUNS, lines(lambda r: r[1:])), "is a row, not the header"),
    "no header of records": (
        text_damage(METRICS, lines(lambda r: r[1:])),
        "has lost its header: its first line is a row",
    ),
    "a missing column": (
        text_damage(INFERENCE, lambda t: t.replace("test_brier", "brier")),
        "has no column test_brier",
    ),
    "another status": (text_damage(RUNS, lambda t: t.replace("completed", "done", 1)), "'done'"),
    "an unknown run": (
        text_damage(RUNS, lines(lambda r: [*r, "0123456789ab" + r[1][12:]])),
        "does not list",
    ),
    "runs.csv disagrees": (
        lambda out: field(out / RUNS, 0, "test_accuracy", "0.99"),
        "test_accuracy is 0.99, and metrics.csv makes it",
    ),
    "another best epoch": (lambda out: field(out / RUNS, 0, "best_epoch", "77"), "best_epoch is"),
    "too few epochs": (lambda out: field(out / RUNS, 0, "epochs", "2"), "after 2 of 3 epochs"),
    "a wrong gap": (lambda out: field(METRICS_OF(out), 0, "accuracy_gap", "0.5"), "accuracy_gap"),
    "wrong errors": (lambda out: field(METRICS_OF(out), 0, "test_errors", "1"), "test_errors is 1"),
    "an accuracy of 7": (
        lambda out: field(METRICS_OF(out), 0, "validation_accuracy", "7"),
        "validation_accuracy is 7",
    ),
    "an inference less": (
        text_damage(INFERENCE, lambda t: t.replace(",geometric,", ",geometrix,", 1)),
        "lacks geometric",
    ),
    "runs.csv lost": (lambda out: (out / RUNS).unlink(), "whose records are complete"),
    "predictions": (lambda out: flip(first(out, PREDICTIONS)), "predictions.npz"),
    "weights": (
        lambda out: first(out, "weights.pt").write_bytes(b"\x80junk"),
        "is not what was written",
    ),
    "a bit of the weights": (
        lambda out: flip(first(out, "weights.pt"), 0.3),
        "is not what was written: its SHA-256 is another",
    ),
    "weights of another run": (
        lambda out: first(out, "weights.pt").write_bytes(
            sorted((out / "runs").rglob("weights.pt"))[1].read_bytes()
        ),
        "is of another run, ",
    ),
    "manifest torn": (text_damage(results.MANIFEST, lambda t: t[:900]), "cannot be read as"),
    "manifest lost": (lambda out: (out / results.MANIFEST).unlink(), "is not there"),
    "manifest nested": (
        text_damage(results.MANIFEST, lambda t: "[" * 5_000),
        "nested too deeply",
    ),
    "another seed": (
        edit_manifest(lambda m: next(iter(m["runs"].values())).update(seed=9)),
        "is not the digest of its settings and seed",
    ),
    "a path as run": (
        edit_manifest(lambda m: m["runs"].update({"../../x": {"seed": 0, "settings": {}}})),
        "should match pattern",
    ),
}  # fmt: skip


# What a kill or another program leaves: nothing is lost by it.
HARMLESS = {
    "doubled header", "doubled row", "out of order", "semicolons", "an unknown run",
}  # fmt: skip


def METRICS_OF(out: Path) -> Path:  # noqa: N802
    return out / METRICS


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_named_mended_and_finished_by_the_same_command(
    out: Path, whole: Path, name: str
) -> None:
    damage, words = DAMAGE[name]
    damage(out)
    before = content(out)
    found = examine(out)
    assert any(words in finding.words for finding in found), found
    assert bool(damages(found)) == (name not in HARMLESS), found
    assert all(finding.remedy for finding in damages(found))
    assert content(out) == before  # looking writes nothing

    mended, left = repair(out)
    assert not [finding for finding in left if finding.hopeless or finding.repair]
    kept = {data for path, data in content(out).items() if ".damaged" in path}
    for path, data in before.items():
        changed = not (out / path).exists() or (out / path).read_bytes() != data
        if changed and not path.endswith((".tmp", ".lock", results.WRITER)):
            assert data in kept, path  # nothing is removed without a backup
    after = content(out)
    assert repair(out) == ([], left)
    assert content(out) == after  # a second time does nothing
    assert bool(mended) == any(finding.repair for finding in found)

    go(study(out, *ASKED, **MODELS))
    assert_same_rows(out, whole)
    assert damages(examine(out)) == []
    assert sorted(read_rows(out / INFERENCE), key=str) == sorted(
        read_rows(whole / INFERENCE), key=str
    )


@pytest.mark.parametrize("name", [METRICS, RUNS, INFERENCE])
def test_a_lost_header_is_written_again_and_nothing_is_trained(
    out: Path, whole: Path, name: str
) -> None:
    text_damage(name, lines(lambda r: r[1:]))(out)
    repair(out)
    assert (out / name).read_text() == (whole / name).read_text()
    assert go(study(out, *ASKED, **MODELS)).trained == 0


def test_a_sound_study_has_no_damage(out: Path) -> None:
    assert examine(out) == []
    assert repair(out) == ([], [])


def test_the_published_studies_are_sound() -> None:
    studies = find_studies(REFERENCE)
    assert len(studies) == len(list(REFERENCE.glob("*/manifest.json"))) > 4
    assert [damages(examine(folder)) for folder in studies] == [[]] * len(studies)


def test_rounding_by_a_spreadsheet_is_no_damage(out: Path) -> None:
    table = results.read_table(out / METRICS)
    for place, row in enumerate(table.rows):
        for column, value in row.items():
            if results.is_number_column(column) and "." in value:
                row[column] = f"{float(value):.15g}"
        table.rows[place] = row
    (out / METRICS).write_text(results.table_text(table.header, table.rows))
    assert damages(examine(out)) == []
    assert "another program rounded" in examine(out)[0].words
    assert len(read_study(out).completed) == 2
    assert go(study(out, *ASKED, **MODELS)).trained == 0


def test_a_damaged_checkpoint_is_put_aside(tmp_path: Path) -> None:
    out, asked = tmp_path / "s", {"p": "0.5", "seeds": "2"}
    go(study(tmp_path / "undisturbed", **asked))
    with pytest.raises(KeyboardInterrupt):
        go(study(out, **asked), StopsAfter(2))
    assert examine(out) == []  # a study that was broken off is not damaged
    checkpoint = first(out, "*.pt")
    flip(checkpoint)
    (finding,) = examine(out)
    assert finding.path == checkpoint
    mended, left = repair(out)
    assert (len(mended), left) == (1, [])
    assert not checkpoint.exists()
    assert checkpoint.with_name(f"{checkpoint.name}.damaged").exists()
    go(study(out, **asked))
    assert_same_rows(out, tmp_path / "undisturbed")


def test_a_lost_record_before_a_checkpoint_takes_the_checkpoint_along(tmp_path: Path) -> None:
    out, asked = tmp_path / "s", {"p": "0.5", "seeds": "2", "fleet_size": 1}
    go(study(tmp_path / "undisturbed", **asked))
    with pytest.raises(KeyboardInterrupt):
        go(study(out, **asked), StopsAfter(2))
    head, _, *rest = (out / METRICS).read_text().splitlines(keepends=True)
    (out / METRICS).write_text("".join([head, *rest]))
    assert [finding.words for finding in examine(out)] == [
        "continues from a row of epoch 1, which is lost"
    ] * 2
    assert repair(out)[1] == []
    go(study(out, **asked))
    assert_same_rows(out, tmp_path / "undisturbed")


def test_a_newer_manifest_is_never_touched(out: Path) -> None:
    edit_manifest(lambda m: m.update(format=2))(out)
    before = content(out)
    for look in (examine, repair):
        with pytest.raises(StorageError, match="has format 2"):
            look(out)
    assert content(out) == before


def test_a_study_being_written_is_left_to_its_writer(tmp_path: Path) -> None:
    class Looks(Silent):
        def epoch_ended(self, *arguments: Any) -> None:
            super().epoch_ended(*arguments)
            out = tmp_path / "s"
            (out / ".x.tmp").write_text("x")
            with (out / METRICS).open("a") as file:
                file.write("half a row")
            note, torn = examine(out)
            assert "is being written by process" in note.words
            assert "cut short" in torn.words
            with pytest.raises(StorageError, match="is being written by process"):
                repair(out)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        go(study(tmp_path / "s", p="0.5", seeds="1"), Looks())
    assert (tmp_path / "s" / ".x.tmp").exists()


def test_a_note_of_another_machine_is_told_not_taken(out: Path) -> None:
    note = {"process": os.getpid(), "host": f"not-{socket.gethostname()}", "command": "x"}
    (out / results.WRITER).write_text(json.dumps({**note, "started": "2026"}))
    (finding,) = examine(out)
    assert (finding.damaged, finding.repair) == (False, None)
    assert "it is not on this machine" in finding.words


def test_links_are_damage_that_is_not_mended(out: Path, tmp_path: Path) -> None:
    (out / RUNS).rename(tmp_path / "elsewhere.csv")
    (out / RUNS).symlink_to(tmp_path / "elsewhere.csv")
    (finding,) = examine(out)
    assert finding.hopeless
    assert "symbolic link" in finding.words
    assert repair(out) == ([], [finding])


def test_run_folders_and_columns_of_others_are_told_and_left_alone(out: Path) -> None:
    (out / "runs" / "0123456789ab").mkdir()
    (out / "runs" / "0123456789ab" / "notes.txt").write_text("mine")
    table = results.read_table(out / RUNS)
    rows = [{**row, "remark": "mine"} for row in table.rows]
    (out / RUNS).write_text(results.table_text([*table.header, "remark"], rows))
    before = content(out)
    found = examine(out)
    assert [finding.damaged for finding in found] == [False, False]
    assert repair(out) == ([], found)
    assert content(out) == before


def test_a_plugin_whose_text_was_changed_is_put_aside(out: Path) -> None:
    manifest = json.loads((out / results.MANIFEST).read_text())
    entry = {"file": "mine.py", "sha256": "0" * 64, "variant": asdict(CATALOGUE["inverted"])}
    manifest["plugins"] = {"inverted": entry}
    (out / results.MANIFEST).write_text(json.dumps(manifest))
    (out / "plugins").mkdir()
    (out / "plugins" / "inverted.py").write_text("changed")
    (finding,) = examine(out)
    assert "has another SHA-256 than manifest.json says" in finding.words
    repair(out)
    assert (out / "plugins" / "inverted.py.damaged").read_text() == "changed"
    assert examine(out) == []


def test_damage_upon_damage_is_mended_in_one_go(out: Path, whole: Path) -> None:
    for name in ("a hole", "wrong errors", "torn row", "predictions", "another status", "weights"):
        DAMAGE[name][0](out)
    flip(out / results.MANIFEST, 0.01)
    assert len(damages(examine(out))) >= 4
    _, left = repair(out)
    assert [finding.path.name for finding in damages(left)] == [results.MANIFEST]
    StudyFolder(out)
    go(study(out, *ASKED, **MODELS))
    repair(out)  # what only the manifest could tell
    go(study(out, *ASKED, **MODELS))
    assert_same_rows(out, whole)
    assert damages(examine(out)) == []


@pytest.mark.parametrize(
    "seed", [pytest.param(seed, marks=[pytest.mark.slow] * (seed >= 8)) for seed in range(20)]
)
def test_random_bytes_in_any_file_are_no_traceback(out: Path, whole: Path, seed: int) -> None:
    """Doctor and the same command, over and over, end with the very study or with a sentence."""
    generator = np.random.default_rng(seed)
    every = [p for p in sorted(out.rglob("*")) if p.is_file() and p.name != ".lock"]
    path = every[generator.integers(len(every))]
    data = bytearray(path.read_bytes())
    at = int(generator.integers(len(data)))
    data[at : at + int(generator.integers(1, 50))] = generator.bytes(int(generator.integers(60)))
    path.write_bytes(data)
    examine(out)
    repair(out)
    go(study(out, *ASKED, **MODELS))
    repair(out)
    go(study(out, *ASKED, **MODELS))
    assert damages(examine(out)) == []
    ids = [row["run_id"] for row in read_rows(out / RUNS)]
    assert sorted(ids) == sorted(row["run_id"] for row in read_rows(whole / RUNS))


def test_a_table_of_another_width_has_its_faults_counted(out: Path) -> None:
    with (out / METRICS).open("a") as file:
        file.write(csv_text([["x", "y"]] * 100))
    found = examine(out)
    assert len(found) == 21
    assert found[-1].words == "has 80 more damaged rows"


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        (".metrics.csv.12.tmp", "half", "1 temporary file of a process that was killed"),
        (results.WRITER, "{}", "is no note"),
    ],
)
def test_what_a_kill_leaves_is_told_and_no_damage(
    name: str, text: str, words: str, out: Path
) -> None:
    (out / name).write_text(text)
    (finding,) = examine(out)
    assert words in finding.words
    assert not finding.damaged
    repair(out)
    assert not (out / name).exists()
    assert examine(out) == []


def test_the_manifest_of_another_study_is_put_aside_not_the_rows(out: Path, tmp_path: Path) -> None:
    go(study(tmp_path / "other", p="0.3", seeds="1"))
    before = {name: (out / name).read_bytes() for name in (METRICS, RUNS)}
    strange = (tmp_path / "other" / results.MANIFEST).read_bytes()
    (out / results.MANIFEST).write_bytes(strange)
    (finding,) = [finding for finding in examine(out) if finding.repair]
    assert "lists none of the 4 runs in its tables" in finding.words
    repair(out)
    assert (out / f"{results.MANIFEST}.damaged").read_bytes() == strange
    assert {name: (out / name).read_bytes() for name in before} == before
    assert go(study(out, *ASKED, **MODELS)).trained == 0


def test_predictions_of_another_run_are_damage(out: Path) -> None:
    one, other, *_ = sorted((out / "runs").iterdir())
    (other / "predictions.npz").write_bytes((one / "predictions.npz").read_bytes())
    assert f"is of another run, {one.name}" in "".join(each.words for each in examine(out))
    before = (out / results.ENSEMBLES).read_text()
    assert go(study(out, *ASKED, **MODELS)).trained == 1
    assert (out / results.ENSEMBLES).read_text() == before


def test_a_damaged_swept_value_in_the_ensembles_is_no_cell_of_its_own(out: Path) -> None:
    path = out / results.ENSEMBLES
    before = path.read_text()
    path.write_text(before.replace("\n0.5,", "\n0;5,"))
    assert path.read_text() != before
    events = Silent()
    go(study(out, *ASKED, **MODELS), events)
    assert path.read_text() == before
    assert any("ensembles.csv was damaged" in warning for warning in events.warnings)
