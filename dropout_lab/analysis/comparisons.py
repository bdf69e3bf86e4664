"""Pictures across cells: accuracy and gap against p, variant by placement, and every cell."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dropout_lab.analysis import style
from dropout_lab.analysis.tables import (
    StudyTables,
    differences_of_cell,
    ends_of_cell,
    half_width,
    when,
)

_CELLS_SHOWN = 40
_LINES_SHOWN = 12
_APART = 0.02  # of p, between lines; p is not to be read off wrongly
_PLACEMENTS_SHOWN = 20


def draw_by_p(study: StudyTables, table: pd.DataFrame, title: str) -> Figure | None:
    """Draw test accuracy and gap at the end of training against p; None if p was not varied."""
    if "dropout.p" not in study.swept:
        return None
    dropped = table[~table["bare"]]
    numeric = pd.to_numeric(dropped["dropout.p"], errors="coerce")
    bare = table[table["bare"]]
    if numeric.isna().any() or numeric.nunique() + bool(len(bare)) < 2:
        return None
    if table["test_accuracy_mean"].isna().all():
        return None
    others = tuple(key for key in study.swept if key != "dropout.p")
    lines, left_out = _lines(dropped, others)
    figure = style.new_figure(10, 4.8)
    panels = figure.subplots(1, 2)
    steps = np.diff(sorted({0.0, *numeric.tolist()}))
    place = min(0.5 * float(steps.min()) / len(lines), _APART)  # between the lines at a p
    beside = min(0.3 * place, 0.02)
    for axes, quantity in zip(panels, ("test_accuracy", "accuracy_gap"), strict=True):
        for index, line in enumerate(lines):
            # The one cell without dropout is where each line begins, at p = 0.
            whole = pd.concat([bare, line]) if len(bare) == 1 else line
            label = None
            if others:
                label = style.wrapped(style.cell_label(line.iloc[0], others, False), style.BESIDE)
            aside = (index - (len(lines) - 1) / 2) * place
            _line_over_p(axes, study, whole, quantity, label, style.dashes(index), aside, beside)
        axes.set_xlabel("p, the chance of dropping")
        if numeric.nunique() <= 10:
            axes.set_xticks(sorted({0.0, *numeric.tolist()}))
        style.percent_axis(axes)
    panels[0].set_ylabel("test accuracy (%)")
    panels[1].set_ylabel("train − test accuracy (percentage points)")
    panels[0].set_title("test accuracy")
    panels[1].set_title("overfitting gap")
    if others:
        style.legend_beside(panels[1], panels[0].get_legend_handles_labels())
    n = style.n_seeds(table["seeds"])
    style.heading(figure, f"{title}: {when(study)}, dropout off ({n})")
    note = "; lines moved apart at each p" if len(lines) > 1 else ""
    note += f"; {left_out} lines with lower validation accuracy not shown" if left_out else ""
    style.footnote(figure, f"dots: seeds; {style.BARS}; p = 0: without dropout{note}")
    return figure


def _lines(dropped: pd.DataFrame, others: tuple[str, ...]) -> tuple[list[pd.DataFrame], int]:
    """Return the cells of each line over p, the best by validation; and how many are left out."""
    if not others:
        return [dropped], 0
    lines = [line for _, line in dropped.groupby(list(others), dropna=False, sort=False)]
    best = pd.Series([line["validation_accuracy_mean"].max() for line in lines]).sort_values(
        ascending=False, kind="stable"
    )
    shown = sorted(best.index[:_LINES_SHOWN])
    return [lines[index] for index in shown], len(lines) - len(shown)


def _line_over_p(
    axes: Axes,
    study: StudyTables,
    line: pd.DataFrame,
    quantity: str,
    label: str | None,
    dashes: str,
    aside: float,
    beside: float,
) -> None:
    """Draw the means of some cells over p and their intervals, aside of p, the seeds beside."""
    variant = line.iloc[-1].get("dropout.variant", "inverted")
    points = []
    for _, cell in line.sort_values("dropout.p").iterrows():
        ends = ends_of_cell(study, cell, quantity)
        p = 0.0 if cell["bare"] else float(cell["dropout.p"])
        x = p if cell["bare"] else p + aside
        mean = ends.mean() if len(ends) else np.nan
        points.append((x, mean))
        look: dict[str, Any] = {
            "color": style.p_colour(p),
            "marker": style.variant_marker(variant),
        }
        dots = x - beside
        axes.plot(np.full(len(ends), dots), ends, ".", color=look["color"], alpha=0.6, zorder=2)
        axes.errorbar(x, mean, half_width(ends), markersize=7, capsize=4, zorder=3, **look)
    colour = "#888888" if label is None else style.variant_colour(variant)
    axes.plot(*zip(*points, strict=True), dashes, color=colour, zorder=1, label=label)


def draw_variants(study: StudyTables, table: pd.DataFrame, title: str) -> Figure | None:
    """Draw variant by placement as a heat map of the difference to no dropout; None without both.

    Where p was varied too, a field shows the p chosen on validation.
    """
    if not {"dropout.variant", "dropout.placement"} <= set(study.swept):
        return None
    told = {"dropout.variant", "dropout.placement", "dropout.p"}
    if any(key.startswith("dropout.") for key in set(study.swept) - told):
        return None  # a field would stand for several settings
    if "dropout.p" in study.swept and table["validation_accuracy_mean"].isna().all():
        return None  # without validation there is nothing to choose p on
    dropped = table[~table["bare"] & table["difference_mean"].notna()]
    variants = list(dict.fromkeys(dropped["dropout.variant"]))
    every = list(dict.fromkeys(dropped["dropout.placement"]))
    placements = every[:_PLACEMENTS_SHOWN]
    if not variants or not placements:
        return None
    field = np.full((len(variants), len(placements)), np.nan)
    texts = {}
    for i, variant in enumerate(variants):
        for j, placement in enumerate(placements):
            here = dropped[
                (dropped["dropout.variant"] == variant)
                & (dropped["dropout.placement"] == placement)
            ]
            if here.empty:
                continue
            scores = here["validation_accuracy_mean"].to_numpy()
            best = here.iloc[int(np.argmax(scores)) if len(here) > 1 else 0]
            field[i, j] = 100 * best["difference_mean"]
            half = 100 * best["difference_half"]
            spread = f" ± {half:.2f}" if np.isfinite(half) else ""
            p = f"\np = {style.value_text(best['dropout.p'])}" if "dropout.p" in study.swept else ""
            texts[i, j] = f"{field[i, j]:+.2f}{spread}{p}"
    figure = style.new_figure(2.6 + 1.9 * len(placements), 2.2 + 0.75 * len(variants))
    axes = figure.subplots()
    limit = float(np.nanmax(np.abs(field))) or 1.0
    image = axes.imshow(field, cmap="PuOr_r", vmin=-limit, vmax=limit, aspect="auto")
    for (i, j), text in texts.items():
        dark = abs(field[i, j]) > 0.65 * limit
        axes.text(j, i, text, ha="center", va="center", color="white" if dark else "black")
    axes.set_xticks(
        range(len(placements)), [style.value_text(placement) for placement in placements]
    )
    axes.set_yticks(range(len(variants)), variants)
    axes.set_xlabel("placement")
    axes.set_ylabel("variant")
    axes.grid(visible=False)
    figure.colorbar(image, label="test accuracy,\ndifference (percentage points)")
    pairs = style.n_seeds(dropped["pairs"])
    style.heading(figure, f"{title}: test accuracy minus that without dropout")
    chosen = "p chosen on validation; " if "dropout.p" in study.swept else ""
    rest = len(every) - len(placements)
    more = f"; {rest} placements not shown" if rest else ""
    style.footnote(
        figure, f"{chosen}mean over paired seeds ({pairs}) ± half the 95 % t interval{more}"
    )
    return figure


def draw_cells(study: StudyTables, table: pd.DataFrame, title: str) -> Figure:
    """Rank every cell by its test accuracy, with its seeds and interval, best on top.

    Where runs without dropout of the same seeds are there, the paired difference stands beside it.
    """
    order = table.sort_values("test_accuracy_mean", ascending=True, na_position="first")
    shown = order.tail(_CELLS_SHOWN)
    paired = bool(shown["pairs"].any())
    figure = style.new_figure(11 if paired else 9, 1.7 + 0.34 * len(shown))
    panels = figure.subplots(1, 1 + paired, sharey=True, squeeze=False)[0]
    labels = []
    for height, (_, cell) in enumerate(shown.iterrows()):
        _ranked(panels[0], height, cell, ends_of_cell(study, cell, "test_accuracy"), study.swept)
        if paired and not cell["bare"]:
            _ranked(panels[1], height, cell, differences_of_cell(study, cell), study.swept)
        note = f" ({int(cell['others'])} not completed)" if cell["others"] else ""
        label = style.cell_label(cell, study.swept, bool(cell["bare"])) + note
        labels.append(style.wrapped(label, 60))
    bare = table[table["bare"]]["test_accuracy_mean"].dropna()
    line = {"color": style.WITHOUT, "linewidth": 1, "linestyle": ":"}
    if len(bare) == 1:
        panels[0].axvline(bare.iloc[0], **line)
    panels[0].set_yticks(range(len(shown)), labels)
    panels[0].set_ylim(-0.7, len(shown) - 0.5)
    panels[0].set_xlabel("test accuracy (%)")
    if paired:
        panels[1].axvline(0, **line)
        panels[1].set_xlabel("minus that without dropout\n(points, paired by seed)")
    for axes in panels:
        style.percent_axis(axes, "x")
    n = style.n_seeds(table["seeds"])
    style.heading(figure, f"{title}: {when(study)}, dropout off ({n})")
    left_out = len(table) - len(shown)
    rest = f"; {left_out} lower cells not shown" if left_out else ""
    dotted = "; dotted line: without dropout" if len(bare) == 1 or paired else ""
    style.footnote(figure, f"{_common_p(study)}dots: seeds; {style.BARS}{dotted}{rest}")
    return figure


def _common_p(study: StudyTables) -> str:
    """Return the p of all cells in words, where variants were swept at one p."""
    if "dropout.variant" not in study.swept or "dropout.p" in study.swept:
        return ""
    return f"p = {style.value_text(study.manifest['settings']['dropout']['p'])}; "


def _ranked(
    axes: Axes,
    height: int,
    cell: pd.Series,
    values: "np.ndarray[tuple[int], np.dtype[np.float64]]",
    swept: tuple[str, ...],
) -> None:
    """Draw the seeds of a cell and, above them, their mean and its interval."""
    variant = cell.get("dropout.variant", "none" if cell["bare"] else "inverted")
    colour = style.cell_colour(cell, swept)
    axes.plot(values, np.full(len(values), height - 0.25), ".", color=colour, alpha=0.6)
    if len(values):
        axes.errorbar(
            values.mean(),
            height,
            xerr=half_width(values),
            color=colour,
            capsize=4,
            marker=style.variant_marker(variant),
            markersize=7,
        )
