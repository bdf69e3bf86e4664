"""Plot the dropped entries of the matrix, the outputs, and the noise of a batch."""

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from dropout_lab.analysis import style
from dropout_lab.layers.base import Mask
from dropout_lab.layers.noise_measurement import ERRORS
from dropout_lab.lessons.units_and_weights.experiment import (
    BATCH_SIZES,
    DROPPED_PARTS,
    WEIGHT,
    BatchVariances,
    NoisyOutputs,
)

_VARIANT = {"inputs": "inverted", "outputs": "inverted", "weights": "dropconnect"}
_LARGEST_MARKER = 900  # points^2 of a marker for all draws


def draw_figure(
    p: float,
    matrices_by_part: dict[str, Tensor],
    noisy_outputs: dict[str, NoisyOutputs],
    batch_variances: BatchVariances,
    batches: int,
) -> Figure:
    """Draw the dropped entries of the matrix, two outputs, and the noise of a batch."""
    figure = style.new_figure(10, 6.4)
    grid = figure.add_gridspec(2, 3, height_ratios=(0.9, 2))
    for column, (name, matrices) in enumerate(matrices_by_part.items()):
        colour = style.variant_colour(_VARIANT[name])
        _draw_matrix(figure.add_subplot(grid[0, column]), matrices, DROPPED_PARTS[name], colour)
    left, middle, right = (figure.add_subplot(grid[1, column]) for column in range(3))
    _draw_outputs(left, noisy_outputs["units"], "dropout of the input units", "inverted")
    _draw_outputs(middle, noisy_outputs["weights"], "DropConnect", "dropconnect")
    left.set(xlim=middle.get_xlim(), ylim=middle.get_ylim())  # show both panels at one scale
    _draw_batch_variances(right, batch_variances)
    style.heading(
        figure, f"Units and weights: the dropped parts and the noise of the outputs, p = {p:g}"
    )
    draws = len(noisy_outputs["units"].outputs)
    style.footnote(
        figure,
        f"areas: share of n = {draws:,} masks, x = (1, 1); cross: dropout off; right: n = "
        f"{batches:,} batches, lines: closed form, bars: {ERRORS} standard errors",
    )
    return figure


def _draw_matrix(axes: Axes, matrices: Tensor, title: str, colour: str) -> None:
    """Draw the matrix under the first mask that drops a part of it, if there is such a mask."""
    keep_masks = matrices != 0
    partly_dropped = (keep_masks.any(dim=(1, 2)) & ~keep_masks.all(dim=(1, 2))).nonzero()
    shown_mask = keep_masks[int(partly_dropped[0]) if len(partly_dropped) else 0]
    for row, column in torch.cartesian_prod(torch.arange(2), torch.arange(3)).tolist():
        is_kept = bool(shown_mask[row, column])
        style_options = (
            {"facecolor": colour, "alpha": 0.35} if is_kept else {"facecolor": "#eeeeee"}
        )
        axes.add_patch(
            Rectangle((column, 1 - row), 1, 1, edgecolor="white", linewidth=3, **style_options)
        )
        number = f"{WEIGHT[row, column]:g}" if is_kept else "0"
        place = (column + 0.5, 1.5 - row)
        axes.annotate(number, place, ha="center", va="center", fontsize=13 if is_kept else 11)
    axes.set(xlim=(0, 3), ylim=(0, 2), aspect="equal", title=f"{title} dropped")
    axes.axis("off")


def _draw_outputs(axes: Axes, outputs: NoisyOutputs, title: str, variant: str) -> None:
    """Draw how often each pair of values of the first two outputs occurred."""
    points, counts = outputs.outputs[:, :2].unique(dim=0, return_counts=True)
    share = counts / counts.sum()
    colour = style.variant_colour(variant)
    axes.scatter(points[:, 0], points[:, 1], s=_LARGEST_MARKER * share + 4, color=colour, alpha=0.7)
    axes.plot(*outputs.mean[:2].tolist(), "x", color=style.WITHOUT, markersize=9, markeredgewidth=2)
    axes.margins(0.16)  # room for the largest marker
    axes.set_title(f"{title}:\n{len(points)} pairs of values seen")
    axes.set_xlabel("first output z_1")
    axes.set_ylabel("second output z_2")


def _draw_batch_variances(axes: Axes, batch_variances: BatchVariances) -> None:
    masks: tuple[tuple[Mask, str, str], ...] = (
        ("batch", "s", "batch"),
        ("element", "o", "example"),
    )
    for mask, marker, label in masks:
        axes.errorbar(
            BATCH_SIZES,
            [batch_variances[mask][size].measured for size in BATCH_SIZES],
            yerr=[ERRORS * batch_variances[mask][size].standard_error for size in BATCH_SIZES],
            fmt=marker,
            color=style.variant_colour("batchwise" if mask == "batch" else "standard"),
            label=f"one mask per {label}",
        )
        expected = [batch_variances[mask][size].expected for size in BATCH_SIZES]
        axes.plot(BATCH_SIZES, expected, color="#888888", linewidth=1, zorder=1)
    variance = batch_variances["batch"][1].expected
    axes.set(xscale="log", yscale="log", xticks=BATCH_SIZES, ylim=(variance / 200, variance * 2))
    axes.minorticks_off()
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_title("noise of z_1:\nbatch mean with dropped units")
    axes.set_xlabel("examples in the batch")
    axes.set_ylabel("variance")
    axes.legend(loc="lower left")
