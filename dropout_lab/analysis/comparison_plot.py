"""Plot a comparison of studies: test accuracy of each cell by study, and the differences."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dropout_lab.analysis import style
from dropout_lab.analysis.family import axis_value
from dropout_lab.analysis.fonts import fonts_for
from dropout_lab.analysis.intervals import bar_lengths, describe_interval
from dropout_lab.analysis.notes import describe_not_shown
from dropout_lab.analysis.phrases import key_name, reference_words
from dropout_lab.analysis.study_comparison import StudyComparison
from dropout_lab.analysis.tables import STUDY, describe_epoch
from dropout_lab.analysis.verdicts import margin_text
from dropout_lab.catalogue.phrases import BLUE, CYAN, GREEN, ORANGE, PURPLE, RED, TEAL, YELLOW

_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, RED, TEAL, YELLOW, CYAN)
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_DOTS: Any = {"linestyle": "none", "marker": ".", "alpha": 0.5, "zorder": 2}  # of seeds
_MAX_CELLS = 30
_MIN_VALUES = 3  # of an axis
_DODGE = 0.7  # share of the distance between two rows that the studies are spread over
_SPREAD = 0.3  # share of the distance between two ticks that the studies are spread over
_QUANTITIES = ("test_accuracy", "difference")
_ZERO: Any = {"color": "#888888", "linewidth": 1, "linestyle": ":", "zorder": 1}
_MARGIN: Any = {"color": style.WITHOUT, "alpha": 0.1, "linewidth": 0}

Point = tuple[float, float, float, bool]


@contextmanager
def comparison_style(comparison: StudyComparison) -> Iterator[None]:
    """Use our style inside a ``with`` block, with fonts for the names of the studies and cells."""
    keys = comparison.joined.tables.swept
    texts = [style.cell_name(cell, keys) for _, cell in comparison.table.iterrows()]
    with style.style(fonts_for(" ".join([*comparison.joined.names, *texts]))[0]):
        yield


def draw_comparison(comparison: StudyComparison) -> Figure:
    """Draw the cells of all studies with their intervals, and the differences from the references.

    If the studies vary one numeric key, it is the x axis and each study is a line. Otherwise each
    cell is a row. Draw and save the figure in :func:`comparison_style`.
    """
    along = _axis(comparison)
    figure = _along_axis(comparison, along) if along is not None else _in_rows(comparison)
    tables, seeds = comparison.joined.tables, comparison.table["seeds"]
    title = f"{tables.manifest.name}: {describe_epoch(tables)}, dropout off"
    style.heading(figure, f"{title} ({style.n_seeds(seeds)})")
    style.footnote(
        figure,
        "dots: seeds" if seeds.max() > 1 else "",
        describe_interval(style.BARS, seeds),
        "differences: mean over pairs of equal seed" if comparison.table["pairs"].any() else "",
        ""
        if comparison.margin is None
        else f"shaded: ± {margin_text(comparison.margin)}, the margin",
        "hollow: not paired, Welch's interval" if _has_unpaired(comparison) else "",
        "" if along is None else "studies moved apart at each tick",
        describe_not_shown(_hidden(comparison) if along is None else 0, "setting"),
    )
    return figure


def _axis(comparison: StudyComparison) -> "pd.Series[float] | None":
    """Return the position of each cell on the numeric axis, if the studies vary one such key."""
    if len(comparison.joined.keys) != 1 or comparison.table["label"].notna().any():
        return None
    (key,) = comparison.joined.keys
    values = comparison.table[key].map(axis_value)
    return values if values.notna().all() and values.nunique() >= _MIN_VALUES else None


def _along_axis(comparison: StudyComparison, along: "pd.Series[float]") -> Figure:
    """Draw each study as a line over the numeric axis."""
    figure = style.new_figure(10.5, 4.9)
    panels = _panels(figure, comparison, rows=False)
    ticks, margin = np.sort(along.unique()), comparison.margin
    gap = _SPREAD * float(np.diff(ticks).min())  # between the first and the last study
    for axes, quantity in zip(panels, _QUANTITIES, strict=False):
        for name, offset, look in _studies(comparison, quantity):
            points = []
            for i, cell in comparison.cells_of(name).iterrows():
                x = along.iloc[int(str(i))] + offset * gap
                if quantity == "test_accuracy":
                    values = _accuracies(comparison, i)
                    dots = np.full(len(values), x - 0.12 * gap)
                    axes.plot(dots, values, **_DOTS, color=look["color"])
                if (point := _point(cell, quantity)) is not None:
                    points.append((x, point[0]))
                    _draw_point(axes, (x, point[0]), point, look)
            axes.plot(*zip(*points, strict=True), "-", color=look["color"]) if points else None
        axes.set_xlabel(_axis_label(comparison.joined.keys[0]))
        if len(ticks) <= 10:
            axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        style.percent_axis(axes)
    panels[0].set_ylabel("test accuracy (%)")
    if len(panels) > 1:
        panels[1].axhline(0, **_ZERO)
        if margin is not None:
            panels[1].axhspan(-margin, margin, **_MARGIN)
        panels[1].set_ylabel(f"{_difference_label(comparison)}\n(percentage points)")
    _legend(panels[0], comparison)
    return figure


def _in_rows(comparison: StudyComparison) -> Figure:
    """Draw each cell as a row, with its studies below each other."""
    shown, margin = comparison.rows[:_MAX_CELLS], comparison.margin
    heights = {i: len(shown) - 1 - place for place, row in enumerate(shown) for i in row}
    each = 0.34 + 0.13 * (len(comparison.joined.names) - 1)
    figure = style.new_figure(10.5, 2.2 + each * len(shown))
    panels = _panels(figure, comparison, rows=True)
    for axes, quantity in zip(panels, _QUANTITIES, strict=False):
        for name, offset, look in _studies(comparison, quantity):
            for i, cell in comparison.cells_of(name).iterrows():
                if i not in heights:
                    continue
                height = heights[i] - _DODGE * offset
                if quantity == "test_accuracy":
                    values = _accuracies(comparison, i)
                    dots = np.full(len(values), height - 0.1)
                    axes.plot(values, dots, **_DOTS, color=look["color"])
                if (point := _point(cell, quantity)) is not None:
                    _draw_point(axes, (point[0], height), point, look, horizontal=True)
        for height in range(len(shown) - 1):
            axes.axhline(height + 0.5, color="#dddddd", linewidth=0.8, zorder=0)
        axes.grid(axis="y", visible=False)
        style.percent_axis(axes, "x")
    swept = comparison.joined.tables.swept
    labels = [style.cell_name(comparison.table.iloc[row[0]], swept) for row in shown]
    ticks = [heights[row[0]] for row in shown]
    panels[0].set_yticks(ticks, [style.wrapped(label, 48) for label in labels])
    panels[0].set_ylim(-0.6, len(shown) - 0.4)
    panels[0].set_xlabel("test accuracy (%)")
    if len(panels) > 1:
        panels[1].axvline(0, **_ZERO)
        if margin is not None:
            panels[1].axvspan(-margin, margin, **_MARGIN)
        panels[1].set_xlabel(f"{_difference_label(comparison)}\n(percentage points)")
    _legend(panels[0], comparison)
    return figure


def _panels(figure: Figure, comparison: StudyComparison, *, rows: bool) -> list[Axes]:
    """Return the panel of accuracies and, if there are any, the panel of differences."""
    columns = ["difference_mean", "unpaired_difference"]
    several = bool(comparison.table[columns].notna().any(axis=None))
    panels = figure.subplots(1, 1 + several, sharey=rows, squeeze=False)[0]
    return list(panels)


def _studies(
    comparison: StudyComparison, quantity: str
) -> Iterator[tuple[str, float, dict[str, Any]]]:
    """Yield name, offset from the middle in (−0.5, 0.5), and look of each study in a panel."""
    drawn = [
        (name, look)
        for name, look in _looks(comparison)
        if any(_point(cell, quantity) for _, cell in comparison.cells_of(name).iterrows())
    ]
    for place, (name, look) in enumerate(drawn):
        yield name, (place + 0.5) / len(drawn) - 0.5, look


def _looks(comparison: StudyComparison) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name of each study, and its colour and marker."""
    looks = zip(comparison.joined.names, cycle(_COLOURS), cycle(_MARKERS), strict=False)
    for name, colour, marker in looks:
        yield name, {"color": colour, "marker": marker}


