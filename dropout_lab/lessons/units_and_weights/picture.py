"""The picture of lesson ``units-and-weights``."""

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from dropout_lab.analysis import style
from dropout_lab.layers.base import Mask
from dropout_lab.layers.noise_measurement import ERRORS
from dropout_lab.lessons.units_and_weights.outputs import SIZES, WEIGHT, Noisy, Spread

WAYS = {"inputs": "input units", "outputs": "output units", "weights": "weights"}
_VARIANT = {"inputs": "inverted", "outputs": "inverted", "weights": "dropconnect"}
_LARGEST = 900  # points^2 of a marker that stands for all draws


def draw(
    p: float,
    masked: dict[str, Tensor],
    noisy: dict[str, Noisy],
    spread: Spread,
    batches: int,
) -> Figure:
    """Draw what is dropped of the matrix, what two outputs become, and the noise of a batch."""
    figure = style.new_figure(10, 6.4)
    grid = figure.add_gridspec(2, 3, height_ratios=(0.9, 2))
    for column, (name, matrices) in enumerate(masked.items()):
        colour = style.variant_colour(_VARIANT[name])
        _matrix(figure.add_subplot(grid[0, column]), matrices, WAYS[name], colour)
    left, middle, right = (figure.add_subplot(grid[1, column]) for column in range(3))
    _outputs(left, noisy["units"], "dropout of the input units", "inverted")
    _outputs(middle, noisy["weights"], "DropConnect", "dropconnect")
    left.set(xlim=middle.get_xlim(), ylim=middle.get_ylim())  # its pairs are among these
    _batches(right, spread)
    style.heading(figure, f"Units and weights: what is dropped, and what comes of it, p = {p:g}")
    draws = len(noisy["units"].z)
    style.footnote(
        figure,
        f"areas: share of n = {draws:,} masks, x = (1, 1); cross: dropout off; "
        f"right: n = {batches:,} batches, lines: closed form, bars: {ERRORS} standard errors",
    )
    return figure


def _matrix(axes: Axes, matrices: Tensor, title: str, colour: str) -> None:
    """Show the matrix under the first mask that drops some of it, if there is one."""
    kept = matrices != 0
    partly = (kept.any(dim=(1, 2)) & ~kept.all(dim=(1, 2))).nonzero()
    shown = kept[int(partly[0]) if len(partly) else 0]
    for row, column in torch.cartesian_prod(torch.arange(2), torch.arange(3)).tolist():
        left = bool(shown[row, column])
        look = {"facecolor": colour, "alpha": 0.35} if left else {"facecolor": "#eeeeee"}
        axes.add_patch(Rectangle((column, 1 - row), 1, 1, edgecolor="white", linewidth=3, **look))
        number = f"{WEIGHT[row, column]:g}" if left else "0"
        place = (column + 0.5, 1.5 - row)
        axes.annotate(number, place, ha="center", va="center", fontsize=13 if left else 11)
    axes.set(xlim=(0, 3), ylim=(0, 2), aspect="equal", title=f"{title} dropped")
    axes.axis("off")


def _outputs(axes: Axes, noisy: Noisy, title: str, variant: str) -> None:
    """Show how often each pair of values of the first two outputs came up."""
    points, counts = noisy.z[:, :2].unique(dim=0, return_counts=True)
    share = counts / counts.sum()
    colour = style.variant_colour(variant)
    axes.scatter(points[:, 0], points[:, 1], s=_LARGEST * share + 4, color=colour, alpha=0.7)
    axes.plot(*noisy.mean[:2].tolist(), "x", color=style.WITHOUT, markersize=9, markeredgewidth=2)
    axes.margins(0.16)  # the largest marker is whole
    axes.set_title(f"{title}:\n{len(points)} pairs of values seen")
    axes.set_xlabel("first output z_1")
    axes.set_ylabel("second output z_2")


def _batches(axes: Axes, spread: Spread) -> None:
    masks: tuple[tuple[Mask, str, str], ...] = (
        ("batch", "s", "a batch"),
        ("element", "o", "each example"),
    )
    for mask, marker, label in masks:
        axes.errorbar(
            SIZES,
            [spread[mask][size].found for size in SIZES],
            yerr=[ERRORS * spread[mask][size].error for size in SIZES],
            fmt=marker,
            color=style.variant_colour("batchwise" if mask == "batch" else "standard"),
            label=f"one mask for {label}",
        )
        should = [spread[mask][size].should for size in SIZES]
        axes.plot(SIZES, should, color="#888888", linewidth=1, zorder=1)
    variance = spread["batch"][1].should
    axes.set(xscale="log", yscale="log", xticks=SIZES, ylim=(variance / 200, variance * 2))
    axes.minorticks_off()
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_title("noise of z_1,\nmean of a batch, units dropped")
    axes.set_xlabel("examples in the batch")
    axes.set_ylabel("variance")
    axes.legend(loc="lower left")
