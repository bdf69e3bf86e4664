"""The front door: the list of commands, and what becomes of an error."""

import sys

import typer

from dropout_lab import __version__
from dropout_lab.cli.config import config_app
from dropout_lab.cli.data import data_app
from dropout_lab.cli.doctor import doctor
from dropout_lab.cli.plot import plot
from dropout_lab.cli.sweep import sweep
from dropout_lab.cli.train import train
from dropout_lab.cli.variants import variants
from dropout_lab.cli.verify import verify
from dropout_lab.errors import DropoutLabError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="The instrument for studying dropout in fully connected networks.",
)
app.command()(train)
app.command()(sweep)
app.command()(plot)
app.command()(doctor)
app.command()(verify)
app.command()(variants)
app.add_typer(config_app, name="config")
app.add_typer(data_app, name="data")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    """The instrument for studying dropout in fully connected networks."""


def main() -> None:
    """Run the command line; the exit status is that of DropoutLabError's children."""
    try:
        app()
    except DropoutLabError as error:
        _tell(str(error))
        sys.exit(error.exit_status)


def _tell(message: str) -> None:
    print(message, file=sys.stderr)  # noqa: T201  # errors go to stderr, whatever --json says
