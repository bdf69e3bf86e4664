"""Train tiny networks, enumerate their sub-networks, and average sampled ones."""

import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from dropout_lab.data import Splits
from dropout_lab.layers import InvertedDropout
from dropout_lab.lessons import LessonOptions
from dropout_lab.lessons.draws import ReplayedMasks, all_masks, mask_probabilities, noise_source
from dropout_lab.lessons.training import make_settings, train_fleet
from dropout_lab.model import MLP
from dropout_lab.probabilities import ProbabilityScores, ProbabilityTally
from dropout_lab.training.inference import sample_predictions

DROPPED_UNITS = 8
_MAX_IMAGES, _MAX_QUICK_IMAGES = 1_000, 400  # test images
_EPS = torch.finfo(torch.float64).eps
NETWORKS = {  # by the layer after the dropped units: the place of dropout and the activation
    "softmax layer": (2, "relu"),
    "linear layers": (1, "linear"),
    "ReLU layer": (1, "relu"),
}
MONTE_CARLO_IMAGES = 10
MONTE_CARLO_REPEATS = 32


@dataclass(frozen=True)
class SubNetworks:
    """Hold the predictions of all 2^k sub-networks of a network; float64.

    Args:
        mask_probabilities: The probability of each mask, ``(2^k,)``.
        logits: ``(2^k, examples, classes)``.
        last_hidden: The activations of the last hidden layer, ``(2^k, examples, units)``.
        full_logits: The logits with dropout off, i.e. by weight scaling, ``(examples, classes)``.
        full_last_hidden: The last hidden layer with dropout off, ``(examples, units)``.
    """

    mask_probabilities: Tensor
    logits: Tensor
    last_hidden: Tensor
    full_logits: Tensor
    full_last_hidden: Tensor

    @property
    def log_probabilities(self) -> Tensor:
        """Return the log-probabilities of each sub-network: ``(2^k, examples, classes)``."""
        return self.logits.log_softmax(dim=-1)

    def mean(self, values: Tensor) -> Tensor:
        """Average values over the masks, weighted by the probability of each mask."""
        return torch.einsum("m,m...->...", self.mask_probabilities, values)

    @property
    def arithmetic_mean(self) -> Tensor:
        """Return the mean of the probabilities: ``(examples, classes)``."""
        return self.mean(self.log_probabilities.exp())

    @property
    def geometric_mean(self) -> Tensor:
        """Return the normalized geometric mean of the probabilities: ``(examples, classes)``."""
        return self.mean(self.log_probabilities).softmax(dim=-1)

    @property
    def weight_scaling(self) -> Tensor:
        """Return the probabilities with dropout off: ``(examples, classes)``."""
        return self.full_logits.softmax(dim=-1)


def enumerate_sub_networks(model: MLP, place: int, x: Tensor) -> SubNetworks:
    """Run every sub-network of a network. The mode and the noise source stay unchanged.

    Args:
        model: One network in float64, with inverted dropout at the place and nowhere else.
        place: The place of the dropout; 1 is the first hidden layer.
        x: ``(1, examples, 784)``, float64.
    """
    layer = cast(InvertedDropout, model.places()[place][0])
    masks = all_masks(int(model.weights[place].shape[1]))
    original_noise, was_training = layer.noise, model.training
    layer.noise = ReplayedMasks(masks)
    logits, last_hidden = [], []
    try:
        with torch.no_grad():
            for _ in masks:
                hidden: list[Tensor] = []
                logits.append(model.train()(x, hidden)[0])
                last_hidden.append(hidden[-1][0])
            hidden = []
            full_logits = model.eval()(x, hidden)[0]
    finally:
        layer.noise = original_noise
        model.train(was_training)
    return SubNetworks(
        mask_probabilities(masks, float(layer.p)),
        torch.stack(logits),
        torch.stack(last_hidden),
        full_logits,
        hidden[-1][0],
    )


@dataclass(frozen=True)
class TrainedNetwork:
    """Hold a trained network 784-8-8-10 and its sub-networks on some test images.

    Args:
        model: The network, in float64.
        place: The place of the dropout.
        sub_networks: The predictions of the sub-networks.
        x: The images, ``(1, examples, 784)``.
        labels: ``(examples,)``.
    """

    model: MLP
    place: int
    sub_networks: SubNetworks
    x: Tensor
    labels: Tensor

    def select_label(self, p: Tensor) -> Tensor:
        """Select the probability of the correct class: ``(..., examples)``."""
        return p[..., torch.arange(len(self.labels)), self.labels]


