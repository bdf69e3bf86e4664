"""``dropout-lab verify``: every check of every variant, and every lesson's checks."""

import json as json_module
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from dropout_lab.cli import options

if TYPE_CHECKING:
    from dropout_lab.checks import CheckResult
    from dropout_lab.lessons.run_checks import LessonCheckResult


def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Variants or lessons to check. (default: all)"),
    ] = None,
    plugin: options.Plugins = None,
    quick: options.QuickLessons = False,
    json: options.Json = False,
) -> None:
    """Check every variant and every lesson.

    Each check prints what it measured and the bound. Statistical checks are seeded; their bounds
    are 5 standard errors. The exit status is 1 if a check fails.
    """
    options.load_plugins(plugin)
    variants, lessons = options.variant_and_lesson_names(names)
    out = None if json else sys.stdout
    with redirect_stdout(sys.stderr):  # what a variant of one's own prints is no result
        of_variants = list(_variants(variants, out))
        of_lessons = list(_lessons(lessons, quick, out))
    every = [check.passed for check in of_variants] + [check.passed for check in of_lessons]
    counts = {
        "passed": every.count(True),
        "failed": every.count(False),
        "not_applying": every.count(None),
    }
    if json:
        told = {
            "checks": [asdict(check) for check in of_variants],
            "lessons": [asdict(check) for check in of_lessons],
        }
        typer.echo(json_module.dumps({**counts, **told}, indent=1))
    else:
        from dropout_lab.results import counted

        typer.echo(
            f"{len(every)} checks of {counted(len(variants), 'variant')} and "
            f"{counted(len(lessons), 'lesson')}: {counts['passed']} hold, {counts['failed']} "
            f"failed, {counts['not_applying']} do not apply."
        )
    if counts["failed"]:
        raise typer.Exit(1)


def _variants(variants: Sequence[str], out: TextIO | None) -> "Iterator[CheckResult]":
    """Yield the checks of variants, each printed as it comes."""
    if not variants:
        return
    from dropout_lab.checks import verify as check_variants

    _print(f"{'variant':<20} {'check':<25} {'measured':<9} bound", out)
    for check in check_variants(variants):
        _print(_line(check.variant, check.check, check), out)
        yield check


def _lessons(
    lessons: Sequence[str], quick: bool, out: TextIO | None
) -> "Iterator[LessonCheckResult]":
    """Yield the lessons' checks, each printed as it comes."""
    if not lessons:
        return
    from dropout_lab.lessons.run_checks import check_lessons

    _print(f"{'lesson':<20} {'check':<25} {'measured':<9} bound", out)
    for check in check_lessons(lessons, quick=quick):
        _print(_line(check.lesson, check.check, check), out)
        yield check


def _print(line: str, out: TextIO | None) -> None:
    if out is not None:
        typer.echo(line, file=out)


def _line(subject: str, what: str, check: "CheckResult | LessonCheckResult") -> str:
    """Format a check as a line of about 80 columns, plus the reason of a failure."""
    start = f"{subject:<20} {what:<25}"
    if check.passed is None:
        return f"{start} - {check.reason}"
    number = check.measured
    measured = number if isinstance(number, str) else f"{number:.4g}"
    end = "ok" if check.passed else f"FAILED\n    {check.reason}"
    return f"{start} {measured:<9} {check.bound:<15} {end}"
