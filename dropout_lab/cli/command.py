"""What all commands have in common: an option in the place of another option's value is refused."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import typer
from typer.core import TyperCommand

_NUMBER = re.compile(r"-[0-9.]")
_PATHS = ("DIR", "FILE")  # the metavars of the options that take a path


class Command(TyperCommand):
    """A command that takes no option, and no path that looks like one, for an option's value.

    Otherwise ``--out --dry-run`` would train, into a folder of the name ``--dry-run``.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Check the values, then parse the arguments as all commands do."""
        for option, value, joined in _values(self.params, args):
            path = option.metavar in _PATHS
            meant = joined or _NUMBER.match(value)
            if value.startswith("-") and (path or not meant):
                message = f"{value!r} begins with a dash, as options do. Write"
                message = f"{message} {option.opts[0]} {option.metavar or 'VALUE'}"
                if path:
                    message += f"; for that name, write ./{value}"
                raise typer.BadParameter(f"{message}.", ctx=ctx, param=option)
        return super().parse_args(ctx, args)


def _values(params: Sequence[Any], args: Sequence[str]) -> Iterator[tuple[Any, str, bool]]:
    """Yield the options that take a value, what each would take, and whether it is joined to it."""
    taking = {
        name: param
        for param in params
        for name in param.opts
        if not getattr(param, "is_flag", True)
    }
    rest = iter(args)
    for arg in rest:
        if arg == "--":
            return
        long, equals, value = arg.partition("=")
        if arg[:2] in taking and len(arg) > 2:  # -cFILE
            yield taking[arg[:2]], arg[2:], True
        elif long in taking:
            yield taking[long], value if equals else next(rest, ""), bool(equals)
