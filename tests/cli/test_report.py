"""`dropout-lab report` as a user meets it: what it prints, what it writes, what it refuses."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dropout_lab.report import page
from dropout_lab.results import read_rows
from dropout_lab.results.predictions import PREDICTIONS
from tests.report.made import make_study

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take seconds and are looked at in tests/report."""
    monkeypatch.setattr(page, "inline_figures", lambda *_: [])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_study(tmp_path / "results" / "one", p="0,0.3,0.6", seeds="6")


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_the_table_and_the_findings_fit_the_terminal(
    columns: int, run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    result = run("report")
    assert (result.status, result.err) == (0, "")
    lines = result.out.splitlines()
    shown = [line for line in lines if not line.startswith("Files: ")]
    assert max(map(len, shown)) <= columns
    plain = " ".join(result.out.split())
    for words in ("no dropout", "p = 0.3 *", "Holm"):
        assert words in plain
    assert "Among the cells with dropout, validation chose p = 0.3" in plain
    if columns == 200:
        assert "95% interval" in plain
    files = next(line for line in lines if line.startswith("Files: "))
    for path in files.removeprefix("Files: ").split(", "):
        assert Path(path).stat().st_size > 100


def test_json_is_pure_and_has_every_number(run, folder: Path) -> None:
    result = run("report", "results/one", "--json")
    (told,) = json.loads(result.out).values()
    cells = {cell["cell"]: cell for cell in told["cells"]}
    assert all("is_baseline" in cell for cell in told["cells"])
    assert list(cells) == ["no dropout", "p = 0.3", "p = 0.6"]
    assert cells["p = 0.6"]["pairs"] == 6
    assert cells["p = 0.6"]["difference_mean"] == pytest.approx(
        cells["p = 0.6"]["test_accuracy_mean"] - cells["no dropout"]["test_accuracy_mean"]
    )
    assert cells["no dropout"]["p_holm"] is None
    assert told["published"] is None
    assert len(told["conclusions"]) > 1
    assert [Path(path).name for path in told["files"]] == [
        "report.html", "report.json", "cells.csv", "cells.md", "cells.tex"
    ]  # fmt: skip


def test_against_another_cell_and_as_errors(run, folder: Path) -> None:
    result = run("report", "--against", "dropout.p=0.6", "--errors", "--json")
    (told,) = json.loads(result.out).values()
    assert [cell["pairs"] for cell in told["cells"]] == [6, 6, 0]
    page = (folder / "report.html").read_text()
    assert "vs p = 0.6, pp" in page
    assert "test error %, mean" in page
    assert "dropout-lab report results/one --against dropout.p=0.6 --errors" in page


@pytest.mark.parametrize(
    ("against", "words"),
    [
        ("dropout.p", "write key=value"),
        ("dropout.p=", "write key=value"),
        ("dropout.q=0.5", "dropout.q is not a setting"),
        ("dropout.p=0.4", "no cell has it; there are: 0, 0.3, 0.6"),
        ("model.hidden=[8,8],dropout.p=0.3", "model.hidden: it was not swept here"),
        ("dropout.p=[0.5", "--against dropout.p=[0.5"),
        ("dropout.p=0.3,dropout.p=0.6", "dropout.p is given twice"),
    ],
)
def test_a_reference_that_is_none_is_exit_2_and_nothing_is_written(
    against: str, words: str, run, folder: Path
) -> None:
    result = run("report", "--against", against)
    assert result.status == 2
    assert words in result.err
    assert "Traceback" not in result.err
    assert not (folder / "report.html").exists()
    assert not (folder / "tables").exists()


def test_commas_part_keys_and_stay_in_lists(run, tmp_path: Path) -> None:
    settings = ("model.hidden=[16],[16,12]", "dropout.p=0.3,0.6")
    make_study(tmp_path / "results" / "two", *settings, seeds="2")
    result = run("report", "--against", "model.hidden=[16,12],dropout.p=0.3", "--json")
    (told,) = json.loads(result.out).values()
    alone = {cell["cell"] for cell in told["cells"] if not cell["pairs"]}
    assert alone == {"p = 0.3, hidden = [16, 12]"}


def test_one_damaged_study_does_not_hide_the_others(run, folder: Path) -> None:
    other = make_study(folder.parent / "two", p="0,0.3", seeds="1")
    (other / "manifest.json").write_text("torn")
    result = run("report")
    assert result.status == 1
    assert "two/manifest.json cannot be read" in result.err
    assert "p = 0.3 *" in result.out
    assert (folder / "report.html").exists()


def test_a_damaged_row_is_told(run, folder: Path) -> None:
    table = folder / "metrics.csv"
    table.write_text(table.read_text().replace(",0.05,", ",#,", 1))
    result = run("report")
    assert result.status == 1
    assert "metrics.csv: line 2 (run " in result.err
    assert not (folder / "report.html").exists()


def test_a_changed_number_is_told(run, folder: Path) -> None:
    text = (folder / "runs.csv").read_text()
    accuracy = read_rows(folder / "runs.csv")[0]["test_accuracy"]
    (folder / "runs.csv").write_text(text.replace(f",{accuracy},", ",0.9999,", 1))
    result = run("report")
    assert result.status == 1
    assert "test_accuracy is 0.9999, and metrics.csv makes it" in result.err
    assert "dropout-lab doctor results/one --fix" in result.err
    assert not (folder / "report.html").exists()


def test_what_cannot_be_written_is_told_after_the_numbers(run, folder: Path) -> None:
    (folder / "tables").write_text("in the way")
    result = run("report")
    assert result.status == 4
    assert "p = 0.3 *" in result.out
    assert "tables cannot be written" in result.err
    assert not (folder / "report.html").exists()


def test_no_study_is_exit_4(run, tmp_path: Path) -> None:
    assert run("report", "absent").status == 4
    (tmp_path / "empty").mkdir()
    assert "holds no study" in run("report", "empty").err


def test_published_values_stand_below_the_findings(run, tmp_path: Path) -> None:
    published = {
        "citation": "Somebody (2014), table 9", "departures": ["fewer images"],
        "values": [{"label": "dropout", "value": 5.0, "seen": False, "cell": {"dropout.p": 0.3}}],
    }  # fmt: skip
    make_study(tmp_path / "s", p="0,0.3", seeds="3", noted={"published": published})
    result = run("report", "s")
    assert result.status == 0
    for words in ("Somebody (2014), table 9", "test error ", "dropout ", "5 ?", "fewer images"):
        assert words in result.out
    assert "? unverified: recalled, not seen in the source" in result.out


def test_a_paper_without_known_values_has_no_empty_table(run, tmp_path: Path) -> None:
    published = {"citation": "Somebody (2014), fig. 4", "departures": ["fewer images"]}
    make_study(tmp_path / "s", p="0,0.3", seeds="3", noted={"published": published})
    result = run("report", "s")
    assert result.status == 0
    assert "Somebody (2014), fig. 4" in result.out
    assert "verdict" not in result.out.split("Somebody")[1]
    page = (tmp_path / "s" / "report.html").read_text()
    assert "fewer images" in page
    assert "Published values, scrolls sideways" not in page


def test_in_an_ascii_locale_it_is_plain_ascii(folder: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dropout_lab", "report"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "LC_ALL": "C", "PYTHONUTF8": "0",
             "PYTHONCOERCECLOCALE": "0", "COLUMNS": "80"},
        capture_output=True,
        check=True,
    )  # fmt: skip
    text = done.stdout.decode("ascii")
    assert "+/-" in text
    assert "\\u" not in text
    assert 'lang="en"' in (folder / "report.html").read_text(encoding="utf-8")


