"""Suggest what to type instead of unknown arguments and options."""

import itertools
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from dropout_lab.datasets import DATASETS
from dropout_lab.printable import command as typed

_FOLDERS = (
    "{command} takes one folder: a study's, or one with several studies in it, such as "
    "dropout-lab {command} results"
)
_COMPARE = (
    "To compare two settings, train them as one study: as two values of an axis or as two cells in "
    "one config, and run dropout-lab sweep. Their runs are then paired by seed. To compare "
    "studies, type dropout-lab compare and their folders."
)
_DOWNLOADED = [name for name, dataset in DATASETS.items() if dataset.downloadable]
_ADVICE: dict[str, tuple[str, ...]] = {
    "plot": (_FOLDERS, _COMPARE),
    "doctor": (_FOLDERS,),
    "lesson": ("lesson takes one name. To run all of them: dropout-lab verify",),
    "show": ("config show takes one file.",),
    "schema": ("config schema takes no file. To check one: dropout-lab config check FILE",),
    "fetch": (f"data fetch takes one name: {', '.join(_DOWNLOADED[:-1])} or {_DOWNLOADED[-1]}.",),
    "list": ("data list takes no name. To download a data set: dropout-lab data fetch NAME",),
    "init": ("init writes one file. To copy a shipped config: dropout-lab init --from NAME",),
}
_VALUE = re.compile(r"[-+.,:\d\[\]eE]*\d[-+.,:\d\[\]eE]*")

_ONE_VALUE = ("P", "X")  # what --p and --lr take in train; in sweep they take lists
_SHORTCUTS = {
    "dropout.p": "--p",
    "training.learning_rate": "--lr",
    "training.epochs": "--epochs",
}
_TOP = {"seeds": "--seeds", "name": "--name"}


def advice(command: str, arguments: Sequence[str]) -> list[str]:
    """Return lines that say what to type instead of arguments that a command does not take."""
    if command not in ("train", "sweep"):
        return [line.format(command=command) for line in _ADVICE.get(command, ())]
    given = f"{command} takes one config. To train with another, run the command again."
    lines = [instead_of_config(command, argument) or given for argument in arguments]
    return list(dict.fromkeys(lines))


def joined_values(option: str, metavar: str, value: str, rest: Sequence[str]) -> str:
    """Return the message for option values separated by spaces; empty without such values.

    Args:
        option: The option.
        metavar: What it takes.
        value: What follows it.
        rest: The arguments after that.
    """
    key, _, start = value.partition("=")
    if metavar == "KEY=VALUE":
        following = _numbers(rest) if start else _values(rest)
    else:
        following = _numbers(rest) if "LIST" in metavar or metavar in _ONE_VALUE else []
    if not following:
        return ""
    values = [start if metavar == "KEY=VALUE" else value, *following]
    joined = ",".join(filter(None, (text.strip("[],=") for text in values)))
    right = f"{option} {key}={joined}" if metavar == "KEY=VALUE" else f"{option} {joined}"
    how = "Separate values with commas, without spaces" if "," in joined else "Write"
    if metavar in _ONE_VALUE:
        how, right = "To train with each of them", f"dropout-lab sweep {right}"
    return f"{value!r} is followed by {' '.join(following)}. {how}: {right}"


def _numbers(arguments: Sequence[str]) -> list[str]:
    """Return the leading numbers of arguments."""
    return list(itertools.takewhile(_VALUE.fullmatch, arguments))


def _values(arguments: Sequence[str]) -> list[str]:
    """Return the leading arguments that may be values: numbers, or one word."""
    first = arguments[0] if arguments else "-"
    if first == "=":
        return [first, *_values(arguments[1:])]
    if numbers := _numbers(arguments):
        return numbers
    other = (
        first.startswith("-") or "=" in first[1:] or is_config_name(first) or first.endswith(".py")
    )
    return [] if other or Path(first).exists() else [first]


def instead_of_config(command: str, argument: str) -> str:
    """Return what to type instead of an argument of train or sweep that is no config.

    Nothing if it may be a misspelled config.
    """
    quoted = shlex.quote(argument)
    if argument.endswith(".py"):
        return f"For a plugin: dropout-lab {command} --plugin {quoted}"
    if "=" in argument:
        return f"To set a key: dropout-lab {command} --set {quoted}"
    if _VALUE.fullmatch(argument):
        return (
            "Separate values with commas, without spaces: --p 0,0.25,0.5 or --seeds 0,1,2. "
            "To set a key: --set training.epochs=5"
        )
    return ""


def is_config_name(text: str) -> bool:
    """Whether a text ends as the name of a config file does."""
    return text.endswith((".yaml", ".yml"))


def instead_of_option(command: str, option: str, arguments: Sequence[str]) -> str:
    """Return what to type instead of an option that train and sweep do not have.

    Args:
        command: The command.
        option: The unknown option.
        arguments: The command line, for the option's value.

    Returns:
        Nothing for other commands, or if it is unknown what is meant.
    """
    if command not in ("train", "sweep"):
        return ""
    from dropout_lab.config.foreign_keys import find_key, suggest_for_key
    from dropout_lab.config.synonyms import OTHER_SEEDS, OTHER_TOP_KEYS

    name = option.lstrip("-").replace("-", "_").casefold()
    value = _value_of(option, arguments)
    key = find_key(name)
    short = _SHORTCUTS.get(key or "") or _TOP.get(OTHER_TOP_KEYS.get(name, ""))
    if name in OTHER_SEEDS:
        short = "--seed"
    if short:
        return f"Write {short} {shlex.quote(value) if value else 'VALUE'}"
    text = suggest_for_key(name, _parsed(value), option)
    if not text and key is not None:
        text = f"write --set {key}={value or 'VALUE'}"
    text = text.replace("give it on the command line: ", "write ")
    return f"{text[:1].upper()}{text[1:]}"


def _value_of(option: str, arguments: Sequence[str]) -> str:
    """Return the value of an unknown option on the command line; empty without a value."""
    for argument, following in itertools.pairwise([*arguments, "-"]):
        name, equals, value = argument.partition("=")
        if name == option:
            return value if equals else "" if following.startswith("-") else following
    return ""


def _parsed(value: str) -> object:
    from dropout_lab.config.document import parse_value
    from dropout_lab.errors import ConfigError

    try:
        return parse_value(value, "")
    except ConfigError:
        return value


def instead_of_command(arguments: Sequence[str]) -> list[str]:
    """Return what to type instead of a config in the place of a command; empty otherwise."""
    if not arguments or not is_config_name(arguments[0]):
        return []
    return [f"To train a config: {typed('sweep', *arguments)}"]
