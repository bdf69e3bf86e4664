"""The table of cells that ends a study, readable at 80 columns and in a pipe."""

import math
from collections.abc import Sequence

import pandas as pd
from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from dropout_lab.analysis.style import cell_label
from dropout_lab.analysis.tables import StudyTables
from dropout_lab.cli.encoding import as_shown
from dropout_lab.report.cell_table import chosen_cells, label_noise_caveat, table_title
from dropout_lab.report.inferences import inference_table

_UNBOUNDED = 10_000  # columns of the terminal
_NARROWEST = 12  # columns of the names of cells, which go on in a second line


def print_cells(console: Console, study: StudyTables, table: pd.DataFrame) -> None:
    """Print each cell's mean ± SD and its paired difference from the baseline."""
    rows = []
    best = chosen_cells(study, table)
    for index, cell in table.iterrows():
        label = cell_label(cell, study.swept, bool(cell["is_baseline"]))
        mark = " *" if index in best and len(table) > 1 else ""
        row = (
            label + mark,
            str(int(cell["seeds"])) + (f" (+{int(cell['others'])})" if cell["others"] else ""),
            _percent(cell["test_accuracy_mean"], cell["test_accuracy_sd"]),
            _percent(cell["accuracy_gap_mean"], cell["accuracy_gap_sd"]),
            ""
            if cell["is_baseline"]
            else _percent(cell["difference_mean"], cell["difference_half"], sign=True),
        )
        rows.append(row)
    columns = ("cell", "n", "test accuracy %", "gap, pp", "vs baseline,\npp")
    print_rows(console, table_title(study), columns, rows)
    notes = [
        *filter(None, [label_noise_caveat(study)]),
        "mean ± SD over n seeds; gap: train − test accuracy",
    ]
    if table["pairs"].any():
        notes.append(
            "baseline: no dropout; vs baseline: mean paired difference ± half its 95% t interval"
        )
    if best and len(table) > 1:
        each = ", for each data set" if len(best) > 1 else ""
        notes.append(f"* best mean validation accuracy with dropout{each}")
    if table["others"].any():
        notes.append("(+k): k runs that did not complete")
    note = as_shown("; ".join(notes) + ".", console.file)
    console.print(note, style="dim", highlight=False)


def print_inferences(console: Console, study: StudyTables, table: pd.DataFrame) -> None:
    """Print accuracy, NLL and ECE of each way the networks were used, where the mean is not all."""
    used = inference_table(study, table)
    if used is None:
        return
    rows, before = [], ""
    for line in used.rows:
        first, *others = (field.text for field in line.fields)
        rows.append(("" if first == before else first, *others))
        before = first
    print_rows(console, used.title, [column.name for column in used.columns], rows)


def print_rows(
    console: Console, title: str | None, columns: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    """Print rows as a table or, if it does not fit, as blocks. No number is cut."""
    out = Table(box=box.SIMPLE_HEAD, title=title)
    out.add_column(columns[0], min_width=_NARROWEST, overflow="fold")
    for name in columns[1:]:
        out.add_column(name, justify="left" if name == "inference" else "right", no_wrap=True)
    for row in rows:
        out.add_row(*(as_shown(text, console.file) for text in row))
    whole = Measurement.get(console, console.options.update(width=_UNBOUNDED), out).maximum
    foldable = max(0, max((len(row[0]) for row in rows), default=0) - _NARROWEST)
    if whole - foldable <= console.width:
        console.print(out, highlight=False)
        return
    if title is not None:
        console.print(title, highlight=False)
    for first, *others in rows:
        if first:
            console.print(first, style="bold", highlight=False)
        for name, text in zip(columns[1:], others, strict=True):
            if text:
                named = f"  {' '.join(name.split())}: {' '.join(text.split())}"
                console.print(as_shown(named, console.file), highlight=False)


def _percent(mean: float, spread: float, *, sign: bool = False) -> str:
    if math.isnan(mean):
        return "-"
    text = f"{100 * mean:{'+' if sign else ''}.2f}"
    return text if math.isnan(spread) else f"{text} ± {100 * spread:.2f}"
