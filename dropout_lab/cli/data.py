"""``dropout-lab data``: list and download data sets."""

from typing import Annotated

import typer

from dropout_lab.cli import encoding, options
from dropout_lab.cli.command import Command, Group
from dropout_lab.cli.examples import examples_of
from dropout_lab.datasets import DATASETS, data_folder, expand_home, is_downloaded
from dropout_lab.errors import ConfigError

data_app = typer.Typer(cls=Group, no_args_is_help=True, help="List and fetch data sets.")


@data_app.command("list", cls=Command, epilog=examples_of("data list"))
def list_(data_dir: options.DataDir = None) -> None:
    """List the data sets and show which are on this machine."""
    folder = expand_home(data_folder(data_dir))
    for name, dataset in DATASETS.items():
        if dataset.package:
            state = f" inside the package {dataset.package}; no download"
        elif is_downloaded(name, folder):
            state = f"; in {folder}"
        else:
            state = f"; not in {folder}; fetched when needed"
        typer.echo(f"{name:<13} {dataset.train + dataset.test:>6,} images{state}")


@data_app.command(cls=Command, epilog=examples_of("data fetch"))
def fetch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Data set to download.")],
    data_dir: options.DataDir = None,
) -> None:
    """Download a data set, check it, and unpack it."""
    from dropout_lab import data
    from dropout_lab.config.messages import suggest_nearest

    if name not in DATASETS:
        known = f"known: {', '.join(DATASETS)}. There are no others."
        raise ConfigError([f"{name!r} is not a data set;{suggest_nearest(name, DATASETS)} {known}"])
    if package := DATASETS[name].package:
        typer.echo(f"{name} is inside the package {package}; nothing to fetch.")
        return
    folder = expand_home(data_folder(data_dir))
    data.fetch(name, folder, lambda line: encoding.tell(line))
    data.load_family(name, folder)
    encoding.say(f"{name} is in {folder}, complete.")
