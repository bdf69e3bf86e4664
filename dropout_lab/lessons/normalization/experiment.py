"""Measure what dropout does to the variances that batch normalization sees, and its own noise."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from dropout_lab.config.schema import Settings
from dropout_lab.data import Splits
from dropout_lab.layers import InvertedDropout
from dropout_lab.lessons.draws import (
    all_masks,
    mask_probabilities,
    noise_source,
    normal_draws,
)
from dropout_lab.lessons.training import make_settings, train_fleet
from dropout_lab.model import MLP
from dropout_lab.normalization import EPS, MOMENTUM, Normalization
from dropout_lab.rng import Purpose, stream
from dropout_lab.training.evaluation import evaluate

EXAMPLES, INPUTS, OUTPUTS = 200, 8, 4
BATCH = 100  # examples in a batch whose statistics the running statistics average
STEPS = 100  # batches until the running statistics forget their start
BATCH_SIZES = (5, 10, 25, 50, 100)
HIDDEN_UNITS = 64  # of each of two layers
PLACES = (0, 1, 2)  # no dropout; after the first hidden layer; after the second
_REPETITIONS = 8  # passes with other masks, for each trained network
CPU = torch.device("cpu")


@dataclass(frozen=True)
class LinearLayer:
    """Hold activations, and the weights of the linear layer that follows; float64.

    Args:
        h: The activations, at least 0, ``(examples, inputs)``.
        weight: ``(inputs, outputs)``.
    """

    h: Tensor
    weight: Tensor

    @property
    def mean(self) -> Tensor:
        """Return the mean of each output, ``(outputs,)``: the same with dropout on and off."""
        return (self.h @ self.weight).mean(dim=0)

    @property
    def variance_off(self) -> Tensor:
        """Return the variance of each output over the examples, dropout off: ``(outputs,)``."""
        return (self.h @ self.weight).var(dim=0, correction=0)

    def variance_on(self, p: float) -> Tensor:
        """Return the variance of each output over examples and masks, in closed form."""
        noise = self.h.square().mean(dim=0) @ self.weight.square()
        return self.variance_off + p / (1 - p) * noise

    def shift(self, p: float) -> float:
        """Return the mean variance with dropout on over that with dropout off."""
        return float(self.variance_on(p).mean() / self.variance_off.mean())

    def enumerated_variance(self, p: float) -> Tensor:
        """Return the variance with dropout on by summing over every mask: ``(outputs,)``."""
        masks = all_masks(self.h.shape[1]).double()  # (masks, inputs)
        probabilities = mask_probabilities(masks > 0, p)
        z = (self.h * masks.unsqueeze(1) / (1 - p)) @ self.weight  # (masks, examples, outputs)
        mean = torch.einsum("m,meo->o", probabilities, z) / len(self.h)
        return torch.einsum("m,meo->o", probabilities, (z - mean).square()) / len(self.h)


def make_layer(seed: int) -> LinearLayer:
    """Draw ReLU activations whose units differ in mean and spread, and weights."""
    scales = torch.linspace(0.5, 1.5, INPUTS, dtype=torch.float64)
    h = (scales * (1 + normal_draws((EXAMPLES, INPUTS), seed, 1))).clamp(min=0)
    return LinearLayer(h, normal_draws((INPUTS, OUTPUTS), seed, 2) / INPUTS**0.5)


@dataclass(frozen=True)
class Measured:
    """Hold a mean over repetitions.

    Args:
        mean: The mean.
        standard_error: Its standard error.
    """

    mean: float
    standard_error: float

    @classmethod
    def over(cls, values: Tensor) -> "Measured":
        """Summarize independent repetitions, ``(repetitions,)``."""
        values = values.detach().double()
        return cls(float(values.mean()), float(values.std()) / math.sqrt(len(values)))

    def z_score(self, expected: float) -> float:
        """Return the distance from the expected value, in standard errors."""
        return abs(self.mean - expected) / self.standard_error


def measure_shift(layer: LinearLayer, p: float, repetitions: int, seed: int) -> Measured:
    """Measure the ratio of variances with the dropout layer; each repetition has new masks."""
    dropout = InvertedDropout(p, noise=noise_source(seed, 3, round(1000 * p)))
    z = dropout(layer.h.expand(repetitions, -1, -1)) @ layer.weight
    squares = (z - layer.mean).square().mean(dim=(1, 2))  # the mean is known, so there is no bias
    return Measured.over(squares / layer.variance_off.mean())


def running_shift(layer: LinearLayer, p: float, repetitions: int, seed: int) -> Measured:
    """Measure the ratio by the running variance of batch normalization, over repetitions.

    Each repetition is a normalization of its own, with batches drawn with replacement. The weight
    ``0.9 ** steps`` of the initial variance 1 is taken off.
    """
    dropout = InvertedDropout(p, noise=noise_source(seed, 4))
    norm = Normalization("batch", repetitions, OUTPUTS, CPU).double()
    generator = stream(Purpose.LESSON, seed, 5)
    for _ in range(STEPS):
        picked = torch.from_numpy(generator.integers(EXAMPLES, size=(repetitions, BATCH)))
        norm(dropout(layer.h[picked]) @ layer.weight)
    start = (1 - MOMENTUM) ** STEPS
    running = (norm.variance.detach()[:, 0] - start) / (1 - start)  # (repetitions, outputs)
    return Measured.over(running.mean(dim=1) / layer.variance_off.mean())


@dataclass(frozen=True)
class BatchNoise:
    """Hold how much the statistics of a batch fluctuate.

    Args:
        size: Examples in a batch.
        measured: The variance of a batch mean over batches, over the variance of the unit.
        expected: Its closed form for batches drawn without replacement.
    """

    size: int
    measured: Measured
    expected: float


def measure_batch_noise(layer: LinearLayer, batches: int, seed: int) -> list[BatchNoise]:
    """Measure the variance of the mean of a batch, without dropout, for each size of the batch."""
    z = layer.h @ layer.weight
    generator = stream(Purpose.LESSON, seed, 6)
    found = []
    for size in BATCH_SIZES:
        orders = generator.permuted(torch.arange(EXAMPLES).repeat(batches, 1).numpy(), axis=1)
        means = z[torch.from_numpy(orders[:, :size].copy())].mean(dim=1)  # (batches, outputs)
        squares = ((means - layer.mean).square() / layer.variance_off).mean(dim=1)
        expected = (EXAMPLES - size) / (size * (EXAMPLES - 1))
        found.append(BatchNoise(size, Measured.over(squares), expected))
    return found


@dataclass(frozen=True)
class TrainedShift:
    """Hold the variances before the second normalization of trained networks.

    Args:
        place: Where dropout is: after this hidden layer; 0 for no dropout.
        closed_form: The variance with dropout on over that with it off, ``(seeds,)``.
        ratio: The measured variance over the closed form, each repetition and seed with its masks.
        largest_difference: The largest difference of an input of a normalization between dropout on
            and off.
        spread: The variance of the units over training images after the second normalization,
            before its gain, dropout off: ``(seeds,)``. It is 1 where the statistics are right.
        loss: Test loss, ``(seeds,)``.
        corrected_loss: Test loss with running statistics of dropout off, ``(seeds,)``.
    """

    place: int
    closed_form: Tensor
    ratio: Measured
    largest_difference: float
    spread: Tensor
    loss: Tensor
    corrected_loss: Tensor


def network_settings(p: float, place: int, epochs: int) -> Settings:
    """Create the settings of a network with batch normalization before both activations."""
    values = {
        "model.hidden": (HIDDEN_UNITS, HIDDEN_UNITS),
        "model.normalization": "batch",
        "training.epochs": epochs,
        "training.batch_size": 50,
        "training.learning_rate_schedule": "linear",
        "evaluation.every": epochs,
        "evaluation.train_examples": 1,
    }
    dropout = {"dropout.p": p, "dropout.placement": (place,)} if place else {"dropout.p": 0.0}
    return make_settings(values | dropout)


def train_and_measure(
    p: float, place: int, epochs: int, seeds: Sequence[int], images: Splits
) -> TrainedShift:
    """Train networks with dropout at one place, and compare dropout on and off on test images."""
    model = train_fleet([network_settings(p, place, epochs)], seeds, images).fleet.model
    x = images.pixels(images.test.images[:1_000]).unsqueeze(0)
    with torch.no_grad():
        off, hidden = _inputs_of_normalizations(model.eval(), x)
        on = []
        with model.noise_for(Purpose.LESSON):
            for _ in range(_REPETITIONS):
                for dropout in model.dropouts:
                    dropout.train()  # the normalizations keep their running statistics
                on.append(_inputs_of_normalizations(model, x)[0])
        model.eval()
        before = off[1].double().var(dim=1, correction=0).mean(dim=1)  # (seeds,)
        after = torch.stack([each[1].double() for each in on])
        squares = (after - off[1].double().mean(dim=1, keepdim=True)).square()
        noise = torch.zeros_like(before)
        if place == 1:
            h, weight = hidden[0].double(), model.weights[1].detach().double()
            added = h.square().mean(dim=1, keepdim=True) @ weight.square()  # (seeds, 1, units)
            noise = p / (1 - p) * added.mean(dim=(1, 2))
        largest = max(
            float((a - b).abs().max()) for each in on for a, b in zip(each, off, strict=True)
        )
    loss = evaluate(model, images.test, images).loss
    spread = _spread(model, images)
    corrected = _correct_statistics(model, images)
    closed_form = 1 + noise / before
    ratio = squares.mean(dim=(2, 3)) / before / closed_form  # (repetitions, seeds)
    measured = Measured.over(ratio.flatten())
    return TrainedShift(place, closed_form, measured, largest, spread, loss, corrected)


def _inputs_of_normalizations(model: MLP, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Return the input of each normalization, and the hidden activations."""
    inputs: list[Tensor] = []
    hidden: list[Tensor] = []
    handles = [
        layer.register_forward_pre_hook(lambda _, given: inputs.append(given[0].clone()))
        for layer in model.normalizations
    ]
    try:
        model(x, hidden)
    finally:
        for handle in handles:
            handle.remove()
    return inputs, hidden


def _spread(model: MLP, images: Splits) -> Tensor:
    """Return the mean variance of the units after the second normalization: ``(seeds,)``."""
    x = images.pixels(images.train.images).unsqueeze(0)
    with torch.no_grad():
        z = _inputs_of_normalizations(model.eval(), x)[0][1].double()
    norm = cast(Normalization, model.normalizations[1])
    running = norm.variance.detach().double() + EPS
    variances: Tensor = z.var(dim=1, correction=0, keepdim=True) / running
    return variances.mean(dim=(1, 2))


def _correct_statistics(model: MLP, images: Splits) -> Tensor:
    """Return the test loss with the statistics of the training images, dropout off.

    One layer after the other, since the statistics of a layer depend on those before it.
    """
    x = images.pixels(images.train.images).unsqueeze(0)
    with torch.no_grad():
        for index, layer in enumerate(model.normalizations):
            z = _inputs_of_normalizations(model.eval(), x)[0][index]
            norm = cast(Normalization, layer)
            norm.mean.copy_(z.mean(dim=1, keepdim=True))
            norm.variance.copy_(z.var(dim=1, keepdim=True))
    return evaluate(model, images.test, images).loss
