"""Random numbers and enumerated masks for lessons."""

import itertools
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from dropout_lab.rng import LANES, NumpyNoise, Purpose, stream

_CPU = torch.device("cpu")


def noise_source(seed: int, *key: int) -> NumpyNoise:
    """Create a noise source for a dropout layer; equal seeds and keys give equal draws.

    Args:
        seed: The seed of the lesson.
        key: Numbers that distinguish the streams of a lesson: which layer, which repetition.
    """
    return NumpyNoise(stream(Purpose.LESSON, seed, *key))


def normal_draws(shape: Sequence[int], seed: int, *key: int) -> Tensor:
    """Return standard normal draws in float64, for random weights and inputs."""
    return noise_source(seed, *key).normal(shape, _CPU).double()


class ReplayedMasks:
    """Give a dropout layer a fixed sequence of masks instead of random draws.

    Args:
        masks: A mask for each step, with 1 for a kept and 0 for a dropped unit, at any p between 0
            and 1. Each mask is broadcast to the shape that the layer asks for.
    """

    def __init__(self, masks: Iterable[Tensor]) -> None:
        self._masks = iter(masks)

    def lanes(self, shape: Sequence[int], device: torch.device) -> Tensor:
        """Return int16 draws of ``shape``: the highest keeps a unit, the lowest drops it."""
        keep_mask = next(self._masks).to(device).bool()
        half_range = LANES // 2
        return torch.where(keep_mask, half_range - 1, -half_range).to(torch.int16).expand(*shape)

    def normal(self, shape: Sequence[int], device: torch.device) -> Tensor:
        """Raise an error, since a mask cannot replace normal draws."""
        raise TypeError("This layer draws normal noise; ReplayedMasks gives only masks of 0 and 1.")


def all_masks(units: int) -> Tensor:
    """Return every mask of ``units`` units, True for a kept unit: ``(2**units, units)``."""
    return torch.tensor(list(itertools.product((False, True), repeat=units)))


def mask_probabilities(masks: Tensor, p: Tensor | float) -> Tensor:
    """Return the probability of each mask: a factor 1 - p for a kept unit, p for a dropped unit.

    Args:
        masks: ``(masks, units)``, True for a kept unit.
        p: One dropout rate, or ``(ps, 1)`` for one row of probabilities per rate.
    """
    kept_units = masks.sum(dim=1)
    p = torch.as_tensor(p, dtype=torch.float64)  # a Python float to a tensor power gives float32
    return (1 - p) ** kept_units * p ** (masks.shape[1] - kept_units)
