"""``dropout-lab variants``: the catalogue of dropout variants."""

import json as json_module
from typing import Annotated

import typer

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.cli import options


def variants(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Variants to show in full. (default: list all)"),
    ] = None,
    json: options.Json = False,
    plugin: options.Plugins = None,
) -> None:
    """List the variants of dropout, or show some in full.

    In full means: formula, meaning of p, what is learned, keys, cost of a training step, paper.
    """
    options.load_plugins(plugin)
    chosen = {name: CATALOGUE[name] for name in options.variant_names(names)}
    if json:
        entries = {name: kind.public_fields() for name, kind in chosen.items()}
        typer.echo(json_module.dumps(entries, indent=1))
        return

    from dropout_lab.cli.catalogue import print_catalogue, print_overview

    (print_catalogue if names else print_overview)(chosen)
