"""Dropout by other hands, for lessons to hold the program's own layers against."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

_KEEP, _DROP = 2**15 - 1, -(2**15)  # the lanes that are kept, and dropped, at any p between 0 and 1


class NumpyDropout:
    """Inverted dropout in NumPy, forward and backward written out.

    Args:
        keep: The chance of *keeping* a unit, in (0, 1].
        generator: Tosses the coins.
    """

    def __init__(self, keep: float, generator: np.random.Generator) -> None:
        self.keep = keep
        self.generator = generator
        self.mask: NDArray[np.float64] = np.empty(0)

    def forward(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return ``x`` times a new mask, which is kept for :meth:`backward`."""
        self.mask = (self.generator.random(x.shape) < self.keep) / self.keep
        return x * self.mask

    def backward(self, slope: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the slope of the loss in ``x``, from that in the output."""
        return slope * self.mask


class Replayed:
    """A source of draws that keeps what was kept elsewhere.

    Args:
        kept: Whether each unit is kept.
    """

    def __init__(self, kept: Tensor) -> None:
        self.kept = kept

    def lanes(self, shape: Sequence[int], device: torch.device) -> Tensor:
        """Return the largest lane for what is kept, the smallest for what is not."""
        return torch.where(self.kept, _KEEP, _DROP).to(torch.int16).view(*shape).to(device)

    def normal(self, shape: Sequence[int], device: torch.device) -> Tensor:
        """Refuse: a mask tells nothing of normal draws."""
        raise TypeError("a mask was recorded; there are no normal draws to replay.")


def torch_dropout(p: float, x: Tensor, seed: int) -> Tensor:
    """Return what ``nn.Dropout(p)`` makes of ``x``; the user's random state does not move."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        dropped: Tensor = nn.Dropout(p)(x)
    return dropped
