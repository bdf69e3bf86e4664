"""``dropout-lab variants``: the catalogue."""

import json as json_module
from typing import Annotated

import typer

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.cli import options


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
        entries = {name: kind.public_fields() for name, kind in chosen.items()}
        typer.echo(json_module.dumps(entries, indent=1))
        return

    from dropout_lab.cli.catalogue import print_catalogue

    print_catalogue(chosen)
