"""Curves over the epochs: with and without dropout side by side, and train minus test."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dropout_lab.analysis import style
from dropout_lab.analysis.intervals import band, lengths, spread_words
from dropout_lab.analysis.notes import LOWER, gap_words, not_shown
from dropout_lab.analysis.tables import (
    StudyTables,
    completed_rows,
    half_width,
    with_and_without,
)

# Dashes, and where there is one epoch a marker and its place beside that epoch.
_PARTS = (("train", "--", "^", -0.1), ("validation", ":", "s", 0.0), ("test", "-", "o", 0.1))
_ROOM = 0.6  # of an epoch, for the cells of one epoch side by side
_CURVES_SHOWN = 8


def draw_curves(study: StudyTables, table: pd.DataFrame, title: str) -> Figure | None:
    """Draw accuracy and loss of the three parts, left without dropout, right with it.

    With dropout the cell is the one chosen on validation. None where there is nothing to draw.
    """
    shown = with_and_without(table)
    if not shown:
        return None
    figure = style.new_figure(4.6 * len(shown) + 0.6, 6.6)
    grid = figure.subplots(2, len(shown), sharex=True, sharey="row", squeeze=False)
    drawn = 0
    for column, cell in enumerate(shown):
        rows = completed_rows(study, study.metrics, cell)
        colour = style.cell_colour(cell, study.swept)
        for axes, quantity in zip(grid[:, column], ("accuracy", "loss"), strict=True):
            for part, *look, aside in _PARTS:
                name = f"{part}_{quantity}"
                drawn += curve(axes, rows, name, colour, *look, label=part, aside=aside)
        label = style.cell_label(cell, study.swept, bool(cell["bare"]))
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
    if study.metrics["epoch"].nunique() > 1:  # one epoch has room for its bars
        low, highest_loss = _late_extremes(study, shown)
        grid[0, 0].set_ylim(max(0.0, low - 0.15 * (1 - low) - 0.001), 1 + 0.03 * (1 - low) + 0.0005)
        grid[1, 0].set_ylim(0, 1.5 * highest_loss)
    style.heading(figure, title)
    choice = "with dropout: the setting with the best mean validation accuracy"
    spread = spread_words(figure, [int(cell["seeds"]) for cell in shown])
    outside = "early values lie outside the axes" if _outside(grid.flat) else ""
    style.footnote(figure, "" if shown[-1]["bare"] else choice, spread, outside)
    return figure


def _outside(panels: Iterable[Axes]) -> bool:
    """Whether a mean lies outside of its axes."""
    for axes in panels:
        low, high = axes.get_ylim()
        for line in axes.lines:
            if str(line.get_label()).startswith("_"):  # the end of a bar, or one seed
                continue
            values = np.asarray(line.get_ydata(), np.float64)
            if ((values < low) | (values > high)).any():
                return True
    return False


def draw_gap(study: StudyTables, table: pd.DataFrame, title: str) -> Figure | None:
    """Draw the gaps between training and test over the epochs, one curve for each cell.

    Of more than eight cells, those without dropout and the best by validation are shown. None
    where there is nothing to draw.
    """
    order = table.sort_values(["bare", "validation_accuracy_mean"], ascending=False, kind="stable")
    shown = order.head(_CURVES_SHOWN).sort_index()
    figure = style.new_figure(10, 4.8)
    accuracy, loss = figure.subplots(1, 2)
    places = np.linspace(-0.5, 0.5, len(shown) + 2)[1:-1] * _ROOM
    drawn = 0
    for (_, cell), look, aside in zip(shown.iterrows(), _looks(study, shown), places, strict=True):
        rows = completed_rows(study, study.metrics, cell)
        label = style.wrapped(style.cell_label(cell, study.swept, bool(cell["bare"])), style.BESIDE)
        for axes, column in ((accuracy, "accuracy_gap"), (loss, "loss_gap")):
            drawn += curve(axes, rows, column, *look, label=label, aside=float(aside))
    if not drawn:
        return None
    words = gap_words(study, shown)
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
    style.legend_beside(loss, accuracy.get_legend_handles_labels())
    style.heading(figure, f"{title}: {words}, dropout off ({style.n_seeds(shown['seeds'])})")
    left_out = len(table) - len(shown)
    rest = not_shown(left_out, "setting", LOWER)
    style.footnote(figure, spread_words(figure, shown["seeds"]), rest)
    return figure


def _looks(study: StudyTables, shown: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the colour and the dashes of each cell; those of a kind share their dashes."""
    kinds: dict[tuple[str, ...], str] = {}
    looks = []
    for _, cell in shown.iterrows():
        dashes = "-"
        if not cell["bare"]:
            dashes = kinds.setdefault(style.kind_of(cell), style.dashes(len(kinds)))
        looks.append((style.cell_colour(cell, study.swept), dashes))
    return style.told_apart(looks)


def curve(
    axes: Axes,
    rows: pd.DataFrame,
    column: str,
    colour: str,
    dashes: str,
    marker: str = "o",
    *,
    label: str,
    over: str = "epoch",
    aside: float = 0.0,
) -> bool:
    """Draw a column of metrics.csv, mean over the seeds and band; return whether there was any.

    The curve ends where its first seed stopped; the others go on as thin lines. A single epoch is
    a marker with a bar, aside of it.
    """
    points = over_seeds(rows, column, over)
    if points["mean"].isna().all():
        return False
    for _, own in rows[rows[over] >= points[over].max()].groupby("seed"):
        if len(own) > 1:
            axes.plot(own[over], own[column], dashes, color=colour, alpha=0.4, linewidth=0.7)
    if len(points) == 1:
        x = points[over] + aside
        bars = lengths(points["mean"], points["half"], column)
        axes.errorbar(x, points["mean"], bars, fmt="none", color=colour, capsize=3)
        axes.plot(x, points["mean"], marker, color=colour, label=label, markersize=7)
        return True
    axes.plot(points[over], points["mean"], dashes, color=colour, label=label)
    axes.fill_between(points[over], *band(points, column), color=colour, alpha=0.15, linewidth=0)
    return True


def over_seeds(rows: pd.DataFrame, column: str, over: str) -> pd.DataFrame:
    """Return a column's mean over the seeds and half its interval, where every seed has a record.

    A mean is nan where the value of one seed is not finite: fewer seeds are another mean.
    """
    points = []
    every = rows.groupby(over).size().max()
    for epoch, values in rows.groupby(over)[column]:
        if len(values) == every:
            whole = bool(np.isfinite(values).all())
            mean, half = values.mean(), half_width(values.to_numpy())
            points.append((int(str(epoch)), mean if whole else np.nan, half if whole else np.nan))
    return pd.DataFrame(points, columns=[over, "mean", "half"])


def _late_extremes(study: StudyTables, shown: list[Any]) -> tuple[float, float]:
    """Return the lowest accuracy and the highest loss after the first fifth of the epochs.

    The axes show where the curves end up; where they start may lie outside.
    """
    accuracies, losses = [0.999], [1e-3]
    for cell in shown:
        rows = completed_rows(study, study.metrics, cell)
        late = rows[rows["epoch"] >= rows["epoch"].max() / 5]
        for part, *_ in _PARTS:
            accuracies += late[f"{part}_accuracy"].dropna().tolist()
            losses += [loss for loss in late[f"{part}_loss"] if np.isfinite(loss)]
    return min(accuracies), max(losses)
