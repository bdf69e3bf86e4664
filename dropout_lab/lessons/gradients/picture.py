"""The picture of the lesson ``gradients``."""

from collections.abc import Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from torch import Tensor

from dropout_lab.analysis import style
from dropout_lab.lessons.mask_helpers import Throughout


def draw(
    kept: Tensor, mean: Tensor, batch: Tensor, counted: Sequence[Throughout], batches: int
) -> Figure:
    """Draw which inputs were kept, two gradients, and how many inputs no example keeps.

    Args:
        kept: ``(examples, inputs)``.
        mean: The mean of the gradients of single examples, ``(inputs, classes)``.
        batch: The gradient of the batch, the same shape.
        counted: Inputs dropped in every example, over the size of the batch.
        batches: That were counted.
    """
    figure = style.new_figure(11, 4.8)
    masks, one, other, counts = figure.subplots(1, 4, width_ratios=(1, 1, 1, 1.25))
    _mask(masks, kept.T)
    gradients = (mean, batch)
    limit = max(float(each.abs().max()) for each in gradients) or 1.0
    for axes, gradient, title in zip(
        (one, other), gradients, ("mean of the five", "of the batch"), strict=True
    ):
        image = axes.imshow(
            gradient.numpy(),
            cmap="PuOr_r",
            vmin=-limit,
            vmax=limit,
            aspect="auto",
            interpolation="none",
        )
        for at in torch.where((gradient == 0).all(dim=1))[0].tolist():
            axes.text(2, at, "exactly 0", ha="center", va="center", fontsize=9, color="#444444")
        axes.set_title(f"gradient:\n{title}")
        axes.set_xlabel("class")
        axes.set_xticks(range(gradient.shape[1]))
        axes.set_yticks(range(len(gradient)), _names(len(gradient)))
        axes.grid(visible=False)
    figure.colorbar(image, ax=other).ax.set_title("dL/dw", fontsize=9)
    counts.plot(
        [each.examples for each in counted],
        [each.expected for each in counted],
        color=style.WITHOUT,
        label="10 p^n",
    )
    colour, marker = style.variant_look("inverted")
    counts.plot(
        [each.examples for each in counted],
        [each.mean for each in counted],
        marker,
        color=colour,
        label="counted",
    )
    counts.set_title("inputs dropped\nin every example")
    counts.set_xlabel("n, examples of the batch")
    counts.set_ylabel("mean number, of 10")
    counts.set_ylim(bottom=0)
    counts.legend()
    style.heading(figure, "Gradients: the batch's is the mean of the examples', 0 where all drop")
    style.footnote(figure, f"five examples of ones; right: mean of n = {batches:,} batches")
    return figure


def _mask(axes: Axes, kept: Tensor) -> None:
    inputs, examples = kept.shape
    colours = ListedColormap(["#EEEEEE", style.variant_colour("inverted")])
    axes.pcolormesh(kept.numpy(), cmap=colours, vmin=0, vmax=1, edgecolor="white", lw=0.8)
    axes.invert_yaxis()
    axes.set_title("inputs\nkept (blue)")
    axes.set_xlabel(f"example (1 to {examples})")
    axes.set_ylabel("input")
    axes.set_xticks([])
    axes.set_yticks([at + 0.5 for at in range(inputs)], _names(inputs))
    axes.grid(visible=False)


def _names(count: int) -> list[str]:
    return [str(each + 1) for each in range(count)]
