"""Dropout by other hands, for lessons to hold the program's own layers against."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


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


def torch_dropout(p: float, x: Tensor, seed: int) -> Tensor:
    """Return what ``nn.Dropout(p)`` makes of ``x``; the user's random state does not move."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        dropped: Tensor = nn.Dropout(p)(x)
    return dropped
