"""``dropout-lab report``: report the results of studies."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dropout_lab.cli import encoding, options
from dropout_lab.cli.option_values import folder

if TYPE_CHECKING:
    from dropout_lab.errors import StorageError
    from dropout_lab.report.overview import Overview
    from dropout_lab.report.report import Report

_NEXT = re.compile(r",(?=\s*[\w.]+\s*=)")  # the comma before another key, not one inside a list
POINTS = 0.1  # the difference that seeds are counted for
_SHOWN = 80  # characters of an option that a message repeats


Against = Annotated[
    list[str] | None,
    typer.Option(
        help="Compare with the setting of these values instead of the baseline: "
        "--against dropout.p=0.25. Repeat it for more keys. Or with the cell of a label: --against "
        "'label=No regularizer'.",
        metavar="KEY=VALUE[,...]",
    ),
]
Errors = Annotated[bool, typer.Option("--errors", help="Show test errors in %, as papers do.")]
Mcnemar = Annotated[
    str | None,
    typer.Option(
        help="Compare two runs of a study with McNemar's test on their stored predictions.",
        metavar="RUN,RUN",
    ),
]
Difference = Annotated[
    float,
    typer.Option(
        help="Difference in percentage points to compute the needed seeds for. (default: 0.1)",
        metavar="POINTS",
    ),
]
Schema = Annotated[
    bool, typer.Option("--schema", help="Print the JSON Schema of the file with all numbers.")
]
_Results = Annotated[
    list[Path] | None,
    typer.Argument(
        help="Folder of a study, or a folder of studies. Several studies are compared. "
        "(default: results)",
        metavar="RESULTS",
        parser=folder,
        show_default=False,
    ),
]


def report(
    results: _Results = None,
    against: Against = None,
    errors: Errors = False,
    mcnemar: Mcnemar = None,
    difference: Difference = POINTS,
    margin: options.Margin = None,
    out: options.Elsewhere = None,
    json: options.Json = False,
    schema: Schema = False,
) -> None:
    """Report the results of a study, or of every study in a folder, with their statistics.

    Writes report.html, report.json, and the table as CSV, Markdown and LaTeX. A folder of studies
    also gets index.html, an overview of its studies. For several studies, see compare.
    """
    if schema:
        print_schema("ReportData")
        return
    root, *others = results or [Path("results")]
    act = _compare if others else _report
    act([root, *others], against or (), errors, mcnemar, difference, margin, out, json)


def _report(
    paths: Sequence[Path],
    asked: Sequence[str],
    errors: bool,
    mcnemar: str | None,
    difference: float,
    margin: float | None,
    out: Path | None,
    json: bool,
) -> None:
    """Report a study, or the studies of a folder."""
    (root,) = paths
    reference, runs = values_of("--against", asked), _runs(mcnemar)
    check_difference(difference)
    words = words_of(asked, errors, difference, margin)
    words += [] if mcnemar is None else ["--mcnemar", mcnemar]

    from dropout_lab.errors import ConfigError, StorageError
    from dropout_lab.files import reading
    from dropout_lab.report.overview import build_overview
    from dropout_lab.report.report import build_report
    from dropout_lab.results import MANIFEST, command, find_studies, folder_for

    reports: list[tuple[Report, Path]] = []
    problems: list[StorageError] = []
    failed: dict[Path, str] = {}
    mistakes: list[str] = []
    for path in find_studies(root, asking="report"):
        try:
            place = folder_for(path, root, out)
            with reading():
                made = build_report(
                    path,
                    reference,
                    errors=errors,
                    command=command(
                        "report", path, *words, *(["--out", str(place)] if out else [])
                    ),
                    two_runs=runs,
                    difference=difference / 100,
                    margin=None if margin is None else margin / 100,
                )
            reports.append((made, place))
        except StorageError as error:  # one damaged study does not hide the others
            problems.append(error)
            failed[path] = str(error)
        except ConfigError as error:  # nor one without the cell or the runs that were asked for
            mistakes += [_of_study(path, text) for text in error.mistakes]
            failed[path] = " ".join(error.mistakes)
    if mistakes and not reports and not problems:
        raise ConfigError(mistakes)
    problems += _tell(reports, json=json)
    if not (root / MANIFEST).exists():
        problems += _tell_overview(build_overview(root, reports, failed), out or root, json=json)
    _end(mistakes, problems)


def _end(mistakes: "Sequence[str]", problems: "Sequence[StorageError]") -> None:
    """Print the mistakes and problems, and end with the exit status of the first."""
    from dropout_lab.errors import ConfigError

    for text in (*mistakes, *map(str, problems)):
        encoding.tell(text)
    if problems or mistakes:
        raise typer.Exit(problems[0].exit_status if problems else ConfigError.exit_status)


def print_schema(name: str) -> None:
    """Print the JSON Schema of a file: ``ReportData`` or ``ComparisonData``."""
    from dropout_lab.report import json_format

    encoding.say(json_format.schema_text(getattr(json_format, name)))


def _compare(
    studies: Sequence[Path],
    against: Sequence[str],
    errors: bool,
    mcnemar: str | None,
    difference: float,
    margin: float | None,
    out: Path | None,
    json: bool,
) -> None:
    """Compare several studies instead of reporting one."""
    from dropout_lab.cli.compare import compare_folders

    if mcnemar is not None:
        raise typer.BadParameter("--mcnemar compares two runs of one study: give one study.")
    compare_folders(
        studies,
        against,
        errors=errors,
        difference=difference,
        margin=margin,
        out=out,
        json=json,
    )


def check_difference(difference: float) -> None:
    """Refuse a value of --difference that is no difference."""
    if not 0 < difference <= 100:
        raise typer.BadParameter(
            "--difference is in percentage points: give a number above 0, up to 100."
        )


def _of_study(path: Path, mistake: str) -> str:
    """Prefix a mistake with its study."""
    return mistake if mistake.startswith(f"{path} ") else f"{path}: {mistake}"


def _tell(reports: "Sequence[tuple[Report, Path]]", *, json: bool) -> "list[StorageError]":
    """Write and print each report; return the errors of reports that cannot be written."""
    import json as json_module

    from rich.console import Console

    from dropout_lab.cli.report_output import as_data, print_report
    from dropout_lab.errors import StorageError

    console = Console(markup=False)
    problems: list[StorageError] = []
    told = {}
    for made, place in reports:
        for text in made.study.damage:
            encoding.tell(f"warning: {text}")
        files: list[Path] = []
        try:
            files = made.write(place)
        except StorageError as error:  # the numbers are told all the same
            problems.append(error)
        told[str(made.study.path)] = as_data(made, files)
        if not json:
            if len(told) > 1:
                console.print()
            print_report(console, made, files)
    if json:
        encoding.say(json_module.dumps(told, indent=1))
    return problems


def _tell_overview(overview: "Overview", place: Path, *, json: bool) -> "list[StorageError]":
    """Write and print the overview of a folder of studies; return the error if it fails."""
    from rich.console import Console

    from dropout_lab.cli.report_output import print_overview
    from dropout_lab.errors import StorageError

    written, problems = None, []
    try:
        written = overview.write(place)
    except StorageError as error:  # the table is printed all the same
        problems.append(error)
    if not json:
        print_overview(Console(markup=False), overview, written)
    return problems


def values_of(
    option: str, texts: Sequence[str], others: Sequence[str] = ()
) -> dict[str, Any] | None:
    """Return the keys and values that name a cell; None without values.

    Args:
        option: What they were given to, for the messages; empty for an argument.
        texts: Each ``key=value``, or several of them with commas.
        others: Names that are allowed and are no keys; their values are texts.

    Raises:
        ConfigError: One is no key with a value.
    """
    from dropout_lab.config.document import parse_value
    from dropout_lab.config.messages import unknown_dotted
    from dropout_lab.config.schema import KEYS
    from dropout_lab.config.sweep import LABEL
    from dropout_lab.errors import ConfigError
    from dropout_lab.printable import one_line

    values: dict[str, Any] = {}
    mistakes: list[str] = []
    for pair in (part for text in texts for part in _NEXT.split(text)):
        key, equals, value = (part.strip() for part in pair.partition("="))
        place = f"{option} {one_line(pair)[:_SHOWN]}".strip()
        if not equals or not value:
            example = f"{option} dropout.p=0.25".strip()
            mistakes.append(f"{place}: write key=value, for instance {example}.")
        elif key in values:
            mistakes.append(f"{place}: {key} is given twice; a cell has one value of it.")
        elif (key == LABEL and option) or key in others:
            values[key] = value  # a text, whatever it looks like
        elif key not in KEYS:
            mistakes.append(f"{place}: {unknown_dotted(key)}")
        else:
            try:
                values[key] = parse_value(value, place)
            except ConfigError as error:
                mistakes += error.mistakes
    if mistakes:
        raise ConfigError(mistakes)
    return values or None


def _runs(text: str | None) -> tuple[str, str] | None:
    """Return the two run ids of --mcnemar; None without it.

    Raises:
        ConfigError: They are not two.
    """
    from dropout_lab.errors import ConfigError
    from dropout_lab.printable import one_line
    from dropout_lab.results import RUNS

    if text is None:
        return None
    names = [name.strip() for name in text.split(",")]
    if len(names) != 2 or not all(names) or names[0] == names[1]:
        shown = one_line(text)[:_SHOWN]
        raise ConfigError([f"--mcnemar {shown}: give two run ids of {RUNS}, parted by a comma."])
    return names[0], names[1]


def words_of(
    against: Sequence[str], errors: bool, difference: float, margin: float | None
) -> list[str]:
    """Return the options of a report as typed, without those at their defaults."""
    words = [word for text in against for word in ("--against", text)]
    words += ["--errors"] * errors
    words += [] if difference == POINTS else ["--difference", f"{difference:g}"]
    return words + ([] if margin is None else ["--margin", f"{margin:.12g}"])
