"""The pages are true: their commands and settings are accepted, their tables are complete."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from dropout_lab.analysis.paired import compare_cells
from dropout_lab.analysis.statistics import min_seeds
from dropout_lab.analysis.tables import read_study, summarize_cells
from dropout_lab.catalogue import CATALOGUE
from dropout_lab.checks import CHECKS
from dropout_lab.cli import main
from dropout_lab.cli.app import app
from dropout_lab.config.conditional_keys import describe_readers
from dropout_lab.config.document import Document, parse_document
from dropout_lab.config.load import check
from dropout_lab.config.overrides import choose_size
from dropout_lab.config.schema import Config
from dropout_lab.config.sections.dropout import DropoutSettings
from dropout_lab.config.sections.evaluation import (
    AtEndName,
    DiagnosticName,
    InferenceName,
    diagnostic_columns,
)
from dropout_lab.config.sections.regularization import RegularizationSettings
from dropout_lab.config.sections.training import TrainingSettings
from dropout_lab.datasets import DATASETS
from dropout_lab.lessons import LESSONS
from dropout_lab.results import ACTIVATIONS, INFERENCE, RELIABILITY, columns_after_key
from dropout_lab.results.columns import TABLES
from tests.analysis.test_tables import made_study
from tests.conftest import make_runs, plugin_of_the_readme
from tests.documents import DOCUMENTS, PAGES, README, ROOT, blocks_of, commands_of, fences_of

DOCS = ROOT / "docs"
MEASURING = (PAGES / "reference" / "measuring.md").read_text(encoding="utf-8")
STATISTICS = (PAGES / "explain" / "statistics.md").read_text(encoding="utf-8")
TRAINING = (PAGES / "reference" / "training.md").read_text(encoding="utf-8")
VARIANTS_PAGE = (PAGES / "reference" / "variants.md").read_text(encoding="utf-8")
OWN_VARIANT = PAGES / "how-to" / "own-variant.md"
CONFIG_PAGE = PAGES / "reference" / "config.md"
DATA_PAGE = PAGES / "how-to" / "data.md"
SETTINGS = [
    pytest.param(text, id=f"{page.stem}-{number}")
    for page in DOCUMENTS
    for number, text in enumerate(blocks_of(page, "yaml"))
]
COMMANDS = list(dict.fromkeys(tuple(each) for page in DOCUMENTS for each in commands_of(page)))
# What these commands do has tests elsewhere, and they need a study, a download or their time.
ONLY_PARSED = ("plot", "report", "doctor", "remove", "lesson", "verify", "data")


def write_own_data(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write the table and the config that the page on data shows, with the page's script."""
    (script,) = blocks_of(DATA_PAGE, "python")
    (config,) = blocks_of(DATA_PAGE, "yml")
    monkeypatch.chdir(folder)
    exec(compile(script, "data.md", "exec"), {})
    (folder / "cancer.yaml").write_text(config)


@pytest.mark.parametrize("text", SETTINGS)
def test_every_setting_shown_is_accepted(text: str) -> None:
    check(Document("docs", yaml.safe_load(text)))


def parse(arguments: tuple[str, ...]) -> None:
    """Parse a command line as the program does, without running it.

    Raises:
        typer.BadParameter: An argument or an option is not accepted, or a related error.
    """
    command: Any = typer.main.get_command(app)
    names: list[str] = []
    rest = list(arguments)
    while hasattr(command, "commands") and rest and rest[0] in command.commands:
        names.append(rest.pop(0))
        command = command.commands[names[-1]]
    assert names or rest == ["--version"], arguments
    if names:
        command.make_context(names[-1], rest)


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_every_command_is_accepted(
    arguments: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    own_variants: None,
) -> None:
    """Training commands run with --dry-run, which checks everything and trains nothing."""
    monkeypatch.chdir(tmp_path)
    parse(arguments)
    if arguments[0] in ONLY_PARSED:
        names = [word for word in arguments[1:2] if arguments[0] == "lesson"]
        assert all(name in LESSONS or name.startswith("-") for name in names)
        return
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    (tmp_path / "my_dropout.py").write_text(plugin_of_the_readme())
    if "cancer.yaml" in arguments:
        write_own_data(tmp_path, monkeypatch)
    if arguments[0] != "init":
        (experiment,) = blocks_of(README, "yaml")
        (tmp_path / "experiment.yaml").write_text(experiment)
    trains = arguments[0] in ("train", "sweep") and "--dry-run" not in arguments
    dry = ["--dry-run"] if trains else []
    monkeypatch.setattr(sys, "argv", ["dropout-lab", *arguments, *dry])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code in (0, None)


def test_a_wrong_command_is_not_accepted() -> None:
    for wrong in (("sweep", "--nothing"), ("nothing",), ("report", "a", "b", "c")):
        with pytest.raises((typer.BadParameter.__bases__[0], AssertionError)):
            parse(wrong)
    assert len(COMMANDS) > 50


