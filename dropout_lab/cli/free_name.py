"""Suggest a command with a free results folder if the folder holds another study."""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dropout_lab.errors import StorageError, TakenFolderError
from dropout_lab.printable import command

_NAMING = ("--out", "--name")
_LONGEST = 80  # characters of a name


def with_free_name(
    error: TakenFolderError, out: Path, name: str, arguments: Sequence[str]
) -> StorageError:
    """Add to the error the same command with a folder that does not exist.

    Args:
        error: Why the folder is refused.
        out: The folder.
        name: The name of the study.
        arguments: The command line, without the program's name.
    """
    free = _free(out, error.differing)
    words = list(_without_names(arguments))
    named = out == Path("results") / name
    words += ["--name", free.name] if named else ["--out", str(free)]
    return StorageError(
        f"{error.plain}\nTo train this study in a folder of its own:\n  {command(*words)}"
    )


def _free(out: Path, differing: Mapping[str, Any]) -> Path:
    """Return a free path like this one, named after the key that differs."""
    suffix = "2"
    ((key, value), *more) = differing.items() or [("", {})]
    if not more and not isinstance(value, dict):
        text = value if isinstance(value, str) else json.dumps(value)
        suffix = re.sub(r"[^A-Za-z0-9.]+", "_", f"{key.rpartition('.')[2]}_{text}").strip("._")
    stem, number = f"{out.name}_{suffix}"[:_LONGEST].rstrip("._-"), 2
    free = out.with_name(stem)
    while os.path.lexists(free):
        free, number = out.with_name(f"{stem}_{number}"), number + 1
    return free


def _without_names(arguments: Sequence[str]) -> Iterator[str]:
    """Yield the arguments without the options that name the study or its folder."""
    rest = iter(arguments)
    for argument in rest:
        option, equals, value = argument.partition("=")
        if option in _NAMING:
            if not equals:
                next(rest, None)
        elif option == "--set":
            setting = value if equals else next(rest, "")
            if not setting.startswith("name="):
                yield from ("--set", setting)
        else:
            yield argument
