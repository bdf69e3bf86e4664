"""Plot which inputs were kept, and the gradient of each weight."""

from collections.abc import Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from dropout_lab.analysis import style
from dropout_lab.lessons.mask_helpers import (
    AlwaysDroppedCount,
    draw_mask,
)


def draw_figure(
    keep_mask: Tensor,
    mean_gradient: Tensor,
    batch_gradient: Tensor,
    counts: Sequence[AlwaysDroppedCount],
    batches: int,
) -> Figure:
    """Draw the kept inputs, two gradients, and the number of inputs that every example drops.

    Args:
        keep_mask: ``(examples, inputs)``.
        mean_gradient: The mean of the gradients of single examples, ``(inputs, classes)``.
        batch_gradient: The gradient of the batch, the same shape.
        counts: The inputs dropped in every example, for each batch size.
        batches: The number of batches that were counted.
    """
    figure = style.new_figure(11, 4.8)
    mask_axes, mean_axes, batch_axes, count_axes = figure.subplots(
        1, 4, width_ratios=(1, 1, 1, 1.25)
    )
    _draw_inputs(mask_axes, keep_mask.T)
    gradients = (mean_gradient, batch_gradient)
    limit = max(float(gradient.abs().max()) for gradient in gradients) or 1.0
    for axes, gradient, title in zip(
        (mean_axes, batch_axes), gradients, ("mean of five examples", "of the batch"), strict=True
    ):
        image = axes.imshow(
            gradient.numpy(),
            cmap="PuOr_r",
            vmin=-limit,
            vmax=limit,
            aspect="auto",
            interpolation="none",
        )
        for index in torch.where((gradient == 0).all(dim=1))[0].tolist():
            axes.text(2, index, "exactly 0", ha="center", va="center", fontsize=9, color="#444444")
        axes.set_title(f"gradient:\n{title}")
        axes.set_xlabel("class")
        axes.set_xticks(range(gradient.shape[1]))
        axes.set_yticks(range(len(gradient)), _axis_labels(len(gradient)))
        axes.grid(visible=False)
    figure.colorbar(image, ax=batch_axes).ax.set_title("dL/dw", fontsize=9)
    _draw_counts(count_axes, counts)
    style.heading(
        figure,
        "Gradients: the batch's gradient is the mean over its examples, and 0 where all drop",
    )
    style.footnote(figure, f"five examples of ones; right: mean of n = {batches:,} batches")
    return figure


def _draw_counts(axes: Axes, counts: Sequence[AlwaysDroppedCount]) -> None:
    axes.plot(
        [count.examples for count in counts],
        [count.expected for count in counts],
        color=style.WITHOUT,
        label="10 p^n",
    )
    colour, marker = style.variant_look("inverted")
    axes.plot(
        [count.examples for count in counts],
        [count.mean for count in counts],
        marker,
        color=colour,
        label="measured",
    )
    axes.set_title("inputs dropped\nin every example")
    axes.set_xlabel("n, examples in the batch")
    axes.set_ylabel("mean number of inputs, of 10")
    axes.set_ylim(bottom=0)
    axes.legend()


def _draw_inputs(axes: Axes, keep_mask: Tensor) -> None:
    inputs, examples = keep_mask.shape
    draw_mask(axes, keep_mask, style.variant_colour("inverted"))
    axes.set_title("inputs\nkept (blue)")
    axes.set_xlabel(f"example (1 to {examples})")
    axes.set_ylabel("input")
    axes.set_xticks([])
    axes.set_yticks([index + 0.5 for index in range(inputs)], _axis_labels(inputs))


def _axis_labels(count: int) -> list[str]:
    return [str(number + 1) for number in range(count)]
