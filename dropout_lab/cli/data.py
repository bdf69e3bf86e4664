"""``dropout-lab data``: list and download data sets."""

import json as json_module
from typing import Annotated

import typer

from dropout_lab.cli import encoding, options
from dropout_lab.cli.command import Command, Group
from dropout_lab.cli.examples import examples_of
from dropout_lab.datasets import (
    DATASETS,
    OWN,
    Dataset,
    data_folder,
    expand_home,
    is_downloaded,
)
from dropout_lab.errors import ConfigError

data_app = typer.Typer(cls=Group, no_args_is_help=True, help="List and fetch data sets.")
_NUMBERS = (2, 3, 4)  # columns of the list


@data_app.command("list", cls=Command, epilog=examples_of("data list"))
def list_(data_dir: options.DataDir = None, json: options.Json = False) -> None:
    """List the data sets and show which are on this machine."""
    folder = expand_home(data_folder(data_dir))
    there = {
        name: is_downloaded(name, folder) if dataset.downloadable else None
        for name, dataset in DATASETS.items()
    }
    if json:
        entries = [_describe(dataset, there[name]) for name, dataset in DATASETS.items()]
        encoding.say(json_module.dumps({"folder": str(folder), "datasets": entries}, indent=1))
        return
    rows = [
        (
            name,
            " x ".join(map(str, dataset.shape)),
            str(dataset.classes),
            f"{dataset.train:,}",
            f"{dataset.test:,}",
            _files(dataset, there[name]),
        )
        for name, dataset in DATASETS.items()
    ]
    rows.insert(0, ("name", "example", "classes", "training", "test", "files"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            text.rjust(width) if index in _NUMBERS else text.ljust(width)
            for index, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        encoding.say("  ".join(cells).rstrip())
    encoding.say(f"\nFolder of the downloads: {folder}")
    encoding.say("A study downloads a data set when it first needs it.")
    encoding.say(f"For files of your own: dataset.name: {OWN}, and dataset.path.")


def _describe(dataset: Dataset, downloaded: bool | None) -> dict[str, object]:
    """Return an entry of ``data list --json``."""
    return {
        "name": dataset.name,
        "about": dataset.about,
        "shape": dataset.shape,
        "classes": dataset.classes,
        "train": dataset.train,
        "test": dataset.test,
        "package": dataset.distribution or None,
        "downloaded": downloaded,
    }


def _files(dataset: Dataset, downloaded: bool | None) -> str:
    """Return where the examples of a data set are."""
    if dataset.package:
        return f"package {dataset.distribution}"
    if downloaded is None:
        return "generated"
    return "downloaded" if downloaded else "not downloaded"


@data_app.command(cls=Command, epilog=examples_of("data fetch"))
def fetch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Data set to download.")],
    data_dir: options.DataDir = None,
) -> None:
    """Download a data set, check it, and unpack it."""
    from dropout_lab import data
    from dropout_lab.config.messages import suggest_nearest

    if name not in DATASETS:
        known = f"known: {', '.join(DATASETS)}. For files of your own: dataset.name: {OWN}."
        raise ConfigError([f"{name!r} is not a data set;{suggest_nearest(name, DATASETS)} {known}"])
    dataset = DATASETS[name]
    if not dataset.downloadable:
        where = f"inside the package {dataset.distribution}" if dataset.package else "generated"
        typer.echo(f"{name} is {where}; nothing to fetch.")
        return
    folder = expand_home(data_folder(data_dir))
    data.fetch(name, folder, lambda line: encoding.tell(line))
    data.load_examples(name, folder)
    encoding.say(f"{name} is in {folder}, complete.")
