"""Compute dL/dW1 by a formula, by autograd and by finite differences."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dropout_lab.layers import InvertedDropout
from dropout_lab.lessons.draws import noise_source
from dropout_lab.lessons.two_layers import EXAMPLES, INPUTS, UNITS, TwoLayerNetwork

_EPS = float(np.finfo(np.float64).eps)
_LARGEST_STEP = 1e-3
_STEP_SIZES = tuple(10.0**-k for k in range(1, 12))  # for the plot
Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class WrongGradient:
    """Hold a gradient from a formula that lacks a factor.

    Args:
        name: What the formula contains and what it lacks.
        gradient: ``(5, 10)``.
    """

    name: str
    gradient: Matrix


@dataclass(frozen=True)
class DifferenceErrors:
    """Hold the errors of central differences for several step sizes.

    Args:
        steps: The step sizes.
        errors: The largest difference from autograd for each step size.
        bounds: The rounding bound for each step size.
        kink_distance: The step size from which a unit crosses 0.
    """

    steps: Sequence[float]
    errors: Sequence[float]
    bounds: Sequence[float]
    kink_distance: float


@dataclass(frozen=True)
class FixedMaskBatch:
    """Hold a network, a batch, and one draw of masks that every pass uses.

    Args:
        network: The network.
        x: The inputs, ``(15, 5)``.
        y: The targets, ``(15, 1)``.
        p: The dropout rate.
        seed: The seed of the lesson.
    """

    network: TwoLayerNetwork
    x: Tensor
    y: Tensor
    p: float
    seed: int

    @property
    def layer(self) -> InvertedDropout:
        """Create the layer; its next draw is the mask of this batch."""
        return InvertedDropout(self.p, noise=noise_source(self.seed, 1))

    @property
    def scaled_mask(self) -> Tensor:
        """Return the mask over 1 - p, ``(15, 10)``: the layer's output for ones."""
        scaled_mask: Tensor = self.layer(torch.ones(EXAMPLES, UNITS, dtype=torch.float64))
        return scaled_mask

    def loss(self, w1: Tensor) -> float:
        """Compute the loss with other weights into the hidden units."""
        network = TwoLayerNetwork(w1, self.network.b1, self.network.w2, self.network.b2)
        return float(network.loss(self.x, self.y, self.layer))

    def autograd_gradient(self) -> Matrix:
        """Compute dL/dW1 by autograd, ``(5, 10)``."""
        return self.network.gradients(self.x, self.y, self.layer).w1.numpy()

    def formula_gradient(self, *, two_over_n: bool = True, masked: bool = True) -> Matrix:
        """Compute dL/dW1 by the matrix formula in NumPy: ``(10, 5)``, with a row for each unit.

        Args:
            two_over_n: Whether dL/dyhat has the factor 2/n.
            masked: Whether to apply the mask over 1 - p between the units and the output.
        """
        x, y = self.x.numpy().T, self.y.numpy().T  # a column for each example
        w1, b1, w2, b2 = (parameter.numpy().T for parameter in self.network.parameters)
        scaled_mask = self.scaled_mask.numpy().T
        z = w1 @ x + b1
        yhat = w2 @ (np.maximum(z, 0) * scaled_mask) + b2
        delta = (yhat - y) * (2 / y.size if two_over_n else 1)  # dL/dyhat
        unit_gradient = (w2.T @ delta) * (z > 0)
        return np.asarray((unit_gradient * scaled_mask if masked else unit_gradient) @ x.T)

    def central_differences(self, step: float) -> Matrix:
        """Compute dL/dW1 by central differences, ``(5, 10)``, with fixed masks."""
        gradient = np.empty((INPUTS, UNITS))
        for weight in np.ndindex(gradient.shape):
            raised, lowered = self.network.w1.clone(), self.network.w1.clone()
            raised[weight] += step
            lowered[weight] -= step
            gradient[weight] = (self.loss(raised) - self.loss(lowered)) / float(
                raised[weight] - lowered[weight]
            )
        return gradient

    @property
    def kink_distance(self) -> float:
        """Return how far a weight can move before a hidden unit crosses 0, the kink of ReLU."""
        z = self.x @ self.network.w1 + self.network.b1
        return float((z.abs().amin(dim=1) / self.x.abs().amax(dim=1)).min())

    @property
    def safe_step(self) -> float:
        """Return a step size for which no unit crosses 0."""
        return min(_LARGEST_STEP, self.kink_distance / 2)

    @property
    def _term_sizes(self) -> Tensor:
        """Compute yhat - y with the absolute value of every term: ``(15, 1)``."""
        w1, b1, w2, b2 = (parameter.abs() for parameter in self.network.parameters)
        return ((self.x.abs() @ w1 + b1) * self.scaled_mask) @ w2 + b2 + self.y.abs()

    def rounding_bound(self) -> float:
        """Bound the rounding difference between two ways to compute dL/dW1.

        Each way rounds about 40 times in a row: 5 products and sums for z, 10 for yhat, the mask,
        15 examples. Each rounding costs at most eps / 2 of the terms' sizes.
        """
        input_terms = (
            2 / EXAMPLES * self._term_sizes * self.network.w2.abs().T * self.scaled_mask
        )  # (15, 10)
        return 40 * _EPS * float((self.x.abs().T @ input_terms).max())

    def difference_bound(self, step: float) -> float:
        """Bound the rounding error of central differences.

        Between two kinks of ReLU the loss is a parabola in each weight, so rounding is the only
        error. Each loss rounds about 40 times in a row, and the quotient divides by two steps.
        """
        return 40 * _EPS * float(self._term_sizes.square().mean()) / step + self.rounding_bound()


def measure_difference_errors(batch: "FixedMaskBatch") -> DifferenceErrors:
    """Measure the error of central differences for each step size."""
    autograd = batch.autograd_gradient()
    return DifferenceErrors(
        _STEP_SIZES,
        [float(np.abs(batch.central_differences(step) - autograd).max()) for step in _STEP_SIZES],
        [batch.difference_bound(step) for step in _STEP_SIZES],
        batch.kink_distance,
    )
