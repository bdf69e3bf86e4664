"""``dropout-lab variants``: the catalogue."""

import json as json_module
from dataclasses import asdict
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from dropout_lab.catalogue import CATALOGUE, COST_MEASURED, Variant
from dropout_lab.cli import options

_TABLE_WIDTH = 150  # columns of a terminal from which six columns of text can be read


def variants(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME...]", help="All, without a name.")
    ] = None,
    json: options.Json = False,
    plugin: options.Plugins = None,
) -> None:
    """Print the catalogue: formula, what p means, what is learned, cost of a step, paper."""
    options.load_plugins(plugin)
    chosen = {name: CATALOGUE[name] for name in options.variant_names(names)}
    if json:
        typer.echo(
            json_module.dumps({name: asdict(kind) for name, kind in chosen.items()}, indent=1)
        )
        return
    console = Console(markup=False, highlight=False)
    if console.width >= _TABLE_WIDTH:
        _print_table(console, chosen)
    else:
        _print_blocks(console, chosen)
    console.print(f"cost: {COST_MEASURED}", style="dim")


def _print_table(console: Console, chosen: dict[str, Variant]) -> None:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("variant", no_wrap=True)
    for column, ratio in (("formula", 5), ("p", 4), ("learned", 2), ("keys and remarks", 4)):
        table.add_column(column, ratio=ratio, overflow="fold")
    table.add_column("cost", justify="right", no_wrap=True)
    table.add_column("paper", ratio=3, overflow="fold")
    for name, kind in chosen.items():
        notes = "; ".join(filter(None, (_keys(kind), kind.remark)))
        table.add_row(name, kind.formula, kind.p, kind.learned, notes, _cost(kind), kind.paper)
    console.print(table)


def _print_blocks(console: Console, chosen: dict[str, Variant]) -> None:
    for name, kind in chosen.items():
        console.print(f"{name}  (cost {_cost(kind)})", style="bold")
        facts = {
            "": kind.formula,
            "p: ": kind.p,
            "learns: ": kind.learned,
            "keys: ": _keys(kind),
            "note: ": kind.remark,
            "paper: ": kind.paper,
        }
        for label, text in facts.items():
            if text:
                console.print(Padding(label + text, (0, 0, 0, 4), expand=False))


def _cost(kind: Variant) -> str:
    return "not measured" if kind.source else f"{kind.cost:.3g}"


def _keys(kind: Variant) -> str:
    return ", ".join(
        f"dropout.{key}" + (" (needed)" if key in kind.needed else "") for key in kind.options
    )
