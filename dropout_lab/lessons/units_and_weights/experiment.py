"""Sample a 2 x 3 layer under dropout and DropConnect, and measure the output noise."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from dropout_lab.layers import DropConnect, InvertedDropout, affine
from dropout_lab.layers.base import Mask
from dropout_lab.lessons.draws import all_masks, mask_probabilities, noise_source

WEIGHT = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], dtype=torch.float64)
BIAS = torch.ones(1, 3, dtype=torch.float64)
ONES = torch.ones(1, 2, dtype=torch.float64)  # the input example
BATCH_SIZES = (1, 4, 8, 32)
DROPPED_PARTS = {"inputs": "input units", "outputs": "output units", "weights": "weights"}
BatchVariances = dict[Mask, dict[int, "MeasuredVariance"]]  # the inner key is the batch size


@dataclass(frozen=True)
class EnumeratedOutputs:
    """Enumerate the outputs for all coins of their terms, with the probability of each.

    Args:
        terms: What each coin adds to the outputs if kept, dropout off: ``(coins, outputs)``.
        p: The dropout rate.
    """

    terms: Tensor
    p: float

    def product_moments(self) -> tuple[Tensor, Tensor]:
        """Compute mean and variance of the product of two outputs' deviations, for each pair.

        The means are the covariances of the outputs; the variances give the standard errors of
        measured covariances: ``(outputs, outputs)``.
        """
        masks = all_masks(len(self.terms))
        probabilities = mask_probabilities(masks, self.p)[:, None, None]
        deviations = masks.double() @ self.terms / (1 - self.p) - self.terms.sum(dim=0)
        products = deviations[:, :, None] * deviations[:, None, :]  # (masks, outputs, outputs)
        mean = (probabilities * products).sum(dim=0)
        return mean, (probabilities * (products - mean).square()).sum(dim=0)


@dataclass(frozen=True)
class NoisyOutputs:
    """Hold sampled outputs and the expected covariances.

    Args:
        outputs: The outputs under each mask: ``(draws, outputs)``.
        mean: The expected mean.
        expected_covariances: The expected covariances: ``(outputs, outputs)``.
        standard_error: The standard errors of measured covariances.
    """

    outputs: Tensor
    mean: Tensor
    expected_covariances: Tensor
    standard_error: Tensor

    @property
    def covariances(self) -> Tensor:
        """Compute the covariances of the sampled outputs around the expected mean."""
        deviations = self.outputs - self.mean
        return deviations.mT @ deviations / len(deviations)

    @property
    def largest_z_score(self) -> float:
        """Return the largest deviation of a covariance, in standard errors."""
        return float(
            ((self.covariances - self.expected_covariances).abs() / self.standard_error).max()
        )


@dataclass(frozen=True)
class MeasuredVariance:
    """Hold a measured variance and its expected value.

    Args:
        expected: The expected variance.
        measured: The measured variance.
        standard_error: The standard error of the measured variance.
    """

    expected: float
    measured: float
    standard_error: float


def sample_matrices(name: str, p: float, draws: int, seed: int) -> Tensor:
    """Sample the matrix under dropout of inputs, outputs or weights: (draws, 2, 3).

    The input of the layer is a copy of the identity for each draw, so the outputs are the rows of
    the matrix. Both rows of a draw share one mask.
    """
    noise = noise_source(seed, 1 + list(DROPPED_PARTS).index(name))
    identity, weight = torch.eye(2).double().expand(draws, 2, 2), WEIGHT.expand(draws, 2, 3)
    if name == "weights":
        return DropConnect(p, mask="batch", noise=noise).connect(identity, weight, None)
    unit_dropout = InvertedDropout(p, mask="batch", noise=noise)
    drops_inputs = name == "inputs"
    return (
        affine(unit_dropout(identity), weight, None)
        if drops_inputs
        else unit_dropout(affine(identity, weight, None))
    )


def drop_units(p: float, draws: int, seed: int) -> NoisyOutputs:
    """Sample the outputs under dropout of the input units."""
    layer = InvertedDropout(p, noise=noise_source(seed, 50))
    outputs = layer.connect(ONES.expand(draws, 2), WEIGHT, None)
    enumerated = EnumeratedOutputs(ONES.mT * WEIGHT, float(layer.p))
    standard_error = (enumerated.product_moments()[1] / draws).sqrt()
    return NoisyOutputs(
        outputs, affine(ONES, WEIGHT, None)[0], dropout_odds(p) * WEIGHT.mT @ WEIGHT, standard_error
    )


def drop_weights(p: float, draws: int, seed: int, bias: Tensor | None = None) -> NoisyOutputs:
    """Sample the outputs under DropConnect, as one run for each draw, each with its own mask."""
    layer = DropConnect(p, mask="batch", noise=noise_source(seed, 51 if bias is None else 52))
    bias_copies = None if bias is None else bias.expand(draws, 1, 3)
    outputs = layer.connect(
        ONES.expand(draws, 1, 2), WEIGHT.expand(draws, 2, 3), bias_copies
    ).squeeze(1)
    terms = [*(ONES.mT * WEIGHT), *([] if bias is None else bias)]
    enumerated = EnumeratedOutputs(torch.cat([row.diag() for row in terms]), float(layer.p))
    mean, variance = layer.moments(
        ONES, WEIGHT, torch.zeros(1, 3).double() if bias is None else bias
    )
    standard_error = (enumerated.product_moments()[1] / draws).sqrt()
    return NoisyOutputs(outputs, mean.squeeze(0), variance.squeeze(0).diag(), standard_error)


def measure_batch_means(mask: Mask, p: float, draws: int, seed: int) -> dict[int, MeasuredVariance]:
    """Measure the variance of the batch mean of z_1 under dropout, for several batch sizes."""
    first_output = EnumeratedOutputs(WEIGHT[:, :1], float(InvertedDropout(p).p))
    variance, square_variance = (float(moment) for moment in first_output.product_moments())
    fourth_cumulant = square_variance - 2 * variance**2  # of z_1
    variances = {}
    for size in BATCH_SIZES:
        layer = InvertedDropout(p, mask=mask, noise=noise_source(seed, 60, size))
        outputs = affine(layer(ONES.expand(draws, size, 2)), WEIGHT.expand(draws, 2, 3), None)
        squares = (outputs[..., 0].mean(dim=1) - WEIGHT[:, 0].sum()).square()
        independent_masks = 1 if mask == "batch" else size  # masks in a batch
        standard_error = math.sqrt(
            (2 * (variance / independent_masks) ** 2 + fourth_cumulant / independent_masks**3)
            / draws
        )
        variances[size] = MeasuredVariance(
            variance / independent_masks, float(squares.mean()), standard_error
        )
    return variances


def dropout_odds(p: float) -> float:
    """Return p / (1 - p) for the p that the coins of a layer realize."""
    realized_p = float(InvertedDropout(p).p)
    return realized_p / (1 - realized_p)
