"""The section report: it judges results, and changes neither the runs nor the study."""

import json
from pathlib import Path

import pytest

from dropout_lab.config.grid import runs_of
from dropout_lab.config.load import load, load_with_cells
from dropout_lab.config.overrides import Changes
from dropout_lab.config.schema import Config
from dropout_lab.errors import ConfigError
from dropout_lab.folder.manifest import join_study, new_manifest, record_config
from dropout_lab.results import Manifest

TEXT = "dropout: {p: 0.3}\nsweep: {grid: {dropout.p: [0, 0.3]}}\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "c.yaml"
    path.write_text(text)
    return path


def test_no_margin_is_the_default() -> None:
    assert Config().report.margin is None


def test_the_margin_changes_no_run_and_is_kept_in_the_manifest(tmp_path: Path) -> None:
    changes = Changes(sweep=True)
    plain, cells = load_with_cells(written(tmp_path, TEXT), changes)
    config, same = load_with_cells(written(tmp_path, f"{TEXT}report: {{margin: 0.1}}\n"), changes)
    seeds = (0, 1)
    assert [r.run_id for r in runs_of(cells, seeds)] == [r.run_id for r in runs_of(same, seeds)]
    manifest = new_manifest(plain)
    record_config(manifest, plain)
    assert "report" not in manifest.to_json()
    join_study(manifest, config, same, tmp_path)  # the folder continues
    record_config(manifest, config)
    assert manifest.settings_digest == new_manifest(plain).settings_digest
    read = Manifest.model_validate(json.loads(json.dumps(manifest.to_json())))
    assert read.report.margin == 0.1


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("report:\n  margin: 0\n", 2, "report.margin is 0; allowed: a number above 0 and at most"),
        ("report:\n  margin: 101\n", 2, "report.margin is 101; allowed: "),
        ("report:\n  margin: small\n", 2, 'report.margin is "small"; allowed: '),
        ("report:\n  margins: 0.1\n", 2, "report.margins is not a setting; did you mean 'margin'?"),
        ("report: 0.1\n", 1, "report is 0.1; write report: {margin: 0.1}."),
    ],
)
def test_a_wrong_margin_is_refused(text: str, line: int, words: str, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load(path)
    (mistake,) = caught.value.mistakes
    assert mistake.startswith(f"{path}:{line}")
    assert words in mistake


def test_the_command_line_wins_over_the_config(tmp_path: Path) -> None:
    path = written(tmp_path, f"{TEXT}report: {{margin: 0.1}}\n")
    assert load(path, Changes(sweep=True, margin=0.5)).report.margin == 0.5
    assert load(path, Changes(settings=("report.margin=0.2",))).report.margin == 0.2
    assert load(path, Changes(settings=("report.margin=null",))).report.margin is None
    both = Changes(sweep=True, margin=0.5, settings=("report.margin=0.2",))
    with pytest.raises(ConfigError, match=r"--margin 0\.5 sets report\.margin too; give one"):
        load(path, both)


def test_a_margin_cannot_be_swept(tmp_path: Path) -> None:
    text = "sweep: {grid: {report.margin: [0.1, 0.2]}}\n"
    with pytest.raises(ConfigError, match=r"report\.margin"):
        load(written(tmp_path, text), Changes(sweep=True))
