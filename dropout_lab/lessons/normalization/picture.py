"""Plot the variance shift, that of trained networks, and the noise of a batch."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dropout_lab.analysis import style
from dropout_lab.analysis.statistics import t_interval
from dropout_lab.layers.noise_measurement import ERRORS
from dropout_lab.lessons.normalization.experiment import (
    BatchNoise,
    LinearLayer,
    Measured,
    TrainedShift,
)

_PLACES = ("no\ndropout", "dropout\nafter layer 1", "dropout\nafter layer 2")


def draw_figure(
    layer: LinearLayer,
    shifts: Sequence[Measured],
    trained: Sequence[TrainedShift],
    noise: Sequence[BatchNoise],
) -> Figure:
    """Draw a panel for each of the three measurements.

    Args:
        layer: The linear layer of the first two parts.
        shifts: The measured shift at p = 0.1, 0.2, ..., 0.9.
        trained: The trained networks, in the order of the places of dropout.
        noise: The noise of a batch, for each size.
    """
    figure = style.new_figure(13, 4.4)
    shift_axes, spread_axes, noise_axes = figure.subplots(1, 3)
    _draw_shifts(shift_axes, layer, shifts)
    _draw_spreads(spread_axes, trained)
    _draw_noise(noise_axes, noise)
    style.heading(figure, "Dropout before a batch normalization shifts the variance it has learned")
    seeds = style.n_seeds([len(trained[0].loss)])
    style.footnote(
        figure,
        f"bars left and right: {ERRORS} standard errors; middle: {seeds}, bars: 95% t interval",
    )
    return figure


def _draw_shifts(axes: Axes, layer: LinearLayer, shifts: Sequence[Measured]) -> None:
    colour, marker = style.variant_look("inverted")
    grid = [index / 100 for index in range(93)]
    axes.plot(grid, [layer.shift(p) for p in grid], color=colour, label="formula")
    axes.errorbar(
        [(index + 1) / 10 for index in range(len(shifts))],
        [each.mean for each in shifts],
        yerr=[ERRORS * each.standard_error for each in shifts],
        fmt=marker,
        color=colour,
        markerfacecolor="white",
        label="measured",
    )
    axes.axhline(1, color=style.WITHOUT, linewidth=1, linestyle=":")
    axes.set_yscale("log")
    axes.set_yticks([1, 2, 5, 10, 20], ["1", "2", "5", "10", "20"])
    axes.minorticks_off()
    axes.set_xlim(0, 1)
    axes.set_xlabel("dropout rate p")
    axes.set_title("variance before batch norm,\ndropout on / off")
    axes.legend(loc="upper left")


def _draw_spreads(axes: Axes, trained: Sequence[TrainedShift]) -> None:
    colour, marker = style.variant_look("inverted")
    for place, each in enumerate(trained):
        mean = float(each.spread.mean())
        low, high = t_interval(each.spread.numpy())
        axes.errorbar(
            [place],
            [mean],
            yerr=[[mean - low], [high - mean]],
            fmt=marker,
            color=colour,
            markerfacecolor="white",
            markersize=8,
            capsize=3,
            label="" if place else "measured",
        )
    axes.hlines(
        [float((1 / each.closed_form).mean()) for each in trained],
        [place - 0.3 for place in range(len(trained))],
        [place + 0.3 for place in range(len(trained))],
        color=colour,
        label="1 / shift, formula",
    )
    axes.set_xticks(range(len(trained)), _PLACES)
    axes.set_xlim(-0.5, len(trained) - 0.5)
    axes.set_ylim(0, 1.3)
    axes.set_title("trained networks, dropout off:\nvariance after the second batch norm")
    axes.legend(loc="lower left")


def _draw_noise(axes: Axes, noise: Sequence[BatchNoise]) -> None:
    sizes = [each.size for each in noise]
    axes.plot(sizes, [each.expected for each in noise], color=style.WITHOUT, label="formula")
    axes.errorbar(
        sizes,
        [each.measured.mean for each in noise],
        yerr=[ERRORS * each.measured.standard_error for each in noise],
        fmt="D",
        color=style.WITHOUT,
        markerfacecolor="white",
        label="measured",
    )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.set_yticks(
        [0.005, 0.01, 0.02, 0.05, 0.1, 0.2], ["0.005", "0.01", "0.02", "0.05", "0.1", "0.2"]
    )
    axes.minorticks_off()
    axes.set_xlabel("B, examples in the batch")
    axes.set_title("variance of the batch mean\n/ variance of the unit")
    axes.legend(loc="upper right")
