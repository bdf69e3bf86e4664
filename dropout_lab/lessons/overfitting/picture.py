"""Plot losses over the epochs, and the loss gap over the number of images."""

from collections.abc import Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from dropout_lab.analysis import style
from dropout_lab.analysis.statistics import t_interval
from dropout_lab.lessons.overfitting.experiment import LearningCurves


def draw_figure(curves: Sequence[LearningCurves], p: float) -> Figure:
    """Draw the losses over the epochs for each number of images, and the gap over the images."""
    count = len(curves) + 1
    rows, columns = (2, 2) if count == 4 else (1, count)
    figure = style.new_figure(5 * columns, 4.1 * rows)
    panels = list(figure.subplots(rows, columns).flat)
    colours = (style.WITHOUT, style.p_colour(p))
    loss_limit = 1.5 * max(
        float(size_curves.final_values("test_loss").max()) for size_curves in curves
    )
    for axes, size_curves in zip(panels, curves, strict=False):
        _draw_losses(axes, size_curves, colours, p)
        axes.set_ylim(0, loss_limit)
    panels[len(curves) - 1].legend(loc="upper right")  # where the losses are lowest
    _draw_gaps(panels[len(curves)], curves, colours, p)
    style.heading(figure, "Overfitting: with and without dropout, on few and on many images")
    seeds = style.n_seeds([curves[0].seeds])
    style.footnote(
        figure, f"{seeds}, paired; bands and bars: 95% t interval of the mean over seeds"
    )
    return figure


def _draw_losses(axes: Axes, curves: LearningCurves, colours: tuple[str, str], p: float) -> None:
    """Draw the losses on training and test images, and the noisy loss that hides the gap."""
    for index, (colour, name) in enumerate(zip(colours, ("no dropout", f"p = {p:g}"), strict=True)):
        for column, dashes, split in (
            ("test_loss", "-", "test"),
            ("train_loss", "--", "training"),
            ("noisy_train_loss", ":", "training, dropout on"),
        ):
            if column.startswith("noisy") and not index:
                continue
            mean, low, high = _mean_and_interval(curves.columns[column][index])
            axes.plot(curves.epochs, mean, dashes, color=colour, label=f"{name}: {split}")
            axes.fill_between(curves.epochs, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.set_title(f"{curves.images:,} images")
    axes.set_ylabel("loss (nats)")
    style.epoch_axis(axes)


def _draw_gaps(
    axes: Axes, curves: Sequence[LearningCurves], colours: tuple[str, str], p: float
) -> None:
    images = [size_curves.images for size_curves in curves]
    for index, (colour, name, marker) in enumerate(
        zip(colours, ("no dropout", f"p = {p:g}"), "os", strict=True)
    ):
        final_gaps = torch.stack(
            [size_curves.final_values("loss_gap")[index] for size_curves in curves], dim=1
        )
        mean, low, high = _mean_and_interval(final_gaps)
        bars = [
            [middle - bound for middle, bound in zip(mean, low, strict=True)],
            [bound - middle for middle, bound in zip(mean, high, strict=True)],
        ]
        axes.errorbar(images, mean, yerr=bars, fmt=f"{marker}-", color=colour, label=name)
    axes.set_xscale("log")
    axes.set_xticks(images, [f"{count:,}" for count in images])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_xlabel("training images")
    axes.set_ylabel("loss gap (nats)")
    axes.set_title("test loss − training loss, dropout off")
    axes.legend(loc="upper right")


def _mean_and_interval(values: Tensor) -> tuple[list[float], list[float], list[float]]:
    """Return the mean and the bounds of its t interval, over the first axis."""
    intervals = [t_interval(column.numpy()) for column in values.T]
    return (
        values.mean(dim=0).tolist(),
        [low for low, _ in intervals],
        [high for _, high in intervals],
    )
