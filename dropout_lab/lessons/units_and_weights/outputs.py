"""The noise of a layer of 2 x 3 under dropout and DropConnect; for lesson ``units-and-weights``."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from dropout_lab.layers import DropConnect, InvertedDropout, affine
from dropout_lab.layers.base import Mask
from dropout_lab.lessons.draws import chances, every_mask, noise

WEIGHT = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], dtype=torch.float64)
BIAS = torch.ones(1, 3, dtype=torch.float64)
ONES = torch.ones(1, 2, dtype=torch.float64)  # the example that all numbers are for
SIZES = (1, 4, 8, 32)  # of batches

Spread = dict[Mask, dict[int, "Variance"]]  # by size of the batch


@dataclass(frozen=True)
class Outcomes:
    """All that outputs can become under coins tossed for their terms, each with its chance.

    Args:
        terms: What each coin adds to the outputs if it keeps, dropout off: ``(coins, outputs)``.
        p: The chance of dropping.
    """

    terms: Tensor
    p: float

    def products(self) -> tuple[Tensor, Tensor]:
        """Return mean and variance of the products of two outputs less their means, each pair.

        The means are the covariances, and the variances what the errors of measured ones come
        from: ``(outputs, outputs)``.
        """
        masks = every_mask(len(self.terms))
        chance = chances(masks, self.p)[:, None, None]
        off = masks.double() @ self.terms / (1 - self.p) - self.terms.sum(dim=0)
        products = off[:, :, None] * off[:, None, :]  # (masks, outputs, outputs)
        mean = (chance * products).sum(dim=0)
        return mean, (chance * (products - mean).square()).sum(dim=0)


@dataclass(frozen=True)
class Noisy:
    """The outputs under many masks, and their covariances.

    Args:
        z: The outputs under each mask: ``(draws, outputs)``.
        mean: What their mean should be.
        should: What their covariances should be: ``(outputs, outputs)``.
        error: The standard errors of measured ones.
    """

    z: Tensor
    mean: Tensor
    should: Tensor
    error: Tensor

    @property
    def found(self) -> Tensor:
        """The covariances measured, about the mean that should be."""
        off = self.z - self.mean
        return off.mT @ off / len(off)

    @property
    def worst(self) -> float:
        """How far a covariance is off at most, in standard errors."""
        return float(((self.found - self.should).abs() / self.error).max())


@dataclass(frozen=True)
class Variance:
    """A variance measured.

    Args:
        should: What it should be.
        found: What was measured.
        error: The standard error of that.
    """

    should: float
    found: float
    error: float


def of_units(p: float, draws: int, seed: int) -> Noisy:
    """Return the outputs under dropout of the input units."""
    layer = InvertedDropout(p, noise=noise(seed, 50))
    z = layer.connect(ONES.expand(draws, 2), WEIGHT, None)
    outcomes = Outcomes(ONES.mT * WEIGHT, float(layer.p))
    error = (outcomes.products()[1] / draws).sqrt()
    return Noisy(z, affine(ONES, WEIGHT, None)[0], odds(p) * WEIGHT.mT @ WEIGHT, error)


def of_weights(p: float, draws: int, seed: int, bias: Tensor | None = None) -> Noisy:
    """Return the outputs under DropConnect, a run for each draw so that each has its own mask."""
    layer = DropConnect(p, mask="batch", noise=noise(seed, 51 if bias is None else 52))
    copies = None if bias is None else bias.expand(draws, 1, 3)
    z = layer.connect(ONES.expand(draws, 1, 2), WEIGHT.expand(draws, 2, 3), copies).squeeze(1)
    terms = [*(ONES.mT * WEIGHT), *([] if bias is None else bias)]
    outcomes = Outcomes(torch.cat([row.diag() for row in terms]), float(layer.p))
    mean, variance = layer.moments(
        ONES, WEIGHT, torch.zeros(1, 3).double() if bias is None else bias
    )
    error = (outcomes.products()[1] / draws).sqrt()
    return Noisy(z, mean.squeeze(0), variance.squeeze(0).diag(), error)


def of_batches(mask: Mask, p: float, draws: int, seed: int) -> dict[int, Variance]:
    """Return the variance of the mean of z_1 over batches of some sizes, units dropped."""
    first = Outcomes(WEIGHT[:, :1], float(InvertedDropout(p).p))
    variance, of_square = (float(each) for each in first.products())
    excess = of_square - 2 * variance**2  # the fourth cumulant of z_1
    found = {}
    for size in SIZES:
        layer = InvertedDropout(p, mask=mask, noise=noise(seed, 60, size))
        z = affine(layer(ONES.expand(draws, size, 2)), WEIGHT.expand(draws, 2, 3), None)
        squares = (z[..., 0].mean(dim=1) - WEIGHT[:, 0].sum()).square()
        alike = 1 if mask == "batch" else size  # masks in a batch
        error = math.sqrt((2 * (variance / alike) ** 2 + excess / alike**3) / draws)
        found[size] = Variance(variance / alike, float(squares.mean()), error)
    return found


def odds(p: float) -> float:
    """Return p / (1 - p) of the p that a layer's coins realize."""
    realized = float(InvertedDropout(p).p)
    return realized / (1 - realized)
