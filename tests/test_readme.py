"""The README is true: its commands are accepted, its code runs, its tables are the program's."""

import re
import shlex
import sys
from pathlib import Path

import pytest
import yaml

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.checks import CHECKS
from dropout_lab.cli import main
from dropout_lab.config.conditional_keys import readers
from dropout_lab.config.document import parse_document
from dropout_lab.config.load import check
from dropout_lab.config.overrides import choose_size
from dropout_lab.config.regularization import RegularizationSettings
from dropout_lab.config.schema import Config, DropoutSettings, TrainingSettings
from dropout_lab.layers import VARIANTS
from dropout_lab.training import RECORD_COLUMNS
from tests.conftest import plugin_of_the_readme

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
FENCES = re.findall(r"^```(\w*)\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
COMMANDS = [
    shlex.split(line.partition("dropout-lab")[2], comments=True)
    for language, text in FENCES
    if language == "bash"
    for line in text.splitlines()
    if "dropout-lab " in line
]


def test_the_first_two_commands_are_whole() -> None:
    (_, first), (_, second) = FENCES[:2]
    assert "python3 -m venv .venv" in first
    assert "dropout-lab sweep --config configs/quickstart.yaml" in first
    assert "python3 -m venv .venv" in second
    assert second.strip().endswith("pytest")


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_every_command_is_accepted(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_variants: None
) -> None:
    """Training commands with --dry-run, which checks everything and does nothing."""
    if arguments[0] in ("plot", "report", "doctor", "remove"):
        pytest.skip("needs a study; tests/cli runs it")
    if arguments == ["verify"]:
        pytest.skip("takes its time; tests/checks runs every check of every variant")
    plugin = plugin_of_the_readme()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    (tmp_path / "my_dropout.py").write_text(plugin)
    dry = ["--dry-run"] if arguments[0] in ("train", "sweep") else []
    monkeypatch.setattr(sys, "argv", ["dropout-lab", *arguments, *dry])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code in (0, None)


def test_the_python_code_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code, plugin) = [text for language, text in FENCES if language == "python"]
    exec(code, {})
    assert plugin == plugin_of_the_readme()
    assert len(plugin.splitlines()) < 20
    assert capsys.readouterr().out == "torch.Size([8, 10])\n"


def test_the_config_shown_is_the_schema_with_its_defaults() -> None:
    (text,) = [text for language, text in FENCES if language == "yaml"]
    shown = yaml.safe_load(text)
    del shown["name"], shown["about"]
    defaults = Config().model_dump(mode="json")
    for section, keys in defaults.items():
        if isinstance(keys, dict) and keys and section != "sweep":
            hidden = {key for key, value in keys.items() if value is None} - set(shown[section])
            assert shown[section] | dict.fromkeys(hidden) == keys
    assert (shown["seeds"], shown["sweep"]) == (defaults["seeds"], defaults["sweep"])


def test_the_other_configs_shown_are_right() -> None:
    for text in (text for language, text in FENCES if language == "yml"):
        document = parse_document(text, "README.md")
        choose_size(document)
        assert check(document, sweep=True)


def test_the_error_shown_is_the_one_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (shown,) = [text for language, text in FENCES if "mistakes; nothing was run" in text]
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text("dropout:\n  variant: gausian\n  p: 3\n")
    monkeypatch.setattr(sys, "argv", ["dropout-lab", "config", "check", "c.yaml"])
    with pytest.raises(SystemExit):
        main()
    assert capsys.readouterr().err == shown


def test_the_line_of_verify_is_the_one_printed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    own_variants: None,
) -> None:
    assert f"runs {len(CHECKS)} checks of every variant" in README
    (shown,) = [text for language, text in FENCES if "FAILED" in text]
    wrong = tmp_path / "my_dropout.py"
    wrong.write_text(plugin_of_the_readme().replace("(coins >= p) / (1 - p)", "(coins >= p)"))
    monkeypatch.setattr(sys, "argv", ["dropout-lab", "verify", "pairs", "--plugin", str(wrong)])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 1
    printed = capsys.readouterr().out.splitlines()
    assert _words(shown) in map(_words, printed)


def _words(line: str) -> list[str]:
    """Return a line's words, the digits of its numbers left open."""
    return re.sub(r"\d\.\d+", "number", line).split()


def table_after(heading: str) -> str:
    return README.partition(f"## {heading}")[2].partition("\n## ")[0]


def test_the_tables_name_every_column_and_every_variant() -> None:
    columns = re.findall(
        r"`(\w+)`", "".join(re.findall(r"^\| `.*? \|", table_after("The results"), re.M))
    )
    assert columns == list(RECORD_COLUMNS)
    assert set(first_cells("## The variants")) == set(VARIANTS)
    keys = set(first_cells("keys of their own"))
    options = {key for kind in CATALOGUE.values() for key in kind.options}
    assert keys == options
    choices = DropoutSettings.model_json_schema()["properties"]
    losses = {*first_cells("### Losses built on dropout"), "cross_entropy"}
    assert losses == set(choices["loss"]["enum"])
    assert set(first_cells("### Schedules of p")) == set(choices["schedule"]["enum"])


def test_the_tables_name_every_regularizer_and_every_schedule() -> None:
    optional = {key.partition(".")[2] for key in readers()}
    strengths = [key for key in RegularizationSettings.model_fields if key not in optional]
    section = README.partition("### Regularizers")[2].partition("\n### ")[0]
    assert first_cells("### Regularizers") == strengths
    assert all(f"`{key}`" in section for key in RegularizationSettings.model_fields)
    choices = TrainingSettings.model_json_schema()["properties"]
    schedules = choices["learning_rate_schedule"]["enum"]
    assert first_cells("### Optimizer forms") == schedules
    momentum = ["momentum_schedule", *choices["momentum_schedule"]["enum"]]
    assert first_cells("Wan et al.'s") == momentum
    section = README.partition("### Optimizer forms")[2].partition("\n### ")[0]
    own = {key for key in optional if hasattr(TrainingSettings(), key)}
    assert len(own) == 13
    assert all(f"`{key}" in section for key in own)


def first_cells(after: str) -> list[str]:
    """Return the code words of the first column of the first table after a text."""
    rows = re.search(r"^\|.*?(?=\n\n)", README.partition(after)[2], re.MULTILINE | re.DOTALL)
    assert rows
    cells = [line.split("|")[1] for line in rows[0].splitlines()]
    return [word for cell in cells for word in re.findall(r"`(\w+)`", cell)]


def test_every_file_the_readme_links_to_is_there() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
