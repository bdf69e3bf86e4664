"""Pictures across cells: accuracy and gap against p, variant by placement, and every cell."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dropout_lab.analysis import style
from dropout_lab.analysis.intervals import Floats, band, bar, interval_words, spread_words
from dropout_lab.analysis.notes import LOWER, gap_words, not_shown
from dropout_lab.analysis.tables import (
    StudyTables,
    differences_of_cell,
    ends_of_cell,
    half_width,
    when,
)

_CELLS_SHOWN = 40
_BARS_SHOWN = 20  # more values of p have a band
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
    ps = sorted({*numeric.tolist(), *[0.0] * bool(len(bare))})
    if numeric.isna().any() or len(ps) < 2 or table["test_accuracy_mean"].isna().all():
        return None
    others = tuple(key for key in study.swept if key != "dropout.p")
    lines, left_out = _lines(dropped, others)
    figure = style.new_figure(10, 4.8)
    panels = figure.subplots(1, 2)
    many = len(ps) > _BARS_SHOWN
    place = min(0.5 * float(np.diff(ps).min()) / len(lines), _APART)  # between the lines at a p
    # At p = 0 some other place may drop: such cells are not the baseline, and a line has them.
    begins = bare if len(bare) == 1 and not (numeric == 0).any() else bare[:0]
    for axes, quantity in zip(panels, ("test_accuracy", "accuracy_gap"), strict=True):
        for index, line in enumerate(lines):
            label = None
            if others:
                label = style.wrapped(style.cell_label(line.iloc[0], others, False), style.BESIDE)
            aside = (index - (len(lines) - 1) / 2) * place
            whole = pd.concat([begins, line]) if len(begins) else line
            look = (label, style.dashes(index), aside, min(0.3 * place, 0.02))
            _line_over_p(axes, study, whole, quantity, *look, many=many)
        if begins.empty:
            _baseline(axes, study, bare, quantity)
        axes.set_xlabel("p, the chance of dropping")
        if numeric.nunique() <= 10:
            axes.set_xticks(ps)
        style.percent_axis(axes)
    panels[0].set_ylabel("test accuracy (%)")
    panels[1].set_ylabel("train − test accuracy (percentage points)")
    panels[0].set_title("test accuracy")
    panels[1].set_title(gap_words(study, table))
    if others or (begins.empty and len(bare)):
        style.legend_beside(panels[1], panels[0].get_legend_handles_labels())
    seeds = pd.concat([bare, *lines])["seeds"]
    style.heading(figure, f"{title}: {when(study)}, dropout off ({style.n_seeds(seeds)})")
    style.footnote(
        figure,
        "dots: seeds" if seeds.max() > 1 else "",
        spread_words(figure, seeds),
        "" if begins.empty else "black, at p = 0: without dropout",
        "lines moved apart at each p" if len(lines) > 1 else "",
        not_shown(left_out, "line", LOWER),
    )
    return figure


def _baseline(axes: Axes, study: StudyTables, bare: pd.DataFrame, quantity: str) -> None:
    """Draw the mean without dropout as a level, where no line begins with it."""
    for _, cell in bare.iterrows():
        ends = ends_of_cell(study, cell, quantity)
        if len(ends):
            label = style.wrapped(style.cell_label(cell, study.swept, True), style.BESIDE)
            axes.axhline(ends.mean(), color=style.WITHOUT, linewidth=1.2, linestyle=":")
            axes.plot(-_APART, ends.mean(), "s", color=style.WITHOUT, label=label, zorder=3)
            at = np.full(len(ends), -1.3 * _APART)
            axes.plot(at, ends, ".", color=style.WITHOUT, alpha=0.6, zorder=2)
            bars = bar(ends, quantity)
            axes.errorbar(-_APART, ends.mean(), bars, color=style.WITHOUT, capsize=4)


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
    *,
    many: bool,
) -> None:
    """Draw the means of some cells over p and their intervals, aside of p, the seeds beside.

    Many of them have a band, and smaller markers.
    """
    variant = line.iloc[-1].get("dropout.variant", "inverted")
    points = []
    for _, cell in line.sort_values("dropout.p").iterrows():
        ends = ends_of_cell(study, cell, quantity)
        if not len(ends):
            continue
        x = 0.0 if cell["bare"] else float(cell["dropout.p"]) + aside
        points.append((x, float(ends.mean()), half_width(ends)))
        colour = style.WITHOUT if cell["bare"] else style.p_colour(cell["dropout.p"])
        dots: dict[str, Any] = {"markersize": 2.5} if many else {}
        at = np.full(len(ends), x - beside)
        axes.plot(at, ends, ".", color=colour, alpha=0.4 if many else 0.6, zorder=2, **dots)
        bars = None if many else bar(ends, quantity)
        look: dict[str, Any] = {"color": colour, "marker": style.variant_marker(variant)}
        axes.errorbar(
            x, ends.mean(), bars, markersize=3.5 if many else 7, capsize=4, zorder=3, **look
        )
    colour = "#888888" if label is None else style.variant_colour(variant)
    every = pd.DataFrame(points, columns=["p", "mean", "half"])
    axes.plot(every["p"], every["mean"], dashes, color=colour, zorder=1, label=label)
    if many:
        edges = band(every, quantity)
        axes.fill_between(every["p"], *edges, color=colour, alpha=0.2, linewidth=0, zorder=0)


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
    field, texts = _differences(study, dropped, variants, placements)
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
    style.heading(figure, f"{title}: test accuracy, difference from no dropout")
    rest = len(every) - len(placements)
    style.footnote(
        figure,
        "p chosen on validation" if "dropout.p" in study.swept else "",
        interval_words(
            f"mean over paired seeds ({pairs}) ± half the 95% t interval", dropped["pairs"]
        ),
        not_shown(rest, "placement"),
    )
    return figure


def _differences(
    study: StudyTables, dropped: pd.DataFrame, variants: list[str], placements: list[str]
) -> tuple[Floats, dict[tuple[int, int], str]]:
    """Return the differences in percentage points of variants by placements, and their texts."""
    field = np.full((len(variants), len(placements)), np.nan)
    texts: dict[tuple[int, int], str] = {}
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
    return field, texts


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
        colour = style.cell_colour(cell, study.swept)
        accuracies = ends_of_cell(study, cell, "test_accuracy")
        _ranked(panels[0], height, cell, accuracies, "test_accuracy", colour)
        if paired and not cell["bare"]:
            differences = differences_of_cell(study, cell)
            _ranked(panels[1], height, cell, differences, "difference", colour)
        label = style.cell_label(cell, study.swept, bool(cell["bare"])) + _not_completed(cell)
        labels.append(style.wrapped(label, 60))
        if not cell["seeds"]:
            look: dict[str, Any] = {"transform": panels[0].get_yaxis_transform(), "va": "center"}
            panels[0].text(0.01, height, "no completed run", color="#888888", **look)
    bare = table[table["bare"]]["test_accuracy_mean"].dropna()
    line = {"color": style.WITHOUT, "linewidth": 1, "linestyle": ":"}
    if len(bare) == 1:
        panels[0].axvline(bare.iloc[0], **line)
    panels[0].set_yticks(range(len(shown)), labels)
    panels[0].set_ylim(-0.7, len(shown) - 0.5)
    panels[0].set_xlabel("test accuracy (%)")
    if paired:
        panels[1].axvline(0, **line)
        panels[1].set_xlabel("difference from no dropout\n(percentage points, paired by seed)")
    for axes in panels:
        style.percent_axis(axes, "x")
    n = style.n_seeds(shown["seeds"])
    style.heading(figure, f"{title}: {when(study)}, dropout off ({n})")
    left_out = len(table) - len(shown)
    style.footnote(
        figure,
        _common_p(study),
        "dots: seeds" if shown["seeds"].max() > 1 else "",
        interval_words(style.BARS, shown["seeds"]),
        "dotted line: without dropout" if len(bare) == 1 or paired else "",
        not_shown(left_out, "setting", "with lower test accuracy"),
    )
    return figure


def _not_completed(cell: pd.Series) -> str:
    """Return what a cell's label says of runs that are not drawn."""
    parts = [f"{int(cell['others'])} not completed"] * bool(cell["others"])
    parts += [f"{int(cell['missing'])} missing"] * bool(cell["missing"])
    return f" ({', '.join(parts)})" if parts else ""


def _common_p(study: StudyTables) -> str:
    """Return the p of all cells in words, where variants were swept at one p."""
    if "dropout.variant" not in study.swept or "dropout.p" in study.swept:
        return ""
    return f"p = {style.value_text(study.manifest['settings']['dropout']['p'])}"


def _ranked(
    axes: Axes, height: int, cell: pd.Series, values: Floats, column: str, colour: str
) -> None:
    """Draw the seeds of a cell and, above them, their mean and its interval."""
    if not len(values):
        return
    variant = cell.get("dropout.variant", "none" if cell["bare"] else "inverted")
    if len(values) > 1:
        axes.plot(values, np.full(len(values), height - 0.25), ".", color=colour, alpha=0.6)
    axes.errorbar(
        values.mean(),
        height,
        xerr=bar(values, column),
        color=colour,
        capsize=4,
        marker=style.variant_marker(variant),
        markersize=7,
    )
