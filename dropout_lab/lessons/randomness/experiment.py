"""Measure dropped units, mask entropy and sub-networks, next to their expected values."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Binomial

from dropout_lab.layers import InvertedDropout
from dropout_lab.lessons.mask_helpers import binomial_probability, sample_keep_mask

UNITS = 10
P_GRID = tuple(step / 20 for step in range(1, 20))
ENTROPY_UNITS = 1_000  # units whose entropy is estimated, each with its own draws
BATCH_SIZE, BATCHES = 128, 1_000
LAYER_SIZES = (5, 10, 16)  # units; all their sub-networks can be counted


@dataclass(frozen=True)
class ShownMasks:
    """Hold masks at one p for the plot.

    Args:
        p: The dropout rate.
        keep_masks: A few masks, ``(examples, units)``.
        shares: The shares of many examples that drop 0, 1, ... units.
    """

    p: float
    keep_masks: Tensor
    shares: Tensor


@dataclass(frozen=True)
class DroppedCounts:
    """Count the dropped units, of ten, in each of many examples.

    Args:
        p: The realized dropout rate.
        shares: The shares of the examples that drop 0, 1, ... 10 units.
        examples: The number of examples.
    """

    p: float
    shares: Tensor
    examples: int

    @classmethod
    def measure(cls, layer: InvertedDropout, examples: int) -> "DroppedCounts":
        """Sample a mask for each example and count the dropped units."""
        dropped_units = UNITS - sample_keep_mask(layer, examples, UNITS).sum(dim=1)
        shares = torch.bincount(dropped_units, minlength=UNITS + 1).double() / examples
        return cls(float(layer.p), shares, examples)

    @property
    def mean(self) -> float:
        """Return the mean number of dropped units."""
        return float((self.shares * torch.arange(UNITS + 1)).sum())

    @property
    def variance(self) -> float:
        """Return the unbiased variance of the number of dropped units."""
        squares = (torch.arange(UNITS + 1) - self.mean) ** 2
        return float((self.shares * squares).sum()) * self.examples / (self.examples - 1)

    @property
    def nearest_count(self) -> int:
        """Return the number of units closest to a share p."""
        return round(UNITS * self.p)

    @property
    def expected_variance(self) -> float:
        """Return the variance of a binomial count."""
        return UNITS * self.p * (1 - self.p)

    @property
    def expected_share(self) -> float:
        """Return the binomial probability of the nearest count."""
        return binomial_probability(UNITS, self.nearest_count, self.p)

    @property
    def z_score(self) -> float:
        """Return the largest deviation from the binomial distribution, in standard errors."""
        n, variance = self.examples, self.expected_variance
        fourth = variance * (1 + 3 * (UNITS - 2) * self.p * (1 - self.p))  # central moment
        of_variance = math.sqrt((fourth - variance**2 * (n - 3) / (n - 1)) / n)
        of_share = math.sqrt(self.expected_share * (1 - self.expected_share) / n)
        return max(
            abs(self.mean - UNITS * self.p) / math.sqrt(variance / n),
            abs(self.variance - variance) / of_variance,
            abs(float(self.shares[self.nearest_count]) - self.expected_share) / of_share,
        )


@dataclass(frozen=True)
class EntropyEstimate:
    """Hold the entropy of a unit's mask, in bits.

    Args:
        p: The realized dropout rate.
        uncorrected: H of the share of draws in which a unit was dropped, mean over units.
        corrected: The same with Miller's correction.
        standard_error: The standard error of ``corrected``, from the binomial distribution.
        expected: H(p).
    """

    p: float
    uncorrected: float
    corrected: float
    standard_error: float
    expected: float

    @property
    def z_score(self) -> float:
        """Return the distance of the corrected mean from H(p), in standard errors."""
        return abs(self.corrected - self.expected) / self.standard_error


@dataclass(frozen=True)
class SubNetworkCount:
    """Hold the number of different sub-networks in a batch.

    Args:
        p: The realized dropout rate.
        units: The number of units of the layer.
        mean: The mean over batches.
        standard_error: The theoretical standard error of the mean.
        expected: The expected mean.
    """

    p: float
    units: int
    mean: float
    standard_error: float
    expected: float

    @property
    def z_score(self) -> float:
        """Return the distance of the mean from its expected value, in standard errors."""
        return abs(self.mean - self.expected) / self.standard_error


def estimate_entropy(layer: InvertedDropout, draws: int) -> EntropyEstimate:
    """Estimate the entropy of each unit's mask from how often the unit was dropped."""
    p = float(layer.p)
    uncorrected, correction = plug_in_entropies(draws)  # of a unit dropped 0, 1, ... times
    drop_counts = draws - sample_keep_mask(layer, draws, ENTROPY_UNITS).sum(dim=0)
    corrected = uncorrected + correction
    # The measured spread is no good estimate: near p = 0.5 the spread depends on the mean.
    drop_count_values = torch.arange(draws + 1).double()
    probabilities = Binomial(draws, layer.p).log_prob(drop_count_values).exp()
    mean = (probabilities * corrected).sum()
    deviation = float((probabilities * (corrected - mean) ** 2).sum().sqrt())
    return EntropyEstimate(
        p=p,
        uncorrected=float(uncorrected[drop_counts].mean()),
        corrected=float(corrected[drop_counts].mean()),
        standard_error=deviation / math.sqrt(ENTROPY_UNITS),
        expected=-p * math.log2(p) - (1 - p) * math.log2(1 - p),
    )


