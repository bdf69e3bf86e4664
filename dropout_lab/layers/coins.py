"""Convert 16-bit random integers to keep masks and uniform draws, and round p to match.

A lane is a random int16, uniform on all 65,536 values. A noise source generates lanes.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dropout_lab.devices import runs_eagerly
from dropout_lab.rng import LANES, Noise

Numbers = NDArray[np.float64]
_MIN_VARIANCE = 1e-12


def round_to_count(p: Numbers, units: int) -> Numbers:
    """Round p to 1 - k / units, with an integer k of at least 1."""
    rounded: Numbers = 1 - ((1 - p) * units).round().clip(min=1) / units
    return rounded


def round_to_lanes(p: Numbers) -> Numbers:
    """Round p to a multiple of 1/65,536. A p strictly between 0 and 1 does not become 0 or 1."""
    rounded = (p * LANES).round().clip(1, LANES - 1) / LANES
    return np.where((p > 0) & (p < 1), rounded, p)


def keep_threshold(p: Tensor) -> Tensor:
    """Return the lowest lane that keeps a unit: ``lane >= threshold`` has probability 1 - p.

    At p = 1 the threshold would exceed the highest lane. The caller multiplies by 0 there.
    """
    return (p * LANES - LANES // 2).clamp(max=LANES // 2 - 1).to(torch.int16)


def keep_mask(lanes: Tensor, threshold: Tensor) -> Tensor:
    """Return 1.0 where a lane keeps its unit and 0.0 elsewhere.

    The result is float32, which takes a fifth of the time of a bool mask.

    Args:
        lanes: int16.
        threshold: int16, in a shape that broadcasts with ``lanes``.
    """
    if not runs_eagerly():
        return (lanes >= threshold).float()
    return lanes.float().ge_(threshold.float())  # float32 represents every lane exactly


def uniform_draws(noise: Noise, shape: Sequence[int], device: torch.device) -> Tensor:
    """Draw float64 numbers, uniform on (0, 1), with 32 bits each from two lanes."""
    lanes = noise.lanes((*shape, 2), device)
    if runs_eagerly():
        words = lanes.contiguous().view(torch.int32).squeeze(-1)
    else:  # the same numbers, with operations that every transform supports
        words = lanes[..., 1].to(torch.int32) * LANES + (lanes[..., 0].to(torch.int32) & LANES - 1)
    return (words.double() + (2.0**31 + 0.5)) / 2.0**32


def lane_fractions(lanes: Tensor, like: Tensor) -> Tensor:
    """Convert lanes to numbers in (0, 1), symmetric about 1/2.

    The result is float64 if ``like`` is float64, else float32.
    """
    dtype = torch.promote_types(like.dtype, torch.float32)  # half precision would round to 1
    return (lanes.to(dtype) + (LANES // 2 + 0.5)) / LANES


def bounded_sqrt(variance: Tensor) -> Tensor:
    """Return the square root of a variance, clipped from below so that the gradient is finite.

    The lower bound is 1e-12, or the smallest positive number of the dtype.
    """
    limits = torch.finfo(variance.dtype)
    least = max(_MIN_VARIANCE, limits.tiny * limits.eps)
    return variance.clamp_min(least).sqrt()
