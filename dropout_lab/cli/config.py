"""``dropout-lab config``: check a file, show it with its defaults, print the schema."""

import sys
from typing import Annotated

import typer

from dropout_lab.cli import encoding, options
from dropout_lab.cli.command import Command, Group
from dropout_lab.cli.config_files import ConfigOption, GivenConfig, config_path, config_paths
from dropout_lab.cli.examples import examples_of

config_app = typer.Typer(
    cls=Group, no_args_is_help=True, help="Check, show and describe config files."
)


@config_app.command(cls=Command, epilog=examples_of("config check"))
def check(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="CONFIG", help="YAML files, or names of shipped configs."),
    ] = None,
    config: ConfigOption = None,
    plugin: options.Plugins = None,
) -> None:
    """Check configs and list all mistakes."""
    from dropout_lab.config.grid import seeds_of
    from dropout_lab.config.load import list_sizes, load, load_with_cells
    from dropout_lab.config.overrides import Changes
    from dropout_lab.config.rules import find_cautions
    from dropout_lab.errors import ConfigError
    from dropout_lab.printable import counted

    options.load_plugins(plugin)
    mistakes: list[str] = []
    for file in config_paths("config check", files, config):
        for size in list_sizes(file):
            chosen = () if size is None else (f"size={size}",)
            which = str(file) if size is None else f"{file}, size {size}"
            try:
                loaded = load(file, Changes(settings=chosen))
            except ConfigError as error:
                mistakes += [text for text in error.mistakes if text not in mistakes]
                continue
            try:
                loaded, cells = load_with_cells(file, Changes(settings=chosen, sweep=True))
            except ConfigError as error:
                encoding.say(f"{which}: OK for train. sweep refuses it: {error.mistakes[0]}")
                continue
            seeds = len(seeds_of(loaded))
            encoding.say(
                f"{which}: OK: {counted(len(cells), 'setting')} × {counted(seeds, 'seed')} = "
                f"{counted(len(cells) * seeds, 'run')}."
            )
            for text in find_cautions(cell.settings for cell in cells):
                encoding.tell(f"{which}: warning: {text}")
    if mistakes:
        raise ConfigError(mistakes)


@config_app.command(cls=Command, epilog=examples_of("config show"))
def show(
    given: GivenConfig = None,
    config: ConfigOption = None,
    set_: options.Set = None,
    changed_only: Annotated[
        bool, typer.Option("--changed-only", help="Leave out keys that have their defaults.")
    ] = False,
    comments: Annotated[
        bool, typer.Option("--comments", help="Explain each key in a comment above it.")
    ] = False,
    plugin: options.Plugins = None,
) -> None:
    """Print a config with every key, as YAML. Without a config, print the defaults."""
    from dropout_lab.config.config_text import format_config
    from dropout_lab.config.load import load
    from dropout_lab.config.overrides import Changes

    options.load_plugins(plugin)
    path = config_path("config show", given, config)
    loaded = load(path, Changes(settings=tuple(set_ or ()), sweep=True))
    unicode = encoding.is_utf8(sys.stdout)  # else in YAML's own escapes, which read back the same
    text = format_config(loaded, comments=comments, changed_only=changed_only, unicode=unicode)
    typer.echo(text, nl=False)


@config_app.command(cls=Command, epilog=examples_of("config schema"))
def schema(plugin: options.Plugins = None) -> None:
    """Print the JSON Schema of configs. Editors use it to complete and check YAML."""
    import json

    from dropout_lab.config.schema import Config

    options.load_plugins(plugin)
    typer.echo(json.dumps(Config.model_json_schema(), indent=1))
