"""From 16-bit lanes to coins and fractions, and a p that the draws can realize."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dropout_lab.devices import runs_eagerly
from dropout_lab.rng import LANES, Noise

Numbers = NDArray[np.float64]
_LEAST_VARIANCE = 1e-12


def round_to_count(p: Numbers, units: int) -> Numbers:
    """Return p as 1 - k / units, with k a whole number of at least 1."""
    rounded: Numbers = 1 - ((1 - p) * units).round().clip(min=1) / units
    return rounded


def round_to_lanes(p: Numbers) -> Numbers:
    """Return p as a multiple of 1/65,536; what lies strictly between 0 and 1 stays there."""
    rounded = (p * LANES).round().clip(1, LANES - 1) / LANES
    return np.where((p > 0) & (p < 1), rounded, p)


def keep_threshold(p: Tensor) -> Tensor:
    """Return the least int16 lane that keeps: ``lane >= threshold`` has the chance 1 - p.

    At p = 1 the threshold would be one more than a lane can be; the caller multiplies by 0 there.
    """
    return (p * LANES - LANES // 2).clamp(max=LANES // 2 - 1).to(torch.int16)


def coins(lanes: Tensor, threshold: Tensor) -> Tensor:
    """Return 1 where a lane keeps and 0 elsewhere, float32: a fifth of the time of a bool mask.

    Args:
        lanes: int16.
        threshold: int16, ready to broadcast against them.
    """
    if not runs_eagerly():
        return (lanes >= threshold).float()
    return lanes.float().ge_(threshold.float())  # every lane is a float32


def uniform(noise: Noise, shape: Sequence[int], device: torch.device) -> Tensor:
    """Return float64 draws of ``shape``, uniform on (0, 1), of 32 bits, each from two lanes."""
    lanes = noise.lanes((*shape, 2), device)
    if runs_eagerly():
        words = lanes.contiguous().view(torch.int32).squeeze(-1)
    else:  # the same number, by operations that every transform knows
        words = lanes[..., 1].to(torch.int32) * LANES + (lanes[..., 0].to(torch.int32) & LANES - 1)
    return (words.double() + (2.0**31 + 0.5)) / 2.0**32


def lane_fractions(lanes: Tensor, like: Tensor) -> Tensor:
    """Return lanes as numbers in (0, 1), symmetric about 1/2; float32, float64 for a float64."""
    dtype = torch.promote_types(like.dtype, torch.float32)  # half precision would round to 1
    return (lanes.to(dtype) + (LANES // 2 + 0.5)) / LANES


def root(variance: Tensor) -> Tensor:
    """Return the square root of a variance, clipped from below so that the slope is finite.

    The lower bound is 1e-12, or the smallest positive number of the dtype.
    """
    kind = torch.finfo(variance.dtype)
    least = max(_LEAST_VARIANCE, kind.tiny * kind.eps)
    return variance.clamp_min(least).sqrt()