def train_network(
    p: float, place: int, activation: str, options: LessonOptions, images: Splits
) -> TrainedNetwork:
    """Train a network with dropout at one place and run its sub-networks."""
    values = {
        "model.hidden": (8, 8),
        "model.activation": activation,
        "dropout.p": p,
        "dropout.placement": (place,),
        "training.epochs": 10 if options.quick else 20,
        "training.learning_rate": 0.02,
        "evaluation.every": 20,
        "evaluation.train_examples": 1,
    }
    model = train_fleet([make_settings(values)], [options.seed], images).fleet.model.double()
    indices = torch.arange(len(images.test))
    # Take every n-th image, since mnist_5k is sorted by class.
    selected = indices[
        :: max(1, len(indices) // (_MAX_QUICK_IMAGES if options.quick else _MAX_IMAGES))
    ]
    x = images.pixels(images.test[selected].images).unsqueeze(0).double()
    labels = images.test[selected].labels
    return TrainedNetwork(model, place, enumerate_sub_networks(model, place, x), x, labels)


def rounding_bound(network: TrainedNetwork) -> float:
    """Bound the rounding of a sum of 2^k terms by the largest term."""
    logits, log_p = network.sub_networks.logits, network.sub_networks.log_probabilities
    return (
        len(network.sub_networks.mask_probabilities)
        * _EPS
        * max(largest_size(logits), largest_size(log_p))
    )


def largest_size(difference: Tensor) -> float:
    """Return the largest absolute value."""
    return float(difference.abs().max())


def score_predictions(log_probabilities: Tensor, labels: Tensor) -> ProbabilityScores:
    """Compute accuracy and NLL of log-probabilities."""
    tally = ProbabilityTally(len(log_probabilities), log_probabilities.device)
    tally.add(log_probabilities, labels)
    return tally.scores()


@dataclass(frozen=True)
class MonteCarloError:
    """Compare the average of T sampled sub-networks with the mean of all.

    Args:
        draws: T, the number of averaged sub-networks.
        measured: The mean squared error of the probability of the correct class, over images and
            repeats.
        expected: The expected squared error: the variance over the sub-networks, divided by T.
        standard_error: The standard error of ``measured``.
    """

    draws: int
    measured: float
    expected: float
    standard_error: float

    @property
    def z_score(self) -> float:
        """Return the distance of the measured error from its expectation, in standard errors."""
        return (self.measured - self.expected) / self.standard_error


@dataclass(frozen=True)
class MonteCarlo:
    """Hold the Monte Carlo errors, and probabilities of the correct class of one image.

    Args:
        errors: An error for each number of averaged sub-networks.
        scaling_error: The mean squared distance between weight scaling and the arithmetic mean.
        mask_probabilities: The probability of each mask, ``(2^k,)``.
        probabilities: For the image with the most diverse predictions, the prediction of each
            sub-network: ``(2^k,)``.
        arithmetic_mean: The arithmetic mean for the image.
        geometric_mean: The normalized geometric mean for the image.
        weight_scaling: The prediction with dropout off for the image.
        label: The class of the image.
    """

    errors: list[MonteCarloError]
    scaling_error: float
    mask_probabilities: Tensor
    probabilities: Tensor
    arithmetic_mean: float
    geometric_mean: float
    weight_scaling: float
    label: int


def run_monte_carlo(
    model: MLP,
    place: int,
    x: Tensor,
    labels: Tensor,
    sub_networks: SubNetworks,
    options: LessonOptions,
) -> MonteCarlo:
    """Average sampled sub-networks for ten images, and compare with the mean of all.

    Args:
        model: One network, float64.
        place: The place of the dropout.
        x: ``(1, examples, 784)``.
        labels: ``(examples,)``.
        sub_networks: The predictions of all sub-networks on these images.
        options: The options of the lesson: the seed, and whether to draw less.
    """
    # Take every n-th image, since mnist_5k is sorted by class.
    chosen = torch.arange(0, len(labels), len(labels) // MONTE_CARLO_IMAGES)[:MONTE_CARLO_IMAGES]
    chosen_labels = (chosen, labels[chosen])
    probabilities = sub_networks.log_probabilities.exp()[
        :, chosen_labels[0], chosen_labels[1]
    ]  # (2^k, images)
    mean = sub_networks.arithmetic_mean[chosen_labels]
    scaled_predictions = sub_networks.weight_scaling[chosen_labels]
    moments = [sub_networks.mean((probabilities - mean) ** power) for power in (2, 4)]
    errors = []
    repeated_images = x[:, chosen].repeat(1, MONTE_CARLO_REPEATS, 1)  # (1, repeats * images, 784)
    repeated_labels = labels[chosen].repeat(MONTE_CARLO_REPEATS)
    averaged_counts = [4**power for power in range(5 if options.quick else 6)]
    probability_sum = torch.zeros(MONTE_CARLO_REPEATS * MONTE_CARLO_IMAGES, dtype=torch.float64)
    layer = model.places()[place][0]
    layer.noise = noise_source(options.seed)
    with torch.no_grad():
        for draws, log_probabilities in enumerate(
            sample_predictions(model, repeated_images, averaged_counts[-1]), start=1
        ):
            probability_sum += log_probabilities[
                0, torch.arange(len(probability_sum)), repeated_labels
            ].exp()
            if draws in averaged_counts:
                squared_errors = (
                    (probability_sum / draws).view(MONTE_CARLO_REPEATS, MONTE_CARLO_IMAGES) - mean
                ).square()
                errors.append(make_error(draws, float(squared_errors.mean()), *moments))
    shown_image = max(
        range(MONTE_CARLO_IMAGES),
        key=lambda image: len(probabilities[:, image].mul(50).round().unique()),
    )
    return MonteCarlo(
        errors,
        float((scaled_predictions - mean).square().mean()),
        sub_networks.mask_probabilities,
        probabilities[:, shown_image],
        float(mean[shown_image]),
        float(sub_networks.geometric_mean[chosen_labels][shown_image]),
        float(scaled_predictions[shown_image]),
        int(labels[chosen[shown_image]]),
    )


def make_error(
    draws: int, measured: float, variance: Tensor, fourth_moment: Tensor
) -> MonteCarloError:
    """Create the error at T with its standard error, from the moments of one draw.

    The fourth moment of the mean of T draws is (m4 + 3 (T - 1) v^2) / T^3, so the variance of its
    square is that moment minus (v / T)^2.
    """
    square_variance = (fourth_moment + 3 * (draws - 1) * variance**2) / draws**3 - (
        variance / draws
    ) ** 2
    standard_error = math.sqrt(
        float(square_variance.mean()) / (MONTE_CARLO_REPEATS * len(variance))
    )
    return MonteCarloError(draws, measured, float(variance.mean()) / draws, standard_error)
