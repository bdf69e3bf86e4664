"""Plot two masks, and the change of each unit's weights in one update."""

from collections.abc import Mapping

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from torch import Tensor

from dropout_lab.analysis import style
from dropout_lab.lessons.mask_helpers import draw_mask


def draw_figure(example_masks: Tensor, shared_mask: Tensor, steps: Mapping[str, Tensor]) -> Figure:
    """Draw two masks, and the change of each unit's weights under each rule.

    Args:
        example_masks: A mask for each example, ``(examples, units)``, True for a kept unit.
        shared_mask: One mask for all examples, the same shape.
        steps: For each rule, the change of the weights with the shared mask, ``(weights, units)``.
    """
    figure = style.new_figure(12, 5)
    left, middle, right = figure.subplots(1, 3, width_ratios=(1, 1, 1.5))
    _draw_mask_panel(left, example_masks, "a mask for each example")
    left.set_ylabel("example")
    _draw_mask_panel(middle, shared_mask, "one mask for all examples")
    _draw_steps(figure, right, ~shared_mask[0], steps)
    always_dropped = int((~example_masks.any(dim=0)).sum())
    style.heading(
        figure, "Masks: plain SGD does not move units dropped for all examples; other rules do"
    )
    style.footnote(
        figure,
        f"blue: kept, grey: dropped; left: {always_dropped} of {example_masks.shape[1]} units "
        "are dropped for every example; right: one step of each rule with the middle mask, "
        "after ten other steps (n = 1)",
    )
    return figure


def _draw_mask_panel(axes: Axes, keep_mask: Tensor, title: str) -> None:
    examples, units = keep_mask.shape
    draw_mask(axes, keep_mask, style.variant_colour("inverted"))
    for index, row in enumerate(keep_mask):
        axes.text(units + 0.3, index + 0.5, str(int((~row).sum())), va="center", fontsize=9.5)
    axes.set_title(f"{title}\n(right: number of dropped units)")
    axes.set_xlabel("hidden unit")
    axes.set_xticks(np.arange(units) + 0.5, [str(unit + 1) for unit in range(units)])
    axes.set_yticks(np.arange(examples) + 0.5, [str(index + 1) for index in range(examples)])


def _draw_steps(
    figure: Figure, axes: Axes, dropped_units: Tensor, steps: Mapping[str, Tensor]
) -> None:
    sizes = torch.stack([step.abs().amax(dim=0) for step in steps.values()]).numpy()
    shown_sizes = np.where(sizes > 0, sizes, np.nan)
    norm = LogNorm(vmin=np.nanmin(shown_sizes), vmax=np.nanmax(shown_sizes))
    image = axes.imshow(shown_sizes, cmap="viridis", norm=norm, aspect="auto", interpolation="none")
    for row, unit in zip(*np.where(sizes == 0), strict=True):
        axes.text(unit, row, "0", ha="center", va="center")
    labels = [
        f"{unit + 1}\noff" if is_dropped else str(unit + 1)
        for unit, is_dropped in enumerate(dropped_units)
    ]
    axes.set_xticks(range(len(labels)), labels)
    axes.set_yticks(range(len(steps)), [name.replace(" decay", "\ndecay") for name in steps])
    axes.set_xlabel("hidden unit (off: dropped for all examples)")
    axes.set_title("change of a unit's weights in one step\n(0: no change)")
    axes.grid(visible=False)
    bar = figure.colorbar(image, ax=axes)
    bar.ax.set_title("largest\n|change|", fontsize=9)
    bar.ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    bar.ax.yaxis.set_minor_formatter(lambda value, _: "")
