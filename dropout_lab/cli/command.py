"""The base class of all commands: it reads options and prints the help page."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

from dropout_lab.cli.extra import joined_values

_NUMBER = re.compile(r"-[0-9.]")
_PATHS = ("DIR", "FILE")  # the metavars of the options that take a path


class Command(TyperCommand):
    """A command that refuses an option in the place of an option's value.

    Otherwise ``--out --dry-run`` would train, into a folder of the name ``--dry-run``.
    """

    panels: ClassVar[Mapping[str, Sequence[str]]] = {}

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help page."""
        from dropout_lab.cli.help_page import print_help

        print_help(self, ctx, self.panels)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Check the values, then parse the arguments as all commands do."""
        for option, value, joined, rest in _values(self.params, args):
            if message := joined_values(option.opts[0], option.metavar or "", value, rest):
                raise typer.BadParameter(message, ctx=ctx, param=option)
            path = option.metavar in _PATHS
            meant = joined or _NUMBER.match(value)
            if value.startswith("-") and (path or not meant):
                message = f"{value!r} begins with a dash, as options do. Write"
                message = f"{message} {option.opts[0]} {option.metavar or 'VALUE'}"
                if path:
                    message += f"; for that name, write ./{value}"
                raise typer.BadParameter(f"{message}.", ctx=ctx, param=option)
        return super().parse_args(ctx, args)


class Group(TyperGroup):
    """A group of commands, with the same help page."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help page."""
        from dropout_lab.cli.help_page import print_help

        print_help(self, ctx, {})


class StudyCommand(Command):
    """A command that trains a study; its help page has panels."""

    panels: ClassVar[Mapping[str, Sequence[str]]] = {
        "Experiment": (
            "given", "config", "p", "lr", "set_", "seed", "seeds", "epochs", "baseline",
            "margin",
        ),
        "Output": ("name", "out", "save_models", "dry_run", "json", "quiet"),
        "Hardware": ("device", "workers", "scheduler", "fleet", "memory", "force_precision"),
        "Advanced": ("data_dir", "plugin", "retry"),
    }  # fmt: skip


def _values(
    params: Sequence[Any], args: Sequence[str]
) -> Iterator[tuple[Any, str, bool, Sequence[str]]]:
    """Yield each option that takes a value, the value, whether it is joined, and what follows."""
    taking = {
        name: param
        for param in params
        for name in param.opts
        if not getattr(param, "is_flag", True)
    }
    rest = iter(enumerate(args, 1))
    for index, arg in rest:
        if arg == "--":
            return
        long, equals, value = arg.partition("=")
        if arg[:2] in taking and len(arg) > 2:  # -cFILE
            yield taking[arg[:2]], arg[2:], True, args[index:]
        elif long in taking:
            if not equals:
                index, value = next(rest, (index, ""))
            yield taking[long], value, bool(equals), args[index:]
