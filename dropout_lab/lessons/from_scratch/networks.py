"""The networks of lesson ``from-scratch``: one shape, and six ways to write its dropout."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.data import Splits
from dropout_lab.layers import UnitDropout
from dropout_lab.lessons.paired_differences import last
from dropout_lab.lessons.training import Trained, settings, train_fleet
from dropout_lab.plugins import joined
from dropout_lab.training.evaluation import evaluate


class LibraryDropout(UnitDropout):
    """What ``nn.Dropout`` does in training; its draws are those of PyTorch's global generator."""

    variant = CATALOGUE["inverted"]

    def drop(self, x: Tensor) -> Tensor:
        """Return ``x`` through the library's dropout."""
        return nn.functional.dropout(x, float(self.p.max()))


@dataclass(frozen=True)
class Way:
    """A layer before the output layer, and what else is said of the network."""

    words: str
    values: Mapping[str, str]


OURS, THEIRS, PUBLISHED = "ours", "nn.Dropout", "as published"
CORRECTED, WITHOUT, LINEAR = "corrected", "no dropout", "no activation"
WAYS = {
    OURS: Way("mask per example, / (1 - p)", {}),
    THEIRS: Way("the same, by the library", {"dropout.variant": "library"}),
    PUBLISHED: Way(
        "mask per batch, no scaling", {"dropout.variant": "unscaled", "dropout.mask": "batch"}
    ),
    CORRECTED: Way("mask per batch, / (1 - p)", {"dropout.mask": "batch"}),
    WITHOUT: Way("nothing is dropped", {"dropout.variant": "none"}),
    LINEAR: Way("ours without activations", {"model.activation": "linear"}),
}
EPOCHS, LEARNING_RATE = 2, 0.001


@dataclass(frozen=True)
class Results:
    """What came out of the training.

    Args:
        ways: Of each way, its networks and their records, in the order of the seeds.
        seeds: How many there are.
    """

    ways: dict[str, Trained]
    seeds: int

    def f1(self, way: str) -> list[float]:
        """Return the test macro F1 of a way, seed by seed."""
        return last(self.ways[way].records, "test_macro_f1")

    def loss(self, way: str) -> list[float]:
        """Return the test NLL of a way in nats, seed by seed."""
        return last(self.ways[way].records, "test_loss")


def train_ways(p: float, seeds: Sequence[int], batch: int, images: Splits) -> Results:
    """Train every way with the same seeds: initial weights and order of the images are shared.

    Args:
        p: The chance of dropping, before the output layer.
        seeds: Of the runs.
        batch: Examples of a step.
        images: MNIST.
    """
    shared = {
        "dropout.p": p,
        "dropout.placement": [2],
        "training.epochs": EPOCHS,
        "training.batch_size": batch,
        "training.optimizer": "adam",
        "training.learning_rate": LEARNING_RATE,
        "evaluation.every": EPOCHS,
        "evaluation.train_examples": 1,
    }
    ways = {}
    with joined({"library": LibraryDropout}), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seeds[0])  # of the library's masks
        for name, way in WAYS.items():
            ways[name] = train_fleet([settings({**shared, **way.values})], seeds, images)
    return Results(ways, len(seeds))


@dataclass(frozen=True)
class Scaled:
    """Networks trained without scaling, the weights that leave dropped units scaled after it.

    Args:
        words: The factor of the weights, as a formula.
        factor: Its value.
        f1: Macro F1, seed by seed.
        loss: NLL in nats, seed by seed.
    """

    words: str
    factor: float
    f1: list[float]
    loss: list[float]


def scaled_in_evaluation(trained: Trained, p: float, images: Splits) -> list[Scaled]:
    """Measure networks with three factors of the weights in evaluation; they stay as they were."""
    model = trained.fleet.model
    weights = model.weights[-1]
    learned = weights.detach().clone()
    found = []
    for words, factor in (("1 - p", 1 - p), ("1", 1.0), ("1 / (1 - p)", 1 / (1 - p))):
        with torch.no_grad():
            weights.copy_(factor * learned)
        scores = evaluate(model, images.test, images)
        found.append(Scaled(words, factor, scores.macro_f1.tolist(), scores.loss.tolist()))
    with torch.no_grad():
        weights.copy_(learned)
    return found