def test_every_command_in_a_sentence_is_one_of_the_program() -> None:
    known = set(typer.main.get_command(app).commands)
    for page in DOCUMENTS:
        for name in re.findall(r"`dropout-lab ([a-z]+)", page.read_text(encoding="utf-8")):
            assert name in known, (page.name, name)


@pytest.mark.usefixtures("one_plot")
def test_data_of_ones_own_from_the_table_to_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The commands of the page, with less to train."""
    write_own_data(tmp_path, monkeypatch)
    commands = [each for each in commands_of(DATA_PAGE) if "cancer" in " ".join(each)]
    assert [each[0] for each in commands] == ["config", "sweep", "report"]
    for each in commands:
        less = ["--epochs", "1", "--seeds", "2"] if each[0] == "sweep" else []
        monkeypatch.setattr(sys, "argv", ["dropout-lab", *each, *less])
        with pytest.raises(SystemExit) as caught:
            main()
        assert caught.value.code in (0, None), capsys.readouterr().err
    study = tmp_path / "results" / "cancer"
    assert "cancer.csv" in (study / "manifest.json").read_text()
    assert (study / "report.html").is_file()
    assert len(read_study(study).runs) == 6


def test_the_other_configs_shown_are_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_own_data(tmp_path, monkeypatch)
    texts = [text for page in DOCUMENTS for text in blocks_of(page, "yml")]
    assert len(texts) >= 2
    for text in texts:
        document = parse_document(text, "docs")
        choose_size(document)
        assert check(document, sweep=True)


def test_the_config_shown_is_the_schema_with_its_defaults() -> None:
    (text,) = blocks_of(CONFIG_PAGE, "yaml")
    shown = yaml.safe_load(text)
    del shown["name"], shown["about"]
    defaults = Config().model_dump(mode="json")
    for section, keys in defaults.items():
        if isinstance(keys, dict) and keys and section != "sweep":
            hidden = {key for key, value in keys.items() if value is None} - set(shown[section])
            assert shown[section] | dict.fromkeys(hidden) == keys
    assert (shown["seeds"], shown["sweep"]) == (defaults["seeds"], defaults["sweep"])


def test_the_line_of_verify_is_the_one_printed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    own_variants: None,
) -> None:
    assert f"runs {len(CHECKS)} checks of every variant" in OWN_VARIANT.read_text(encoding="utf-8")
    (shown,) = [text for _, text in fences_of(OWN_VARIANT) if "FAILED" in text]
    wrong = tmp_path / "my_dropout.py"
    wrong.write_text(plugin_of_the_readme().replace("(coins >= p) / (1 - p)", "(coins >= p)"))
    monkeypatch.setattr(sys, "argv", ["dropout-lab", "verify", "pairs", "--plugin", str(wrong)])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 1
    printed = capsys.readouterr().out.splitlines()
    assert _words(shown) in map(_words, printed)


def _words(line: str) -> list[str]:
    """Return a line's words, with every number replaced."""
    return re.sub(r"\d\.\d+", "number", line).split()


def first_cells(text: str, after: str) -> list[str]:
    """Return the code words of the first column of the first table after a text."""
    rows = re.search(r"^\|.*?(?=\n\n|\Z)", text.partition(after)[2], re.MULTILINE | re.DOTALL)
    assert rows, after
    cells = [line.split("|")[1] for line in rows[0].splitlines()]
    return [word for cell in cells for word in re.findall(r"`(\w+)`", cell)]


def test_the_tables_name_every_option_loss_and_schedule_of_p() -> None:
    options = {key for kind in CATALOGUE.values() for key in kind.options}
    assert set(first_cells(VARIANTS_PAGE, "## Keys of single variants")) == options
    choices = DropoutSettings.model_json_schema()["properties"]
    losses = {*first_cells(TRAINING, "## Losses built on dropout"), "cross_entropy"}
    assert losses == set(choices["loss"]["enum"])
    assert set(first_cells(TRAINING, "## Schedules of p")) == set(choices["schedule"]["enum"])


def test_the_table_of_options_names_the_variants_that_read_them() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", VARIANTS_PAGE, re.MULTILINE)
    shown = {key: set(re.findall(r"`(\w+)`", variants)) for key, variants in rows}
    for key, variants in shown.items():
        assert variants == {name for name, kind in CATALOGUE.items() if key in kind.options}


def test_the_tables_name_every_regularizer_and_every_learning_rate_schedule() -> None:
    optional = {key.partition(".")[2] for key in describe_readers()}
    strengths = [key for key in RegularizationSettings.model_fields if key not in optional]
    section = TRAINING.partition("## Regularizers")[2].partition("\n## ")[0]
    assert first_cells(TRAINING, "## Regularizers") == strengths
    assert all(f"`{key}" in section for key in RegularizationSettings.model_fields)
    choices = TrainingSettings.model_json_schema()["properties"]
    schedules = choices["learning_rate_schedule"]["enum"]
    assert first_cells(TRAINING, "## Learning rate") == schedules
    momentum = ["momentum_schedule", *choices["momentum_schedule"]["enum"]]
    assert first_cells(TRAINING, "## Momentum and optimizers") == momentum
    assert first_cells(TRAINING, "## Averages") == ["average", *choices["average"]["enum"]]
    own = {key for key in optional if hasattr(TrainingSettings(), key)}
    assert len(own) == 13
    assert all(f"`{key}" in TRAINING for key in own)


