"""``dropout-lab config``: check a file, show it with its defaults, print the schema."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from dropout_lab.cli import encoding, options

config_app = typer.Typer(no_args_is_help=True, help="Check, show and describe config files.")
ConfigArgument = Annotated[Path, typer.Argument(metavar="FILE", help="YAML file.")]


@config_app.command()
def check(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="YAML files.")],
    plugin: options.Plugins = None,
) -> None:
    """Say everything that is wrong with config files, or that nothing is."""
    from dropout_lab.config.grid import seeds_of, sweep_cells
    from dropout_lab.config.load import load, sizes_in
    from dropout_lab.config.overrides import Changes
    from dropout_lab.config.rules import cautions_of
    from dropout_lab.errors import ConfigError

    options.load_plugins(plugin)
    mistakes: list[str] = []
    for file in files:
        for size in sizes_in(file):
            chosen = () if size is None else (f"size={size}",)
            which = str(file) if size is None else f"{file}, size {size}"
            try:
                config = load(file, Changes(settings=chosen))
            except ConfigError as error:
                mistakes += [text for text in error.mistakes if text not in mistakes]
                continue
            try:
                config = load(file, Changes(settings=chosen, sweep=True))
            except ConfigError as error:
                typer.echo(f"{which}: right for train; sweep refuses it: {error.mistakes[0]}")
                continue
            cells, seeds = sweep_cells(config), len(seeds_of(config))
            typer.echo(f"{which}: right; a sweep has {len(cells)} cells x {seeds} seeds.")
            for text in cautions_of(cell.settings for cell in cells):
                encoding.tell(f"{which}: warning: {text}")
    if mistakes:
        raise ConfigError(mistakes)


@config_app.command()
def show(file: ConfigArgument, set_: options.Set = None, plugin: options.Plugins = None) -> None:
    """Print a config with all its defaults filled in, as YAML."""
    import yaml

    from dropout_lab.config.load import load
    from dropout_lab.config.overrides import Changes

    options.load_plugins(plugin)
    config = load(file, Changes(settings=tuple(set_ or ()), sweep=True))
    first = ("name", "about")
    data = config.model_dump(mode="json")
    rest = (key for key, value in data.items() if key not in first and value not in (None, {}))
    ordered = {key: data[key] for key in (*first, *rest)}
    as_is = encoding.is_utf8(sys.stdout)  # else in YAML's own escapes, which read back the same
    typer.echo(yaml.safe_dump(ordered, sort_keys=False, allow_unicode=as_is), nl=False)


@config_app.command()
def schema(plugin: options.Plugins = None) -> None:
    """Print the JSON Schema of a config, for an editor to complete and check YAML with."""
    import json

    from dropout_lab.config.schema import Config

    options.load_plugins(plugin)
    typer.echo(json.dumps(Config.model_json_schema(), indent=1))
