"""Reproduce a paper's figure: plot a study on the paper's axes, with the paper's values."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator

from dropout_lab.analysis import phrases, style
from dropout_lab.analysis.curves import draw_curve, mean_over_seeds
from dropout_lab.analysis.intervals import band_edges, bar_lengths, describe_figure_intervals
from dropout_lab.analysis.notes import describe_not_shown
from dropout_lab.analysis.paper_figure_axes import AXIS_LABELS, X_OF_SETTINGS, highest_p
from dropout_lab.analysis.paper_table_plot import draw_rows
from dropout_lab.analysis.published import error_of_value, part_of_value, settings_of_value
from dropout_lab.analysis.published_markers import published_footnote, published_style
from dropout_lab.analysis.tables import (
    StudyTables,
    completed_rows,
    final_values,
    half_width,
    settings_of_cell,
)
from dropout_lab.analysis.tuned_p import (
    Point,
    choose_p,
    draw_rings,
    draw_tuned_line,
    ordered_colours,
)
from dropout_lab.config.grid import values_of
from dropout_lab.config.published import FigureSettings, PublishedSettings
from dropout_lab.config.schema import Settings
from dropout_lab.config.sections.dropout import is_baseline

_MAX_LINES = 12
_MAX_ERROR_BARS = 20  # use a band for more points
_DASHES: dict[str, Literal["-", ":", "--"]] = {
    "test_error": "-",
    "validation_error": ":",
    "train_error": "--",
}
_MARKERS = {"test_error": "o", "validation_error": "s", "train_error": "^"}  # for a single epoch


def draw_figure(study: StudyTables, table: pd.DataFrame, title: str) -> Figure | None:
    """Draw a study on the axes in its config, with its published values.

    None if the config has neither axes nor published values.
    """
    published = study.manifest.published
    if study.manifest.figure is None and (published is None or not published.values):
        return None
    settings = study.manifest.figure or FigureSettings()
    with_title = settings.title or title
    if settings.x is None:
        return draw_rows(study, table, published, with_title)
    if settings.x in ("updates", "epoch"):
        return _draw_training_curves(study, table, settings, published, with_title)
    return _draw_lines(study, table, settings, published, with_title)


def _draw_lines(
    study: StudyTables,
    table: pd.DataFrame,
    settings: FigureSettings,
    published: PublishedSettings | None,
    title: str,
) -> Figure | None:
    """Draw means over the seeds against the varied setting, one line for each kind of cell."""
    points = [(settings_of_cell(study, cell), cell) for _, cell in table.iterrows()]
    x_of = X_OF_SETTINGS[str(settings.x)]
    lines, left_out = _group_into_lines(study, settings, [own for own, _ in points])
    if not lines:
        return None
    figure = style.new_figure(9 if len(lines) > 1 else 7, 4.8)
    axes = figure.subplots()
    ticks = {x_of(own) for own, _ in points}
    published_points = _published_points(study, published, settings.y)
    for label, (colour, marker, members) in lines.items():
        for quantity in settings.y:
            points_of_line = []
            for own, cell in points:
                if own not in members:
                    continue
                values = _final_errors(study, cell, quantity)
                if len(values):
                    points_of_line.append((x_of(own), values.mean(), half_width(values)))
            _draw_line(axes, sorted(points_of_line), colour, marker, quantity, label)
        for value in published_points:
            if value.epoch is None and _line_label(study, settings, value.settings) == label:
                style_args = published_style(value.seen, colour, marker)
                axes.errorbar(x_of(value.settings), value.error, yerr=value.spread, **style_args)
                ticks.add(x_of(value.settings))
    if settings.tuned:
        _mark_tuned(axes, study, settings, points, [members for *_, members in lines.values()])
    if settings.log_x:
        axes.set_xscale("log")
    if settings.x in ("p", "keep"):
        axes.set_xlim(-0.03, 1.03)
    else:
        axes.set_xticks(sorted(ticks) if len(ticks) < 9 else axes.get_xticks())
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.minorticks_off()
    axes.set_xlabel(AXIS_LABELS[str(settings.x)])
    omitted = describe_not_shown(left_out, "line")
    all_settings = set().union(*(members for _, _, members in lines.values()))
    seeds = [int(cell["seeds"]) for own, cell in points if own in all_settings]
    return _finish_figure(figure, axes, study, table, settings, published, title, seeds, omitted)


def _mark_tuned(
    axes: Axes,
    study: StudyTables,
    figure: FigureSettings,
    points: list[Point],
    lines: list[set[Settings]],
) -> None:
    """Mark the p that validation chose: on each line over p, elsewhere as a line of its own."""
    quantity, x_of = figure.y[0], X_OF_SETTINGS[str(figure.x)]
    if figure.x in ("p", "keep"):
        groups = [[point for point in points if point[0] in members] for members in lines]
        chosen = [point for group in groups for point in choose_p(group, lambda _: None)]
        values = [(x_of(own), _final_errors(study, cell, quantity)) for own, cell in chosen]
        draw_rings(axes, [(x, float(errors.mean())) for x, errors in values])
        return
    chosen = sorted(choose_p(points, x_of), key=lambda point: x_of(point[0]))
    errors = [_final_errors(study, cell, quantity) for _, cell in chosen]
    means = np.array([each.mean() for each in errors])
    halves = np.array([half_width(each) for each in errors])
    bars = np.nan_to_num(bar_lengths(means, halves, "error"))
    draw_tuned_line(axes, [x_of(own) for own, _ in chosen], means, bars)


@dataclass(frozen=True)
class _PublishedPoint:
    """A published value as an error in percent, its part of the data, and its settings."""

    settings: Settings
    part: str
    epoch: int | None
    error: float
    spread: float | None
    seen: bool


def _published_points(
    study: StudyTables, published: PublishedSettings | None, drawn: Iterable[str]
) -> list[_PublishedPoint]:
    """Return the published values of the drawn errors that were measured with the mean rule."""
    found = []
    for value in published.values if published is not None else ():
        value_settings = settings_of_value(study, value)
        part = part_of_value(value)
        if f"{part}_error" not in drawn:
            continue
        if published is not None and value_settings is not None and value.inference == "mean":
            scale = 1 if published.unit == "%" else 100
            spread = value.tolerance or value.sd
            error = error_of_value(published.unit, value)
            spread = spread and scale * spread
            point = _PublishedPoint(value_settings, part, value.epoch, error, spread, value.seen)
            found.append(point)
    return found


def _draw_line(
    axes: Axes, points_of_line: list[Any], colour: str, marker: str, quantity: str, label: str
) -> None:
    """Draw one line with its intervals; nothing without points."""
    if not points_of_line:
        return
    points = pd.DataFrame(points_of_line, columns=["x", "mean", "half"])
    bars = np.nan_to_num(bar_lengths(points["mean"], points["half"], "error"))
    test, many = quantity == "test_error", len(points) > _MAX_ERROR_BARS
    axes.errorbar(
        points["x"].to_numpy(),
        points["mean"].to_numpy(),
        yerr=None if many else bars,
        fmt=_DASHES[quantity],
        color=colour,
        marker=marker if test else ".",
        markersize=3.5 if many else 6,
        capsize=3,
        label=label if test else None,
    )
    if many:
        edges = band_edges(points, "error")
        axes.fill_between(points["x"], *edges, color=colour, alpha=0.15, linewidth=0)


def _group_into_lines(
    study: StudyTables, figure: FigureSettings, all_settings: list[Settings]
) -> tuple[dict[str, tuple[str, str, set[Settings]]], int]:
    """Return colour, marker and cells of each line, and the number of omitted lines.

    A baseline is the first point of each line over p, or a line of its own.
    """
    over_p = figure.x in ("p", "keep")
    lines: dict[str, tuple[str, str, set[Settings]]] = {}
    for own in all_settings:
        if over_p and is_baseline(own):
            continue
        label = _line_label(study, figure, own)
        style_args = style.variant_look(own.dropout.variant)
        if figure.tuned and not over_p and not is_baseline(own):  # a colour for each p
            style_args = style.p_colour(own.dropout.p), style_args[1]
        lines.setdefault(label, (*style_args, set()))[2].add(own)
    for own in filter(is_baseline, all_settings if lines and over_p else ()):
        starting_lines = [
            members
            for _, _, members in lines.values()
            if _equal_except_dropout(study, figure, own, next(iter(members)))
            # Cells with p = 0 may have dropout at another place. Their line has its own point.
            and not any(highest_p(one) == 0 and not is_baseline(one) for one in members)
        ]
        for members in starting_lines:
            members.add(own)
        if not starting_lines:
            rest = [key for key in _line_keys(study, figure) if not key.startswith("dropout.")]
            label = style.cell_label(values_of(own, rest), tuple(rest), True)
            lines[label] = (style.WITHOUT, "D", {own})
    shown = dict(list(lines.items())[:_MAX_LINES])
    colours = style.distinct_styles((colour, "-") for colour, _, _ in shown.values())
    if figure.tuned and over_p:
        colours = [(colour, "-") for colour in ordered_colours(len(shown))]
    line_styles = {
        label: (colour, marker, members)
        for (label, (_, marker, members)), (colour, _) in zip(shown.items(), colours, strict=True)
    }
    return line_styles, len(lines) - len(shown)


def _line_label(study: StudyTables, figure: FigureSettings, own: Settings) -> str:
    """Return the label of the line that a cell belongs to."""
    keys = _line_keys(study, figure)
    if is_baseline(own) and figure.x not in ("p", "keep"):
        rest = tuple(key for key in keys if not key.startswith("dropout."))
        return style.cell_label(values_of(own, rest), rest, True)
    return style.cell_label(values_of(own, keys), keys, False)


def _equal_except_dropout(
    study: StudyTables, figure: FigureSettings, a: Settings, b: Settings
) -> bool:
    keys = [key for key in _line_keys(study, figure) if not key.startswith("dropout.")]
    return values_of(a, keys) == values_of(b, keys)


def _line_keys(study: StudyTables, figure: FigureSettings) -> tuple[str, ...]:
    if figure.by is not None:
        return figure.by
    shown = {
        "p": {"dropout.p", "dropout.input_p"},
        "keep": {"dropout.p", "dropout.input_p"},
        "units": {"model.hidden"},
        "train_size": {"dataset.train_size", "dataset.name"},
    }
    return tuple(key for key in study.swept if key not in shown[str(figure.x)])


def _draw_training_curves(
    study: StudyTables,
    table: pd.DataFrame,
    settings: FigureSettings,
    published: PublishedSettings | None,
    title: str,
) -> Figure | None:
    """Draw error against epochs or updates, one curve for each cell, with the published values."""
    shown = table.head(_MAX_LINES)
    figure = style.new_figure(9.5, 4.8)
    axes = figure.subplots()
    kinds: dict[tuple[Any, ...], str] = {}
    line_styles = []
    others = [key for key in study.swept if not key.startswith("dropout.")]
    for _, cell in shown.iterrows():
        kind = tuple(map(str, values_of(settings_of_cell(study, cell), others).values()))
        dashes = kinds.setdefault(kind, style.line_style(len(kinds)))
        line_styles.append((style.cell_colour(cell, study.swept), dashes))
    published_points = _published_points(study, published, settings.y)
    x = "updates" if settings.x == "updates" else "epoch"
    cells_with_styles = zip(shown.iterrows(), style.distinct_styles(line_styles), strict=True)
    for (_, cell), (colour, dashes) in cells_with_styles:
        own = settings_of_cell(study, cell)
        rows = completed_rows(study, study.metrics, cell)
        label = style.cell_name(cell, study.swept)
        for quantity in settings.y:
            part = quantity.removesuffix("_error")
            error = rows.assign(error=100 * (1 - rows[f"{part}_accuracy"]))
            words = style.wrapped(label, style.LEGEND_WIDTH) if quantity == settings.y[0] else ""
            style_args = (colour, dashes, _MARKERS[quantity])
            draw_curve(axes, error, "error", *style_args, label=words, x_column=x)
        ends = mean_over_seeds(rows, "test_accuracy", x)[x].max(), rows["epoch"].max()
        _draw_published_curve(
            axes, [each for each in published_points if each.settings == own], ends, colour
        )
    axes.set_xlabel(AXIS_LABELS[str(settings.x)])
    if settings.log_x:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.minorticks_off()
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    left_out = len(table) - len(shown)
    omitted = describe_not_shown(left_out, "setting")
    seeds = shown["seeds"]
    return _finish_figure(figure, axes, study, table, settings, published, title, seeds, omitted)


def _draw_published_curve(
    axes: Axes, points: list[_PublishedPoint], ends: tuple[float, float], colour: str
) -> None:
    """Draw the published values of a cell, each at its epoch or at the end of training.

    Args:
        axes: The axes to draw on.
        points: The published values.
        ends: The last x value of our curve, and its epoch.
        colour: The colour of our curve.
    """
    end, epochs = ends
    for seen, part in sorted({(point.seen, point.part) for point in points}, reverse=True):
        own = [point for point in points if (point.seen, point.part) == (seen, part)]
        values = sorted((point.epoch or epochs, point.error) for point in own)
        x, y = np.array([(end * epoch / epochs, error) for epoch, error in values]).T
        style_args = published_style(seen, colour) | {
            "linestyle": ":" if len(values) > 1 else "none",
            "linewidth": 0.8,
        }
        axes.plot(x, y, **style_args, clip_on=False)


def _finish_figure(
    figure: Figure,
    axes: Axes,
    study: StudyTables,
    table: pd.DataFrame,
    settings: FigureSettings,
    published: PublishedSettings | None,
    title: str,
    seeds: Iterable[int],
    omitted: str,
) -> Figure:
    """Add the y axis, legends, heading and footnote to a figure."""
    axes.set_ylabel("error (%)" if len(settings.y) > 1 else f"{_error_name(settings.y[0])} (%)")
    axes.set_ylim(0, settings.y_max or min(axes.get_ylim()[1], 100))
    handles, labels = axes.get_legend_handles_labels()
    several = len(settings.y) > 1
    parts = [Line2D([], [], color="#444444", linestyle=_DASHES[q]) for q in settings.y if several]
    words = [_error_name(quantity) for quantity in settings.y if several]
    if len(labels) > 1 or settings.x in ("updates", "epoch"):
        style.legend_right(axes, ([*handles, *parts], [*labels, *words]))
    elif several:
        axes.legend(parts, words, loc="best")
    style.heading(figure, f"{title} ({style.n_seeds(seeds)})")
    spread = describe_figure_intervals(figure, seeds)
    note = published_footnote(study, table, spread, "open markers")
    style.footnote(figure, note, _describe_cut_lines(axes, settings.y_max), omitted)
    return figure


def _describe_cut_lines(axes: Axes, limit: float | None) -> str:
    """Name the lines that are partly above the upper limit of the y axis."""
    handles: tuple[list[Any], list[str]] = axes.get_legend_handles_labels()
    cut = []
    for handle, label in zip(*handles, strict=True):
        line = handle[0] if isinstance(handle, ErrorbarContainer) else handle
        if limit is not None and np.nanmax(line.get_ydata()) > limit:
            cut.append(" ".join(label.split()))
    if not cut:
        return ""
    return f"in part above {limit:g}%, where the axis ends: {phrases.join_some(cut)}"


def _error_name(quantity: str) -> str:
    part = quantity.removesuffix("_error")
    return f"{'training' if part == 'train' else part} error"


def _final_errors(study: StudyTables, cell: pd.Series, quantity: str) -> Any:
    return 100 * (1 - final_values(study, cell, f"{quantity.removesuffix('_error')}_accuracy"))
