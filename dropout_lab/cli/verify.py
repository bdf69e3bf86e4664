"""``dropout-lab verify``: every law of every variant."""

import json as json_module
import sys
from contextlib import redirect_stdout
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from dropout_lab.cli import options

if TYPE_CHECKING:
    from dropout_lab.laws import Check


def verify(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME...]", help="All, without a name.")
    ] = None,
    plugin: options.Plugins = None,
    json: options.Json = False,
) -> None:
    """Check every law for every variant: a line each, with the measured number and its bound.

    Statistical laws are seeded, and their bounds are 5 standard errors computed from n. The exit
    status is 1 if a law is broken.
    """
    options.load_plugins(plugin)
    chosen = options.variant_names(names)

    from dropout_lab.laws import verify as check_laws

    if not json:
        typer.echo(f"{'variant':<20} {'law':<25} {'measured':<9} bound")
    checks: list[Check] = []
    out = sys.stdout
    with redirect_stdout(sys.stderr):  # what a variant of one's own prints is no result
        for check in check_laws(chosen):
            checks.append(check)
            if not json:
                typer.echo(_line(check), file=out)
    counts = {
        "passed": sum(check.passed is True for check in checks),
        "failed": sum(check.passed is False for check in checks),
        "not_applying": sum(check.passed is None for check in checks),
    }
    if json:
        typer.echo(
            json_module.dumps({**counts, "checks": [asdict(check) for check in checks]}, indent=1)
        )
    else:
        typer.echo(
            f"{len(checks)} checks of {len(chosen)} variant{'s' if len(chosen) > 1 else ''}: "
            f"{counts['passed']} hold, {counts['failed']} failed, {counts['not_applying']} do not "
            "apply."
        )
    if counts["failed"]:
        raise typer.Exit(1)


def _line(check: "Check") -> str:
    """Return a check as a line of at most 80 columns; the reason, where there is one, may go on."""
    start = f"{check.variant:<20} {check.law:<25}"
    if check.passed is None:
        return f"{start} -  {check.reason}"
    number = check.measured
    measured = number if isinstance(number, str) else f"{number:.4g}"
    end = "ok" if check.passed else f"FAILED\n    {check.reason}"
    return f"{start} {measured:<9} {check.bound:<15} {end}"
