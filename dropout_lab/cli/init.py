"""``dropout-lab init``: write a first config."""

import os
import textwrap
from pathlib import Path
from typing import Annotated

import typer

from dropout_lab.cli import encoding
from dropout_lab.cli.extra import is_config_name
from dropout_lab.errors import ConfigError
from dropout_lab.printable import command

_STARTER = "experiment.yaml"


def init(
    file: Annotated[
        str | None,
        typer.Argument(
            help="File to write. (default: experiment.yaml, or the name of the shipped config)",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option("--from", help="Copy a shipped config: quickstart, mnist.", metavar="NAME"),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the shipped configs.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
) -> None:
    """Write a config to begin with: a starter with comments, or a copy of a shipped config.

    The starter trains in under a minute and needs no download. A file that exists is never
    replaced without --force.
    """
    from dropout_lab.config.config_text import format_starter_config
    from dropout_lab.config.shipped_configs import find_shipped
    from dropout_lab.files import read_file, replace_file

    if list_:
        _list()
        return
    copied = None if source is None else find_shipped(source)
    if source is not None and copied is None:
        raise ConfigError([_unknown(source)])
    path = Path(file or (_STARTER if copied is None else copied.name))
    _check(path, force=force, source=source)
    text = format_starter_config(path) if copied is None else read_file(copied).decode("utf-8")
    replace_file(path, text)
    encoding.say(f"Wrote {path}.")
    encoding.say(f"Next: {command('sweep', path)}")


def _check(path: Path, *, force: bool, source: str | None) -> None:
    """Refuse a path that exists or is no YAML file.

    Raises:
        ConfigError: It is refused.
    """
    from dropout_lab.config.shipped_configs import find_shipped

    if path.is_dir():
        again = _init(path / _STARTER, source)
        raise ConfigError([f"{path} is a folder. Name a file: {again}"])
    if not is_config_name(path.name):
        right = _init(path.with_name(f"{path.name}.yaml"), source)
        copied = source is None and find_shipped(str(path)) is not None
        copy = f"\nTo copy a shipped config: {command('init', '--from', path)}" if copied else ""
        raise ConfigError([f"{path} does not end in .yaml. Write {right}{copy}"])
    if os.path.lexists(path) and not force:
        raise ConfigError(
            [
                f"{path} exists. Give another name: {_init(_free(path), source)}\n"
                f"To replace it: {_init(path, source)} --force"
            ]
        )


def _free(path: Path) -> Path:
    """Return a free path like this one."""
    number = 2
    while os.path.lexists(free := path.with_name(f"{path.stem}_{number}{path.suffix}")):
        number += 1
    return free


def _unknown(name: str) -> str:
    from dropout_lab.config.shipped_configs import find_similar_shipped

    near = " or ".join(command("init", "--from", each) for each in find_similar_shipped(name))
    meant = f" Did you mean {near}?" if near else ""
    listed = f"To list the shipped configs: {command('init', '--list')}"
    return f"{name!r} is not a shipped config.{meant}\n{listed}"


def _list() -> None:
    """Print each shipped config with what it is for."""
    from rich.console import Console

    from dropout_lab.config.shipped_configs import list_shipped, read_first_comment

    configs = list_shipped()
    width = max(map(len, configs)) + 2
    lines = max(width + 20, Console().width)
    for name, path in configs.items():
        encoding.say(
            textwrap.fill(
                f"{name:<{width}}{read_first_comment(path)}", lines, subsequent_indent=" " * width
            )
        )
    encoding.say(f"\nTo copy a config: {command('init', '--from', 'NAME')}")
    encoding.say(f"To train a config: {command('sweep', 'NAME')}")


def _init(path: Path, source: str | None) -> str:
    return command("init", *(() if source is None else ("--from", source)), path)
