"""The picture of the lesson ``masks``."""

from collections.abc import Mapping

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure
from torch import Tensor

from dropout_lab.analysis import style


def draw(each: Tensor, shared: Tensor, moved: Mapping[str, Tensor]) -> Figure:
    """Draw two masks, and how far each rule moves the weights of each unit.

    Args:
        each: A mask for each example, ``(examples, units)``, true where a unit is kept.
        shared: One mask for all of them, the same shape.
        moved: By rule, how far a step with the latter moved weights, ``(weights, units)``.
    """
    figure = style.new_figure(12, 5)
    left, middle, right = figure.subplots(1, 3, width_ratios=(1, 1, 1.5))
    _mask(left, each, "a mask for each example")
    left.set_ylabel("example")
    _mask(middle, shared, "one mask for all examples")
    _steps(figure, right, ~shared[0], moved)
    always = int((~each.any(dim=0)).sum())
    style.heading(
        figure, "Masks: plain SGD does not move units dropped for all examples; other rules do"
    )
    style.footnote(
        figure,
        f"blue: kept, grey: dropped; left, {always} of {each.shape[1]} units are dropped for every "
        "example; right, one step each with the middle mask after ten others (n = 1)",
    )
    return figure


def _mask(axes: Axes, kept: Tensor, title: str) -> None:
    examples, units = kept.shape
    colours = ListedColormap(["#EEEEEE", style.variant_colour("inverted")])
    axes.pcolormesh(kept.numpy(), cmap=colours, vmin=0, vmax=1, edgecolor="white", lw=0.8)
    for at, row in enumerate(kept):
        axes.text(units + 0.3, at + 0.5, str(int((~row).sum())), va="center", fontsize=9.5)
    axes.invert_yaxis()
    axes.set_title(f"{title}\n(right: how many it drops)")
    axes.set_xlabel("hidden unit")
    axes.set_xticks(np.arange(units) + 0.5, [str(unit + 1) for unit in range(units)])
    axes.set_yticks(np.arange(examples) + 0.5, [str(at + 1) for at in range(examples)])
    axes.grid(visible=False)


def _steps(figure: Figure, axes: Axes, dropped: Tensor, moved: Mapping[str, Tensor]) -> None:
    sizes = torch.stack([each.abs().amax(dim=0) for each in moved.values()]).numpy()
    shown = np.where(sizes > 0, sizes, np.nan)
    norm = LogNorm(vmin=np.nanmin(shown), vmax=np.nanmax(shown))
    image = axes.imshow(shown, cmap="viridis", norm=norm, aspect="auto", interpolation="none")
    for row, unit in zip(*np.where(sizes == 0), strict=True):
        axes.text(unit, row, "0", ha="center", va="center")
    labels = [f"{unit + 1}\noff" if off else str(unit + 1) for unit, off in enumerate(dropped)]
    axes.set_xticks(range(len(labels)), labels)
    axes.set_yticks(range(len(moved)), [name.replace(" decay", "\ndecay") for name in moved])
    axes.set_xlabel("hidden unit (off: dropped for all examples)")
    axes.set_title("how far a step moves a unit's weights\n(0: not at all)")
    axes.grid(visible=False)
    bar = figure.colorbar(image, ax=axes)
    bar.ax.set_title("largest\n|change|", fontsize=9)
    bar.ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    bar.ax.yaxis.set_minor_formatter(lambda value, _: "")
