"""The table of cells that ends a study, readable at 80 columns and in a pipe."""

import math

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

from dropout_lab.analysis.style import cell_label
from dropout_lab.analysis.tables import StudyTables, chosen_on_validation, rows_of_cell, when


def print_cells(console: Console, study: StudyTables, table: pd.DataFrame) -> None:
    """Print each cell's mean ± s.d. and its paired difference to the run without dropout."""
    title = f"{study.manifest['name']}: {when(study)}, dropout off"
    out = Table(box=box.SIMPLE_HEAD, title=title)
    out.add_column("cell", overflow="fold")
    out.add_column("n", justify="right")
    for name in ("test accuracy %", "gap, points", "vs without,\npoints"):
        out.add_column(name, justify="right", no_wrap=True)
    best = chosen_on_validation(table)
    for index, cell in table.iterrows():
        label = cell_label(cell, study.swept, bool(cell["bare"]))
        mark = " *" if best is not None and index == best.name and len(table) > 1 else ""
        out.add_row(
            label + mark,
            str(int(cell["seeds"])) + (f" (+{int(cell['others'])})" if cell["others"] else ""),
            _percent(cell["test_accuracy_mean"], cell["test_accuracy_sd"]),
            _percent(cell["accuracy_gap_mean"], cell["accuracy_gap_sd"]),
            ""
            if cell["bare"]
            else _percent(cell["difference_mean"], cell["difference_half"], sign=True),
        )
    console.print(out, highlight=False)
    notes = ["mean ± s.d. over n seeds; gap = train − test"]
    if table["pairs"].any():
        notes.append("vs without: mean paired difference ± half its 95 % t interval")
    if best is not None and len(table) > 1:
        notes.append("* best mean validation accuracy with dropout")
    if table["others"].any():
        notes.append("(+k): k runs that did not complete")
    console.print("; ".join(notes) + ".", style="dim", highlight=False)


def print_inferences(console: Console, study: StudyTables, table: pd.DataFrame) -> None:
    """Print accuracy, NLL and ECE of each way the networks were used, where the mean is not all."""
    names = set(study.inference.get("inference", ())) - {"mean"}
    if not names and study.ensembles.empty:
        return
    out = Table(box=box.SIMPLE_HEAD, title="how the trained network is used")
    out.add_column("cell", min_width=16, overflow="fold")
    out.add_column("inference", no_wrap=True)
    for name in ("test accuracy %", "NLL, nats", "ECE"):
        out.add_column(name, justify="right", no_wrap=True)
    for _, cell in table.iterrows():
        label = cell_label(cell, study.swept, bool(cell["bare"]))
        own = rows_of_cell(study.inference, cell, study.swept)
        uses = [(str(name), rows) for name, rows in own.groupby("inference", sort=False)]
        if not study.ensembles.empty:
            uses.append(("ensemble", rows_of_cell(study.ensembles, cell, study.swept)))
        for name, rows in uses:
            if len(rows):
                accuracy, loss, ece = (rows[f"test_{m}"] for m in ("accuracy", "loss", "ece"))
                out.add_row(
                    label,
                    name.replace("_", " "),
                    _percent(accuracy.mean(), accuracy.std()),
                    _number(loss.mean(), loss.std()),
                    _number(ece.mean(), ece.std()),
                )
                label = ""
    console.print(out, highlight=False)


def _number(mean: float, spread: float) -> str:
    if not abs(mean) < 100:  # a loss that has run away
        return f"{mean:.3g}"
    return f"{mean:.3f}" if math.isnan(spread) else f"{mean:.3f} ± {spread:.3f}"


def _percent(mean: float, spread: float, *, sign: bool = False) -> str:
    if math.isnan(mean):
        return "-"
    text = f"{100 * mean:{'+' if sign else ''}.2f}"
    return text if math.isnan(spread) else f"{text} ± {100 * spread:.2f}"
