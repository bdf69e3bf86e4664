"""The picture of a paper's table: a row for each of its numbers, with ours beside it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from dropout_lab.analysis import style
from dropout_lab.analysis.intervals import bar, interval_words
from dropout_lab.analysis.notes import not_shown
from dropout_lab.analysis.published import (
    error_of_value,
    label_of_value,
    settings_of_value,
    values_of_cell,
)
from dropout_lab.analysis.published_markers import footnote, published_look
from dropout_lab.analysis.tables import StudyTables, ends_of_cell, settings_of_cell
from dropout_lab.config.published import PublishedSettings

_ROWS_SHOWN = 40


@dataclass(frozen=True)
class _Row:
    """A row of the picture of a table: what was measured here, and what was printed."""

    label: str
    values: np.ndarray[Any, np.dtype[np.float64]]
    colour: str
    marker: str
    published: float | None = None
    seen: bool = True


def draw_rows(
    study: StudyTables, table: pd.DataFrame, published: PublishedSettings | None, title: str
) -> Figure | None:
    """Draw a row for each published value, and for each cell that has none."""
    every = list(_rows(study, table, published))
    rows = every[:_ROWS_SHOWN]
    if not rows:
        return None
    figure = style.new_figure(9, 2.2 + 0.42 * len(rows))
    axes = figure.subplots()
    for height, row in zip(range(len(rows) - 1, -1, -1), rows, strict=True):
        if len(row.values):
            if len(row.values) > 1:
                y = np.full(len(row.values), height - 0.28)
                axes.plot(row.values, y, ".", color=row.colour, alpha=0.6)
            bars = bar(row.values, "error")
            mean = row.values.mean()
            axes.errorbar(mean, height, xerr=bars, color=row.colour, marker=row.marker, capsize=4)
        if row.published is not None:
            axes.plot(row.published, height, **published_look(row.seen))
    axes.set_yticks(range(len(rows) - 1, -1, -1), [row.label for row in rows])
    axes.set_ylim(-0.7, len(rows) - 0.4)
    axes.set_xlabel("test error (%)")
    axes.margins(x=0.08)
    counts = [len(row.values) for row in rows]
    style.heading(figure, f"{title} ({style.n_seeds(counts)})")
    spread = "dots: seeds; " * (max(counts) > 1) + interval_words(style.BARS, counts)
    left_out = len(every) - len(rows)
    style.footnote(
        figure,
        footnote(study, table, spread, "open diamonds"),
        not_shown(left_out, "row"),
    )
    return figure


def _rows(
    study: StudyTables, table: pd.DataFrame, published: PublishedSettings | None
) -> Iterator[_Row]:
    """The published values in the order of the paper, then the cells that have none."""
    cells = [(settings_of_cell(study, cell), cell) for _, cell in table.iterrows()]
    told = set()
    for value in published.values if published is not None else ():
        settings = settings_of_value(study, value)
        cell = next((cell for own, cell in cells if own == settings), None)
        told.add(settings)
        values = values_of_cell(
            study, cell, value.model_copy(update={"quantity": "test_error"}), "%"
        )
        colour, marker = style.variant_look(settings.dropout.variant if settings else "none")
        theirs = error_of_value(published.unit if published else "%", value)
        yield _Row(
            style.wrapped(label_of_value(value), 44), values, colour, marker, theirs, value.seen
        )
    for settings, cell in cells:
        if settings not in told:
            label = style.cell_label(cell, study.swept, bool(cell["bare"]))
            error = 100 * (1 - ends_of_cell(study, cell, "test_accuracy"))
            colour, marker = style.variant_look(settings.dropout.variant)
            yield _Row(style.wrapped(label, 44), error, colour, marker)
