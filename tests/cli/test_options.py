"""An option in the place of another option's value is a mistake, and nothing is done."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from dropout_lab.cli.app import app
from dropout_lab.cli.command import Command


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("train --out --dry-run", "Write --out DIR; for that name, write ./--dry-run."),
        ("train --out=--dry-run", "Write --out DIR"),
        ("train --out -5", "for that name, write ./-5."),
        ("sweep --config --p 0.5", "Write --config FILE"),
        ("sweep -c --quiet", "Write --config FILE"),
        ("sweep -c-q", "Write --config FILE"),
        ("sweep --plugin -q", "Write --plugin FILE"),
        ("sweep --seeds --dry-run", "Write --seeds N|LIST"),
        ("sweep --epochs --dry-run", "Write --epochs N"),
        ("sweep --set --dry-run", "Write --set KEY=VALUE"),
        ("train --scheduler --dry-run", "Write --scheduler ADDRESS"),
        ("plot --out --help results", "Write --out DIR"),
        ("data list --data-dir -x", "Write --data-dir DIR"),
        ("config show c.yaml --set --plugin", "Write --set KEY=VALUE"),
    ],
)
def test_an_option_is_no_value_of_another(arguments: str, words: str, run) -> None:
    done = run(*arguments.split())
    assert done.status == 2
    assert " begins with a dash, as options do." in done.err
    assert words in done.err
    assert not list(Path.cwd().iterdir())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [("--seeds -1", "seeds is -1"), ("--p -0.5", "p is -0.5"), ("--set=-x", "write --set key=")],
)
def test_a_negative_number_or_a_joined_text_is_judged_by_its_option(
    arguments: str, words: str, run
) -> None:
    done = run("sweep", *arguments.split())
    assert done.status == 2
    assert words in done.err


def test_a_folder_with_a_dash_in_front_can_be_named(run) -> None:
    done = run("train", "--out", "./--dry-run", "--dry-run")
    assert done.status == 0
    assert "into --dry-run" in done.out


def test_every_command_is_of_this_kind() -> None:
    commands = list(leaves(typer.main.get_command(app)))
    assert len(commands) == 16
    assert all(isinstance(command, Command) for command in commands)


def leaves(command: Any) -> Iterator[Any]:
    below = getattr(command, "commands", None)
    if below is None:
        yield command
    for each in (below or {}).values():
        yield from leaves(each)
