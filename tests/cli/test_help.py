"""Help pages: options in panels, readable at 80 columns, with examples that work."""

import shlex
from typing import Any

import pytest
import typer

from dropout_lab.cli.app import app
from dropout_lab.cli.command import StudyCommand
from dropout_lab.cli.examples import _EXAMPLES, examples_of

ROOT: Any = typer.main.get_command(app)
COMMANDS: dict[str, Any] = {
    f"{name} {inner}".strip(): command
    for name, group in ROOT.commands.items()
    for inner, command in (getattr(group, "commands", None) or {"": group}).items()
}
STUDIES = [name for name, command in COMMANDS.items() if isinstance(command, StudyCommand)]
EXAMPLES = [line for name in COMMANDS for line in examples_of(name).splitlines()]


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("columns", [80, 120])
def test_a_page_fits_the_terminal_and_explains_every_option(
    name: str, columns: int, run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    page = run(*name.split(), "--help")
    assert (page.status, page.err) == (0, "")
    assert max(map(len, page.out.splitlines())) <= columns
    words = " ".join(page.out.replace("│", " ").split())
    for param in COMMANDS[name].params:
        assert param.help, f"{name} {param.name} has no help"
        assert " ".join(param.help.split()) in words
        assert max(param.opts, key=len).removeprefix("--") in page.out.lower() or param.metavar
    assert "<bool>" not in page.out
    for example in examples_of(name).splitlines():
        assert f"  {example}\n" in page.out  # in one line, to be copied


@pytest.mark.parametrize("name", STUDIES)
def test_each_option_that_trains_is_in_one_panel(name: str, run) -> None:
    panels = StudyCommand.panels
    assert list(panels) == ["Experiment", "Output", "Hardware", "Advanced"]
    named = [each for names in panels.values() for each in names]
    own = {param.name for param in COMMANDS[name].params}
    assert len(set(named)) == len(named)
    assert set(named) == own | {"baseline", "margin"}  # which train does not have
    page = run(name, "--help").out
    places = [page.index(f"─ {title} ─") for title in panels]
    assert places == sorted(places)
    assert "─ Options ─" not in page


def test_train_and_sweep_are_the_commands_with_panels() -> None:
    assert STUDIES == ["train", "sweep"]


def test_each_command_has_two_examples() -> None:
    assert set(_EXAMPLES) == set(COMMANDS)
    assert all(len(set(examples)) == 2 for examples in _EXAMPLES.values())
    assert all(len(line) <= 78 for line in EXAMPLES)


@pytest.mark.parametrize("line", EXAMPLES)
def test_an_example_is_accepted(line: str, run, monkeypatch: pytest.MonkeyPatch) -> None:
    _, *arguments = shlex.split(line.partition(" > ")[0])
    if arguments[0] in ("plot", "report", "compare", "doctor", "remove"):
        done = run(*arguments)
        assert done.status == 4  # there is no study here
        assert "Try " not in done.err
        return
    if arguments[0] == "verify" or arguments[:2] in (["lesson", "masks"], ["data", "fetch"]):
        pytest.skip("takes its time, or the network; other tests run it")
    if "experiment.yaml" in arguments and arguments[0] != "init":
        assert run("init").status == 0
    dry = ["--dry-run"] if arguments[0] in ("train", "sweep") else []
    assert run(*arguments, *dry).status == 0


def test_help_and_version_are_commands_too(run) -> None:
    assert run("version").out == run("--version").out
    assert run("help", "sweep").out == run("sweep", "--help").out
    assert run("help", "config", "show").out == run("config", "show", "--help").out
    assert run("help").out == run("--help").out
    assert "Measure what dropout does" in run("help").out
