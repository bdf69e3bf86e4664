"""A small regression network: 5 inputs, 10 hidden units with dropout, 1 output; float64."""

from dataclasses import dataclass

import torch
from torch import Tensor

from dropout_lab.layers import Dropout, affine
from dropout_lab.lessons.draws import normal_draws

INPUTS, UNITS, EXAMPLES = 5, 10, 15


@dataclass(frozen=True)
class TwoLayerNetwork:
    """Compute ``yhat = dropout(relu(x W1 + b1)) W2 + b2`` and its gradients.

    Args:
        w1: ``(5, 10)``, with a column for each hidden unit.
        b1: ``(1, 10)``.
        w2: ``(10, 1)``, with a row for each hidden unit.
        b2: ``(1, 1)``.
    """

    w1: Tensor
    b1: Tensor
    w2: Tensor
    b2: Tensor

    @property
    def parameters(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the weights and biases in the order of the forward pass."""
        return self.w1, self.b1, self.w2, self.b2

    def copy(self) -> "TwoLayerNetwork":
        """Copy the network; the copied weights require gradients."""
        return TwoLayerNetwork(
            *(parameter.detach().clone().requires_grad_() for parameter in self.parameters)
        )

    def weights_by_unit(self) -> Tensor:
        """Return a column for each hidden unit: 5 input weights, the bias, the output weight."""
        return torch.cat([self.w1, self.b1, self.w2.mT]).detach()

    def hidden(self, x: Tensor) -> Tensor:
        """Return the hidden units before dropout, ``(examples, 10)``."""
        return affine(x, self.w1, self.b1).relu()

    def loss(self, x: Tensor, y: Tensor, dropout: Dropout) -> Tensor:
        """Return the mean squared error over the batch.

        Args:
            x: ``(examples, 5)``.
            y: ``(examples, 1)``.
            dropout: The layer between the hidden units and the output.
        """
        return (dropout.connect(self.hidden(x), self.w2, self.b2) - y).square().mean()

    def gradients(self, x: Tensor, y: Tensor, dropout: Dropout) -> "TwoLayerNetwork":
        """Compute the gradient of :meth:`loss` by each parameter with autograd."""
        network = self.copy()
        return TwoLayerNetwork(
            *torch.autograd.grad(network.loss(x, y, dropout), network.parameters)
        )


def random_problem(seed: int) -> tuple[TwoLayerNetwork, Tensor, Tensor]:
    """Draw a network, inputs ``(15, 5)`` and targets ``(15, 1)`` from the seed of a lesson."""
    network = TwoLayerNetwork(
        normal_draws((INPUTS, UNITS), seed, 0, 1) * (2 / INPUTS) ** 0.5,
        normal_draws((1, UNITS), seed, 0, 2) * 0.1,
        normal_draws((UNITS, 1), seed, 0, 3) * (1 / UNITS) ** 0.5,
        normal_draws((1, 1), seed, 0, 4) * 0.1,
    )
    inputs = normal_draws((EXAMPLES, INPUTS), seed, 0, 5)
    return network, inputs, normal_draws((EXAMPLES, 1), seed, 0, 6)
