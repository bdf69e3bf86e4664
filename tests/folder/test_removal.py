"""Settings that are taken out of a study, and what still counts of them."""

import json
from pathlib import Path

import pytest

from dropout_lab import results
from dropout_lab.analysis.conclusions import conclusions
from dropout_lab.analysis.paired import compare_cells
from dropout_lab.analysis.tables import read_study
from dropout_lab.errors import ConfigError, StorageError
from dropout_lab.folder.doctor import examine
from dropout_lab.folder.removal import remove_cells
from dropout_lab.folder.study_folder import StudyFolder
from tests.analysis.test_tables import made_study

VALUES = [0.90, 0.91, 0.92, 0.93, 0.80, 0.81]


def study_of(folder: Path) -> Path:
    return made_study(folder / "s", "dropout.p=0,0.5,0.95", accuracies=VALUES)


def test_a_removed_setting_is_in_no_table_and_still_counts_in_the_correction(
    tmp_path: Path,
) -> None:
    path = study_of(tmp_path)
    before = (path / results.METRICS).read_bytes()
    removal = remove_cells(path, {"dropout.p": 0.95})
    assert [run.seed for run in removal.runs] == [0, 1]
    study = read_study(path)
    assert set(study.runs["dropout.p"]) == set(study.metrics["dropout.p"]) == {0.0, 0.5}
    assert (path / f"{results.METRICS}.damaged").read_bytes() == before
    assert study.removed == ("dropout.p = 0.95", 1)
    _, first, *_, last = conclusions(study, compare_cells(study))
    assert first == (
        "Removed from this study: dropout.p = 0.95. 1 removed comparison still counts in the "
        "correction."
    )
    assert "2 comparisons need 7 paired seeds" in last


def test_a_removed_setting_that_is_trained_again_counts_once(tmp_path: Path) -> None:
    path = study_of(tmp_path)
    whole = json.loads((path / results.MANIFEST).read_text())
    remove_cells(path, {"dropout.p": 0.95})
    manifest = json.loads((path / results.MANIFEST).read_text())
    again = manifest | {"runs": whole["runs"], "fleets": whole["fleets"]}
    (path / results.MANIFEST).write_text(json.dumps(again))
    assert read_study(path).removed == ("", 0)


def test_a_dry_run_removes_nothing(tmp_path: Path) -> None:
    path = study_of(tmp_path)
    before = {file.name: file.read_bytes() for file in path.iterdir()}
    assert len(remove_cells(path, {"dropout.p": "0.95"}, dry_run=True).runs) == 2
    assert {file.name: file.read_bytes() for file in path.iterdir()} == before


def test_a_kill_in_the_middle_leaves_a_study_that_reads_and_is_repaired(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The manifest is written first: rows that it does not list are no part of the study."""
    path = study_of(tmp_path)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(StudyFolder, "rewrite", killed)
        with pytest.raises(KeyboardInterrupt):
            remove_cells(path, {"dropout.p": 0.95})
    assert set(read_study(path).runs["dropout.p"]) == {0.0, 0.5}
    found = examine(path)
    assert not [finding for finding in found if finding.damaged]
    assert any("does not list" in finding.words and finding.repair for finding in found)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"dropout.p": 0.7}, "No cell has dropout.p=0.7 with the rest; there are 0, 0.5, 0.95."),
        ({"model.hidden": [5]}, "model.hidden was not swept here; swept: dropout.p."),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(
    tmp_path: Path, values: dict[str, object], words: str
) -> None:
    with pytest.raises(ConfigError) as refusal:
        remove_cells(study_of(tmp_path), values)
    assert words in str(refusal.value)


def test_the_last_setting_is_not_removed(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="nothing would be left"):
        remove_cells(study_of(tmp_path), {})
    with pytest.raises(StorageError, match="is not the folder of a study"):
        remove_cells(tmp_path / "nothing", {"dropout.p": 0})
