"""Train networks with and without dropout, and measure their units."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dropout_lab.config.schema import Settings
from dropout_lab.config.sections.evaluation import REMOVED_PERCENTAGES
from dropout_lab.data import Splits
from dropout_lab.lessons.paired_differences import PairedRuns
from dropout_lab.lessons.training import build_fleet, make_settings, train_fleet
from dropout_lab.model import MLP
from dropout_lab.training import train, unit_statistics

HIDDEN_UNITS = 64  # units of each of two layers
REMOVED_SHARES = (0, *REMOVED_PERCENTAGES)
_MAX_IMAGES = 1_000  # test images
LENGTH_SPREAD = "length spread"
UNIT_MEASURES = {
    "mean activation": unit_statistics.mean_activation,
    "share near 0": unit_statistics.activation_sparsity,
    "|correlation|": unit_statistics.unit_correlation,
    "effective rank": unit_statistics.effective_rank,
}
LAZY_NETWORK_UNITS = 16
_LAZY_IMAGES_SEEN = 20_000  # an image counts once for each epoch
LAZY_FACTOR = 0.01  # multiplies the weights of the lazy half


@dataclass(frozen=True)
class PairedTraining:
    """Describe how baseline networks and dropout networks are trained as pairs.

    Args:
        p: The rate of the dropout networks.
        seeds: The seeds of both kinds of networks.
        images: The images for training and measuring.
    """

    p: float
    seeds: Sequence[int]
    images: Splits

    def pair_settings(self, hidden: tuple[int, ...], epochs: int) -> list[Settings]:
        """Create the settings of the baseline and of dropout."""
        values = {
            "model.hidden": hidden,
            # Smaller than usual, so that learned features stand out from the initial weights.
            "model.init": "normal",
            "model.init_std": 0.05,
            "training.epochs": epochs,
            "evaluation.every": epochs,
            "evaluation.train_examples": 1,
        }
        return [make_settings({**values, "dropout.p": p}) for p in (0.0, self.p)]


@dataclass(frozen=True)
class TrainedUnits:
    """Hold the measures of trained networks.

    Args:
        accuracy: The accuracy by the percentage of units removed.
        layers: For each hidden layer, the measures of its units by name.
        features: The weights into the first hidden layer, ``(2, units, 28, 28)``: of the first
            seed, baseline and dropout.
        examples: The number of test images.
    """

    accuracy: dict[int, PairedRuns]
    layers: list[dict[str, PairedRuns]]
    features: Tensor
    examples: int

    @property
    def correlations(self) -> list[PairedRuns]:
        """Return the mean absolute correlation of two units, for each layer."""
        return [layer["|correlation|"] for layer in self.layers]

    @property
    def independent_correlation(self) -> float:
        """Return the mean absolute correlation of independent units."""
        return math.sqrt(2 / (math.pi * self.examples))


def measure_trained_units(training: PairedTraining) -> TrainedUnits:
    """Train networks with two hidden layers, and measure accuracy and units."""
    images = training.images
    cells = training.pair_settings((HIDDEN_UNITS, HIDDEN_UNITS), epochs=20)
    fleet = train_fleet(cells, training.seeds, images).fleet
    model: MLP = fleet.model.eval()
    labels = images.test.labels[:_MAX_IMAGES]
    x = images.pixels(images.test.images[:_MAX_IMAGES]).unsqueeze(0)  # (1, examples, 784)
    hidden: list[Tensor] = []
    with torch.no_grad():
        model(x, hidden)
        accuracy = {
            share: PairedRuns.from_fleet(
                unit_statistics.accuracy_after_removal(model, x, labels, fleet.seeds, share)
            )
            for share in REMOVED_SHARES
        }
    # The first seed's baseline network and dropout network.
    first_weights = model.weights[0].detach()[[0, len(training.seeds)]]
    return TrainedUnits(
        accuracy,
        [
            {
                name: PairedRuns.from_fleet(measure(activations))
                for name, measure in UNIT_MEASURES.items()
            }
            | {LENGTH_SPREAD: PairedRuns.from_fleet(length_spread(weight))}
            for activations, weight in zip(hidden, model.weights[1:], strict=True)
        ],
        first_weights.mT.unflatten(-1, images.shape),
        len(labels),
    )


def length_spread(outgoing_weights: Tensor) -> Tensor:
    """Return the SD / mean of the lengths of the weight vectors that leave each unit."""
    lengths = outgoing_weights.detach().double().norm(dim=2)  # (runs, units)
    spread: Tensor = lengths.std(dim=1) / lengths.mean(dim=1)
    return spread


def measure_lazy_units(training: PairedTraining, *, all_weights: bool) -> PairedRuns:
    """Train networks with small weights in half of the units, and compare the halves.

    Returns the length of the weights into the small half, divided by the length of the others.
    """
    images = training.images
    fleet = build_fleet(
        training.pair_settings((LAZY_NETWORK_UNITS,), _LAZY_IMAGES_SEEN // len(images.train)),
        training.seeds,
    )
    input_weights, output_weights = (weight.detach() for weight in fleet.model.weights)
    half_units = LAZY_NETWORK_UNITS // 2
    input_weights[..., :half_units] *= LAZY_FACTOR
    if all_weights:
        output_weights[:, :half_units] *= LAZY_FACTOR
    for _ in train(fleet, images):
        pass
    lengths = input_weights.double().norm(dim=1)  # (runs, units)
    return PairedRuns.from_fleet(
        lengths[:, :half_units].mean(dim=1) / lengths[:, half_units:].mean(dim=1)
    )
