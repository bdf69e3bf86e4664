"""Print a report in the terminal, or return it as JSON data."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from dropout_lab.analysis.published import PublishedTable
from dropout_lab.analysis.style import wrapped
from dropout_lab.cli.encoding import as_shown
from dropout_lab.cli.table import print_inferences, print_rows
from dropout_lab.report.cell_table import GAP, INTERVAL, CellTable
from dropout_lab.report.overview import Overview
from dropout_lab.report.page import UNVERIFIED
from dropout_lab.report.report import Report

_WIDE = 115  # columns of a terminal that shows the whole short table
_LEFT_OUT = (INTERVAL, GAP)  # what the files have and a narrower one leaves out
_BEST = 24  # characters of a line with the best cell of a study
_HEAD, _NARROW_HEAD = 16, 12  # characters of a line above a column


def print_report(console: Console, report: Report, files: Sequence[Path]) -> None:
    """Print the table, the findings, the published values, and where the files are."""
    print_short_table(console, report.cells)
    print_inferences(console, report.study, report.statistics)
    print_sentences(console, report.conclusions)
    if report.published is not None:
        _print_published(console, report.published)
    print_files(console, files)


def print_short_table(
    console: Console, cells: CellTable, left_out: Sequence[str] = (), breaks: Sequence[str] = ()
) -> None:
    """Print the table of cells with the columns that fit, and its note.

    Args:
        console: Where to print.
        cells: The table.
        left_out: Names of columns that a narrow table omits, besides the interval and the gap.
        breaks: Texts before which a field of a narrow table continues on the next line, besides an
            interval.
    """
    narrow = console.width < _WIDE
    table = cells.short((*_LEFT_OUT, *left_out) if narrow else ())
    rows = []
    for line in table.rows:
        first, *others = (field.text for field in line.fields)
        # An interval goes below its mean where there is no room beside it.
        if narrow:
            for text in (" [", *breaks):
                others = [other.replace(text, f"\n{text[1:]}") for other in others]
            others[-1] = wrapped(others[-1], _NARROW_HEAD)
        rows.append([first + " *" * line.chosen, *others])
    width = _NARROW_HEAD if narrow else _HEAD
    heads = [wrapped(column.name, width) for column in table.columns]
    print_rows(console, table.title, heads, rows)
    console.print(as_shown(table.note, console.file), style="dim", highlight=False)


def print_sentences(console: Console, sentences: Sequence[str]) -> None:
    """Print the findings, each as a paragraph."""
    for sentence in sentences:
        console.print(as_shown(f"\n{sentence}", console.file), highlight=False)


def print_files(console: Console, files: Sequence[Path]) -> None:
    """Print where the files are, in one line."""
    if files:
        listed = "\nFiles: " + ", ".join(map(str, files))
        console.print(as_shown(listed, console.file), highlight=False, soft_wrap=True)


def print_overview(console: Console, overview: Overview, file: Path | None) -> None:
    """Print the studies of a folder with their headlines, and where the page is."""
    console.print()
    heads = ("study", "best by validation", "test\naccuracy %", "seeds", "date")
    rows = [
        (row.name, wrapped(row.best, _BEST), row.accuracy, row.seeds, row.date)
        for row in overview.rows
        if row.report is not None
    ]
    if rows:
        print_rows(console, overview.title, heads, rows)
    print_sentences(console, [f"{row.name}: {row.headline}" for row in overview.rows])
    print_files(console, [] if file is None else [file])


def _print_published(console: Console, published: PublishedTable) -> None:
    """Print the published values next to ours, in the paper's unit, and the departures."""
    one = len({row.quantity for row in published.rows}) == 1  # then said once, above
    rows = []
    for row in published.rows:
        spread = "" if row.low != row.low else f" [{row.low:.4g}, {row.high:.4g}]"
        ours = "–" if row.ours != row.ours else f"{row.ours:.4g}{spread} ({row.n})"
        theirs = f"{row.published:.4g}" + ("" if row.seen else " ?")
        used = row.inference.replace("_", " ")
        said = row.inference == "mean" or used in row.label.lower()
        what = [*([] if one else [row.quantity.replace("_", " ")]), *([] if said else [used])]
        label = f"{row.label}: {', '.join(what)}" if what else row.label
        rows.append((label, theirs, ours, row.verdict))
    console.print()
    if rows:
        first = published.rows[0].quantity.replace("_", " ") if one else "published values"
        heads = (first, "published", "ours", "verdict")
        print_rows(console, published.citation, heads, rows)
    else:
        console.print(as_shown(published.citation, console.file), highlight=False)
    for text in published.departures:
        console.print(as_shown(f"Departure: {text}", console.file), highlight=False)
    if not all(row.seen for row in published.rows):
        console.print(f"? {UNVERIFIED}", style="dim", highlight=False)


def as_data(report: Report, files: Sequence[Path]) -> dict[str, Any]:
    """Return the contents of report.json, and the written files."""
    data = report.data.model_dump(exclude_unset=True)
    return {**data, "files": [str(file) for file in files]}
