"""Plots of inference methods: scores of each method, and averages of k sampled networks."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from dropout_lab.analysis import style
from dropout_lab.analysis.intervals import Floats, bar_lengths, describe_interval, error_bar
from dropout_lab.analysis.notes import LOWER_VALIDATION, describe_not_shown
from dropout_lab.analysis.tables import StudyTables, completed_rows, rows_of_cell

_MAX_CELLS = 10
_MAX_CURVES = 6
_BARS = 12  # error bars of a curve
_MEASURES = {
    "test_accuracy": "test accuracy (%)",
    "test_loss": "test NLL (nats)",
    "test_brier": "test Brier score",
    "test_ece": "test ECE (15 bins)",
}


@dataclass(frozen=True)
class _InferenceRow:
    """The scores of a cell with one inference method, one row for each seed."""

    cell: str
    inference: str
    label: str
    rows: pd.DataFrame


def draw_inference(study: StudyTables, table: pd.DataFrame, title: str) -> Figure | None:
    """Draw accuracy, NLL, Brier score and ECE of each cell and inference method.

    Shows at most ten cells, the best by mean validation accuracy. None if there is only one method.
    """
    if not set(study.inference.get("inference", ())) - {"mean"} and study.ensembles.empty:
        return None
    order = table.sort_values("validation_accuracy_mean", ascending=False, kind="stable")
    shown = table.loc[order.index[:_MAX_CELLS].sort_values()]
    rows = [row for _, cell in shown.iterrows() for row in _inference_rows(study, cell)]
    if not rows:
        return None
    figure = style.new_figure(12, 1.7 + 0.3 * (len(rows) + len(shown)))
    panels = figure.subplots(1, len(_MEASURES), sharey=True)
    heights: list[float] = []
    height, before = 0.0, ""
    for row in rows:
        height += 1.0 if row.cell == before else 1.8  # a gap between cells
        heights.append(-height)
        before = row.cell
    for axes, (measure, label) in zip(panels, _MEASURES.items(), strict=True):
        for row, at in zip(rows, heights, strict=True):
            _draw_row(axes, at, row.rows[measure].to_numpy(dtype=float), row.inference, measure)
        axes.set_xlabel(label)
    style.percent_axis(panels[0], "x")
    panels[0].set_yticks(heights, [row.label for row in rows])
    panels[0].set_ylim(-height - 0.8, heights[0] + 0.8)
    style.heading(
        figure, f"{title}: how the trained network is used ({style.n_seeds(shown['seeds'])})"
    )
    rest = len(table) - len(shown)
    style.footnote(
        figure,
        "dots: seeds" if shown["seeds"].max() > 1 else "",
        describe_interval(style.BARS, shown["seeds"]),
        "in brackets: samples, or the seeds that an ensemble averages",
        describe_not_shown(rest, "setting", LOWER_VALIDATION),
    )
    return figure


def _inference_rows(study: StudyTables, cell: pd.Series) -> list[_InferenceRow]:
    """Return the rows of a cell, one for each inference method."""
    name = style.cell_name(cell, study.swept)
    own = completed_rows(study, study.inference, cell)
    tables = {str(inference): rows for inference, rows in own.groupby("inference", sort=False)}
    if not study.ensembles.empty:
        tables["ensemble"] = rows_of_cell(study.ensembles, cell, study.swept)
    result: list[_InferenceRow] = []
    for inference, rows in tables.items():
        if rows.empty:
            continue
        words = style.INFERENCE_NAMES[inference]
        if inference != "mean":
            count = rows["seeds" if inference == "ensemble" else "samples"].iloc[0]
            words += f" ({int(count)})"
        result.append(_InferenceRow(name, inference, words if result else f"{name}: {words}", rows))
    return result


def _draw_row(axes: Axes, height: float, values: Floats, inference: str, measure: str) -> None:
    colour, marker = style.inference_look(inference)
    if len(values) > 1:
        axes.plot(values, np.full(len(values), height - 0.3), ".", color=colour, alpha=0.6)
    axes.errorbar(
        values.mean(),
        height,
        xerr=error_bar(values, measure),
        color=colour,
        marker=marker,
        capsize=4,
    )


def draw_monte_carlo(study: StudyTables, table: pd.DataFrame, title: str) -> Figure | None:
    """Draw error and NLL against the number of averaged sampled networks; None without a curve.

    A dotted line of the same colour with an error bar shows the mean rule, which needs one pass.
    Shows at most six cells, the best by mean validation accuracy.

    Paper:
        Srivastava et al. (2014), JMLR 15:1929-1958, Fig. 11.
    """
    if all(completed_rows(study, study.monte_carlo, cell).empty for _, cell in table.iterrows()):
        return None
    order = table.sort_values("validation_accuracy_mean", ascending=False, kind="stable")
    figure = style.new_figure(10, 4.8)
    panels = figure.subplots(1, 2)
    drawn: list[int] = []
    repeats, largest_k, left_out = 0, 1, 0
    for index in order.index:
        cell = table.loc[index]
        rows = completed_rows(study, study.monte_carlo, cell)
        if rows.empty or len(drawn) == _MAX_CURVES:
            left_out += not rows.empty
            continue
        repeats, largest_k = int(rows["repeats"].iloc[0]), int(rows["samples"].max())
        label = style.wrapped(style.cell_label(cell, study.swept, False), style.LEGEND_WIDTH)
        mean = completed_rows(study, study.inference, cell)
        rule = mean[mean["inference"] == "mean"]
        colour = style.cell_colour(cell, study.swept)
        for axes, quantity in zip(panels, ("accuracy", "loss"), strict=True):
            _draw_average_curve(axes, rows, quantity, colour, style.line_style(len(drawn)), label)
            values = rule[f"test_{quantity}"].to_numpy(dtype=float)
            values = 1 - values if quantity == "accuracy" else values
            dotted: dict[str, Any] = {"linestyle": (0, (1, 1)), "label": f"{label}: mean rule"}
            axes.axhline(values.mean(), color=colour, **dotted)
            x_of_rule = 1.15 * largest_k * 1.1 ** len(drawn)
            bars = error_bar(values, f"test_{quantity}")
            axes.errorbar(x_of_rule, values.mean(), bars, color=colour, marker="<", capsize=3)
        drawn.append(cell["seeds"])
    for axes in panels:
        axes.set_xscale("log")
        axes.set_xlabel("k, sampled networks averaged")
        axes.set_xticks([k for k in (1, 2, 5, 10, 20, 50, 100, 200, 500) if k <= largest_k])
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_locator(NullLocator())
    panels[0].set_ylabel("test error (%)")
    style.percent_axis(panels[0])
    panels[1].set_ylabel("test NLL (nats)")
    panels[0].legend(loc="upper right")
    style.heading(figure, f"{title}: Monte Carlo against the mean rule ({style.n_seeds(drawn)})")
    style.footnote(
        figure,
        f"bars: ± SD over {repeats} random choices of k networks, mean over seeds\n"
        "dotted: the mean rule",
        describe_interval("on the right its 95% t interval of the mean over seeds", drawn),
        describe_not_shown(left_out, "setting", LOWER_VALIDATION),
    )
    return figure


def _draw_average_curve(
    axes: Axes, rows: pd.DataFrame, quantity: str, colour: str, dashes: str, label: str
) -> None:
    """Draw the score of averages of k networks, mean over the seeds, with error bars at some k."""
    mean_over_seeds = rows.groupby("samples")
    k = np.array(sorted(rows["samples"].unique()))
    values = mean_over_seeds[f"test_{quantity}_mean"].mean().to_numpy()
    values = 1 - values if quantity == "accuracy" else values
    spread = mean_over_seeds[f"test_{quantity}_sd"].mean().to_numpy()
    axes.plot(k, values, dashes, color=colour, label=f"{label}: average of k")
    at = _log_spaced_indices(k)
    style_args: dict[str, Any] = {"fmt": "o", "markersize": 3.5, "capsize": 3, "elinewidth": 1}
    bars = bar_lengths(values[at], spread[at], f"test_{quantity}")
    axes.errorbar(k[at], values[at], bars, color=colour, **style_args)


def _log_spaced_indices(k: "np.ndarray[tuple[int], np.dtype[Any]]") -> list[int]:
    """Return the indices of values that are about evenly spaced on a logarithmic axis."""
    targets = np.geomspace(k[0], k[-1], _BARS)
    return sorted({int(np.argmin(np.abs(k - value))) for value in targets})
