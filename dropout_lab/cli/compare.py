"""``dropout-lab compare``: compare several studies, paired by seed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from dropout_lab.cli import encoding, options, report
from dropout_lab.cli.option_values import folder

_Studies = Annotated[
    list[Path] | None,
    typer.Argument(
        help="Folders of two or more studies. The first is the reference.",
        metavar="STUDY...",
        parser=folder,
        show_default=False,
    ),
]
_Against = Annotated[
    list[str] | None,
    typer.Option(
        help="Compare with another cell than that of the first study: --against study=NAME, "
        "--against dropout.p=0.25 within each study, --against baseline for the baseline of each "
        "study.",
        metavar="KEY=VALUE[,...]",
    ),
]
_Out = Annotated[
    Path | None,
    typer.Option(
        help="Folder to write to. (default: comparisons/A_B next to the study A)",
        metavar="DIR",
        parser=folder,
    ),
]


def compare(
    studies: _Studies = None,
    against: _Against = None,
    errors: report.Errors = False,
    difference: report.Difference = report.POINTS,
    margin: options.Margin = None,
    out: _Out = None,
    json: options.Json = False,
    schema: report.Schema = False,
) -> None:
    """Compare the settings of several studies, in pairs of runs with the same seed.

    Says whether equal settings gave equal numbers, and how large the differences between the
    studies are. Writes comparison.html, the figure as PNG and SVG, the table as CSV, Markdown and
    LaTeX, and all numbers as comparison.json.
    """
    if schema:
        report.print_schema("ComparisonData")
        return
    compare_folders(
        studies or [],
        against or [],
        errors=errors,
        difference=difference,
        margin=margin,
        out=out,
        json=json,
    )


def compare_folders(
    studies: Sequence[Path],
    against: Sequence[str],
    *,
    errors: bool,
    difference: float,
    margin: float | None,
    out: Path | None,
    json: bool,
) -> None:
    """Compare studies, print the result and write its files."""
    from dropout_lab.analysis.study_comparison import BASELINE
    from dropout_lab.analysis.tables import STUDY

    report.check_difference(difference)
    words = report.words_of(against, errors, difference, margin)
    reference = (
        BASELINE
        if list(against) == [BASELINE]
        else report.values_of("--against", against, others=(STUDY,))
    )

    from rich.console import Console

    from dropout_lab.cli.comparison_output import as_data, print_comparison
    from dropout_lab.errors import StorageError
    from dropout_lab.report.comparison import build_comparison, comparison_folder
    from dropout_lab.results import command

    made = build_comparison(
        studies,
        reference,
        errors=errors,
        command=command("compare", *studies, *words, *([] if out is None else ["--out", out])),
        difference=difference / 100,
        margin=None if margin is None else margin / 100,
    )
    for text in made.result.joined.tables.damage:
        encoding.tell(f"warning: {text}")
    problem, files = None, []
    try:
        files = made.write(out or comparison_folder(studies))
    except StorageError as error:  # the numbers are printed all the same
        problem = error
    if json:
        import json as json_module

        encoding.say(json_module.dumps(as_data(made, files), indent=1))
    else:
        print_comparison(Console(markup=False), made, files)
    if problem is not None:
        raise problem