def test_the_page_of_lessons_names_each_in_order_and_shows_three_pictures() -> None:
    page = (PAGES / "teach" / "index.md").read_text(encoding="utf-8")
    found = page.partition("## What the lessons find\n")[2].partition("\n## ")[0]
    assert re.findall(r"^- \*\*([\w-]+)\*\*:", found, re.MULTILINE) == list(LESSONS)
    shown = re.findall(r"!\[[^]]+\]\(([^)]+)\)", page)
    assert len(shown) == 3
    assert all((PAGES / "teach" / each).read_bytes().startswith(b"\x89PNG") for each in shown)


def pages_of(nav: Any) -> list[str]:
    """Return the pages of a navigation, in order."""
    if isinstance(nav, str):
        return [nav]
    items = nav.values() if isinstance(nav, dict) else nav
    return [page for item in items for page in pages_of(item)]


def test_the_navigation_has_every_page_and_every_lesson() -> None:
    text = (DOCS / "mkdocs.yml").read_text(encoding="utf-8")
    pages = pages_of(yaml.safe_load(text)["nav"])
    lessons = [f"teach/lessons/{name}.md" for name in LESSONS]
    assert [page for page in pages if page.startswith("teach/lessons/")] == lessons
    written = {page.relative_to(PAGES).as_posix() for page in PAGES.glob("**/*.md")}
    assert set(pages) == written | set(lessons)


def test_the_links_between_pages_lead_to_files() -> None:
    for page in PAGES.glob("**/*.md"):
        text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
        for target in re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", text):
            generated = re.search(r"lessons/([\w-]+)\.md$", target)
            exists = generated[1] in LESSONS if generated else (page.parent / target).exists()
            assert exists, (page.name, target)


def test_the_generated_reference_is_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS))
    import reference_parts as parts  # type: ignore[import-not-found]

    command_line = parts.cli_part()
    assert all(
        f"## {name}" in command_line
        for name in ("train", "sweep", "report", "config check", "data fetch")
    )
    assert all(f"`{option}`" in command_line for option in ("--p", "--seeds", "--dry-run"))
    config = parts.config_part()
    sections = Config.model_json_schema()["$defs"]
    del sections["Contents"]  # which the program fills in
    for section, keys in sections.items():
        assert all(f"| `{key}` |" in config for key in keys["properties"]), section
    wrong = parts.mistakes_part()
    assert re.search(r"^c\.yaml:2: .*did you mean 'gaussian'", wrong, re.MULTILINE)
    assert "\nc.yaml:3: dropout.p is 3" in wrong
    variants = parts.variants_part()
    assert re.findall(r"^### `(\w+)`", variants, re.MULTILINE) == list(CATALOGUE)
    columns = parts.columns_part()
    assert re.findall(r"^### `(\S+)`", columns, re.MULTILINE) == list(TABLES)
    assert all(f"| `{each.name}` |" in columns for table in TABLES.values() for each in table)
    named = parts.datasets_part()
    assert re.findall(r"^\| `(\w+)` \|", named, re.MULTILINE) == list(DATASETS)
    assert "| color photos of house numbers (Netzer et al. 2011) | 32 × 32 × 3 | 10 |" in named
    assert "| `hinton2012` |" in parts.configs_part("papers")
    assert all(f"(lessons/{name}.md)" in parts.lessons_part() for name in LESSONS)


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
    section = "Saving parts of the trained network"
    drawn = ["features", "boundary", "activations", "reliability", "monte_carlo"]
    assert words_of(1, section) == [*AtEndName.__args__, *drawn]
    assert words_of(2, section) == [
        *columns_after_key(ACTIVATIONS),
        *columns_after_key(RELIABILITY),
    ]


def test_the_tables_name_every_diagnostic_column() -> None:
    names = ",".join(DiagnosticName.__args__)
    (run,) = make_runs("model.normalization=batch", f"evaluation.diagnostics=[{names}]")
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
    monkeypatch.chdir(ROOT)
    (code,) = re.findall(r"^```python\n(.*?)^```", STATISTICS, re.MULTILINE | re.DOTALL)
    if not Path("results/reference/inference").exists():
        pytest.skip("the published studies are not here")
    exec(compile(code, "statistics.md", "exec"), {})
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
    for path in sorted(ROOT.glob(pattern))
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
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in TEXTS
        for match in FROM_AN_INDEX.finditer(path.read_text(encoding="utf-8"))
    ]
    assert not found, "\n".join(found)
    assert len(TEXTS) > 200  # the whole project was read
