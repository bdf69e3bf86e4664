"""The picture of the lesson ``co-adaptation``."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from dropout_lab.analysis import style
from dropout_lab.analysis.snapshot_plots import image_grid
from dropout_lab.lessons.paired_differences import Difference, Pair

_SHOWN = 99  # per cent of the weights that the grey scale holds


def draw(
    p: float,
    features: Tensor,
    accuracy: Mapping[int, Pair],
    correlation: Sequence[Pair],
    independent: float,
) -> Figure:
    """Draw features, accuracy against units removed, and correlation, with and without dropout.

    Args:
        p: The chance of dropping.
        features: ``(2, units, 28, 28)``: of one seed, without and with dropout.
        accuracy: In [0, 1], by the share of units removed in per cent.
        correlation: Of each hidden layer.
        independent: What it comes to for independent units.
    """
    figure = style.new_figure(10, 8.6)
    grid = figure.add_gridspec(2, 1, height_ratios=(1.15, 1))
    above, below = figure.add_subfigure(grid[0]), figure.add_subfigure(grid[1])
    images = features.double().numpy()
    limit = float(np.percentile(np.abs(images), _SHOWN))
    panels = above.subplots(1, 2)
    for axes, own, name in zip(panels, images, ("without dropout", f"p = {p:g}"), strict=True):
        image = image_grid(axes, own, limit, wide=8)
        axes.set_title(f"weights into layer 1, {name}")
    bar = above.colorbar(image, ax=panels, extend="both", shrink=0.8)
    bar.ax.set_title("weight\nfrom a pixel", fontsize=9.5)
    left, right = below.subplots(1, 2)
    _accuracy(left, p, accuracy)
    _correlation(right, p, correlation, independent)
    n = len(correlation[0].without)
    style.heading(figure, "Co-adaptation: units with and without dropout")
    style.footnote(
        figure,
        f"above: first seed, one grey scale; below: n = {n} seeds, test images, dropout off; "
        "bars: ± 1 standard error of the mean",
    )
    return figure


def _accuracy(axes: Axes, p: float, accuracy: Mapping[int, Pair]) -> None:
    shares = list(accuracy)
    for colour, marker, label, which in _looks(p):
        runs = [getattr(pair, which) for pair in accuracy.values()]
        axes.errorbar(
            shares,
            [100 * float(each.mean()) for each in runs],
            yerr=[100 * Difference.of(each).error for each in runs],
            color=colour,
            marker=marker,
            capsize=3,
            label=label,
        )
    axes.set_xlabel("units removed of each layer (%)")
    axes.set_ylabel("test accuracy (%)")
    axes.set_ylim(0, 100)
    axes.set_xticks(shares)
    axes.legend(loc="lower left")


def _correlation(axes: Axes, p: float, correlation: Sequence[Pair], independent: float) -> None:
    for at, (colour, marker, label, which) in enumerate(_looks(p)):
        for layer, pair in enumerate(correlation, start=1):
            runs = getattr(pair, which)
            place = layer + (at - 0.5) / 3
            name = label if layer == 1 else None
            axes.scatter([place] * len(runs), runs, s=14, color=colour, alpha=0.35, linewidths=0)
            axes.errorbar(
                [place],
                [float(runs.mean())],
                yerr=[Difference.of(runs).error],
                color=colour,
                marker=marker,
                markersize=8,
                linestyle="none",
                capsize=4,
                label=name,
            )
    axes.axhline(independent, color="#777777", linestyle=":", label="independent units")
    axes.set_xticks(range(1, len(correlation) + 1))
    axes.set_xlim(0.5, len(correlation) + 0.5)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("hidden layer")
    axes.set_ylabel("mean |correlation| of two units")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 0.1))


def _looks(p: float) -> list[tuple[str, str, str, str]]:
    """Return colour, marker, label and the name in a pair, without dropout and with it."""
    return [
        (style.WITHOUT, "o", "without dropout", "without"),
        (style.p_colour(p), "s", f"p = {p:g}", "dropped"),
    ]
