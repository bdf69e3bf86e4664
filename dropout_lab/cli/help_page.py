"""The page that ``--help`` prints: usage, options in panels, examples; readable at 80 columns."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

_LONGEST = 200  # characters of what a list of commands says of one
_WIDEST_LABEL = 26  # columns of an option's name; a longer name begins a line of its own


def print_help(command: Any, ctx: Any, panels: Mapping[str, Sequence[str]]) -> None:
    """Print the help page of a command.

    Args:
        command: The command. Each line of its epilog is an example.
        ctx: The context that it was called in.
        panels: The names of the parameters in each panel; without any, arguments and options
            have a panel each.
    """
    console = Console(highlight=False)
    console.print(Text(command.get_usage(ctx)), style="bold")
    for paragraph in (command.help or "").strip().split("\n\n"):
        console.print()
        console.print(Text(textwrap.fill(" ".join(paragraph.split()), console.width)))
    console.print()
    rows = _rows(command.get_params(ctx), panels)
    if commands := getattr(command, "commands", {}):
        rows = {
            "Commands": [
                (name, each.get_short_help_str(_LONGEST)) for name, each in commands.items()
            ],
            **rows,
        }
    labels = [len(label) for entries in rows.values() for label, _ in entries]
    width = max((each for each in labels if each <= _WIDEST_LABEL), default=_WIDEST_LABEL)
    for title, entries in rows.items():
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(style="cyan", width=width, overflow="fold")
        table.add_column(ratio=1)
        for label, text in entries:
            table.add_row(Text(label), Text(text))
        console.print(Panel(table, title=title, title_align="left", border_style="dim"))
    if command.epilog:
        console.print("Examples:", style="bold")
        for line in command.epilog.splitlines():
            console.print(Text(f"  {line}"), soft_wrap=True)  # in one line, to be copied


def _rows(
    params: Sequence[Any], panels: Mapping[str, Sequence[str]]
) -> dict[str, list[tuple[str, str]]]:
    """Return for each panel its parameters: how each is written, and what it does."""
    rows: dict[str, list[tuple[str, str]]] = {title: [] for title in panels}
    for param in params:
        if getattr(param, "hidden", False):
            continue
        own = "Arguments" if param.param_type_name == "argument" else "Options"
        last = [own, *panels][-1]  # of --help, which every command has
        title = next((name for name, names in panels.items() if param.name in names), last)
        rows.setdefault(title, []).append((_label(param), param.help or ""))
    return {title: entries for title, entries in rows.items() if entries}


def _label(param: Any) -> str:
    """Return how a parameter is written: ``--config, -c FILE``."""
    if param.param_type_name == "argument":
        return f"{param.metavar or param.name.upper()}{'...' if param.nargs == -1 else ''}"
    names = sorted([*param.opts, *param.secondary_opts], key=lambda name: not name.startswith("--"))
    return ", ".join(names) + (f" {param.metavar}" if param.metavar and not param.is_flag else "")
