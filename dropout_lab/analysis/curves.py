"""Curves over the epochs: with and without dropout side by side, and the overfitting gap."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dropout_lab.analysis import style
from dropout_lab.analysis.tables import (
    StudyTables,
    half_width,
    rows_of_cell,
    with_and_without,
)

_PARTS = (("train", "--"), ("validation", ":"), ("test", "-"))
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
        rows = rows_of_cell(study.metrics, cell, study.swept)
        colour = style.cell_colour(cell, study.swept)
        for axes, quantity in zip(grid[:, column], ("accuracy", "loss"), strict=True):
            for part, dashes in _PARTS:
                drawn += curve(axes, rows, f"{part}_{quantity}", colour, dashes, part)
        label = style.cell_label(cell, study.swept, bool(cell["bare"]))
        heading = f"{label} ({style.n_seeds([rows['seed'].nunique()])})"
        grid[0, column].set_title(style.wrapped(heading, 48))
        style.epoch_axis(grid[1, column])
        if grid[1, column].lines:
            grid[1, column].legend(loc="upper right", title="dropout off")
    if not drawn:
        return None
    grid[0, 0].set_ylabel("accuracy (%)")
    grid[1, 0].set_ylabel("loss (nats)")
    style.percent_axis(grid[0, 0])
    low, highest_loss = _late_extremes(study.metrics, shown, study.swept)
    grid[0, 0].set_ylim(max(0.0, low - 0.15 * (1 - low) - 0.001), 1 + 0.03 * (1 - low) + 0.0005)
    grid[1, 0].set_ylim(0, 1.5 * highest_loss)
    style.heading(figure, title)
    choice = "with dropout: the cell with the best mean validation accuracy; "
    style.footnote(figure, ("" if shown[-1]["bare"] else choice) + style.BAND)
    return figure


def draw_gap(study: StudyTables, table: pd.DataFrame, title: str) -> Figure | None:
    """Draw the gaps between training and test over the epochs, one curve for each cell.

    Of more than eight cells, those without dropout and the best by validation are shown. None
    where there is nothing to draw.
    """
    order = table.sort_values(["bare", "validation_accuracy_mean"], ascending=False, kind="stable")
    shown = order.head(_CURVES_SHOWN).sort_index()
    figure = style.new_figure(10, 4.8)
    accuracy, loss = figure.subplots(1, 2)
    drawn = 0
    for (_, cell), (colour, dashes) in zip(shown.iterrows(), _looks(study, shown), strict=True):
        rows = rows_of_cell(study.metrics, cell, study.swept)
        label = style.cell_label(cell, study.swept, bool(cell["bare"]))
        for axes, column in ((accuracy, "accuracy_gap"), (loss, "loss_gap")):
            words = style.wrapped(label, style.BESIDE)
            drawn += curve(axes, rows, column, colour, dashes, words)
    if not drawn:
        return None
    for axes, quantity in (
        (accuracy, "accuracy gap (percentage points)"),
        (loss, "loss gap (nats)"),
    ):
        style.epoch_axis(axes)
        axes.set_ylabel(quantity)
        axes.axhline(0, color="#888888", linewidth=0.8)
    style.percent_axis(accuracy)
    accuracy.set_title("train − test accuracy")
    loss.set_title("test − train loss")
    style.legend_beside(loss, accuracy.get_legend_handles_labels())
    n = style.n_seeds(shown["seeds"])
    style.heading(figure, f"{title}: overfitting gap, dropout off ({n})")
    left_out = len(table) - len(shown)
    rest = f"; {left_out} cells with lower validation accuracy not shown" if left_out else ""
    style.footnote(figure, style.BAND + rest)
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
    label: str,
    over: str = "epoch",
) -> bool:
    """Draw a column of metrics.csv, mean over the seeds and band; return whether there was any."""
    points = pd.DataFrame(_over_seeds(rows, column, over), columns=[over, "mean", "half"])
    if points["mean"].isna().all():
        return False
    axes.plot(
        points[over],
        points["mean"],
        dashes,
        color=colour,
        label=label,
        marker="o" if len(points) == 1 else None,
    )
    low, high = points["mean"] - points["half"], points["mean"] + points["half"]
    axes.fill_between(points[over], low, high, color=colour, alpha=0.15, linewidth=0)
    return True


def _over_seeds(rows: pd.DataFrame, column: str, over: str) -> Iterator[tuple[int, float, float]]:
    for epoch, values in rows.groupby(over)[column]:
        finite = values[np.isfinite(values)].to_numpy()
        mean = float(finite.mean()) if len(finite) else float("nan")
        yield int(str(epoch)), mean, half_width(finite)


def _late_extremes(
    metrics: pd.DataFrame, shown: list[Any], swept: tuple[str, ...]
) -> tuple[float, float]:
    """Return the lowest accuracy and the highest loss after the first fifth of the epochs.

    The axes show where the curves end up; where they start may lie outside.
    """
    accuracies, losses = [0.999], [1e-3]
    for cell in shown:
        rows = rows_of_cell(metrics, cell, swept)
        late = rows[rows["epoch"] >= rows["epoch"].max() / 5]
        for part, _ in _PARTS:
            accuracies += late[f"{part}_accuracy"].dropna().tolist()
            losses += [loss for loss in late[f"{part}_loss"] if np.isfinite(loss)]
    return min(accuracies), max(losses)
