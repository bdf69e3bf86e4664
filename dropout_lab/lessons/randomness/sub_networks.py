"""How many different sub-networks a batch sees: counted, and by the theory of it."""

import math

import numpy as np
import torch
from torch import Tensor


def distinct(kept: Tensor) -> Tensor:
    """Return how many different masks each batch has: ``(batches,)``.

    Args:
        kept: Masks, ``(batches, examples, units)``, of at most 62 units.
    """
    powers = 2 ** torch.arange(kept.shape[-1])
    codes = (kept * powers).sum(dim=-1).sort(dim=-1).values  # (batches, examples)
    return 1 + (codes.diff(dim=-1) != 0).sum(dim=-1)


def expected_distinct(p: float, units: int, examples: int) -> tuple[float, float]:
    """Return mean and standard deviation of the number of different masks of a batch.

    A mask with m units dropped has the chance ``P = p^m (1 - p)^(units - m)``, and is among the
    examples with the chance ``1 - (1 - P)^examples``; the mean is the sum of that over all masks.
    The variance is the sum over all pairs of masks of the covariance of their being absent.

    Args:
        p: Chance of dropping, in (0, 1).
        units: Of the layer.
        examples: Of a batch, each with a mask of its own.
    """
    dropped = np.arange(units + 1)
    masks = np.array([math.comb(units, m) for m in dropped], dtype=float)  # that drop m units
    chance = p**dropped * (1 - p) ** (units - dropped)
    absent = np.exp(examples * np.log1p(-chance))
    mean = float((masks * -np.expm1(examples * np.log1p(-chance))).sum())
    neither = np.clip(1 - chance[:, None] - chance[None, :], 0, 1) ** examples
    together = neither - absent[:, None] * absent[None, :]
    pairs = masks[:, None] * masks[None, :] - np.diag(masks)  # of two masks that differ
    variance = float((pairs * together).sum() + (masks * absent * (1 - absent)).sum())
    return mean, math.sqrt(max(variance, 0.0))
