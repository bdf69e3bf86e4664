"""Learning curves with and without dropout, and curves of the gap between training and test."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dropout_lab.analysis import style
from dropout_lab.analysis.intervals import band_edges, bar_lengths, describe_figure_intervals
from dropout_lab.analysis.notes import LOWER_VALIDATION, describe_not_shown, gap_title
from dropout_lab.analysis.tables import (
    StudyTables,
    baseline_and_best,
    completed_rows,
    half_width,
)

# Data set, line style, and for a single epoch: marker and offset from the epoch.
_SERIES = (("train", "--", "^", -0.1), ("validation", ":", "s", 0.0), ("test", "-", "o", 0.1))
_OFFSET_RANGE = 0.6  # epochs across which the markers of a single epoch are spread
_MAX_CURVES = 8


def draw_curves(study: StudyTables, table: pd.DataFrame, title: str) -> Figure | None:
    """Draw accuracy and loss on each data set: left without dropout, right with dropout.

    The cell with dropout is the one chosen on validation. None if there is nothing to draw.
    """
    shown = baseline_and_best(table)
    if not shown:
        return None
    figure = style.new_figure(4.6 * len(shown) + 0.6, 6.6)
    grid = figure.subplots(2, len(shown), sharex=True, sharey="row", squeeze=False)
    drawn = 0
    for column, cell in enumerate(shown):
        rows = completed_rows(study, study.metrics, cell)
        colour = style.cell_colour(cell, study.swept)
        for axes, quantity in zip(grid[:, column], ("accuracy", "loss"), strict=True):
            for part, *style_args, offset in _SERIES:
                name = f"{part}_{quantity}"
                drawn += draw_curve(
                    axes, rows, name, colour, *style_args, label=part, offset=offset
                )
        label = style.cell_name(cell, study.swept)
        heading = f"{label} ({style.n_seeds([cell['seeds']])})"
        grid[0, column].set_title(style.wrapped(heading, 48))
        if grid[1, column].lines:
            grid[1, column].legend(loc="best", title="dropout off")
    if not drawn:
        return None
    for axes in grid[1]:
        style.epoch_axis(axes)
    grid[0, 0].set_ylabel("accuracy (%)")
    grid[1, 0].set_ylabel("loss (nats)")
    style.percent_axis(grid[0, 0])
    grid[1, 0].set_ylim(bottom=0)
    if study.metrics["epoch"].nunique() > 1:  # for one epoch, keep the default limits
        low, highest_loss = _late_extremes(study, shown)
        grid[0, 0].set_ylim(max(0.0, low - 0.15 * (1 - low) - 0.001), 1 + 0.03 * (1 - low) + 0.0005)
        grid[1, 0].set_ylim(0, 1.5 * highest_loss)
    style.heading(figure, title)
    choice = "with dropout: the setting with the best mean validation accuracy"
    spread = describe_figure_intervals(figure, [int(cell["seeds"]) for cell in shown])
    outside = "early values lie outside the axes" if _has_points_outside(grid.flat) else ""
    style.footnote(figure, "" if shown[-1]["is_baseline"] else choice, spread, outside)
    return figure


def _has_points_outside(panels: Iterable[Axes]) -> bool:
    """Return whether any mean is outside its axes."""
    for axes in panels:
        low, high = axes.get_ylim()
        for line in axes.lines:
            if str(line.get_label()).startswith("_"):  # the end of a bar, or a single seed
                continue
            values = np.asarray(line.get_ydata(), np.float64)
            if ((values < low) | (values > high)).any():
                return True
    return False


def draw_gap(study: StudyTables, table: pd.DataFrame, title: str) -> Figure | None:
    """Draw the gaps between training and test against epochs, one curve for each cell.

    Shows at most eight cells: the baselines and the best by validation. None if there is nothing to
    draw.
    """
    order = table.sort_values(
        ["is_baseline", "validation_accuracy_mean"], ascending=False, kind="stable"
    )
    shown = order.head(_MAX_CURVES).sort_index()
    figure = style.new_figure(10, 4.8)
    accuracy, loss = figure.subplots(1, 2)
    offsets = np.linspace(-0.5, 0.5, len(shown) + 2)[1:-1] * _OFFSET_RANGE
    drawn = 0
    for (_, cell), style_args, offset in zip(
        shown.iterrows(), _line_styles(study, shown), offsets, strict=True
    ):
        rows = completed_rows(study, study.metrics, cell)
        label = style.wrapped(style.cell_name(cell, study.swept), style.LEGEND_WIDTH)
        for axes, column in ((accuracy, "accuracy_gap"), (loss, "loss_gap")):
            drawn += draw_curve(axes, rows, column, *style_args, label=label, offset=float(offset))
    if not drawn:
        return None
    words = gap_title(study, shown)
    kind = "gap" if words.endswith("gap") else "difference"
    for axes, quantity in (
        (accuracy, f"accuracy {kind} (percentage points)"),
        (loss, f"loss {kind} (nats)"),
    ):
        style.epoch_axis(axes)
        axes.set_ylabel(quantity)
        axes.axhline(0, color="#888888", linewidth=0.8)
    style.percent_axis(accuracy)
    accuracy.set_title("train − test accuracy")
    loss.set_title("test − train loss")
    style.legend_right(loss, accuracy.get_legend_handles_labels())
    style.heading(figure, f"{title}: {words}, dropout off ({style.n_seeds(shown['seeds'])})")
    left_out = len(table) - len(shown)
    not_shown_note = describe_not_shown(left_out, "setting", LOWER_VALIDATION)
    style.footnote(figure, describe_figure_intervals(figure, shown["seeds"]), not_shown_note)
    return figure


def _line_styles(study: StudyTables, shown: pd.DataFrame) -> list[tuple[str, str]]:
    """Return distinct pairs of colour and line style; cells of a kind share the line style."""
    kinds: dict[tuple[str, ...], str] = {}
    line_styles = []
    for _, cell in shown.iterrows():
        dashes = "-"
        if not cell["is_baseline"]:
            dashes = kinds.setdefault(style.dropout_kind(cell), style.line_style(len(kinds)))
        line_styles.append((style.cell_colour(cell, study.swept), dashes))
    return style.distinct_styles(line_styles)


def draw_curve(
    axes: Axes,
    rows: pd.DataFrame,
    column: str,
    colour: str,
    dashes: str,
    marker: str = "o",
    *,
    label: str,
    x_column: str = "epoch",
    offset: float = 0.0,
) -> bool:
    """Draw the mean of a column of metrics.csv over the seeds, with a band for its interval.

    The curve ends where the first seed stopped; the other seeds continue as thin lines. For a
    single epoch, draw a marker with an error bar, shifted by ``offset``. Returns whether there was
    anything to draw.
    """
    points = mean_over_seeds(rows, column, x_column)
    if points["mean"].isna().all():
        return False
    for _, own in rows[rows[x_column] >= points[x_column].max()].groupby("seed"):
        if len(own) > 1:
            axes.plot(own[x_column], own[column], dashes, color=colour, alpha=0.4, linewidth=0.7)
    if len(points) == 1:
        x = points[x_column] + offset
        bars = bar_lengths(points["mean"], points["half"], column)
        axes.errorbar(x, points["mean"], bars, fmt="none", color=colour, capsize=3)
        axes.plot(x, points["mean"], marker, color=colour, label=label, markersize=7)
        return True
    axes.plot(points[x_column], points["mean"], dashes, color=colour, label=label)
    axes.fill_between(
        points[x_column], *band_edges(points, column), color=colour, alpha=0.15, linewidth=0
    )
    return True


def mean_over_seeds(rows: pd.DataFrame, column: str, x_column: str) -> pd.DataFrame:
    """Return the mean of a column and the half-width of its interval, where all seeds have a value.

    The mean is nan if the value of any seed is not finite, so all means have the same seeds.
    """
    points = []
    seeds = rows.groupby(x_column).size().max()
    for x, values in rows.groupby(x_column)[column]:
        if len(values) == seeds:
            finite = bool(np.isfinite(values).all())
            mean, half = values.mean(), half_width(values.to_numpy())
            points.append((float(str(x)), mean if finite else np.nan, half if finite else np.nan))
    return pd.DataFrame(points, columns=[x_column, "mean", "half"])


def _late_extremes(study: StudyTables, shown: list[Any]) -> tuple[float, float]:
    """Return the lowest accuracy and the highest loss after the first fifth of the epochs.

    The limits of the axes depend on these values, so early values may be outside the axes.
    """
    accuracies, losses = [0.999], [1e-3]
    for cell in shown:
        rows = completed_rows(study, study.metrics, cell)
        late = rows[rows["epoch"] >= rows["epoch"].max() / 5]
        for part, *_ in _SERIES:
            accuracies += late[f"{part}_accuracy"].dropna().tolist()
            losses += [loss for loss in late[f"{part}_loss"] if np.isfinite(loss)]
    return min(accuracies), max(losses)
