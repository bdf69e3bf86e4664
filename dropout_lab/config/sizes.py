"""Sizes that follow from the settings: layers, training examples, epochs and updates."""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dropout_lab.config.schema import Settings

BINS = 15  # of confidence, in which the calibration is measured
HISTOGRAM_EXAMPLES = 128  # of the test part, one mini-batch, with evaluation.at_end histograms


def count_inputs(settings: "Settings") -> int:
    """Return the number of inputs of the network: features, or principal components."""
    return settings.dataset.pca or settings.dataset.describe().features


def layer_sizes(settings: "Settings") -> tuple[int, ...]:
    """Return the inputs of the network, the units of each hidden layer, and the classes."""
    classes = settings.dataset.describe().classes
    return (count_inputs(settings), *settings.model.hidden, classes)


def training_examples(settings: "Settings") -> int:
    """Return the number of training examples."""
    data = settings.dataset
    left = data.describe().train - data.validation_size
    return left if data.train_size is None else data.train_size


def training_length(settings: "Settings", examples: int) -> tuple[int, int]:
    """Return the number of epochs and of updates of a training on so many examples.

    Both are 0 if the settings give neither.
    """
    steps = updates_per_epoch(settings, examples)
    if settings.training.updates is not None:
        return math.ceil(settings.training.updates / steps), settings.training.updates
    epochs = settings.training.epochs or 0
    return epochs, epochs * steps


def is_evaluated(epoch: int, last_epoch: int, settings: "Settings") -> bool:
    """Return whether an epoch is evaluated. The last epoch always is."""
    return epoch % settings.evaluation.every == 0 or epoch == last_epoch


def updates_per_epoch(settings: "Settings", examples: int) -> int:
    """Return the number of updates in an epoch of so many examples."""
    return math.ceil(max(examples, 1) / settings.training.batch_size)
