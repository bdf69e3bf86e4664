"""Plot masks, dropped units, entropy, and the sub-networks of a batch."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dropout_lab.analysis import style
from dropout_lab.layers.noise_measurement import ERRORS
from dropout_lab.lessons.mask_helpers import binomial_probability, draw_mask
from dropout_lab.lessons.randomness.experiment import (
    BATCH_SIZE,
    EntropyEstimate,
    ShownMasks,
    SubNetworkCount,
    expected_distinct_masks,
)

_LINE_STYLES = ("-", "--", ":")


def draw_figure(
    shown_masks: Sequence[ShownMasks],
    entropies: Sequence[EntropyEstimate],
    sub_network_counts: Sequence[SubNetworkCount],
    n: str,
) -> Figure:
    """Draw masks, the numbers of dropped units, their entropy, and the sub-networks of a batch."""
    figure = style.new_figure(11, 7)
    grid = figure.add_gridspec(2, 1, height_ratios=(1, 1.25))
    top_row = grid[0].subgridspec(1, max(3, len(shown_masks)))
    bottom_row = grid[1].subgridspec(1, 3)
    for index, masks in enumerate(shown_masks):
        axes = figure.add_subplot(top_row[index])
        _draw_masks(axes, masks)
        if index == 0:
            axes.set_ylabel("example")
    counts, entropy, sub_networks = (figure.add_subplot(bottom_row[index]) for index in range(3))
    _draw_counts(counts, shown_masks)
    _draw_entropy(entropy, entropies)
    _draw_sub_networks(sub_networks, sub_network_counts)
    style.heading(figure, "Randomness: masks vary most at p = 0.5")
    style.footnote(figure, style.wrapped(f"n = {n}; bars: {ERRORS} standard errors", 130))
    return figure


def _draw_masks(axes: Axes, masks: ShownMasks) -> None:
    draw_mask(axes, masks.keep_masks, style.p_colour(masks.p))
    axes.set_title(f"p = {masks.p:g}")
    axes.set_xlabel("unit (grey: dropped)")
    axes.set_xticks([])
    axes.set_yticks([])


def _draw_counts(axes: Axes, shown_masks: Sequence[ShownMasks]) -> None:
    units = len(shown_masks[0].shares) - 1
    counts = range(units + 1)
    for masks in shown_masks:
        binomial = [binomial_probability(units, count, masks.p) for count in counts]
        axes.plot(counts, binomial, color="#888888", lw=1, zorder=1)
        axes.plot(
            counts,
            masks.shares.numpy(),
            "o",
            color=style.p_colour(masks.p),
            label=f"p = {masks.p:g}",
        )
    axes.set_title("number of dropped units:\nnot a fixed share")
    axes.set_xlabel(f"dropped units, of {units}")
    axes.set_ylabel("share of examples (line: binomial)")
    axes.legend()


def _draw_entropy(axes: Axes, entropies: Sequence[EntropyEstimate]) -> None:
    p = np.linspace(1e-6, 1 - 1e-6, 400)
    axes.plot(p, -p * np.log2(p) - (1 - p) * np.log2(1 - p), color="#888888", lw=1, label="H(p)")
    for estimate in entropies:
        axes.errorbar(
            estimate.p,
            estimate.corrected,
            yerr=ERRORS * estimate.standard_error,
            fmt="o",
            ms=5,
            color=style.p_colour(estimate.p),
        )
    axes.set_title("entropy of a unit's mask:\nhighest at p = 0.5")
    axes.set_xlabel("dropout rate p")
    axes.set_ylabel("bits")
    axes.legend(loc="lower center")


def _draw_sub_networks(axes: Axes, sub_network_counts: Sequence[SubNetworkCount]) -> None:
    grid = np.linspace(0.01, 0.99, 99)
    layers = list(dict.fromkeys(count.units for count in sub_network_counts))
    for units, line in zip(layers, _LINE_STYLES, strict=True):
        expected = [expected_distinct_masks(float(p), units, BATCH_SIZE)[0] for p in grid]
        label = f"{units} units: {2**units:,} masks"
        axes.plot(grid, expected, line, color="#888888", lw=1.4, label=label, zorder=1)
    for count in sub_network_counts:
        axes.errorbar(
            count.p,
            count.mean,
            yerr=ERRORS * count.standard_error,
            fmt="o",
            ms=5,
            color=style.p_colour(count.p),
        )
    axes.set_title(f"sub-networks that a batch\nof {BATCH_SIZE} examples sees")
    axes.set_xlabel("dropout rate p")
    axes.set_ylabel("different masks (line: expected)")
    axes.set_ylim(0, 1.45 * BATCH_SIZE)
    axes.legend(loc="upper center")
