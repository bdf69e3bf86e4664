"""Plot the diagnostics against epochs, and what removed units and moved weights change."""

import re
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dropout_lab.analysis import style
from dropout_lab.analysis.curves import draw_curve
from dropout_lab.analysis.intervals import band_edges, describe_figure_intervals
from dropout_lab.analysis.notes import describe_not_shown
from dropout_lab.analysis.tables import StudyTables, completed_rows, half_width

_MAX_CELLS = 6
_COLUMNS = 4  # most panels in a row
# Columns that are drawn against the percentage in their name, at the end of training.
_REMOVED = re.compile(r"removed_(\d+)_test_accuracy")
_MOVED = re.compile(r"loss_rise_(\d+)")
_LAYER = re.compile(
    r"(mean_activation|activation_sparsity|unit_correlation|effective_rank|keep_rate|noise_mean"
    r"|noise_variance|variance_shift|weight_similarity|weight_orientations|activation_variance"
    r"|noisy_activation_variance)_(\d+)"
)
_TITLES = {
    "mean_activation": "mean activation",
    "activation_sparsity": "share of activations ≤ 0.01",
    "activation_variance": "unit variance, dropout off",
    "noisy_activation_variance": "unit variance, dropout on",
    "unit_correlation": "mean |correlation| of units",
    "effective_rank": "effective rank",
    "keep_rate": "measured keep rate",
    "noise_mean": "measured mean of the noise",
    "noise_variance": "measured variance of the noise",
    "variance_shift": "variance, dropout on / off",
    "weight_similarity": "mean |cos| of weights",
    "weight_orientations": "orientations per unit",
    "gradient_norm": "gradient norm",
    "gradient_direction_variance": "gradient direction variance",
    "gradient_direction_error": "gradient direction error",
}


def draw_diagnostics(study: StudyTables, table: pd.DataFrame, title: str) -> Figure | None:
    """Draw each diagnostic, one curve for each cell; None without diagnostics.

    The x axis is the epoch, or the percentage of units removed or of the weights moved. Shows at
    most six cells: the baselines and the best by mean validation accuracy.
    """
    over_epochs = [
        (c, _title(c)) for c in study.metrics.columns if c in _TITLES or _LAYER.fullmatch(c)
    ]
    at_end = [
        names
        for pattern in (_REMOVED, _MOVED)
        if (names := [c for c in study.metrics.columns if pattern.fullmatch(c)])
    ]
    count = len(over_epochs) + len(at_end)
    if not count:
        return None
    order = table.sort_values(
        ["is_baseline", "validation_accuracy_mean"], ascending=False, kind="stable"
    )
    shown = order.head(_MAX_CELLS).sort_index()
    rows_of_panels = -(-count // _COLUMNS)
    columns = -(-count // rows_of_panels)
    figure = style.new_figure(3.3 * columns + 1.6, 2.7 * rows_of_panels + 0.9)
    grid = figure.subplots(rows_of_panels, columns, squeeze=False).flatten()
    for axes in grid[count:]:
        axes.set_visible(False)
    for index, (_, cell) in enumerate(shown.iterrows()):
        label = style.cell_name(cell, study.swept)
        label = style.wrapped(label, style.LEGEND_WIDTH)
        colour = style.cell_colour(cell, study.swept)
        dashes = "-" if cell["is_baseline"] else style.line_style(index)
        rows = completed_rows(study, study.metrics, cell)
        for axes, (column, _) in zip(grid, over_epochs, strict=False):
            draw_curve(axes, rows, column, colour, dashes, label=label)
        runs = completed_rows(study, study.runs, cell)
        for axes, names in zip(grid[len(over_epochs) :], at_end, strict=False):
            _draw_percentages(axes, runs, names, colour, dashes, label)
    for axes, (column, words) in zip(grid, over_epochs, strict=False):
        axes.set_title(words)
        style.epoch_axis(axes)
        axes.locator_params(axis="x", nbins=5)  # the panels are narrow
        if column.startswith("weight_orientations"):
            axes.set_ylim(0, 1.05)
    for axes, names in zip(grid[len(over_epochs) :], at_end, strict=False):
        _label_percentages(axes, names)
    entries = grid[count - 1].get_legend_handles_labels()
    style.legend_right(grid[columns - 1], entries)
    style.heading(figure, f"{title}: diagnostics ({style.n_seeds(shown['seeds'])})")
    left_out = len(table) - len(shown)
    style.footnote(
        figure,
        "dropout off, except for gradients, noise, and where dropout is on",
        describe_figure_intervals(figure, shown["seeds"]),
        describe_not_shown(left_out, "setting"),
    )
    return figure


def _title(column: str) -> str:
    layer = _LAYER.fullmatch(column)
    if layer is None:
        return _TITLES[column]
    where = "input" if layer[2] == "0" else f"layer {layer[2]}"
    return f"{_TITLES[layer[1]]}, {where}"


def _draw_percentages(
    axes: Axes, runs: pd.DataFrame, names: list[str], colour: str, dashes: str, label: str
) -> None:
    """Draw the final values of columns against the percentage in their names."""
    points: list[tuple[int, float, float]] = []
    quantity = "test_accuracy"
    if _MOVED.fullmatch(names[0]):
        points, quantity = [(0, 0.0, 0.0)], "loss"
    for column in names if points else ("test_accuracy", *names):
        match = _REMOVED.fullmatch(column) or _MOVED.fullmatch(column)
        values = runs[column].to_numpy(dtype=float)
        if len(values) and np.isfinite(values).all():  # so all means have the same seeds
            points.append((int(match[1]) if match else 0, values.mean(), half_width(values)))
    if len(points) > 1:
        curve = pd.DataFrame(points, columns=["share", "mean", "half"])
        style_args: dict[str, Any] = {
            "color": colour,
            "marker": "o",
            "markersize": 4,
            "label": label,
        }
        axes.plot(curve["share"], curve["mean"], dashes, **style_args)
        edges = band_edges(curve, quantity)
        axes.fill_between(curve["share"], *edges, color=colour, alpha=0.15, linewidth=0)


def _label_percentages(axes: Axes, names: list[str]) -> None:
    if _REMOVED.fullmatch(names[0]):
        axes.set_title("test accuracy (%), units removed")
        axes.set_xlabel("removed of each layer (%)")
        style.percent_axis(axes)
    else:
        axes.set_title("rise of the loss, weights moved")
        axes.set_xlabel("random change of the weights (%)")
