"""Where lessons get their random numbers: streams of their own, named by the lesson's seed."""

import itertools
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from dropout_lab.rng import LANES, NumpyNoise, Purpose, stream

_CPU = torch.device("cpu")


def noise(seed: int, *key: int) -> NumpyNoise:
    """Open a source of draws for a dropout layer; equal names draw the same.

    Args:
        seed: Of the lesson.
        key: Further names it: which layer, which repetition.
    """
    return NumpyNoise(stream(Purpose.LESSON, seed, *key))


def normal(shape: Sequence[int], seed: int, *key: int) -> Tensor:
    """Return standard normal draws in float64, such as weights and inputs that are made up."""
    return noise(seed, *key).normal(shape, _CPU).double()


class Replayed:
    """A source that gives a dropout layer the masks it shall have, one after the other.

    Args:
        masks: One for each step, 1 where a unit is kept and 0 where it is dropped, at any p between
            0 and 1; each is broadcast to the shape the layer asks for.
    """

    def __init__(self, masks: Iterable[Tensor]) -> None:
        self._masks = iter(masks)

    def lanes(self, shape: Sequence[int], device: torch.device) -> Tensor:
        """Return int16 draws of ``shape``: the highest where a unit is kept, else the lowest."""
        kept = next(self._masks).to(device).bool()
        half = LANES // 2
        return torch.where(kept, half - 1, -half).to(torch.int16).expand(*shape)

    def normal(self, shape: Sequence[int], device: torch.device) -> Tensor:
        """Refuse: masks are no normal draws."""
        raise TypeError("masks are replayed here; a layer with normal noise has none.")


def every_mask(units: int) -> Tensor:
    """Return all ways to keep or drop some units, True = kept: ``(2**units, units)``."""
    return torch.tensor(list(itertools.product((False, True), repeat=units)))


def chances(masks: Tensor, p: Tensor | float) -> Tensor:
    """Return the chance of each mask: a factor 1 - p for each unit kept, p for each dropped.

    Args:
        masks: ``(masks, units)``, True = kept.
        p: One number, or ``(ps, 1)`` for a row of chances each.
    """
    kept = masks.sum(dim=1)
    p = torch.as_tensor(p, dtype=torch.float64)  # a Python number to a tensor's power is float32
    return (1 - p) ** kept * p ** (masks.shape[1] - kept)
