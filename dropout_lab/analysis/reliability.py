"""Reliability diagram: accuracy of predictions against their confidence."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dropout_lab.analysis import style
from dropout_lab.analysis.intervals import describe_interval
from dropout_lab.analysis.tables import (
    StudyTables,
    baseline_and_best,
    completed_rows,
    half_width,
)

_MIN_PREDICTIONS = 10  # in a bin that is drawn


def draw_reliability(study: StudyTables, table: pd.DataFrame, title: str) -> Figure | None:
    """Draw accuracy against confidence, and below it the number of predictions.

    The left panels show the baseline, the right panels the cell with dropout that validation chose.
    Each inference method is a line. None if the study has no reliability.csv.

    Paper:
        Guo, Pleiss, Sun, Weinberger (2017), On Calibration of Modern Neural Networks, ICML.
    """
    if study.reliability.empty:
        return None
    parts = [
        (cell, rows)
        for cell in baseline_and_best(table)
        if len(rows := completed_rows(study, study.reliability, cell))
    ]
    if not parts:
        return None
    figure = style.new_figure(4.9 * len(parts) + 0.4, 6.6)
    grid = figure.subplots(
        2, len(parts), sharex=True, sharey="row", squeeze=False, height_ratios=(2.2, 1)
    )
    for (cell, rows), (upper, lower) in zip(parts, grid.T, strict=True):
        upper.plot([0, 1], [0, 1], color="#888888", linewidth=1, linestyle=(0, (1, 1)))
        for inference, own in rows.groupby("inference", sort=False):
            _draw_inference(upper, lower, str(inference), own)
        words = style.cell_name(cell, study.swept)
        upper.set_title(style.wrapped(words, 44))
        upper.legend(loc="lower right")
        lower.set_yscale("log")
        lower.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        lower.set_xlabel("confidence (%)")
        style.percent_axis(lower, "x")
    grid[0, 0].set_ylim(-0.02, 1.02)
    grid[0, 0].set_ylabel("accuracy (%)")
    style.percent_axis(grid[0, 0])
    grid[1, 0].set_ylabel("predictions per seed")
    counts = [rows["seed"].nunique() for _, rows in parts]
    seeds = style.n_seeds(counts)
    style.heading(figure, f"{title}: are the confidences right? ({seeds})")
    style.footnote(
        figure,
        f"test set, bins of {_MIN_PREDICTIONS} predictions or more; lines: all seeds, dots: each\n"
        "dotted: accuracy = confidence",
        describe_interval("ECE of 15 bins: mean over seeds ± half its 95% t interval", counts),
    )
    return figure


def _draw_inference(upper: Axes, lower: Axes, inference: str, rows: pd.DataFrame) -> None:
    """Draw the bins of one inference method: accuracy above, number of predictions below."""
    colour, marker = style.inference_look(inference)
    filled = rows[rows["examples"] > 0]
    n = filled["examples"]
    gaps = n * (filled["accuracy"] - filled["confidence"]).abs()
    ece = (gaps.groupby(filled["seed"]).sum() / n.groupby(filled["seed"]).sum()).to_numpy()
    half = half_width(ece)
    spread = f" ± {100 * half:.2f}" if np.isfinite(half) else ""
    label = f"{style.INFERENCE_NAMES[inference]}: ECE {100 * ece.mean():.2f}{spread}%"
    dots = filled[n >= _MIN_PREDICTIONS]
    upper.plot(dots["confidence"], dots["accuracy"], ".", color=colour, alpha=0.45, markersize=5)
    bin_sums = filled.assign(
        confidence=n * filled["confidence"], accuracy=n * filled["accuracy"]
    ).groupby("bin")[["examples", "confidence", "accuracy"]]
    bins = bin_sums.sum()[lambda sum_: sum_["examples"] >= _MIN_PREDICTIONS]
    upper.plot(
        bins["confidence"] / bins["examples"], bins["accuracy"] / bins["examples"],
        markersize=6, label=label, color=colour, marker=marker,
    )  # fmt: skip
    counts = rows.groupby("bin")["examples"].sum() / rows["seed"].nunique()
    edges = np.linspace(0, 1, len(counts) + 1)
    lower.stairs(counts, edges, color=colour, linewidth=1.6)
