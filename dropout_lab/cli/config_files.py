"""Find the config of a command: a path, or the name of a shipped config."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from dropout_lab.cli.extra import instead_of_config, is_config_name
from dropout_lab.errors import ConfigError

GivenConfig = Annotated[
    str | None,
    typer.Argument(
        metavar="CONFIG",
        help="YAML file or shipped config (quickstart). Without one, all keys keep their defaults.",
        show_default=False,
    ),
]
ConfigOption = Annotated[
    str | None, typer.Option("--config", "-c", help="The same as CONFIG.", metavar="FILE")
]


def config_path(command: str, given: str | None, option: str | None) -> Path | None:
    """Return the path of a command's config; None without a config.

    Args:
        command: The command, for the messages.
        given: The argument.
        option: What ``--config`` names.

    Raises:
        ConfigError: Both are given and differ, or there is no such file.
    """
    paths = [found_config(command, text) for text in (given, option) if text is not None]
    if len(paths) == 2 and not _is_same(*paths):
        raise ConfigError(
            [
                f"Two configs are given: {given} and --config {option}. Give one: "
                f"dropout-lab {command} {given}"
            ]
        )
    return paths[0] if paths else None


def config_paths(command: str, given: Sequence[str] | None, option: str | None) -> list[Path]:
    """Return the paths of a command's configs without repetition.

    Raises:
        ConfigError: There is none, or one does not exist.
    """
    texts = [*(given or ()), *([] if option is None else [option])]
    if not texts:
        raise ConfigError([f"No config is given. Write dropout-lab {command} FILE"])
    return list(dict.fromkeys(found_config(command, text) for text in texts))


def found_config(command: str, text: str) -> Path:
    """Return the path of a config file, or of the shipped config of that name.

    Raises:
        ConfigError: There is neither.
    """
    from dropout_lab.config.shipped_configs import find_shipped

    path = Path(text)
    try:
        if text and path.exists() and not path.is_dir():
            return path
        shipped = find_shipped(text)
        if shipped is None:
            raise ConfigError([_missing(command, text)])
        return shipped
    except (OSError, ValueError):  # such as a path that is too long
        return path  # reading it says what is wrong


def _missing(command: str, text: str) -> str:
    """Return the message for a config that does not exist."""
    from dropout_lab.config.shipped_configs import find_similar_shipped
    from dropout_lab.config.synonyms import find_similar_words

    if not text:
        return "the name of the config is empty; give the path of a YAML file."
    path = Path(text)
    what = f"{text} is a folder, not a config" if path.is_dir() else f"{text} does not exist"
    training = command in ("train", "sweep")
    if not is_config_name(text) and training and (other := instead_of_config(command, text)):
        return f"{text!r} is not a config. {other}"
    siblings = [each.name for each in path.parent.glob("*") if is_config_name(each.name)]
    near = [str(path.parent / name) for name in find_similar_words(path.name, siblings)]
    near += find_similar_shipped(text)
    if near:
        commands = " or ".join(f"dropout-lab {command} {shlex.quote(name)}" for name in near[:2])
        return f"{what}. Did you mean {commands}?"
    folder = f" To name the results folder: dropout-lab {command} --out {shlex.quote(text)}."
    return (
        f"{what}; give the path of a YAML file, or a shipped config."
        f"{folder if training and not is_config_name(text) else ''} "
        "To list the shipped configs: dropout-lab init --list"
    )


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return one == other
