"""`dropout-lab compare` as a user meets it, and the commands of the page "Compare studies"."""

import json
import shutil
from pathlib import Path

import pytest

import dropout_lab as dl
from dropout_lab.analysis import style
from dropout_lab.report import comparison as comparison_module
from dropout_lab.report import page
from tests.documents import PAGES, blocks_of, commands_of
from tests.report.made import make_study

SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="9pt" height="9pt"/>'
PAGE = PAGES / "how-to" / "compare-studies.md"


@pytest.fixture(autouse=True)
def _no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take seconds and are looked at in tests/report."""
    monkeypatch.setattr(page, "inline_figures", lambda *args: [])
    monkeypatch.setattr(style, "render", lambda figure, suffix: SVG)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The studies of the page: quickstart, gaussian and again."""
    folder = tmp_path_factory.mktemp("made")
    variants = {"quickstart": "inverted", "gaussian": "gaussian", "again": "inverted"}
    for name, variant in variants.items():
        make_study(folder / name, f"dropout.variant={variant}", p="0,0.25", seeds="2", epochs=1)
    return folder


@pytest.fixture
def results(tmp_path: Path, made: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "results"))


@pytest.mark.parametrize("columns", [40, 200])
def test_the_table_and_the_findings_fit_the_terminal(
    columns: int, run, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    done = run("compare", "results/quickstart", "results/gaussian")
    assert (done.status, done.err) == (0, "")
    assert max(map(len, done.out.splitlines())) <= columns
    plain = " ".join(done.out.split())
    for words in ("p = 0.25", "vs quickstart", "dropout.variant is inverted in quickstart"):
        assert words in plain
    assert (results / "comparisons" / "quickstart_gaussian" / "comparison.html").is_file()


def test_every_command_of_the_page_runs(run, results: Path, tmp_path: Path) -> None:
    commands = commands_of(PAGE)
    assert len(commands) == 8
    for arguments in commands:
        words = arguments[: arguments.index(">")] if ">" in arguments else arguments
        done = run(*words)
        assert done.status == 0, done.err
        if ">" in arguments:
            kind = {"report": "ReportData", "compare": "ComparisonData"}[arguments[0]]
            assert json.loads(done.out)["title"] == kind
    assert (tmp_path / "paper" / "comparison" / "comparison.csv").is_file()
    assert "results/comparisons" not in (results / "index.html").read_text()


def test_the_code_of_the_page_runs(
    results: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (code,) = blocks_of(PAGE, "python")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "compare-studies.md", "exec"), {})
    assert "difference_mean" in capsys.readouterr().out
    assert (tmp_path / "comparison.pdf").stat().st_size > 5_000


def test_json_is_the_file_and_report_of_several_studies_is_the_same(run, results: Path) -> None:
    paths = ("results/quickstart", "results/gaussian")
    told = json.loads(run("compare", *paths, "--json").out)
    assert run("report", *paths, "--json").out == json.dumps(told, indent=1) + "\n"
    files = told.pop("files")
    assert json.loads(Path(files[1]).read_text()) == told
    assert [Path(file).suffix for file in files[:2]] == [".html", ".json"]


def test_the_options_are_in_the_command_of_the_page(run, results: Path) -> None:
    options = ("--against", "study=gaussian", "--errors", "--margin", "0.5", "--out", "new")
    done = run("compare", "results/quickstart", "results/gaussian", *options)
    assert done.status == 0
    assert "test error in %" in done.out
    text = (Path("new") / "comparison.html").read_text()
    for word in options:
        assert word in text


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ((), 2, "compare needs at least two studies: dropout-lab compare results/a results/b"),
        (("results/quickstart",), 2, "dropout-lab compare results/quickstart results/b"),
        (("results/quickstart", "results/quickstart"), 2, "A study is given twice"),
        (("results", "absent"), 4, "'absent' is not a folder"),
        (("results", "absent"), 4, "compare results/again results/gaussian results/quickstart"),
        (("results/quickstart", "results/gaussian", "--against", "study=x"), 2, "no cell has it"),
        (("results/quickstart", "results/gaussian", "--against", "p"), 2, "write key=value"),
        (("results/quickstart", "results/gaussian", "--difference", "0"), 2, "above 0, up to 100"),
    ],
)
def test_a_mistake_says_what_to_type(
    arguments: tuple[str, ...], status: int, words: str, run, results: Path
) -> None:
    done = run("compare", *arguments)
    assert done.status == status
    assert words in done.err
    assert "Traceback" not in done.err
    assert not (results / "comparisons").exists()


def test_mcnemar_is_of_one_study(run, results: Path) -> None:
    done = run("report", "results/quickstart", "results/gaussian", "--mcnemar", "a,b")
    assert (done.status, "give one study" in done.err) == (2, True)


def test_what_cannot_be_written_is_told_after_the_numbers(run, results: Path) -> None:
    (results / "comparisons").write_text("in the way")
    done = run("compare", "results/quickstart", "results/gaussian")
    assert done.status == 4
    assert "difference: mean over pairs of equal seed" in " ".join(done.out.split())
    assert "comparisons" in done.err


def test_report_of_a_folder_prints_and_writes_the_overview(run, results: Path) -> None:
    (results / "torn").mkdir()
    (results / "torn" / "manifest.json").write_text("torn")
    done = run("report")
    assert done.status == 1
    plain = " ".join(done.out.split())
    assert "4 studies in results" in plain
    assert "Files: results/index.html" in plain
    assert "torn: No report: results/torn/manifest.json cannot be read" in plain
    text = (results / "index.html").read_text()
    assert text.count('href="quickstart/report.html"') == 1
    assert "torn/report.html" not in text
    (results / "index.html").write_text("mine")
    again = run("report", "results")
    assert "results/index.html is not a page of dropout-lab" in again.err


def test_report_of_a_study_writes_no_overview(run, results: Path) -> None:
    assert run("report", "results/again").status == 0
    assert not (results / "again" / "index.html").exists()


def test_from_python(results: Path, tmp_path: Path) -> None:
    one, other = (dl.load(results / name) for name in ("quickstart", "again"))
    compared = dl.compare(one, other, against={"study": "again"})
    assert "reproduces" in compared.conclusions[0]
    assert compared.cells["reference"].notna().sum() == 2
    assert "quickstart, again" in repr(compared)
    assert "<table" in compared._repr_html_()
    assert compared.report(tmp_path / "x") == tmp_path / "x" / "comparison.html"
    p_values = dl.compare(one, other, against={"p": 0.25}).cells
    assert p_values["reference"].notna().sum() == 2


def test_a_folder_that_is_named_twice_has_a_name_with_its_parent() -> None:
    assert comparison_module.study_names([Path("a/s"), Path("b/s")]) == ["a/s", "b/s"]
