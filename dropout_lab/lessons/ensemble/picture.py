"""Plot one image's sub-networks, weight scaling, and the Monte Carlo error."""

import math
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
from torch import Tensor

from dropout_lab.analysis import style
from dropout_lab.lessons.ensemble.experiment import MonteCarlo

_BINS = 25
_MAX_POINTS = 250  # images shown for each network


def draw_figure(
    p: float, monte_carlo: MonteCarlo, networks: Mapping[str, tuple[Tensor, Tensor]]
) -> Figure:
    """Draw one image's sub-networks, weight scaling against the geometric mean, and Monte Carlo.

    Args:
        p: The dropout rate.
        monte_carlo: The Monte Carlo errors and the image.
        networks: By the layer after the dropped units, the probability of the correct class by
            geometric mean and by weight scaling: ``(examples,)`` each.
    """
    figure = style.new_figure(13, 4.8)
    left, middle, right = figure.subplots(1, 3)
    _draw_image(left, monte_carlo)
    _draw_exactness(middle, networks)
    _draw_errors(right, monte_carlo)
    style.heading(
        figure, f"Ensemble: all {len(monte_carlo.mask_probabilities)} sub-networks, p = {p:g}"
    )
    style.footnote(
        figure,
        "784-8-8-10; left and right: ReLU layer after the dropped units; right: root mean "
        "squared error of 10 test images, n = 32 repeats",
    )
    return figure


def _draw_image(axes: Axes, monte_carlo: MonteCarlo) -> None:
    axes.hist(
        monte_carlo.probabilities.numpy(),
        bins=np.linspace(0, 1, _BINS + 1).tolist(),
        weights=monte_carlo.mask_probabilities.numpy(),
        color="#BBBBBB",
        label="sub-networks",
    )
    for name, value, inference, line in (
        ("arithmetic mean", monte_carlo.arithmetic_mean, "monte_carlo", "-"),
        ("geometric mean", monte_carlo.geometric_mean, "geometric", "--"),
        ("weight scaling", monte_carlo.weight_scaling, "mean", ":"),
    ):
        colour = style.inference_look(inference)[0]
        axes.axvline(value, ymax=0.78, color=colour, linestyle=line, label=name)
    axes.set_xlim(0, 1)
    axes.set_ylim(top=1.35 * axes.get_ylim()[1])
    axes.set_xlabel(f"probability of the correct class, {monte_carlo.label}")
    axes.set_ylabel("share of sub-networks (by probability)")
    axes.set_title("one image")
    axes.legend(loc="upper center", ncols=2)


def _draw_exactness(axes: Axes, networks: Mapping[str, tuple[Tensor, Tensor]]) -> None:
    point_styles = (("#4477AA", "s", 20), ("#228833", "^", 20), ("#EE6677", "o", 12))
    axes.plot((0, 1), (0, 1), color="#777777", linewidth=1, label="equal")
    for (name, (geometric, scaled_predictions)), (colour, marker, size) in zip(
        networks.items(), point_styles, strict=True
    ):
        step = max(1, len(scaled_predictions) // _MAX_POINTS)
        axes.scatter(
            geometric[::step],
            scaled_predictions[::step],
            s=size,
            color=colour,
            marker=marker,
            alpha=0.6,
            linewidths=0,
            label=f"before {name}",
        )
    axes.set_xlabel("geometric mean of all")
    axes.set_ylabel("weight scaling")
    axes.set_title("probability of the correct class, test images")
    axes.legend(loc="upper left")


def _draw_errors(axes: Axes, monte_carlo: MonteCarlo) -> None:
    draws = [error.draws for error in monte_carlo.errors]
    colour, marker = style.inference_look("monte_carlo")
    axes.plot(
        draws,
        [math.sqrt(error.expected) for error in monte_carlo.errors],
        color="#777777",
        label="sqrt(variance / T)",
    )
    axes.plot(
        draws,
        [math.sqrt(error.measured) for error in monte_carlo.errors],
        color=colour,
        marker=marker,
        linestyle="none",
        label="average of T samples",
    )
    axes.axhline(
        math.sqrt(monte_carlo.scaling_error),
        color=style.inference_look("mean")[0],
        linestyle=":",
        label="weight scaling: 1 pass",
    )
    axes.set_xscale("log", base=4)
    axes.set_yscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.minorticks_off()
    axes.set_xlabel("T, sub-networks averaged")
    axes.set_ylabel("error of the probability of the correct class")
    axes.set_title("distance from the mean of all")
    axes.legend(loc="lower left")
