"""Train networks on several numbers of images, and collect their learning curves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from dropout_lab.config.grid import with_values
from dropout_lab.lessons import LessonOptions
from dropout_lab.lessons.paired_differences import run_seeds
from dropout_lab.lessons.training import load_images, make_settings, train_fleet
from dropout_lab.training import Record


@dataclass(frozen=True)
class TrainingPlan:
    """Describe how much to train.

    Args:
        sizes: The numbers of training images, in rising order.
        units: The units of each of the two hidden layers.
        epochs: The number of epochs, the same for every size.
        evaluate_every: The number of epochs between measurements.
        seeds: The number of baseline networks and of dropout networks.
        gains_from: The number of images from which dropout must lower the test loss. With fewer
            images the network is still learning, or the difference is small. None: no check.
    """

    sizes: tuple[int, ...]
    units: int
    epochs: int
    evaluate_every: int
    seeds: int
    gains_from: int | None


FULL_PLAN = TrainingPlan(
    (500, 1000, 4000), units=512, epochs=20, evaluate_every=2, seeds=6, gains_from=1000
)
QUICK_PLAN = TrainingPlan(
    (250, 1000), units=128, epochs=20, evaluate_every=4, seeds=6, gains_from=None
)
_COLUMNS = (
    "noisy_train_loss",
    "train_loss",
    "test_loss",
    "train_accuracy",
    "test_accuracy",
    "loss_gap",
)


@dataclass(frozen=True)
class LearningCurves:
    """Hold the learning curves of baseline and dropout for one number of images.

    Args:
        images: The number of training images.
        updates: The total number of optimizer steps.
        epochs: The measured epochs.
        columns: Columns of the records, float64, ``(2, seeds, epochs)``: baseline, dropout.
    """

    images: int
    updates: int
    epochs: list[int]
    columns: dict[str, Tensor]

    @classmethod
    def from_records(cls, records: Sequence[Sequence[Record]], *, images: int) -> Self:
        """Collect the records of runs: first the baseline runs, then as many dropout runs."""
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
        """Return the number of pairs."""
        return self.columns["test_loss"].shape[1]

    def final_values(self, column: str) -> Tensor:
        """Return a column after the last epoch: ``(2, seeds)``."""
        return self.columns[column][:, :, -1]

    def mean(self, column: str) -> Tensor:
        """Return the mean of a column over seeds: ``(2, epochs)``."""
        return self.columns[column].mean(dim=1)

    def difference(self, column: str) -> Tensor:
        """Return dropout - baseline after the last epoch, seed by seed: ``(seeds,)``."""
        baseline, dropout = self.final_values(column)
        difference: Tensor = dropout - baseline
        return difference


def train_networks(size: int, plan: TrainingPlan, options: LessonOptions) -> LearningCurves:
    """Train baseline and dropout networks on ``size`` images as one fleet."""
    (p,) = options.p
    dropout = make_settings(
        {
            "model.hidden": (plan.units, plan.units),
            "dropout.p": p,
            "training.epochs": plan.epochs,
            "training.batch_size": 100,
            "training.learning_rate": 0.05,
            "training.learning_rate_schedule": "linear",
            "evaluation.every": plan.evaluate_every,
            "evaluation.train_examples": 1000,
        }
    )
    # At p = 0 the layer is the identity, bit for bit; both cells fit in one fleet.
    baseline = with_values(dropout, {"dropout.p": 0.0})
    images = load_images(options, train_size=size)
    trained_fleet = train_fleet([baseline, dropout], run_seeds(options, plan.seeds), images)
    return LearningCurves.from_records(trained_fleet.records, images=size)
