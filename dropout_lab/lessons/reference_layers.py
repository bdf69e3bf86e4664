"""Reference implementations of dropout in NumPy and PyTorch, to compare our layers with."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


class NumpyDropout:
    """Implement inverted dropout in NumPy, with the forward and the backward pass.

    Args:
        keep_probability: The probability of *keeping* a unit, in (0, 1].
        generator: The source of the uniform draws.
    """

    def __init__(self, keep_probability: float, generator: np.random.Generator) -> None:
        self.keep_probability = keep_probability
        self.generator = generator
        self.mask: NDArray[np.float64] = np.empty(0)

    def forward(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Multiply ``x`` by a new mask and store the mask for :meth:`backward`."""
        self.mask = (self.generator.random(x.shape) < self.keep_probability) / self.keep_probability
        return x * self.mask

    def backward(self, output_gradient: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the gradient of the loss by ``x``, given the gradient by the output."""
        return output_gradient * self.mask


def torch_dropout(p: float, x: Tensor, seed: int) -> Tensor:
    """Apply ``nn.Dropout(p)`` to ``x`` without changing the global random state."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        output: Tensor = nn.Dropout(p)(x)
    return output
