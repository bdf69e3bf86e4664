"""The picture that a study is made for: a paper's figure or table, with the paper's numbers."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator

from dropout_lab.analysis import style
from dropout_lab.analysis.curves import curve, over_seeds
from dropout_lab.analysis.intervals import band, lengths, spread_words
from dropout_lab.analysis.notes import not_shown
from dropout_lab.analysis.paper_table_plot import draw_rows
from dropout_lab.analysis.published import error_of_value, published_of, settings_of_value
from dropout_lab.analysis.published_markers import footnote, published_look
from dropout_lab.analysis.tables import (
    StudyTables,
    completed_rows,
    ends_of_cell,
    half_width,
    settings_of_cell,
)
from dropout_lab.config.grid import values_of
from dropout_lab.config.published import FigureSettings, PublishedSettings
from dropout_lab.config.schema import Settings, p_of_places, without_dropout
from dropout_lab.config.sizes import training_examples

_LINES_SHOWN = 12
_BARS_SHOWN = 20  # more points of a line have a band
_DASHES: dict[str, Literal["-", ":", "--"]] = {
    "test_error": "-",
    "validation_error": ":",
    "train_error": "--",
}
_MARKERS = {"test_error": "o", "validation_error": "s", "train_error": "^"}  # of one epoch
_AXES = {
    "p": "p, the chance of dropping",
    "keep": "probability of keeping a unit, 1 − p",
    "units": "units of the first hidden layer",
    "train_size": "training examples",
    "updates": "updates of the weights",
    "epoch": "epoch",
}


def draw_figure(study: StudyTables, table: pd.DataFrame, title: str) -> Figure | None:
    """Draw a study on the axes that its config gives, with its published values.

    None where the config has neither.
    """
    asked, published = study.manifest.get("figure"), published_of(study)
    if asked is None and (published is None or not published.values):
        return None
    settings = FigureSettings.model_validate(asked or {})
    with_title = settings.title or title
    if settings.x is None:
        return draw_rows(study, table, published, with_title)
    if settings.x in ("updates", "epoch"):
        return _draw_courses(study, table, settings, published, with_title)
    return _draw_lines(study, table, settings, published, with_title)


def _draw_lines(
    study: StudyTables,
    table: pd.DataFrame,
    settings: FigureSettings,
    published: PublishedSettings | None,
    title: str,
) -> Figure | None:
    """Draw means over the seeds against what was varied, a line for each kind of cell."""
    points = [(settings_of_cell(study, cell), cell) for _, cell in table.iterrows()]
    place = _PLACES[str(settings.x)]
    lines, left_out = _lines(study, settings, [own for own, _ in points])
    if not lines:
        return None
    figure = style.new_figure(9 if len(lines) > 1 else 7, 4.8)
    axes = figure.subplots()
    ticks = {place(own) for own, _ in points}
    printed = _printed(study, published)
    for label, (colour, marker, members) in lines.items():
        for quantity in settings.y:
            drawn = []
            for own, cell in points:
                if own not in members:
                    continue
                values = _error(study, cell, quantity)
                if len(values):
                    drawn.append((place(own), values.mean(), half_width(values)))
            _line(axes, sorted(drawn), colour, marker, quantity, label)
        for value in printed:
            if value.epoch is None and _line_of(study, settings, value.settings) == label:
                look = published_look(value.seen, colour, marker)
                axes.errorbar(place(value.settings), value.error, yerr=value.spread, **look)
                ticks.add(place(value.settings))
    if settings.log_x:
        axes.set_xscale("log")
    if settings.x in ("p", "keep"):
        axes.set_xlim(-0.03, 1.03)
    else:
        axes.set_xticks(sorted(ticks) if len(ticks) < 9 else axes.get_xticks())
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.minorticks_off()
    axes.set_xlabel(_AXES[str(settings.x)])
    more = not_shown(left_out, "line")
    every = set().union(*(members for _, _, members in lines.values()))
    seeds = [int(cell["seeds"]) for own, cell in points if own in every]
    return _finished(figure, axes, study, table, settings, published, title, seeds, more)


@dataclass(frozen=True)
class _Printed:
    """A published number as an error in per cent, and the cell that it is of."""

    settings: Settings
    epoch: int | None
    error: float
    spread: float | None
    seen: bool


def _printed(study: StudyTables, published: PublishedSettings | None) -> list[_Printed]:
    """Return the published numbers of the mean rule."""
    found = []
    for value in published.values if published is not None else ():
        theirs = settings_of_value(study, value)
        if published is not None and theirs is not None and value.inference == "mean":
            scale = 1 if published.unit == "%" else 100
            spread = value.tolerance or value.sd
            error = error_of_value(published.unit, value)
            spread = spread and scale * spread
            found.append(_Printed(theirs, value.epoch, error, spread, value.seen))
    return found


def _line(
    axes: Axes, drawn: list[Any], colour: str, marker: str, quantity: str, label: str
) -> None:
    """Draw one line with its intervals; nothing where there is no point."""
    if not drawn:
        return
    points = pd.DataFrame(drawn, columns=["x", "mean", "half"])
    bars = np.nan_to_num(lengths(points["mean"], points["half"], "error"))
    test, many = quantity == "test_error", len(points) > _BARS_SHOWN
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
        edges = band(points, "error")
        axes.fill_between(points["x"], *edges, color=colour, alpha=0.15, linewidth=0)


def _lines(
    study: StudyTables, figure: FigureSettings, every: list[Settings]
) -> tuple[dict[str, tuple[str, str, set[Settings]]], int]:
    """Return for each line its colour, its marker and its cells; and how many lines are left out.

    A cell without dropout is where each line over p begins, or a line of its own.
    """
    over_p = figure.x in ("p", "keep")
    lines: dict[str, tuple[str, str, set[Settings]]] = {}
    for own in every:
        if over_p and without_dropout(own):
            continue
        label = _line_of(study, figure, own)
        look = style.variant_look(own.dropout.variant)
        lines.setdefault(label, (*look, set()))[2].add(own)
    for own in filter(without_dropout, every if lines and over_p else ()):
        begins = [
            members
            for _, _, members in lines.values()
            if _same_beside_dropout(study, figure, own, next(iter(members)))
            # At p = 0 another place may drop: such a line has a point of its own there.
            and not any(_highest_p(one) == 0 and not without_dropout(one) for one in members)
        ]
        for members in begins:
            members.add(own)
        if not begins:
            rest = [key for key in _line_keys(study, figure) if not key.startswith("dropout.")]
            label = style.cell_label(values_of(own, rest), tuple(rest), True)
            lines[label] = (style.WITHOUT, "D", {own})
    shown = dict(list(lines.items())[:_LINES_SHOWN])
    colours = style.told_apart((colour, "-") for colour, _, _ in shown.values())
    looks = {
        label: (colour, marker, members)
        for (label, (_, marker, members)), (colour, _) in zip(shown.items(), colours, strict=True)
    }
    return looks, len(lines) - len(shown)


def _line_of(study: StudyTables, figure: FigureSettings, own: Settings) -> str:
    """Return the label of the line that a cell lies on."""
    keys = _line_keys(study, figure)
    if without_dropout(own) and figure.x not in ("p", "keep"):
        rest = tuple(key for key in keys if not key.startswith("dropout."))
        return style.cell_label(values_of(own, rest), rest, True)
    return style.cell_label(values_of(own, keys), keys, False)


def _same_beside_dropout(
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


def _draw_courses(
    study: StudyTables,
    table: pd.DataFrame,
    settings: FigureSettings,
    published: PublishedSettings | None,
    title: str,
) -> Figure | None:
    """Draw error over the training, a curve for each cell, with the published values."""
    shown = table.head(_LINES_SHOWN)
    figure = style.new_figure(9.5, 4.8)
    axes = figure.subplots()
    kinds: dict[tuple[Any, ...], str] = {}
    looks = []
    others = [key for key in study.swept if not key.startswith("dropout.")]
    for _, cell in shown.iterrows():
        kind = tuple(map(str, values_of(settings_of_cell(study, cell), others).values()))
        dashes = kinds.setdefault(kind, style.dashes(len(kinds)))
        looks.append((style.cell_colour(cell, study.swept), dashes))
    printed = _printed(study, published)
    x = "updates" if settings.x == "updates" else "epoch"
    apart = zip(shown.iterrows(), style.told_apart(looks), strict=True)
    for (_, cell), (colour, dashes) in apart:
        own = settings_of_cell(study, cell)
        rows = completed_rows(study, study.metrics, cell)
        label = style.cell_label(cell, study.swept, bool(cell["bare"]))
        for quantity in settings.y:
            part = quantity.removesuffix("_error")
            error = rows.assign(error=100 * (1 - rows[f"{part}_accuracy"]))
            words = style.wrapped(label, style.BESIDE) if quantity == settings.y[0] else ""
            look = (colour, dashes, _MARKERS[quantity])
            curve(axes, error, "error", *look, label=words, over=x)
        ends = over_seeds(rows, "test_accuracy", x)[x].max(), rows["epoch"].max()
        _published_course(axes, [each for each in printed if each.settings == own], ends, colour)
    axes.set_xlabel(_AXES[str(settings.x)])
    if settings.log_x:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.minorticks_off()
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    left_out = len(table) - len(shown)
    more = not_shown(left_out, "setting")
    seeds = shown["seeds"]
    return _finished(figure, axes, study, table, settings, published, title, seeds, more)


def _published_course(
    axes: Axes, printed: list[_Printed], ends: tuple[float, float], colour: str
) -> None:
    """Draw the published values of a cell, each at its epoch or at the end of the training.

    Args:
        axes: The plot.
        printed: The values.
        ends: Where our curve ends on the x axis, and the epoch of this end.
        colour: The colour of our curve.
    """
    end, epochs = ends
    for seen in (True, False):
        of = sorted((v.epoch or epochs, v.error) for v in printed if v.seen == seen)
        if of:
            x, y = np.array([(end * epoch / epochs, error) for epoch, error in of]).T
            look = published_look(seen, colour) | {"linestyle": ":" if len(of) > 1 else "none"}
            axes.plot(x, y, **look, clip_on=False)


def _finished(
    figure: Figure,
    axes: Axes,
    study: StudyTables,
    table: pd.DataFrame,
    settings: FigureSettings,
    published: PublishedSettings | None,
    title: str,
    seeds: Iterable[int],
    more: str,
) -> Figure:
    """Give a picture its y axis, legends, heading and footnote."""
    axes.set_ylabel("error (%)" if len(settings.y) > 1 else f"{_words(settings.y[0])} (%)")
    axes.set_ylim(0, settings.y_max or min(axes.get_ylim()[1], 100))
    handles, labels = axes.get_legend_handles_labels()
    several = len(settings.y) > 1
    parts = [Line2D([], [], color="#444444", linestyle=_DASHES[q]) for q in settings.y if several]
    words = [_words(quantity) for quantity in settings.y if several]
    if len(labels) > 1 or settings.x in ("updates", "epoch"):
        style.legend_beside(axes, ([*handles, *parts], [*labels, *words]))
    elif several:
        axes.legend(parts, words, loc="best")
    style.heading(figure, f"{title} ({style.n_seeds(seeds)})")
    spread = spread_words(figure, seeds)
    style.footnote(figure, footnote(study, table, spread, "open markers"), more)
    return figure


def _words(quantity: str) -> str:
    part = quantity.removesuffix("_error")
    return f"{'training' if part == 'train' else part} error"


def _error(study: StudyTables, cell: pd.Series, quantity: str) -> Any:
    return 100 * (1 - ends_of_cell(study, cell, f"{quantity.removesuffix('_error')}_accuracy"))


def _highest_p(own: Settings) -> float:
    """Return the p of the hidden layers, the highest where they differ; 0 without dropout."""
    return max((p for place, p in p_of_places(own).items() if place > 0), default=0.0)


_PLACES: dict[str, Callable[[Settings], float]] = {
    "p": _highest_p,
    "keep": lambda own: 1 - _highest_p(own),
    "units": lambda own: float(own.model.hidden[0]),
    "train_size": lambda own: float(training_examples(own)),
}
