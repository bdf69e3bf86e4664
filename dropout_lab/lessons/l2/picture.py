"""Plot the solutions, their path over p, and the logistic approximation."""

import math

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dropout_lab.analysis import style
from dropout_lab.layers.noise_measurement import ERRORS
from dropout_lab.lessons.l2.experiment import (
    EXAMPLES,
    FEATURES,
    SCALES,
    LeastSquares,
    PenaltyRatios,
    Solutions,
    closed_form,
    matching_ridge_strength,
    plain_ridge,
)


def draw_figure(problem: LeastSquares, solutions: Solutions, ratios: PenaltyRatios) -> Figure:
    """Draw the coefficients, their path over p, and Wager's approximation."""
    figure = style.new_figure(13.5, 4.8)
    coefficient_axes, path_axes, ratio_axes = figure.subplots(1, 3)
    _draw_coefficients(coefficient_axes, problem, solutions)
    _draw_path(path_axes, problem, solutions)
    _draw_ratios(ratio_axes, ratios)
    style.heading(figure, "Dropout on a linear model is an L2 penalty scaled by the data")
    style.footnote(
        figure,
        f"{EXAMPLES} examples, {FEATURES} features; all masks: {2**FEATURES} enumerated; SGD: "
        f"mean of n = {len(solutions.sgd_averages)} runs, bars: {ERRORS} standard errors",
    )
    return figure


def _draw_coefficients(axes: Axes, problem: LeastSquares, solutions: Solutions) -> None:
    """Draw the solutions at the lesson's p, feature by feature."""
    positions = range(FEATURES)
    blue = style.variant_colour("inverted")
    axes.hlines(
        closed_form(problem, solutions.p),
        [x - 0.42 for x in positions],
        [x + 0.42 for x in positions],
        color=blue,
        linewidth=2.2,
        label="dropout: closed form",
    )
    axes.plot(
        [x - 0.14 for x in positions],
        solutions.minimum,
        "o",
        color=blue,
        markersize=8,
        markerfacecolor="white",
        label="dropout: all masks, descent",
    )
    standard_error = solutions.sgd_averages.std(dim=0) / math.sqrt(len(solutions.sgd_averages))
    axes.errorbar(
        [x + 0.14 for x in positions],
        solutions.sgd_averages.mean(dim=0),
        yerr=ERRORS * standard_error,
        fmt="^",
        color=style.variant_colour("gaussian"),
        label="dropout: masks sampled, SGD",
    )
    ridge = plain_ridge(problem, matching_ridge_strength(problem, solutions.p))
    axes.plot(
        positions,
        ridge,
        "X",
        color=style.variant_colour("unscaled"),
        markersize=8,
        label="plain ridge, same for all",
    )
    axes.plot(
        positions,
        closed_form(problem, 0.0),
        "_",
        color=style.WITHOUT,
        markersize=18,
        markeredgewidth=2,
        label="without dropout",
    )
    axes.axhline(0, color="#888888", linewidth=0.8)
    axes.set_xticks(positions, [f"{scale:g}" for scale in SCALES])
    axes.set_xlabel("scale of the feature")
    axes.set_ylabel("coefficient")
    axes.set_title(f"p = {solutions.p:.3g}")
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.62 * (high - low))
    axes.legend(loc="upper right", ncols=1)


def _draw_path(axes: Axes, problem: LeastSquares, solutions: Solutions) -> None:
    """Draw each coefficient over p: lines for the closed form, dots for gradient descent."""
    rates = [k / 200 for k in range(200)]
    coefficients = [closed_form(problem, p) for p in rates]
    for feature, scale in enumerate(SCALES):
        colour = colormaps["viridis"](feature / FEATURES)
        axes.plot(
            rates, [float(w[feature]) for w in coefficients], color=colour, label=f"{scale:g}"
        )
        axes.plot(solutions.ps, solutions.minima[:, feature], "o", color=colour, markersize=4.5)
    axes.axhline(0, color="#888888", linewidth=0.8)
    axes.set_xlim(0, 1)
    axes.set_xlabel("dropout rate p")
    axes.set_ylabel("coefficient")
    axes.set_title("lines: closed form; dots: all masks")
    axes.legend(title="scale of feature", loc="best", ncols=2)


def _draw_ratios(axes: Axes, ratios: PenaltyRatios) -> None:
    """Draw Wager's approximation over the exact penalty, for several weight factors."""
    for index, (size, (ps, values)) in enumerate(ratios.items()):
        colour = colormaps["cividis"](index / len(ratios))
        axes.plot(ps, values, "os^Dv"[index] + "-", color=colour, label=f"{size:g}")
    axes.axhline(1, color=style.WITHOUT, linewidth=1)
    axes.set_xlim(0, 1)
    axes.set_xlabel("dropout rate p")
    axes.set_ylabel("approximation / exact penalty")
    axes.set_title("logistic regression: approximate")
    axes.legend(title="factor of the weights", loc="best", ncols=2)
