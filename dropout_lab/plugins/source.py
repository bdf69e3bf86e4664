"""A plugin's file: read, imported under a private name, and searched for variants."""

import ast
import contextlib
import re
import sys
import traceback
import warnings
from pathlib import Path
from types import ModuleType

from dropout_lab.errors import ConfigError
from dropout_lab.files import read_file
from dropout_lab.layers import Dropout

_MARK = "\ufeff"  # that some editors put before UTF-8
_WRITE = (
    "write a class that derives from UnitDropout, or WeightDropout, of dropout_lab.layers, with a "
    "name and a variant"
)


def read_text(path: Path) -> str:
    """Return the text of a plugin's file.

    Raises:
        ConfigError: It is no Python file that can be read.
    """
    given = f"--plugin {path}"
    if path.is_dir():
        raise ConfigError([f"{given} is a folder; give the Python file in it."])
    if not path.exists():
        raise ConfigError([f"{given} does not exist."])
    if path.suffix != ".py":
        raise ConfigError([f"{given} is no Python file; its name must end in .py."])
    try:
        return read_file(path).decode()
    except OSError as error:
        raise ConfigError([f"{given} cannot be read: {error.strerror}."]) from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            [f"{given} is not UTF-8, at byte {error.start}; save it as UTF-8."]
        ) from error


def import_text(text: str, path: Path, name: str) -> ModuleType:
    """Run a plugin's text as a module; what it prints goes to stderr.

    Raises:
        ConfigError: It is not Python, or stops with an exception, whichever that is.
    """
    if not sys.warnoptions:  # Python hides these warnings by default, except in the main script
        warnings.filterwarnings("default", category=DeprecationWarning, module=re.escape(name))
    before = set(sys.modules)
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module  # where dataclasses and pickles look a class's module up
    try:
        with contextlib.redirect_stdout(sys.stderr):
            exec(compile(text.removeprefix(_MARK), str(path), "exec"), module.__dict__)
    except KeyboardInterrupt:
        raise  # Ctrl-C is the user's
    except BaseException as error:  # sys.exit() in a plugin is no way to end the program
        del sys.modules[name]
        place = place_of(error, path, str(path))
        raise ConfigError([f"{place}: importing the plugin stops with {in_words(error)}"]) from None
    beside = _beside(path, set(sys.modules) - before - {name})
    if beside:
        for imported in (*beside, name):
            del sys.modules[imported]
        raise ConfigError(
            [
                f"{path}: a plugin is one file, but it imports {', '.join(sorted(beside))} from "
                "its folder, whose changes its digest would not show; write it into this file."
            ]
        )
    return module


def _beside(path: Path, names: set[str]) -> list[str]:
    """Return which modules come from the plugin's folder or below, installed packages apart."""
    folder = path.resolve().parent
    found = []
    for name in names:
        file = getattr(sys.modules[name], "__file__", None)
        where = Path(file).resolve() if file else None
        if where and where.is_relative_to(folder) and "site-packages" not in where.parts:
            found.append(name)
    return found


def variants_in(module: ModuleType, path: Path) -> list[type[Dropout]]:
    """Return the layers that a module defines, in order, without imported layers.

    A class that others of the file derive from, and that has no name, is their base.

    Raises:
        ConfigError: There is none.
    """
    values = list(dict.fromkeys(v for v in vars(module).values() if isinstance(v, type)))
    ours = [v for v in values if v.__module__ == module.__name__]
    layers = [v for v in ours if issubclass(v, Dropout)]
    bases = {base for layer in layers for base in layer.__mro__[1:]}
    found = [v for v in layers if v not in bases or "name" in vars(v)]
    if found:
        return found
    imported = [v.__name__ for v in values if issubclass(v, Dropout)]
    there = "no class" if not ours else f"class {', '.join(v.__name__ for v in ours)}"
    brought = f", and only imports {', '.join(imported)}" if imported else ""
    raise ConfigError([f"{path}:1: no variant found; it defines {there}{brought}: {_WRITE}."])


def lines_of_classes(text: str) -> dict[str, int]:
    """Return the line at which each class of a text begins."""
    return {
        n.name: n.lineno
        for n in ast.walk(ast.parse(text.removeprefix(_MARK)))
        if isinstance(n, ast.ClassDef)
    }


def place_of(error: BaseException, path: Path, otherwise: str) -> str:
    """Return where in the plugin's file an exception came from, or another place."""
    line = _line(error, path)
    return f"{path}:{line}" if line else otherwise


def in_words(error: BaseException) -> str:
    """Return an exception's type and the first line of its message."""
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    first = message.strip().splitlines()[0] if message.strip() else ""
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _line(error: BaseException, path: Path) -> int:
    """Return the line of the plugin's file that an exception came from; 0 if from none."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return error.lineno or 1
    frames = traceback.extract_tb(error.__traceback__)
    return next((f.lineno or 0 for f in reversed(frames) if f.filename == str(path)), 0)
