"""Plot a comparison of studies: test accuracy of each cell by study, and the differences."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dropout_lab.analysis import style
from dropout_lab.analysis.family import axis_value
from dropout_lab.analysis.fonts import fonts_for
from dropout_lab.analysis.intervals import bar_lengths, describe_interval
from dropout_lab.analysis.notes import describe_not_shown
from dropout_lab.analysis.phrases import key_name, reference_words
from dropout_lab.analysis.study_comparison import StudyComparison
from dropout_lab.analysis.tables import STUDY, describe_epoch
from dropout_lab.catalogue.phrases import BLUE, CYAN, GREEN, ORANGE, PURPLE, RED, TEAL, YELLOW

_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, RED, TEAL, YELLOW, CYAN)
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_MAX_CELLS = 30
_MIN_VALUES = 3  # of an axis
_DODGE = 0.7  # share of the distance between two cells that the studies are spread over


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
        "hollow: not paired, Welch's interval" if _has_unpaired(comparison) else "",
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
    figure = style.new_figure(10.5, 4.8)
    panels = _panels(figure, comparison, rows=False)
    gap = float(np.diff(np.sort(along.unique())).min())
    for axes, quantity in zip(panels, ("test_accuracy", "difference"), strict=False):
        for name, offset, look in _studies(comparison):
            cells = comparison.cells_of(name)
            points = [
                (along[i] + 0.35 * offset * gap, *point)
                for i, cell in cells.iterrows()
                if (point := _point(cell, quantity)) is not None
            ]
            if points:
                axes.plot([x for x, *_ in points], [mean for _, mean, *_ in points], "-", **look)
            for x, mean, low, high, paired in points:
                _draw_point(axes, (x, mean), (low, high), look, paired=paired)
            if quantity == "test_accuracy":
                for i in cells.index:
                    values = _accuracies(comparison, i)
                    x = along[i] + 0.35 * offset * gap
                    axes.plot(np.full(len(values), x), values, ".", alpha=0.5, **look)
        axes.set_xlabel(_axis_label(comparison.joined.keys[0]))
        if along.nunique() <= 10:
            axes.set_xticks(sorted(along.unique()))
        style.percent_axis(axes)
    panels[0].set_ylabel("test accuracy (%)")
    if len(panels) > 1:
        panels[1].axhline(0, color="#888888", linewidth=1, linestyle=":", zorder=1)
        panels[1].set_ylabel(f"{_difference_label(comparison)}\n(percentage points)")
    _legend(figure, comparison)
    return figure


def _in_rows(comparison: StudyComparison) -> Figure:
    """Draw each cell as a row, with its studies below each other."""
    rows = _rows(comparison)
    shown = rows[:_MAX_CELLS]
    heights = {i: len(shown) - 1 - place for place, indices in enumerate(shown) for i in indices}
    studies = len(comparison.joined.names)
    each = 0.34 + 0.13 * (studies - 1)
    figure = style.new_figure(10.5, 2.2 + each * len(shown))
    panels = _panels(figure, comparison, rows=True)
    for axes, quantity in zip(panels, ("test_accuracy", "difference"), strict=False):
        for name, offset, look in _studies(comparison):
            for i, cell in comparison.cells_of(name).iterrows():
                if i not in heights:
                    continue
                height = heights[i] - _DODGE * offset
                if quantity == "test_accuracy":
                    values = _accuracies(comparison, i)
                    axes.plot(values, np.full(len(values), height), ".", alpha=0.5, **look)
                if (point := _point(cell, quantity)) is not None:
                    mean, low, high, paired = point
                    _draw_point(
                        axes, (mean, height), (low, high), look, paired=paired, horizontal=True
                    )
        for height in range(len(shown) - 1):
            axes.axhline(height + 0.5, color="#dddddd", linewidth=0.8, zorder=0)
        axes.grid(axis="y", visible=False)
        style.percent_axis(axes, "x")
    swept = comparison.joined.tables.swept
    labels = [style.cell_name(comparison.table.loc[indices[0]], swept) for indices in shown]
    ticks = [len(shown) - 1 - place for place in range(len(shown))]
    panels[0].set_yticks(ticks, [style.wrapped(label, 48) for label in labels])
    panels[0].set_ylim(-0.6, len(shown) - 0.4)
    panels[0].set_xlabel("test accuracy (%)")
    if len(panels) > 1:
        panels[1].axvline(0, color="#888888", linewidth=1, linestyle=":", zorder=1)
        panels[1].set_xlabel(f"{_difference_label(comparison)}\n(percentage points)")
    _legend(figure, comparison)
    return figure


def _panels(figure: Figure, comparison: StudyComparison, *, rows: bool) -> list[Axes]:
    """Return the panel of accuracies and, if there are any, the panel of differences."""
    columns = ["difference_mean", "unpaired_difference"]
    several = bool(comparison.table[columns].notna().any(axis=None))
    panels = figure.subplots(1, 1 + several, sharey=rows, squeeze=False)[0]
    return list(panels)


def _studies(comparison: StudyComparison) -> Iterator[tuple[str, float, dict[str, str]]]:
    """Yield for each study its name, its offset from the middle in (−0.5, 0.5), and its look."""
    names = comparison.joined.names
    looks = zip(cycle(_COLOURS), cycle(_MARKERS), strict=False)
    for place, (name, (colour, marker)) in enumerate(zip(names, looks, strict=False)):
        yield name, (place + 0.5) / len(names) - 0.5, {"color": colour, "marker": marker}


def _draw_point(
    axes: Axes,
    at: tuple[float, float],
    bars: tuple[float, float],
    look: dict[str, str],
    *,
    paired: bool,
    horizontal: bool = False,
) -> None:
    """Draw a mean with its interval; hollow if it is not of pairs."""
    errors = {"xerr" if horizontal else "yerr": [[bars[0]], [bars[1]]]}
    axes.errorbar(
        *at,
        **errors,
        **look,
        markersize=6.5,
        markerfacecolor=look["color"] if paired else "white",
        capsize=3,
        linestyle="none",
        zorder=3,
    )


def _point(cell: pd.Series, quantity: str) -> tuple[float, float, float, bool] | None:
    """Return mean, length of the bars below and above it, and whether it is paired; or None."""
    if quantity == "test_accuracy" or cell["pairs"] > 0:
        mean, low, high = (cell[f"{quantity}_{part}"] for part in ("mean", "low", "high"))
        paired = True
    else:
        mean, low, high = cell["unpaired_difference"], cell["unpaired_low"], cell["unpaired_high"]
        paired = False
    if np.isnan(mean):
        return None
    below, above = bar_lengths([mean], [(high - low) / 2], quantity).ravel()
    return float(mean), float(below), float(above), paired


def _accuracies(comparison: StudyComparison, index: object) -> "np.ndarray[tuple[int], np.dtype]":
    """Return the test accuracies of the completed runs of a cell; none for a single run."""
    values = comparison.joined.tables.completed[int(str(index))]["test_accuracy"].to_numpy()
    return values if len(values) > 1 else values[:0]


def _rows(comparison: StudyComparison) -> list[list[int]]:
    """Return the cells of each row: those with equal values in several studies."""
    keys = list(comparison.joined.keys)
    if not keys:
        return [[int(str(i)) for i in comparison.table.index]]
    groups = comparison.table.groupby(keys, dropna=False, sort=False)
    return [[int(str(i)) for i in group.index] for _, group in groups]


def _hidden(comparison: StudyComparison) -> int:
    return max(0, len(_rows(comparison)) - _MAX_CELLS)


def _has_unpaired(comparison: StudyComparison) -> bool:
    return bool(comparison.table["unpaired_difference"].notna().any())


def _axis_label(key: str) -> str:
    return "p, the probability of dropping" if key == "dropout.p" else key_name(key)


def _difference_label(comparison: StudyComparison) -> str:
    """Return what the differences are from."""
    against = comparison.against or {}
    within = "" if STUDY in against else " of the study"
    return f"test accuracy, difference from {reference_words(against)}{within}"


def _legend(figure: Figure, comparison: StudyComparison) -> None:
    """Put a legend with the names of the studies above the panels."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], label=style.shorten(name, 50), linestyle="-", markersize=6.5, **look)
        for name, _, look in _studies(comparison)
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=min(4, len(handles)))