def _draw_point(
    axes: Axes,
    at: tuple[float, float],
    point: Point,
    look: dict[str, Any],
    *,
    horizontal: bool = False,
) -> None:
    """Draw a mean with its interval; hollow if it is not of pairs."""
    _, below, above, paired = point
    bars = [[below], [above]]
    errors: Any = {"xerr": bars} if horizontal else {"yerr": bars}
    face = look["color"] if paired else "white"
    axes.errorbar(
        at[0], at[1], **errors, **look, markersize=6.5, markerfacecolor=face, capsize=3,
        linestyle="none", zorder=3,
    )  # fmt: skip


def _point(cell: pd.Series, quantity: str) -> Point | None:
    """Return a mean with the bars below and above it, and whether it is paired; or None."""
    if quantity == "test_accuracy" or cell["pairs"] > 0:
        mean, low, high = (cell[f"{quantity}_{part}"] for part in ("mean", "low", "high"))
        paired = True
    else:
        mean, low, high = (cell[f"unpaired_{part}"] for part in ("difference", "low", "high"))
        paired = False
    if np.isnan(mean):
        return None
    below, above = bar_lengths([mean], [(high - low) / 2], quantity).ravel()
    return float(mean), float(below), float(above), paired


def _accuracies(comparison: StudyComparison, index: object) -> "np.ndarray[tuple[int], np.dtype]":
    """Return the test accuracies of the completed runs of a cell; none for a single run."""
    values = comparison.joined.tables.completed[int(str(index))]["test_accuracy"].to_numpy()
    return values if len(values) > 1 else values[:0]


def _hidden(comparison: StudyComparison) -> int:
    return max(0, len(comparison.rows) - _MAX_CELLS)


def _has_unpaired(comparison: StudyComparison) -> bool:
    return bool(comparison.table["unpaired_difference"].notna().any())


def _axis_label(key: str) -> str:
    return "p, the probability of dropping" if key == "dropout.p" else key_name(key)


def _difference_label(comparison: StudyComparison) -> str:
    """Return what the differences are from."""
    against = comparison.against or {}
    within = "" if STUDY in against else " of the study"
    return f"test accuracy, difference from {reference_words(against)}{within}"


def _legend(axes: Axes, comparison: StudyComparison) -> None:
    """Put a legend with the names of the studies above the left panel."""
    handles = [
        Line2D([], [], label=style.shorten(name, 40), linestyle="-", markersize=6.5, **look)
        for name, look in _looks(comparison)
    ]
    place: Any = {"loc": "lower left", "bbox_to_anchor": (0, 1.02), "borderaxespad": 0}
    axes.legend(handles=handles, ncols=min(3, len(handles)), frameon=False, **place)
