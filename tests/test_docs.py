"""The pages in docs are true: their settings are accepted, their tables are the program's."""

import re
from pathlib import Path

import pytest
import yaml

from dropout_lab.config.document import Document
from dropout_lab.config.evaluation import AtEndName, DiagnosticName, InferenceName
from dropout_lab.config.load import check
from dropout_lab.training import INFERENCE_COLUMNS, diagnostic_columns
from tests.conftest import make_runs

DOCS = Path(__file__).parents[1] / "docs"
MEASURING = (DOCS / "measuring.md").read_text()
SETTINGS = [
    text
    for page in sorted(DOCS.glob("*.md"))
    for text in re.findall(r"^```yaml\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
]


@pytest.mark.parametrize("text", SETTINGS)
def test_every_setting_shown_is_accepted(text: str) -> None:
    check(Document("docs", yaml.safe_load(text)))


def words_of(column: int, section: str) -> list[str]:
    """Return the code words in a column of the tables of a section."""
    text = MEASURING.partition(f"## {section}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\|.*\|$", text, re.MULTILINE)
    return [word for row in rows for word in re.findall(r"`(\w+)`", row.split("|")[column])]


def test_the_tables_name_every_inference_score_and_diagnostic() -> None:
    named = words_of(1, "Using the trained network")
    inferences = list(InferenceName.__args__)
    assert named[: len(inferences)] == inferences
    assert named[len(inferences) :] == list(INFERENCE_COLUMNS)
    assert words_of(1, "Diagnostics") == list(DiagnosticName.__args__)


def test_the_table_names_everything_that_is_kept_at_the_end() -> None:
    assert words_of(1, "What is kept of the trained network") == list(AtEndName.__args__)


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
