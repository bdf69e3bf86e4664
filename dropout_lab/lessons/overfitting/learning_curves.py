"""The numbers and the picture of lesson ``overfitting``: losses over epochs, gaps over images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from dropout_lab.analysis import style
from dropout_lab.analysis.statistics import t_interval
from dropout_lab.training import Record

_COLUMNS = (
    "noisy_train_loss",
    "train_loss",
    "test_loss",
    "train_accuracy",
    "test_accuracy",
    "loss_gap",
)


@dataclass(frozen=True)
class Learned:
    """What networks became on so many images, without dropout and with it.

    Args:
        images: Of the training part.
        updates: Steps of the optimizer in all.
        epochs: Those that were measured.
        columns: Of the records, float64, ``(2, seeds, epochs)``: without dropout, with it.
    """

    images: int
    updates: int
    epochs: list[int]
    columns: dict[str, Tensor]

    @classmethod
    def of(cls, records: Sequence[Sequence[Record]], *, images: int) -> Self:
        """Gather the records of runs: first all without dropout, then as many with it."""
        table = {
            name: torch.tensor(
                [[getattr(record, name) for record in run] for run in records], dtype=torch.float64
            ).unflatten(0, (2, -1))
            for name in _COLUMNS
        }
        epochs = [record.epoch for record in records[0]]
        return cls(images, records[0][-1].updates, epochs, table)

    @property
    def seeds(self) -> int:
        """How many pairs there are."""
        return self.columns["test_loss"].shape[1]

    def last(self, column: str) -> Tensor:
        """Return a column after the last epoch: ``(2, seeds)``."""
        return self.columns[column][:, :, -1]

    def mean(self, column: str) -> Tensor:
        """Return a column's mean over seeds: ``(2, epochs)``."""
        return self.columns[column].mean(dim=1)

    def difference(self, column: str) -> Tensor:
        """Return with dropout less without, seed by seed, after the last epoch: ``(seeds,)``."""
        without, dropped = self.last(column)
        difference: Tensor = dropped - without
        return difference


def draw(learned: Sequence[Learned], p: float) -> Figure:
    """Draw the losses of each number of images over the epochs, and the gap over the images."""
    count = len(learned) + 1
    rows, columns = (2, 2) if count == 4 else (1, count)
    figure = style.new_figure(5 * columns, 4.1 * rows)
    panels = list(figure.subplots(rows, columns).flat)
    colours = (style.WITHOUT, style.p_colour(p))
    highest = 1.5 * max(float(each.last("test_loss").max()) for each in learned)
    for axes, each in zip(panels, learned, strict=False):
        _losses(axes, each, colours, p)
        axes.set_ylim(0, highest)
    panels[len(learned) - 1].legend(loc="upper right")  # where the losses are lowest
    _gaps(panels[len(learned)], learned, colours, p)
    style.heading(figure, "Overfitting: with and without dropout, on few images and on more")
    seeds = style.n_seeds([learned[0].seeds])
    style.footnote(
        figure, f"{seeds}, paired; band and bars: 95 % t interval of the mean over seeds"
    )
    return figure


def _losses(axes: Axes, each: Learned, colours: tuple[str, str], p: float) -> None:
    """Draw the losses on training and test, and the noisy one that hides the gap."""
    for dropped, (colour, name) in enumerate(zip(colours, ("without", f"p = {p:g}"), strict=True)):
        for column, dashes, words in (
            ("test_loss", "-", "test"),
            ("train_loss", "--", "training"),
            ("noisy_train_loss", ":", "training, dropout on"),
        ):
            if column.startswith("noisy") and not dropped:
                continue
            mean, low, high = _over_seeds(each.columns[column][dropped])
            axes.plot(each.epochs, mean, dashes, color=colour, label=f"{name}: {words}")
            axes.fill_between(each.epochs, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.set_title(f"{each.images:,} images")
    axes.set_ylabel("loss (nats)")
    style.epoch_axis(axes)


def _gaps(axes: Axes, learned: Sequence[Learned], colours: tuple[str, str], p: float) -> None:
    images = [each.images for each in learned]
    for dropped, (colour, name, marker) in enumerate(
        zip(colours, ("without", f"p = {p:g}"), "os", strict=True)
    ):
        ends = torch.stack([each.last("loss_gap")[dropped] for each in learned], dim=1)
        mean, low, high = _over_seeds(ends)
        bars = [
            [middle - end for middle, end in zip(mean, low, strict=True)],
            [end - middle for middle, end in zip(mean, high, strict=True)],
        ]
        axes.errorbar(images, mean, yerr=bars, fmt=f"{marker}-", color=colour, label=name)
    axes.set_xscale("log")
    axes.set_xticks(images, [f"{count:,}" for count in images])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_xlabel("training images")
    axes.set_ylabel("loss gap (nats)")
    axes.set_title("test loss − train loss, dropout off")
    axes.legend(loc="upper right")


def _over_seeds(values: Tensor) -> tuple[list[float], list[float], list[float]]:
    """Return the mean and the ends of its t interval, over the first axis."""
    ends = [t_interval(column.numpy()) for column in values.T]
    return values.mean(dim=0).tolist(), [low for low, _ in ends], [high for _, high in ends]
