"""Reproduce a paper's table as a plot: one row for each published value, next to ours."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from dropout_lab.analysis import style
from dropout_lab.analysis.intervals import describe_interval, error_bar
from dropout_lab.analysis.notes import describe_not_shown
from dropout_lab.analysis.published import (
    error_of_value,
    label_of_value,
    part_of_value,
    settings_of_value,
    values_of_cell,
)
from dropout_lab.analysis.published_markers import published_footnote, published_style
from dropout_lab.analysis.tables import StudyTables, final_values, settings_of_cell
from dropout_lab.config.published import PublishedSettings

_MAX_ROWS = 40
_MEASURED_ON = {
    "test": "",
    "validation": " (validation set)",
    "train": " (training set)",
    "noisy_train": " (training steps, dropout on)",
}


@dataclass(frozen=True)
class _Row:
    """A row of the plot: our measured values, and the published value."""

    label: str
    values: np.ndarray[Any, np.dtype[np.float64]]
    colour: str
    marker: str
    published: float | None = None
    seen: bool = True


def draw_rows(
    study: StudyTables, table: pd.DataFrame, published: PublishedSettings | None, title: str
) -> Figure | None:
    """Draw a row for each published value, and for each cell without one."""
    all_rows = list(_rows(study, table, published))
    rows = all_rows[:_MAX_ROWS]
    if not rows:
        return None
    figure = style.new_figure(9, 2.2 + 0.42 * len(rows))
    axes = figure.subplots()
    for height, row in zip(range(len(rows) - 1, -1, -1), rows, strict=True):
        if len(row.values):
            if len(row.values) > 1:
                y = np.full(len(row.values), height - 0.28)
                axes.plot(row.values, y, ".", color=row.colour, alpha=0.6)
            bars = error_bar(row.values, "error")
            mean = row.values.mean()
            axes.errorbar(mean, height, xerr=bars, color=row.colour, marker=row.marker, capsize=4)
        if row.published is not None:
            axes.plot(row.published, height, **published_style(row.seen))
    axes.set_yticks(range(len(rows) - 1, -1, -1), [row.label for row in rows])
    axes.set_ylim(-0.7, len(rows) - 0.4)
    parts = {part_of_value(value) for value in published.values} if published else {"test"}
    axes.set_xlabel("test error (%)" if parts <= {"test"} else "error (%)")
    axes.margins(x=0.08)
    counts = [len(row.values) for row in rows]
    style.heading(figure, f"{title} ({style.n_seeds(counts)})")
    spread = "dots: seeds; " * (max(counts) > 1) + describe_interval(style.BARS, counts)
    left_out = len(all_rows) - len(rows)
    style.footnote(
        figure,
        published_footnote(study, table, spread, "open diamonds"),
        describe_not_shown(left_out, "row"),
    )
    return figure


def _rows(
    study: StudyTables, table: pd.DataFrame, published: PublishedSettings | None
) -> Iterator[_Row]:
    """Yield the published values in the order of the paper, then the cells without one."""
    cells = [(settings_of_cell(study, cell), cell) for _, cell in table.iterrows()]
    shown_settings = set()
    for value in published.values if published is not None else ():
        settings = settings_of_value(study, value)
        cell = next((cell for own, cell in cells if own == settings), None)
        shown_settings.add(settings)
        ours = values_of_cell(study, cell, value, "%")
        values = ours if value.quantity == "test_error" else 100 - ours
        colour, marker = style.variant_look(settings.dropout.variant if settings else "none")
        published_error = error_of_value(published.unit if published else "%", value)
        yield _Row(
            style.wrapped(label_of_value(value) + _MEASURED_ON[part_of_value(value)], 44),
            values,
            colour,
            marker,
            published_error,
            value.seen,
        )
    for settings, cell in cells:
        if settings not in shown_settings:
            label = style.cell_name(cell, study.swept)
            error = 100 * (1 - final_values(study, cell, "test_accuracy"))
            colour, marker = style.variant_look(settings.dropout.variant)
            yield _Row(style.wrapped(label, 44), error, colour, marker)
