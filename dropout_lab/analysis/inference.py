"""Pictures of how the trained networks are used: each inference, and averages of k samples."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from dropout_lab.analysis import style
from dropout_lab.analysis.intervals import Floats, bar, interval_words, lengths
from dropout_lab.analysis.notes import LOWER, not_shown
from dropout_lab.analysis.tables import StudyTables, completed_rows, rows_of_cell

_CELLS_SHOWN = 10
_CURVES_SHOWN = 6
_BARS = 12  # of a curve
_MEASURES = {
    "test_accuracy": "test accuracy (%)",
    "test_loss": "test NLL (nats)",
    "test_brier": "test Brier score",
    "test_ece": "test ECE (15 bins)",
}


@dataclass(frozen=True)
class _Use:
    """A way a cell's networks were used: its label, and a row for each seed."""

    cell: str
    inference: str
    label: str
    rows: pd.DataFrame


def draw_inference(study: StudyTables, table: pd.DataFrame, title: str) -> Figure | None:
    """Draw accuracy, NLL, Brier score and ECE of each cell under each inference; None with one.

    Of more cells than ten, those of the best mean validation accuracy are shown.
    """
    if not set(study.inference.get("inference", ())) - {"mean"} and study.ensembles.empty:
        return None
    order = table.sort_values("validation_accuracy_mean", ascending=False, kind="stable")
    shown = table.loc[order.index[:_CELLS_SHOWN].sort_values()]
    rows = [row for _, cell in shown.iterrows() for row in _uses(study, cell)]
    if not rows:
        return None
    figure = style.new_figure(12, 1.7 + 0.3 * (len(rows) + len(shown)))
    panels = figure.subplots(1, len(_MEASURES), sharey=True)
    heights: list[float] = []
    height, before = 0.0, ""
    for row in rows:
        height += 1.0 if row.cell == before else 1.8  # a gap before each cell
        heights.append(-height)
        before = row.cell
    for axes, (measure, label) in zip(panels, _MEASURES.items(), strict=True):
        for row, at in zip(rows, heights, strict=True):
            _point(axes, at, row.rows[measure].to_numpy(dtype=float), row.inference, measure)
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
        interval_words(style.BARS, shown["seeds"]),
        "in brackets: samples, or the seeds that an ensemble averages",
        not_shown(rest, "setting", LOWER),
    )
    return figure


def _uses(study: StudyTables, cell: pd.Series) -> list[_Use]:
    """Return the ways a cell's networks were used."""
    name = style.cell_label(cell, study.swept, bool(cell["bare"]))
    own = completed_rows(study, study.inference, cell)
    tables = {str(inference): rows for inference, rows in own.groupby("inference", sort=False)}
    if not study.ensembles.empty:
        tables["ensemble"] = rows_of_cell(study.ensembles, cell, study.swept)
    uses: list[_Use] = []
    for inference, rows in tables.items():
        if rows.empty:
            continue
        words = style.INFERENCES[inference]
        if inference != "mean":
            count = rows["seeds" if inference == "ensemble" else "samples"].iloc[0]
            words += f" ({int(count)})"
        uses.append(_Use(name, inference, words if uses else f"{name}: {words}", rows))
    return uses


def _point(axes: Axes, height: float, values: Floats, inference: str, measure: str) -> None:
    colour, marker = style.inference_look(inference)
    if len(values) > 1:
        axes.plot(values, np.full(len(values), height - 0.3), ".", color=colour, alpha=0.6)
    axes.errorbar(
        values.mean(), height, xerr=bar(values, measure), color=colour, marker=marker, capsize=4
    )


def draw_monte_carlo(study: StudyTables, table: pd.DataFrame, title: str) -> Figure | None:
    """Draw error and NLL against the number of sampled networks averaged; None without a curve.

    The mean rule, which takes one pass, is a dotted line of the same colour with its own interval.
    Up to six cells, of the best mean validation accuracy.

    Paper:
        Srivastava et al. (2014), JMLR 15:1929-1958, Fig. 11.
    """
    if all(completed_rows(study, study.monte_carlo, cell).empty for _, cell in table.iterrows()):
        return None
    order = table.sort_values("validation_accuracy_mean", ascending=False, kind="stable")
    figure = style.new_figure(10, 4.8)
    panels = figure.subplots(1, 2)
    drawn: list[int] = []
    repeats, longest, left_out = 0, 1, 0
    for index in order.index:
        cell = table.loc[index]
        rows = completed_rows(study, study.monte_carlo, cell)
        if rows.empty or len(drawn) == _CURVES_SHOWN:
            left_out += not rows.empty
            continue
        repeats, longest = int(rows["repeats"].iloc[0]), int(rows["samples"].max())
        label = style.wrapped(style.cell_label(cell, study.swept, False), style.BESIDE)
        mean = completed_rows(study, study.inference, cell)
        rule = mean[mean["inference"] == "mean"]
        colour = style.cell_colour(cell, study.swept)
        for axes, quantity in zip(panels, ("accuracy", "loss"), strict=True):
            _against_k(axes, rows, quantity, colour, style.dashes(len(drawn)), label)
            values = rule[f"test_{quantity}"].to_numpy(dtype=float)
            values = 1 - values if quantity == "accuracy" else values
            dotted: dict[str, Any] = {"linestyle": (0, (1, 1)), "label": f"{label}: mean rule"}
            axes.axhline(values.mean(), color=colour, **dotted)
            beyond = 1.15 * longest * 1.1 ** len(drawn)
            bars = bar(values, f"test_{quantity}")
            axes.errorbar(beyond, values.mean(), bars, color=colour, marker="<", capsize=3)
        drawn.append(cell["seeds"])
    for axes in panels:
        axes.set_xscale("log")
        axes.set_xlabel("k, sampled networks averaged")
        axes.set_xticks([k for k in (1, 2, 5, 10, 20, 50, 100, 200, 500) if k <= longest])
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
        interval_words("on the right its 95% t interval of the mean over seeds", drawn),
        not_shown(left_out, "setting", LOWER),
    )
    return figure


def _against_k(
    axes: Axes, rows: pd.DataFrame, quantity: str, colour: str, dashes: str, label: str
) -> None:
    """Draw what averages of k networks come to, with bars at some k, mean over the seeds."""
    over_seeds = rows.groupby("samples")
    k = np.array(sorted(rows["samples"].unique()))
    values = over_seeds[f"test_{quantity}_mean"].mean().to_numpy()
    values = 1 - values if quantity == "accuracy" else values
    spread = over_seeds[f"test_{quantity}_sd"].mean().to_numpy()
    axes.plot(k, values, dashes, color=colour, label=f"{label}: average of k")
    at = _spread_out(k)
    look: dict[str, Any] = {"fmt": "o", "markersize": 3.5, "capsize": 3, "elinewidth": 1}
    bars = lengths(values[at], spread[at], f"test_{quantity}")
    axes.errorbar(k[at], values[at], bars, color=colour, **look)


def _spread_out(k: "np.ndarray[tuple[int], np.dtype[Any]]") -> list[int]:
    """Return the indices of values that are about evenly spread on a logarithmic axis."""
    wanted = np.geomspace(k[0], k[-1], _BARS)
    return sorted({int(np.argmin(np.abs(k - value))) for value in wanted})