def test_two_networks_are_tested_on_their_predictions(run, folder: Path) -> None:
    """Of six examples the first has four right, the second two of these: 2 to 0, p = 2 / 4.

    Both have the other 994 of the test set right.
    """
    study = folder
    ids = [row.split(",")[0] for row in (study / "runs.csv").read_text().splitlines()[1:3]]
    labels = np.arange(1_000) % 10
    places = np.arange(1_000)
    for run_id, right in zip(ids, (4, 2), strict=True):
        p = np.full((1_000, 10), 0.01)
        p[places, np.where((places < right) | (places > 5), labels, 9)] = 0.91
        home = study / "runs" / run_id
        home.mkdir(parents=True)
        np.savez(home / PREDICTIONS, log_probabilities=np.log(p), labels=labels, run_id=run_id)
    both = ",".join(ids)
    result = run("report", str(study), "--mcnemar", both)
    told = " ".join(result.out.split())
    assert f"run {ids[0]} alone has 2 right and run {ids[1]} alone 0" in told
    assert "p = 0.5)" in told
    assert f"--mcnemar {both}" in (study / "report.html").read_text()
    for wrong in ("x", f"{ids[0]},{ids[0]}", f"{ids[0]},"):
        mistaken = run("report", str(study), "--mcnemar", wrong)
        assert (mistaken.status, "give two run ids" in mistaken.err) == (2, True)
    unknown = run("report", str(study), "--mcnemar", f"{ids[0]},nobody")
    assert (unknown.status, "has no run nobody" in unknown.err) == (2, True)


