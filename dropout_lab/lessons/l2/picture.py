"""The picture of lesson ``l2``."""

import math
from dataclasses import dataclass

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from dropout_lab.analysis import style
from dropout_lab.layers.noise_measurement import ERRORS
from dropout_lab.lessons.l2.beyond_linear import Ratios
from dropout_lab.lessons.l2.linear_dropout import (
    EXAMPLES,
    FEATURES,
    SCALES,
    Problem,
    closed_form,
    plain_ridge,
    same_strength,
)


@dataclass(frozen=True)
class Solutions:
    """Coefficients that dropout led to.

    Args:
        p: The one of the lesson.
        ps: Those of the path, rising.
        path: At each of them, descended with all masks: ``(ps, features)``.
        end: At ``p``: ``(features,)``.
        averaged: By SGD, of each run: ``(runs, features)``.
    """

    p: float
    ps: Tensor
    path: Tensor
    end: Tensor
    averaged: Tensor


def draw(of: Problem, found: Solutions, ratios: Ratios) -> Figure:
    """Draw the coefficients, their path over p, and Wager's approximation over the exact."""
    figure = style.new_figure(13.5, 4.8)
    coefficients, path, ratio = figure.subplots(1, 3)
    _coefficients(coefficients, of, found)
    _path(path, of, found)
    _ratios(ratio, ratios)
    style.heading(figure, "Dropout on a linear model is an L2 penalty scaled by the data")
    style.footnote(
        figure,
        f"{EXAMPLES} examples, {FEATURES} features; all masks: {2**FEATURES} enumerated; SGD: mean "
        f"of n = {len(found.averaged)} runs, bars {ERRORS} standard errors",
    )
    return figure


def _coefficients(axes: Axes, of: Problem, found: Solutions) -> None:
    """Draw the solutions at the lesson's p, feature by feature."""
    at = range(FEATURES)
    blue = style.variant_colour("inverted")
    axes.hlines(
        closed_form(of, found.p), [x - 0.42 for x in at], [x + 0.42 for x in at],
        color=blue, linewidth=2.2, label="dropout: closed form",
    )  # fmt: skip
    axes.plot(
        [x - 0.14 for x in at], found.end, "o", color=blue, markersize=8, markerfacecolor="white",
        label="dropout: all masks, descent",
    )  # fmt: skip
    error = found.averaged.std(dim=0) / math.sqrt(len(found.averaged))
    axes.errorbar(
        [x + 0.14 for x in at], found.averaged.mean(dim=0), yerr=ERRORS * error, fmt="^",
        color=style.variant_colour("gaussian"), label="dropout: masks sampled, SGD",
    )  # fmt: skip
    plain = plain_ridge(of, same_strength(of, found.p))
    axes.plot(at, plain, "X", color=style.variant_colour("unscaled"), markersize=8,
              label="plain ridge, equal in all")  # fmt: skip
    axes.plot(at, closed_form(of, 0.0), "_", color=style.WITHOUT, markersize=18,
              markeredgewidth=2, label="without dropout")  # fmt: skip
    axes.axhline(0, color="#888888", linewidth=0.8)
    axes.set_xticks(at, [f"{scale:g}" for scale in SCALES])
    axes.set_xlabel("feature, by its scale")
    axes.set_ylabel("coefficient")
    axes.set_title(f"p = {found.p:.3g}")
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.62 * (high - low))
    axes.legend(loc="upper right", ncols=1)


def _path(axes: Axes, of: Problem, found: Solutions) -> None:
    """Draw each coefficient over p, lines by the closed form, dots descended."""
    dense = [k / 200 for k in range(200)]
    lines = [closed_form(of, p) for p in dense]
    for feature, scale in enumerate(SCALES):
        colour = colormaps["viridis"](feature / FEATURES)
        axes.plot(dense, [float(w[feature]) for w in lines], color=colour, label=f"{scale:g}")
        axes.plot(found.ps, found.path[:, feature], "o", color=colour, markersize=4.5)
    axes.axhline(0, color="#888888", linewidth=0.8)
    axes.set_xlim(0, 1)
    axes.set_xlabel("p, the chance of dropping")
    axes.set_ylabel("coefficient")
    axes.set_title("lines: closed form; dots: all masks")
    axes.legend(title="scale of feature", loc="best", ncols=2)


def _ratios(axes: Axes, ratios: Ratios) -> None:
    """Draw Wager's approximation as a share of the exact penalty, for several sizes of weights."""
    for index, (size, (ps, values)) in enumerate(ratios.items()):
        colour = colormaps["cividis"](index / len(ratios))
        axes.plot(ps, values, "os^Dv"[index] + "-", color=colour, label=f"{size:g}")
    axes.axhline(1, color=style.WITHOUT, linewidth=1)
    axes.set_xlim(0, 1)
    axes.set_xlabel("p, the chance of dropping")
    axes.set_ylabel("approximation / exact penalty")
    axes.set_title("logistic regression: approximate")
    axes.legend(title="weights, times", loc="best", ncols=2)
