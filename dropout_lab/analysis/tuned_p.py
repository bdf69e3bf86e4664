"""Mark the dropout rate that validation chose in a figure."""

from collections.abc import Callable, Hashable, Iterable

import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from dropout_lab.analysis.intervals import Floats
from dropout_lab.config.schema import Settings

TUNED = "p chosen on validation"
_RING, _LINE = "#111111", "#00806C"

Point = tuple[Settings, pd.Series]  # a cell: its settings and its row of the table


def choose_p(points: Iterable[Point], group_of: Callable[[Settings], Hashable]) -> list[Point]:
    """Return the cell with the highest mean validation accuracy of each group; ties: the first.

    Args:
        points: The cells, which differ within a group only in p.
        group_of: The group of a cell.
    """
    best: dict[Hashable, Point] = {}
    for point in points:
        own, cell = point
        score, group = cell["validation_accuracy_mean"], group_of(own)
        if score == score and (
            group not in best or score > best[group][1]["validation_accuracy_mean"]
        ):
            best[group] = point
    return list(best.values())


def ordered_colours(count: int) -> list[str]:
    """Return colours for lines in an order, from dark to light on a perceptual scale."""
    return [to_hex(colormaps["viridis"](0.8 * index / max(1, count - 1))) for index in range(count)]


def draw_rings(axes: Axes, positions: Iterable[tuple[float, float]]) -> None:
    """Draw a ring around the points that validation chose."""
    for index, (x, y) in enumerate(positions):
        axes.plot(
            x,
            y,
            "o",
            markersize=12,
            markerfacecolor="none",
            markeredgecolor=_RING,
            markeredgewidth=1.4,
            zorder=4,
            label="" if index else TUNED,
        )


def draw_tuned_line(axes: Axes, xs: list[float], means: Floats, bars: Floats) -> None:
    """Draw the line through the points that validation chose.

    Args:
        axes: The axes to draw on.
        xs: The positions, ascending.
        means: The mean over seeds at each position.
        bars: The lengths of the error bars below and above, (2, positions).
    """
    axes.errorbar(
        xs,
        means,
        yerr=bars,
        fmt="-o",
        color=_LINE,
        linewidth=2.4,
        markersize=6,
        capsize=3,
        zorder=4,
        label=TUNED,
    )
