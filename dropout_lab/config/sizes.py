"""How many examples a training sees and how long it lasts, as far as the settings alone tell."""

import math

from dropout_lab.config.schema import Settings

# Examples of the training part, before validation is taken from it.
TRAINING_PARTS = {"mnist_5k": 4_000, "mnist": 60_000, "fashion_mnist": 60_000, "kmnist": 60_000}
CLASSES = 10


def training_examples(settings: Settings) -> int:
    """Return how many examples are trained on."""
    data = settings.dataset
    left = TRAINING_PARTS[data.name] - data.validation_size
    return left if data.train_size is None else data.train_size


def epochs_of(settings: Settings) -> int:
    """Return how many epochs are begun; 0 where the settings give no length."""
    training = settings.training
    if training.updates is None:
        return training.epochs or 0
    steps = math.ceil(max(training_examples(settings), 1) / training.batch_size)
    return math.ceil(training.updates / steps)
