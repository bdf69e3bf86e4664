"""The list of commands, and how an error becomes a message and an exit status."""

import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, cast

import typer

from dropout_lab import __version__
from dropout_lab.cli import encoding, extra
from dropout_lab.cli.command import Command, Group, StudyCommand
from dropout_lab.cli.compare import compare
from dropout_lab.cli.config import config_app
from dropout_lab.cli.data import data_app
from dropout_lab.cli.doctor import doctor
from dropout_lab.cli.examples import examples_of
from dropout_lab.cli.init import init
from dropout_lab.cli.lesson import lesson
from dropout_lab.cli.plot import plot
from dropout_lab.cli.remove import remove
from dropout_lab.cli.report import report
from dropout_lab.cli.sweep import sweep
from dropout_lab.cli.train import train
from dropout_lab.cli.variants import variants
from dropout_lab.cli.verify import verify
from dropout_lab.errors import ConfigError, DropoutLabError, InterruptedStudyError
from dropout_lab.files import reading

_INTERRUPTED, _UNWRITTEN = 130, 4
_EXTRA = re.compile(r"unexpected extra arguments?(?:\(s\))? \((.*)\)", re.DOTALL)
_TYPED = re.compile(r"(?:: |[Ww]rite )(?:dropout-lab|--\w)[^?]*$")  # ends with what to type
# The base of it, for which typer has no public name.
_UsageError = cast("type[typer.BadParameter]", typer.BadParameter.__bases__[0])

app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="dropout-lab sweep quickstart\ndropout-lab help sweep",
)
_COMMANDS: tuple[Callable[..., None], ...] = (
    init, train, sweep, plot, report, compare, doctor, remove, lesson, verify, variants
)  # fmt: skip
for _command in _COMMANDS:
    _kind = StudyCommand if _command in (train, sweep) else Command
    app.command(cls=_kind, epilog=examples_of(_command.__name__))(_command)
app.add_typer(config_app, name="config")
app.add_typer(data_app, name="data")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    """Measure what dropout does: train experiments, plot them, and report their statistics."""


def main() -> None:
    """Run the command line and exit with its status."""
    encoding.prepare()
    os.environ["MPLBACKEND"] = "Agg"  # pictures go to files, whatever the environment asks for
    try:
        status = _run()
    except OSError as error:  # of an output
        # One without a number is of a library, such as Matplotlib's of a folder for its cache.
        written = f"The output cannot be written: {error.strerror}."
        status = _print_error(written if error.errno is not None else str(error), _UNWRITTEN)
    finally:
        encoding.finish()
    sys.exit(status)


def _run() -> int:
    """Run the command, report errors, and return the exit status."""
    try:
        os.getcwd()  # libraries take its absence for damage of their own, and abort
    except OSError as error:
        where = "The current folder cannot be used"
        return _print_error(f"{where}: {error.strerror}. Change to another: cd ~", _UNWRITTEN)
    try:
        with reading():
            status = int(app(_arguments(sys.argv[1:]), standalone_mode=False) or 0)
    except (DropoutLabError, InterruptedStudyError) as error:
        mistakes = error.mistakes if isinstance(error, ConfigError) else None
        return _print_error(str(error), error.exit_status, mistakes)
    except _UsageError as error:  # of no arguments the message is the help, and printed already
        return _print_error(_in_words(error), error.exit_code)
    if status == _INTERRUPTED:  # typer's word for Ctrl-C
        return _print_error("Interrupted.", status)
    return status


def _arguments(given: list[str]) -> list[str]:
    """Return the arguments, with ``help`` and ``version`` in place of their options allowed."""
    if given[:1] == ["version"]:
        return ["--version"]
    return [*given[1:], "--help"] if given[:1] == ["help"] else given


def _print_error(message: str, status: int, mistakes: Sequence[str] | None = None) -> int:
    """Print an error on stderr and, with --json, as JSON on stdout.

    An output that nobody reads any more is no second mishap.
    """
    with suppress(OSError):
        encoding.tell(message)
    if "--json" in sys.argv[1:]:
        told: dict[str, Any] = {"error": message, "exit_status": status}
        told |= {} if mistakes is None else {"mistakes": list(mistakes)}
        with suppress(OSError):
            print(json.dumps(told, indent=1), flush=True)  # noqa: T201
    return status


def _in_words(error: typer.BadParameter) -> str:
    """Describe a mistake on the command line and name its help page."""
    message = error.format_message()
    if error.ctx is None or not message:
        return message
    help_ = f"{error.ctx.command_path} {error.ctx.help_option_names[-1]}"
    command = error.ctx.info_name or ""
    name = getattr(error, "option_name", None)
    if name is not None and (option := extra.instead_of_option(command, name, sys.argv[1:])):
        message = f"No such option: {name}. {option}"
    lines = [message if message.endswith((".", "?")) or _TYPED.search(message) else f"{message}."]
    if "No such command" in message:
        lines += extra.instead_of_command(sys.argv[1:])
    if found := _EXTRA.search(message):
        lines += extra.advice(command, found[1].split(" "))
    return "\n".join([*lines, f"Try {help_}"])
