"""The picture of the diagnostics: over the epochs, and accuracy against units removed."""

import re
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dropout_lab.analysis import style
from dropout_lab.analysis.curves import curve
from dropout_lab.analysis.intervals import band, spread_words
from dropout_lab.analysis.notes import not_shown
from dropout_lab.analysis.tables import StudyTables, completed_rows, half_width

_CELLS_SHOWN = 6
_COLUMNS = 4  # panels side by side
_REMOVED = re.compile(r"removed_(\d+)_test_accuracy")
_LAYER = re.compile(
    r"(mean_activation|activation_sparsity|unit_correlation|effective_rank|keep_rate|noise_mean"
    r"|noise_variance)_(\d+)"
)
_WORDS = {
    "mean_activation": "mean activation",
    "activation_sparsity": "share of activations ≤ 0.01",
    "unit_correlation": "mean |correlation| of units",
    "effective_rank": "effective rank",
    "keep_rate": "measured keep rate",
    "noise_mean": "measured mean of the noise",
    "noise_variance": "measured variance of the noise",
    "gradient_norm": "gradient norm",
    "gradient_direction_variance": "gradient direction variance",
    "gradient_direction_error": "gradient direction error",
}


def draw_diagnostics(study: StudyTables, table: pd.DataFrame, title: str) -> Figure | None:
    """Draw each diagnostic over the epochs, a curve for each cell; None where none was asked for.

    The cells without dropout and those of the best mean validation accuracy are shown.
    """
    panels = [(c, _title(c)) for c in study.metrics.columns if c in _WORDS or _LAYER.fullmatch(c)]
    removed = [c for c in study.metrics.columns if _REMOVED.fullmatch(c)]
    if not panels and not removed:
        return None
    order = table.sort_values(["bare", "validation_accuracy_mean"], ascending=False, kind="stable")
    shown = order.head(_CELLS_SHOWN).sort_index()
    count = len(panels) + bool(removed)
    columns = min(_COLUMNS, count)
    figure = style.new_figure(3.3 * columns + 1.6, 2.7 * -(-count // columns) + 0.9)
    grid = figure.subplots(-(-count // columns), columns, squeeze=False).flatten()
    for axes in grid[count:]:
        axes.set_visible(False)
    for index, (_, cell) in enumerate(shown.iterrows()):
        label = style.cell_label(cell, study.swept, bool(cell["bare"]))
        label = style.wrapped(label, style.BESIDE)
        colour = style.cell_colour(cell, study.swept)
        dashes = "-" if cell["bare"] else style.dashes(index)
        rows = completed_rows(study, study.metrics, cell)
        for axes, (column, _) in zip(grid, panels, strict=False):
            curve(axes, rows, column, colour, dashes, label=label)
        if removed:
            runs = completed_rows(study, study.runs, cell)
            _against_removed(grid[count - 1], runs, removed, colour, dashes, label)
    for axes, (_, words) in zip(grid, panels, strict=False):
        axes.set_title(words)
        style.epoch_axis(axes)
    if removed:
        axes = grid[count - 1]
        axes.set_title("test accuracy (%), units removed")
        axes.set_xlabel("removed of each layer (%)")
        style.percent_axis(axes)
    entries = grid[count - 1].get_legend_handles_labels()
    style.legend_beside(grid[min(columns, count) - 1], entries)
    style.heading(figure, f"{title}: diagnostics ({style.n_seeds(shown['seeds'])})")
    rest = len(table) - len(shown)
    style.footnote(
        figure,
        "dropout off, except for gradients and noise",
        spread_words(figure, shown["seeds"]),
        not_shown(rest, "setting"),
    )
    return figure


def _title(column: str) -> str:
    layer = _LAYER.fullmatch(column)
    if layer is None:
        return _WORDS[column]
    where = "input" if layer[2] == "0" else f"layer {layer[2]}"
    return f"{_WORDS[layer[1]]}, {where}"


def _against_removed(
    axes: Axes, runs: pd.DataFrame, removed: list[str], colour: str, dashes: str, label: str
) -> None:
    """Draw accuracy against the share of units removed, at the end of training."""
    points = []
    for column in ("test_accuracy", *removed):
        match = _REMOVED.fullmatch(column)
        values = runs[column].to_numpy(dtype=float)
        if len(values) and np.isfinite(values).all():  # fewer seeds are another mean
            points.append((int(match[1]) if match else 0, values.mean(), half_width(values)))
    if len(points) > 1:
        every = pd.DataFrame(points, columns=["share", "mean", "half"])
        look: dict[str, Any] = {"color": colour, "marker": "o", "markersize": 4, "label": label}
        axes.plot(every["share"], every["mean"], dashes, **look)
        edges = band(every, "test_accuracy")
        axes.fill_between(every["share"], *edges, color=colour, alpha=0.15, linewidth=0)
