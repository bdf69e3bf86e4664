"""The pages in docs are true: their settings are accepted, their tables are the program's."""

import re
from pathlib import Path

import pytest
import yaml

from dropout_lab.analysis.paired import compare_cells
from dropout_lab.analysis.statistics import min_seeds
from dropout_lab.analysis.tables import read_study, summarize_cells
from dropout_lab.config.diagnostic_columns import diagnostic_columns
from dropout_lab.config.document import Document
from dropout_lab.config.evaluation import AtEndName, DiagnosticName, InferenceName
from dropout_lab.config.load import check
from dropout_lab.lessons import LESSONS
from dropout_lab.results import ACTIVATIONS, INFERENCE, RELIABILITY, columns_after_key
from tests.analysis.test_tables import made_study
from tests.conftest import make_runs

DOCS = Path(__file__).parents[1] / "docs"
MEASURING = (DOCS / "measuring.md").read_text()
STATISTICS = (DOCS / "statistics.md").read_text()
SETTINGS = [
    text
    for page in sorted(DOCS.glob("*.md"))
    for text in re.findall(r"^```yaml\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
]


@pytest.mark.parametrize("text", SETTINGS)
def test_every_setting_shown_is_accepted(text: str) -> None:
    check(Document("docs", yaml.safe_load(text)))


def test_the_page_of_lessons_names_each_in_order_and_shows_three_pictures() -> None:
    page = (DOCS / "lessons.md").read_text()
    table = page.partition("| lesson |")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `([\w-]+)` \|", table, re.MULTILINE) == list(LESSONS)
    shown = re.findall(r"!\[[^]]+\]\(([^)]+)\)", page)
    assert len(shown) == 3
    assert all((DOCS / picture).read_bytes().startswith(b"\x89PNG") for picture in shown)


def words_of(column: int, section: str) -> list[str]:
    """Return the code words in a column of the tables of a section."""
    text = MEASURING.partition(f"## {section}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\|.*\|$", text, re.MULTILINE)
    return [word for row in rows for word in re.findall(r"`(\w+)`", row.split("|")[column])]


def test_the_tables_name_every_inference_score_and_diagnostic() -> None:
    named = words_of(1, "Using the trained network")
    inferences = list(InferenceName.__args__)
    assert named[: len(inferences)] == inferences
    assert named[len(inferences) :] == list(columns_after_key(INFERENCE))
    assert words_of(1, "Diagnostics") == list(DiagnosticName.__args__)


def test_the_table_names_everything_that_is_kept_at_the_end() -> None:
    section = "What is kept of the trained network"
    drawn = ["features", "activations", "reliability", "monte_carlo"]
    assert words_of(1, section) == [*AtEndName.__args__, *drawn]
    assert words_of(2, section) == [
        *columns_after_key(ACTIVATIONS),
        *columns_after_key(RELIABILITY),
    ]


def test_the_tables_name_every_diagnostic_column() -> None:
    everything = "evaluation.diagnostics=[activations,co_adaptation,gradients,noise]"
    (run,) = make_runs(everything)
    columns = {re.sub(r"_\d$", "_i", column) for column in diagnostic_columns(run.settings)}
    shown = {
        word.replace("_25_", "removed_25_test_accuracy")
        .replace("_50_", "removed_50_test_accuracy")
        .replace("_75_", "removed_75_test_accuracy")
        for word in words_of(2, "Diagnostics")
    }
    assert shown == columns


def test_the_table_of_statistics_names_every_column_of_a_comparison(tmp_path: Path) -> None:
    study = read_study(
        made_study(tmp_path / "s", "dropout.p=0,0.5", accuracies=[0.9, 0.91, 0.92, 0.93])
    )
    added = list(
        compare_cells(study).columns.difference(summarize_cells(study).columns, sort=False)
    )
    told = {"seeds", "others", "missing", "test_accuracy_mean", "test_accuracy_sd"}
    told |= {"pairs", "difference_mean", "difference_half"}
    assert statistics_columns() == {*added, *told}


def statistics_columns() -> set[str]:
    """Return the columns in the table; `a_low`, `_high` are a_low and a_high."""
    text = STATISTICS.partition("## The columns\n")[2].partition("\n## ")[0]
    columns = set()
    for row in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE):
        first, *others = re.findall(r"`(\w+)`", row)
        stem = re.sub(r"_(mean|low)$", "", first)
        columns |= {first, *(stem + other if other[0] == "_" else other for other in others)}
    return columns


def test_the_seeds_that_comparisons_need_are_those_of_the_page() -> None:
    rows = re.findall(r"^\| (comparisons|paired seeds) \|(.*)\|$", STATISTICS, re.MULTILINE)
    ranges, seeds = (row[1].split("|") for row in rows)
    assert len(ranges) == 6
    for span, n in zip(ranges, seeds, strict=True):
        first, last = int(span.split("–")[0]), int(span.split("–")[-1])
        assert [min_seeds(m) for m in (first, last)] == [int(n), int(n)]
        assert min_seeds(last + 1) == int(n) + 1


def test_the_code_of_the_page_of_statistics_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(DOCS.parent)
    (code,) = re.findall(r"^```python\n(.*?)^```", STATISTICS, re.MULTILINE | re.DOTALL)
    if not Path("results/reference/inference").exists():
        pytest.skip("the published studies are not here")
    exec(compile(code, "docs/statistics.md", "exec"), {})
    assert "verdict" in capsys.readouterr().out


# The name is not registered at any package index: whoever registers it would run code on the
# machine of everybody who installs it by name.
FROM_AN_INDEX = re.compile(
    r"(?:\b(?:pip3?|pipx|uvx?|poetry|conda|mamba)\b[^&|;`\n]*[ \t][\"']?dropout[-_]lab\b(?!/))"
    r"|dropout[-_]lab\[[a-z]+\]"
)
TEXTS = [
    path
    for pattern in ("*.md", "*.toml", "dropout_lab/**/*.py", "docs/**/*.md", "tests/**/*.py",
                    "benchmarks/**/*.*", "configs/**/*.yaml", "results/*.md")
    for path in sorted(DOCS.parent.glob(pattern))
    if path.suffix in (".md", ".toml", ".py", ".yaml", ".sh", ".txt", ".html", ".j2")
]  # fmt: skip


def test_nothing_advises_to_install_the_name_from_an_index() -> None:
    for wrong in (
        *("pip install {}", 'pip install "{}[cluster]"', "pip install --upgrade {}"),
        *("pipx run {}", "uvx {}", "uv pip install -U '{}'", "an image with {}[x] in it"),
    ):
        assert FROM_AN_INDEX.search(wrong.format("dropout-lab")), wrong
    for right in ('pip install ".[cluster]"', "pip install -q . && .venv/bin/dropout-lab sweep"):
        assert not FROM_AN_INDEX.search(right), right
    found = [
        f"{path.relative_to(DOCS.parent)}: {match[0]}"
        for path in TEXTS
        for match in FROM_AN_INDEX.finditer(path.read_text(encoding="utf-8"))
    ]
    assert not found, "\n".join(found)
    assert len(TEXTS) > 200  # the whole project was read
