"""Plot learned features, accuracy with units removed, and correlation."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from dropout_lab.analysis import style
from dropout_lab.analysis.snapshot_plots import image_grid
from dropout_lab.lessons.paired_differences import Difference, PairedRuns

_GREY_PERCENTILE = 99  # % of the weights within the grey scale


def draw_figure(
    p: float,
    features: Tensor,
    accuracy: Mapping[int, PairedRuns],
    correlation: Sequence[PairedRuns],
    independent_level: float,
) -> Figure:
    """Draw features, accuracy with units removed, and correlation, with dropout and without.

    Args:
        p: The dropout rate.
        features: ``(2, units, 28, 28)``, of one seed: baseline and dropout.
        accuracy: The accuracy in [0, 1] by the percentage of units removed.
        correlation: The correlation of each hidden layer.
        independent_level: The correlation of independent units.
    """
    figure = style.new_figure(10, 8.6)
    grid = figure.add_gridspec(2, 1, height_ratios=(1.15, 1))
    top, bottom = figure.add_subfigure(grid[0]), figure.add_subfigure(grid[1])
    images = features.double().numpy()
    limit = float(np.percentile(np.abs(images), _GREY_PERCENTILE))
    panels = top.subplots(1, 2)
    for axes, unit_images, name in zip(
        panels, images, ("without dropout", f"p = {p:g}"), strict=True
    ):
        image = image_grid(axes, unit_images, limit, wide=8)
        axes.set_title(f"weights into layer 1, {name}")
    bar = top.colorbar(image, ax=panels, extend="both", shrink=0.8)
    bar.ax.set_title("weight\nfrom a pixel", fontsize=9.5)
    left, right = bottom.subplots(1, 2)
    _draw_accuracy(left, p, accuracy)
    _draw_correlation(right, p, correlation, independent_level)
    n = len(correlation[0].baseline)
    style.heading(figure, "Co-adaptation: units with and without dropout")
    style.footnote(
        figure,
        f"above: first seed, same grey scale; below: n = {n} seeds, test images, dropout off; "
        "bars: ± 1 standard error of the mean",
    )
    return figure


def _draw_accuracy(axes: Axes, p: float, accuracy: Mapping[int, PairedRuns]) -> None:
    shares = list(accuracy)
    for colour, marker, label, field in _curve_styles(p):
        runs = [getattr(pair, field) for pair in accuracy.values()]
        axes.errorbar(
            shares,
            [100 * float(values.mean()) for values in runs],
            yerr=[100 * Difference.between_pairs(values).standard_error for values in runs],
            color=colour,
            marker=marker,
            capsize=3,
            label=label,
        )
    axes.set_xlabel("units removed from each layer (%)")
    axes.set_ylabel("test accuracy (%)")
    axes.set_ylim(0, 100)
    axes.set_xticks(shares)
    axes.legend(loc="lower left")


def _draw_correlation(
    axes: Axes, p: float, correlation: Sequence[PairedRuns], independent_level: float
) -> None:
    for index, (colour, marker, label, field) in enumerate(_curve_styles(p)):
        for layer, pair in enumerate(correlation, start=1):
            runs = getattr(pair, field)
            position = layer + (index - 0.5) / 3
            name = label if layer == 1 else None
            axes.scatter([position] * len(runs), runs, s=14, color=colour, alpha=0.35, linewidths=0)
            axes.errorbar(
                [position],
                [float(runs.mean())],
                yerr=[Difference.between_pairs(runs).standard_error],
                color=colour,
                marker=marker,
                markersize=8,
                linestyle="none",
                capsize=4,
                label=name,
            )
    axes.axhline(independent_level, color="#777777", linestyle=":", label="independent units")
    axes.set_xticks(range(1, len(correlation) + 1))
    axes.set_xlim(0.5, len(correlation) + 0.5)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("hidden layer")
    axes.set_ylabel("mean |correlation| of two units")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 0.1))


def _curve_styles(p: float) -> list[tuple[str, str, str, str]]:
    """Return the colour, marker, label and field of ``PairedRuns``, for baseline and dropout."""
    return [
        (style.WITHOUT, "o", "without dropout", "baseline"),
        (style.p_colour(p), "s", f"p = {p:g}", "dropout"),
    ]
