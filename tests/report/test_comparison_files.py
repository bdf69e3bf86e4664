"""The files of a comparison, report.json, and the overview of a folder of studies."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from dropout_lab.analysis.paired import compare_cells
from dropout_lab.errors import StorageError
from dropout_lab.report import page as page_module
from dropout_lab.report.comparison import build_comparison
from dropout_lab.report.json_format import CellData, ComparisonData, ReportData, schema_text
from dropout_lab.report.overview import build_overview
from dropout_lab.report.report import build_report
from dropout_lab.results import REPORT, REPORT_DATA
from tests.report.made import make_study
from tests.report.test_page import Page, ends
from tests.report.test_table import HOSTILE


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("studies")
    made = [
        make_study(root / f"{name} & <b>", f"dropout.variant={name}", p="0,0.3", seeds="2")
        for name in ("inverted", "gaussian")
    ]
    path = made[0] / "manifest.json"
    text = path.read_text().replace('"about": ""', f'"about": {json.dumps(HOSTILE)}')
    path.write_text(text.replace("0123abc", "<i>"))
    return made


@pytest.fixture(scope="module")
def written(studies: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out") / "new"
    build_comparison(studies, command="dropout-lab compare a b").write(folder)
    return folder


def test_the_files_are_those_that_the_page_of_the_docs_lists(written: Path) -> None:
    names = ["csv", "html", "json", "md", "png", "svg", "tex"]
    assert sorted(path.name for path in written.iterdir()) == [f"comparison.{n}" for n in names]


def test_the_page_has_every_finding_and_every_number(studies: list[Path], written: Path) -> None:
    made = build_comparison(studies)
    page = Page((written / "comparison.html").read_text())
    for text in made.conclusions:
        assert text in page.text
    for table in (made.cells, made.table):
        for row in table.rows:
            assert all(field.text in page.text for field in row.fields)
    for word in ("dropout-lab compare a b", "dropout.variant", "torch", "2.6.0", "runs.csv"):
        assert word in page.text


def test_texts_of_studies_make_no_tag_and_ids_are_unique(written: Path) -> None:
    text = (written / "comparison.html").read_text()
    page = Page(text)
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert not page.named("b")
    assert HOSTILE in page.text
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in page.tags:
        if attributes.get("href", "").startswith("#"):
            assert attributes["href"][1:] in ids
        for key in ("src", "href", "action"):
            assert attributes.get(key, "#").startswith(("#", "data:"))


def test_the_csv_has_a_row_for_each_cell_and_study(written: Path) -> None:
    with (written / "comparison.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["cell"], row["study"]) for row in rows] == [
        (cell, study)
        for cell in ("no dropout", "p = 0.3")
        for study in ("inverted & <b>", "gaussian & <b>")
    ]
    assert rows[3]["reference"] == "p = 0.3"
    assert rows[3]["reference_study"] == "inverted & <b>"
    assert rows[1]["identical_runs"] == "2"


def test_comparison_json_is_what_its_schema_says(studies: list[Path], written: Path) -> None:
    text = (written / "comparison.json").read_text()
    data = ComparisonData.model_validate_json(text, strict=True)
    made = build_comparison(studies)
    assert data == made.data
    assert [cell.verdict for cell in data.cells] == made.result.table["verdict"].tolist()
    assert data.differing_settings["dropout.variant"] == {
        "inverted & <b>": "inverted",
        "gaussian & <b>": "gaussian",
    }


def test_the_same_studies_give_the_same_bytes(
    studies: list[Path], written: Path, tmp_path: Path
) -> None:
    build_comparison(studies, command="dropout-lab compare a b").write(tmp_path)
    for path in sorted(written.iterdir()):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the figures of reports, which take seconds."""
    monkeypatch.setattr(page_module, "inline_figures", lambda *args: [])


def test_report_json_has_the_same_bytes_wherever_the_study_is(tmp_path: Path, quick: None) -> None:
    one = make_study(tmp_path / "a" / "s", p="0,0.3,0.6", seeds="3", ends=ends)
    shutil.copytree(one, tmp_path / "b")
    texts = []
    for folder in (one, tmp_path / "b"):
        build_report(folder).write()
        texts.append((folder / REPORT_DATA).read_bytes())
    assert texts[0] == texts[1]
    assert b"NaN" not in texts[0]


def test_report_json_has_every_number_of_the_page(tmp_path: Path, quick: None) -> None:
    folder = make_study(tmp_path / "s", p="0,0.3,0.6", seeds="3", ends=ends)
    report = build_report(folder)
    report.write()
    data = ReportData.model_validate_json((folder / REPORT_DATA).read_text(), strict=True)
    assert data.conclusions == list(report.conclusions)
    assert [cell.verdict for cell in data.cells] == report.statistics["verdict"].tolist()
    assert [cell.reference for cell in data.cells] == [None, "no dropout", "no dropout"]
    assert data.cells[0].p_value is None
    assert data.cells[1].difference_mean == report.statistics["difference_mean"].iloc[1]
    assert [run.status for run in data.unfinished] == ["diverged", "failed"]
    assert data.planned_comparisons == 2
    for digest in data.digests.values():
        assert digest in (folder / REPORT).read_text()


def test_the_schema_describes_every_column_of_the_statistics(tmp_path: Path) -> None:
    report = build_report(make_study(tmp_path / "s", p="0,0.3", seeds="2"))
    table = compare_cells(report.study)
    columns = {name for name in table if name not in ("label", *report.study.swept)}
    assert columns <= set(CellData.model_fields)
    for kind in (ReportData, ComparisonData):
        schema = json.loads(schema_text(kind))
        assert schema["$schema"].startswith("https://json-schema.org/")
        for part in (schema, *schema["$defs"].values()):
            assert all(field.get("description") for field in part["properties"].values())


def test_the_overview_has_each_study_with_its_answer(tmp_path: Path, quick: None) -> None:
    good = make_study(tmp_path / "r" / "one" / "good", p="0,0.3", seeds="2")
    report = build_report(good)
    report.write()
    overview = build_overview(
        tmp_path / "r", [(report, good)], {tmp_path / "r" / "torn": f"torn {HOSTILE}"}
    )
    page = Page(overview.write(tmp_path / "r").read_text())
    assert overview.title == f"2 studies in {tmp_path / 'r'}"
    row = overview.rows[0]
    assert (row.name, row.best, row.seeds, row.runs) == ("one/good", "p = 0.3", "2", "4 of 4")
    assert row.date == "2026-01-01"
    assert row.headline == report.conclusions[0]
    assert row.headline in page.text
    assert f"No report: torn {HOSTILE}" in page.text
    links = [a["href"] for a in page.named("a") if not a["href"].startswith("#")]
    assert links == ["one/good/report.html"]
    assert (tmp_path / "r" / links[0]).is_file()


def test_a_page_of_another_program_is_not_replaced(tmp_path: Path, quick: None) -> None:
    (tmp_path / "index.html").write_text("<h1>My site</h1>")
    with pytest.raises(StorageError, match=r"index.html is not a page of dropout-lab"):
        build_overview(tmp_path, []).write(tmp_path)
    assert (tmp_path / "index.html").read_text() == "<h1>My site</h1>"
    (tmp_path / "index.html").unlink()
    build_overview(tmp_path, []).write(tmp_path)
    build_overview(tmp_path, []).write(tmp_path)  # replaces its own
