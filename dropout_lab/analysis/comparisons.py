"""Plots that compare cells: accuracy and gap against p, variant by placement, and a ranking."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dropout_lab.analysis import style
from dropout_lab.analysis.intervals import (
    Floats,
    band_edges,
    describe_figure_intervals,
    describe_interval,
    error_bar,
)
from dropout_lab.analysis.notes import LOWER_VALIDATION, describe_not_shown, gap_title
from dropout_lab.analysis.tables import (
    StudyTables,
    baseline_differences,
    describe_epoch,
    final_values,
    half_width,
)
from dropout_lab.analysis.verdicts import margin_text

_MAX_CELLS = 40
_MAX_ERROR_BARS = 20  # use a band for more values of p
_MAX_LINES = 12
_MAX_OFFSET = 0.02  # of p, between lines; small enough to read p correctly
_MAX_PLACEMENTS = 20


def draw_by_p(study: StudyTables, table: pd.DataFrame, title: str) -> Figure | None:
    """Draw final test accuracy and gap against p; None if p was not varied."""
    if "dropout.p" not in study.swept:
        return None
    dropped = table[~table["is_baseline"]]
    numeric = pd.to_numeric(dropped["dropout.p"], errors="coerce")
    baseline = table[table["is_baseline"]]
    ps = sorted({*numeric.tolist(), *[0.0] * bool(len(baseline))})
    if numeric.isna().any() or len(ps) < 2 or table["test_accuracy_mean"].isna().all():
        return None
    others = tuple(key for key in study.swept if key != "dropout.p")
    lines, left_out = _group_into_lines(dropped, others)
    figure = style.new_figure(10, 4.8)
    panels = figure.subplots(1, 2)
    many = len(ps) > _MAX_ERROR_BARS
    step = min(0.5 * float(np.diff(ps).min()) / len(lines), _MAX_OFFSET)  # between lines
    # Cells with p = 0 may have dropout at another place. Then they are points of their lines.
    first_points = baseline if len(baseline) == 1 and not (numeric == 0).any() else baseline[:0]
    for axes, quantity in zip(panels, ("test_accuracy", "accuracy_gap"), strict=True):
        for index, line in enumerate(lines):
            label = None
            if others:
                label = style.wrapped(
                    style.cell_label(line.iloc[0], others, False), style.LEGEND_WIDTH
                )
            offset = (index - (len(lines) - 1) / 2) * step
            with_baseline = pd.concat([first_points, line]) if len(first_points) else line
            style_args = (label, style.line_style(index), offset, min(0.3 * step, 0.02))
            _draw_line_over_p(axes, study, with_baseline, quantity, *style_args, many=many)
        if first_points.empty:
            _draw_baseline_level(axes, study, baseline, quantity)
        axes.set_xlabel("p, the probability of dropping")
        if numeric.nunique() <= 10:
            axes.set_xticks(ps)
        style.percent_axis(axes)
    panels[0].set_ylabel("test accuracy (%)")
    panels[1].set_ylabel("train − test accuracy (percentage points)")
    panels[0].set_title("test accuracy")
    panels[1].set_title(gap_title(study, table))
    if others or (first_points.empty and len(baseline)):
        style.legend_right(panels[1], panels[0].get_legend_handles_labels())
    seeds = pd.concat([baseline, *lines])["seeds"]
    style.heading(figure, f"{title}: {describe_epoch(study)}, dropout off ({style.n_seeds(seeds)})")
    style.footnote(
        figure,
        "dots: seeds" if seeds.max() > 1 else "",
        describe_figure_intervals(figure, seeds),
        "" if first_points.empty else "black, at p = 0: no dropout",
        "lines moved apart at each p" if len(lines) > 1 else "",
        describe_not_shown(left_out, "line", LOWER_VALIDATION),
    )
    return figure


def _draw_baseline_level(
    axes: Axes, study: StudyTables, baseline: pd.DataFrame, quantity: str
) -> None:
    """Draw the mean of the baseline as a horizontal line, if it is not a point of the lines."""
    for _, cell in baseline.iterrows():
        values = final_values(study, cell, quantity)
        if len(values):
            label = style.wrapped(style.cell_label(cell, study.swept, True), style.LEGEND_WIDTH)
            axes.axhline(values.mean(), color=style.WITHOUT, linewidth=1.2, linestyle=":")
            axes.plot(-_MAX_OFFSET, values.mean(), "s", color=style.WITHOUT, label=label, zorder=3)
            at = np.full(len(values), -1.3 * _MAX_OFFSET)
            axes.plot(at, values, ".", color=style.WITHOUT, alpha=0.6, zorder=2)
            bars = error_bar(values, quantity)
            axes.errorbar(-_MAX_OFFSET, values.mean(), bars, color=style.WITHOUT, capsize=4)


def _group_into_lines(
    dropped: pd.DataFrame, others: tuple[str, ...]
) -> tuple[list[pd.DataFrame], int]:
    """Return the best lines by validation, and the number of other lines."""
    if not others:
        return [dropped], 0
    lines = [line for _, line in dropped.groupby(list(others), dropna=False, sort=False)]
    best = pd.Series([line["validation_accuracy_mean"].max() for line in lines]).sort_values(
        ascending=False, kind="stable"
    )
    shown = sorted(best.index[:_MAX_LINES])
    return [lines[index] for index in shown], len(lines) - len(shown)


def _draw_line_over_p(
    axes: Axes,
    study: StudyTables,
    line: pd.DataFrame,
    quantity: str,
    label: str | None,
    dashes: str,
    offset: float,
    seed_offset: float,
    *,
    many: bool,
) -> None:
    """Draw means and intervals of cells against p, shifted by ``offset``, with dots for the seeds.

    With ``many`` cells, draw a band and smaller markers.
    """
    variant = line.iloc[-1].get("dropout.variant", "inverted")
    points = []
    for _, cell in line.sort_values("dropout.p").iterrows():
        values = final_values(study, cell, quantity)
        if not len(values):
            continue
        x = 0.0 if cell["is_baseline"] else float(cell["dropout.p"]) + offset
        points.append((x, float(values.mean()), half_width(values)))
        colour = style.WITHOUT if cell["is_baseline"] else style.p_colour(cell["dropout.p"])
        dots: dict[str, Any] = {"markersize": 2.5} if many else {}
        at = np.full(len(values), x - seed_offset)
        axes.plot(at, values, ".", color=colour, alpha=0.4 if many else 0.6, zorder=2, **dots)
        bars = None if many else error_bar(values, quantity)
        style_args: dict[str, Any] = {"color": colour, "marker": style.variant_marker(variant)}
        axes.errorbar(
            x, values.mean(), bars, markersize=3.5 if many else 7, capsize=4, zorder=3, **style_args
        )
    colour = "#888888" if label is None else style.variant_colour(variant)
    every = pd.DataFrame(points, columns=["p", "mean", "half"])
    axes.plot(every["p"], every["mean"], dashes, color=colour, zorder=1, label=label)
    if many:
        edges = band_edges(every, quantity)
        axes.fill_between(every["p"], *edges, color=colour, alpha=0.2, linewidth=0, zorder=0)


def draw_variants(study: StudyTables, table: pd.DataFrame, title: str) -> Figure | None:
    """Draw a heat map of the difference from the baseline, variant by placement.

    If p was varied too, each tile shows the p chosen on validation. None if variant or placement
    was not varied.
    """
    if not {"dropout.variant", "dropout.placement"} <= set(study.swept):
        return None
    shown_keys = {"dropout.variant", "dropout.placement", "dropout.p"}
    if any(key.startswith("dropout.") for key in set(study.swept) - shown_keys):
        return None  # a tile would contain several settings
    if "dropout.p" in study.swept and table["validation_accuracy_mean"].isna().all():
        return None  # p cannot be chosen without a validation set
    dropped = table[~table["is_baseline"] & table["difference_mean"].notna()]
    variants = list(dict.fromkeys(dropped["dropout.variant"]))
    every = list(dict.fromkeys(dropped["dropout.placement"]))
    placements = every[:_MAX_PLACEMENTS]
    if not variants or not placements:
        return None
    grid, texts = _difference_grid(study, dropped, variants, placements)
    figure = style.new_figure(2.6 + 1.9 * len(placements), 2.2 + 0.75 * len(variants))
    axes = figure.subplots()
    limit = float(np.nanmax(np.abs(grid))) or 1.0
    image = axes.imshow(grid, cmap="PuOr_r", vmin=-limit, vmax=limit, aspect="auto")
    for (i, j), text in texts.items():
        dark = abs(grid[i, j]) > 0.65 * limit
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
    style.heading(figure, f"{title}: test accuracy, difference from the baseline")
    rest = len(every) - len(placements)
    style.footnote(
        figure,
        "p chosen on validation" if "dropout.p" in study.swept else "",
        describe_interval(
            f"mean over paired seeds ({pairs}) ± half the 95% t interval", dropped["pairs"]
        ),
        describe_not_shown(rest, "placement"),
    )
    return figure


def _difference_grid(
    study: StudyTables, dropped: pd.DataFrame, variants: list[str], placements: list[str]
) -> tuple[Floats, dict[tuple[int, int], str]]:
    """Return a grid of differences in percentage points, variants by placements, and tile texts."""
    grid = np.full((len(variants), len(placements)), np.nan)
    texts: dict[tuple[int, int], str] = {}
    for i, variant in enumerate(variants):
        for j, placement in enumerate(placements):
            tile_cells = dropped[
                (dropped["dropout.variant"] == variant)
                & (dropped["dropout.placement"] == placement)
            ]
            if tile_cells.empty:
                continue
            scores = tile_cells["validation_accuracy_mean"].to_numpy()
            best = tile_cells.iloc[int(np.argmax(scores)) if len(tile_cells) > 1 else 0]
            grid[i, j] = 100 * best["difference_mean"]
            half = 100 * best["difference_half"]
            spread = f" ± {half:.2f}" if np.isfinite(half) else ""
            p = f"\np = {style.value_text(best['dropout.p'])}" if "dropout.p" in study.swept else ""
            texts[i, j] = f"{grid[i, j]:+.2f}{spread}{p}"
    return grid, texts


def draw_cells(
    study: StudyTables, table: pd.DataFrame, title: str, margin: float | None = None
) -> Figure:
    """Draw all cells ranked by test accuracy, the best at the top, with seeds and intervals.

    A second panel shows the paired differences from the baseline, if there are any, with a shaded
    band of ± the margin.
    """
    order = table.sort_values("test_accuracy_mean", ascending=True, na_position="first")
    shown = order.tail(_MAX_CELLS)
    paired = bool(shown["pairs"].any())
    figure = style.new_figure(11 if paired else 9, 1.7 + 0.34 * len(shown))
    panels = figure.subplots(1, 1 + paired, sharey=True, squeeze=False)[0]
    labels = []
    for height, (_, cell) in enumerate(shown.iterrows()):
        colour = style.cell_colour(cell, study.swept)
        accuracies = final_values(study, cell, "test_accuracy")
        _draw_ranked_cell(panels[0], height, cell, accuracies, "test_accuracy", colour)
        if paired and not cell["is_baseline"]:
            differences = baseline_differences(study, cell)
            _draw_ranked_cell(panels[1], height, cell, differences, "difference", colour)
        label = style.cell_name(cell, study.swept) + _not_completed(cell)
        labels.append(style.wrapped(label, 60))
        if not cell["seeds"]:
            style_args: dict[str, Any] = {
                "transform": panels[0].get_yaxis_transform(),
                "va": "center",
            }
            panels[0].text(0.01, height, "no completed run", color="#888888", **style_args)
    baseline = table[table["is_baseline"]]["test_accuracy_mean"].dropna()
    line = {"color": style.WITHOUT, "linewidth": 1, "linestyle": ":"}
    if len(baseline) == 1:
        panels[0].axvline(baseline.iloc[0], **line)
    panels[0].set_yticks(range(len(shown)), labels)
    panels[0].set_ylim(-0.7, len(shown) - 0.5)
    panels[0].set_xlabel("test accuracy (%)")
    if paired:
        panels[1].axvline(0, **line)
        if margin is not None:
            panels[1].axvspan(-margin, margin, color=style.WITHOUT, alpha=0.1, linewidth=0)
        panels[1].set_xlabel("difference from the baseline\n(percentage points, paired by seed)")
    for axes in panels:
        style.percent_axis(axes, "x")
    n = style.n_seeds(shown["seeds"])
    style.heading(figure, f"{title}: {describe_epoch(study)}, dropout off ({n})")
    left_out = len(table) - len(shown)
    style.footnote(
        figure,
        _common_p(study),
        "dots: seeds" if shown["seeds"].max() > 1 else "",
        describe_interval(style.BARS, shown["seeds"]),
        "dotted line: baseline (no dropout)" if len(baseline) == 1 or paired else "",
        f"shaded: ± {margin_text(margin)}, the margin" if paired and margin is not None else "",
        describe_not_shown(left_out, "setting", "with lower test accuracy"),
    )
    return figure


def _not_completed(cell: pd.Series) -> str:
    """Return the number of runs of a cell that are not drawn, for its label."""
    parts = [f"{int(cell['others'])} not completed"] * bool(cell["others"])
    parts += [f"{int(cell['missing'])} missing"] * bool(cell["missing"])
    return f" ({', '.join(parts)})" if parts else ""


def _common_p(study: StudyTables) -> str:
    """Return the common p of all cells, if variants were swept at one p."""
    if "dropout.variant" not in study.swept or "dropout.p" in study.swept:
        return ""
    return f"p = {style.value_text(study.manifest.settings['dropout']['p'])}"


def _draw_ranked_cell(
    axes: Axes, height: int, cell: pd.Series, values: Floats, column: str, colour: str
) -> None:
    """Draw the seeds of one cell and, above them, their mean with its interval."""
    if not len(values):
        return
    variant = cell.get("dropout.variant", "none" if cell["is_baseline"] else "inverted")
    if len(values) > 1:
        axes.plot(values, np.full(len(values), height - 0.25), ".", color=colour, alpha=0.6)
    axes.errorbar(
        values.mean(),
        height,
        xerr=error_bar(values, column),
        color=colour,
        capsize=4,
        marker=style.variant_marker(variant),
        markersize=7,
    )