def test_seeds_are_counted_for_the_difference_asked_for(run, folder: Path) -> None:
    study = str(folder)
    few, many = (
        json.loads(run("report", study, "--difference", points, "--json").out)
        for points in ["2", "0.01"]
    )
    name = next(iter(few))
    needed = [
        [cell["seeds_needed"] for cell in told[name]["cells"] if cell["seeds_needed"]]
        for told in (few, many)
    ]
    assert needed[0]
    assert all(a <= b for a, b in zip(*needed, strict=True))
    assert needed[0] != needed[1]
    for wrong in ("0", "-1", "101", "nan"):
        assert run("report", study, "--difference", wrong).status == 2


def test_a_margin_is_asked_for_and_kept_in_the_command(run, folder: Path) -> None:
    result = run("report", "results/one", "--margin", "40", "--json")
    (told,) = json.loads(result.out).values()
    verdicts = {cell["cell"]: (cell["verdict"], cell["margin"]) for cell in told["cells"]}
    assert verdicts["no dropout"] == ("no pairs", 0.4)
    assert {verdict for verdict, _ in verdicts.values()} >= {"equivalent"}
    assert " classify equally many test images correctly" in told["conclusions"][0]
    page_text = (folder / "report.html").read_text()
    assert "dropout-lab report results/one --margin 40</pre>" in page_text
    assert page_text.count('<rect class="margin"') == 2
    assert run("report", "results/one").status == 0
    assert '<rect class="margin"' not in (folder / "report.html").read_text()


@pytest.mark.parametrize("wrong", ["0", "-1", "101", "nan", "x", "0,1"])
@pytest.mark.parametrize("command", ["report", "plot", "sweep"])
def test_a_margin_is_a_difference_in_percentage_points(command: str, wrong: str, run) -> None:
    result = run(command, "--margin", wrong)
    assert (result.status, result.out) == (2, "")
    assert "give a number above 0, up to 100: 0.1" in " ".join(result.err.replace("│", "").split())


def test_the_report_of_a_study_that_may_only_be_read_goes_elsewhere(
    run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_study(folder.parent / "other", p="0,0.3", seeds="2")
    before = sorted(folder.parent.rglob("*"))
    result = run("report", "results", "--out", "a place")
    assert (result.status, result.err) == (0, "")
    assert sorted(folder.parent.rglob("*")) == before
    for name in ("one", "other"):
        page_text = Path("a place", name, "report.html").read_text()
        assert f"dropout-lab report results/{name} --out &#39;a place/{name}&#39;" in page_text
        assert Path("a place", name, "tables", "cells.csv").exists()
    result = run("report", "results/one", "--out", "results/other")
    assert result.status == 4
    assert "results/other is the folder of another study; give another with --out." in result.err
    assert sorted(folder.parent.rglob("*")) == before
    assert run("report", "results/one", "--out", "results/one").status == 0
    assert (folder / "report.html").exists()


def test_of_several_studies_those_without_the_cell_are_named_and_the_others_told(
    run, tmp_path: Path
) -> None:
    for name, p in (("a", "0,0.25"), ("b", "0,0.5")):
        make_study(tmp_path / "studies" / name, p=p, seeds="1")
    result = run("report", "studies", "--against", "dropout.p=0.25", "--json")
    assert (result.status, list(json.loads(result.out))) == (2, ["studies/a"])
    assert result.err == "studies/b: against dropout.p = 0.25: no cell has it; there are: 0, 0.5.\n"
    assert (tmp_path / "studies" / "a" / "report.html").exists()
    assert not (tmp_path / "studies" / "b" / "report.html").exists()
    none = run("report", "studies", "--against", "dropout.p=0.9")
    assert none.status == 2
    assert [line.split(":")[0] for line in none.err.splitlines()[:2]] == ["studies/a", "studies/b"]
    assert "2 mistakes; nothing was run." in none.err