def plug_in_entropies(draws: int) -> tuple[Tensor, Tensor]:
    """Return H(f) in bits for f = 0, 1/n, ... 1, and Miller's correction (1955): ``(n + 1,)``."""
    share = torch.arange(draws + 1).double() / draws
    uncorrected = (torch.special.entr(share) + torch.special.entr(1 - share)) / math.log(2)
    return uncorrected, ((share > 0) & (share < 1)) / (2 * draws * math.log(2))


def count_sub_networks(layer: InvertedDropout, units: int) -> SubNetworkCount:
    """Count the different masks in batches of ``BATCH_SIZE`` examples."""
    distinct_masks = count_distinct_masks(
        sample_keep_mask(layer, BATCHES, BATCH_SIZE, units)
    ).double()
    p = float(layer.p)
    expected, deviation = expected_distinct_masks(p, units, BATCH_SIZE)
    return SubNetworkCount(
        p, units, float(distinct_masks.mean()), deviation / math.sqrt(BATCHES), expected
    )


def count_distinct_masks(keep_masks: Tensor) -> Tensor:
    """Count the different masks of each batch: ``(batches,)``.

    Args:
        keep_masks: ``(batches, examples, units)``, with at most 62 units.
    """
    powers = 2 ** torch.arange(keep_masks.shape[-1])
    codes = (keep_masks * powers).sum(dim=-1).sort(dim=-1).values  # (batches, examples)
    return 1 + (codes.diff(dim=-1) != 0).sum(dim=-1)


def expected_distinct_masks(p: float, units: int, examples: int) -> tuple[float, float]:
    """Compute the mean and standard deviation of the number of different masks in a batch.

    A mask with m dropped units has the probability ``P = p^m (1 - p)^(units - m)`` and occurs in a
    batch with the probability ``1 - (1 - P)^examples``; the mean is the sum over all masks. The
    variance is the sum, over all pairs of masks, of the covariance of their absence.

    Args:
        p: The dropout rate, in (0, 1).
        units: The number of units of the layer.
        examples: The number of examples in a batch, each with its own mask.
    """
    dropped_units = np.arange(units + 1)
    mask_numbers = np.array([math.comb(units, m) for m in dropped_units], dtype=float)
    probabilities = p**dropped_units * (1 - p) ** (units - dropped_units)
    absence_probabilities = np.exp(examples * np.log1p(-probabilities))
    mean = float((mask_numbers * -np.expm1(examples * np.log1p(-probabilities))).sum())
    both_absent = np.clip(1 - probabilities[:, None] - probabilities[None, :], 0, 1) ** examples
    covariances = both_absent - absence_probabilities[:, None] * absence_probabilities[None, :]
    pair_numbers = mask_numbers[:, None] * mask_numbers[None, :] - np.diag(
        mask_numbers
    )  # pairs of two different masks
    variance = float(
        (pair_numbers * covariances).sum()
        + (mask_numbers * absence_probabilities * (1 - absence_probabilities)).sum()
    )
    return mean, math.sqrt(max(variance, 0.0))
