"""The README is true: its first commands are complete, its code runs, its numbers are published."""

import re
from pathlib import Path

import pytest
import yaml

from dropout_lab.analysis.tables import read_study, summarize_cells
from dropout_lab.catalogue import CATALOGUE
from dropout_lab.config.document import Document
from dropout_lab.config.load import check
from dropout_lab.lessons import LESSONS
from tests.documents import PAGES, README, ROOT, blocks_of, fences_of

TEXT = README.read_text(encoding="utf-8")
QUICKSTART = ROOT / "results" / "reference" / "quickstart"


def test_the_first_two_blocks_are_complete() -> None:
    (_, first), (_, second) = fences_of(README)[:2]
    lines = first.splitlines()
    assert lines[0] == "python3 -m venv .venv"
    assert lines[1] == "source .venv/bin/activate"  # else the shell does not find dropout-lab
    assert lines[2] == "pip install ."
    assert re.fullmatch(r"dropout-lab sweep (--config )?configs/quickstart\.yaml", lines[3])
    assert "python3 -m venv .venv" in second
    assert second.strip().endswith("pytest")


def test_no_command_in_a_block_is_expanded_by_zsh() -> None:
    for page in (README, *PAGES.glob("**/*.md")):
        for text in blocks_of(page, "bash"):
            bare = re.sub(r"'[^']*'|\"[^\"]*\"|#.*", "", text)
            assert not re.search(r"=\[|\.\[|\*", bare), (page.name, text)


def test_the_python_code_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the config of the quickstart made small."""
    layer, study = blocks_of(README, "python")
    exec(layer, {})
    assert capsys.readouterr().out == "torch.Size([8, 10])\n"
    config = (ROOT / "configs" / "quickstart.yaml").read_text()
    for true, small in (("epochs: 30", "epochs: 2"), ("[512, 512]", "[16]")):
        assert true in config
        config = config.replace(true, small)
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "quickstart.yaml").write_text(config)
    monkeypatch.chdir(tmp_path)
    exec(study, {})
    assert "test_accuracy_mean" in capsys.readouterr().out
    assert (tmp_path / "gap.png").stat().st_size > 10_000
    assert (tmp_path / "results/from_python/runs.csv").exists()


def test_the_config_is_one_that_sweep_takes() -> None:
    (text,) = blocks_of(README, "yaml")
    assert 10 <= len(text.splitlines()) <= 14
    config = check(Document("README.md", yaml.safe_load(text)), sweep=True)
    assert config.name == "placement"  # the folder that the README reports on


def test_the_counts_are_those_of_the_program() -> None:
    words = {15: "fifteen", 7: "seven"}
    assert f"{len(CATALOGUE)} kinds of dropout" in TEXT
    assert f"{len(CATALOGUE)} variants of dropout" in TEXT
    assert f"{words[len(LESSONS)]} lessons" in TEXT
    papers = {re.sub(r"_.*", "", path.stem) for path in (ROOT / "configs/papers").glob("*.yaml")}
    assert f"{words[len(papers)]} papers" in TEXT


@pytest.mark.skipif(not QUICKSTART.exists(), reason="the published studies are not here")
def test_the_table_of_the_quickstart_is_the_published_one() -> None:
    rows = []
    for row in summarize_cells(read_study(QUICKSTART)).to_dict("records"):
        percent = {key: 100 * value for key, value in row.items() if isinstance(value, float)}
        rows.append(
            "| {seeds} | {test_accuracy_mean:.2f} ± {test_accuracy_sd:.2f} "
            "| {accuracy_gap_mean:.2f} ± {accuracy_gap_sd:.2f} "
            "| {difference_mean:+.2f} ± {difference_half:.2f} |".format(**{**row, **percent})
        )
    rows[0] = re.sub(r"[^|]+\|$", " |", rows[0])  # the baseline is not compared with itself
    for page in (README, PAGES / "get-started" / "first-experiment.md"):
        shown = re.findall(r"^\| (?:no dropout|p = [\d.]+) (\| .*)$", page.read_text(), re.M)
        assert shown == rows


def test_every_linked_file_exists() -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", TEXT)
    assert len(targets) > 15
    for target in targets:
        assert (ROOT / target).exists(), target


def test_the_citation_is_yaml_with_the_version_of_the_program() -> None:
    from dropout_lab import __version__

    citation = yaml.safe_load(Path(ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert str(citation["version"]) == __version__
    assert len(citation["references"]) >= 7
