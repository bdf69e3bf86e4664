"""The small network of two lessons: 5 inputs, 10 hidden units with dropout, 1 output; float64."""

from dataclasses import dataclass

import torch
from torch import Tensor

from dropout_lab.layers import Dropout, affine
from dropout_lab.lessons.draws import normal

INPUTS, UNITS, EXAMPLES = 5, 10, 15


@dataclass(frozen=True)
class TwoLayers:
    """A network for regression: ``yhat = dropout(relu(x W1 + b1)) W2 + b2``.

    Args:
        w1: ``(5, 10)``: a column for each hidden unit.
        b1: ``(1, 10)``.
        w2: ``(10, 1)``: a row for each hidden unit.
        b2: ``(1, 1)``.
    """

    w1: Tensor
    b1: Tensor
    w2: Tensor
    b2: Tensor

    @property
    def parameters(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Weights and biases, in the order they are used."""
        return self.w1, self.b1, self.w2, self.b2

    def copy(self) -> "TwoLayers":
        """Return the same network with weights of its own, ready for gradients."""
        return TwoLayers(*(each.detach().clone().requires_grad_() for each in self.parameters))

    def around(self) -> Tensor:
        """Return a column for each hidden unit: 5 weights into it, its bias, its weight out."""
        return torch.cat([self.w1, self.b1, self.w2.mT]).detach()

    def hidden(self, x: Tensor) -> Tensor:
        """Return the hidden units before dropout, ``(examples, 10)``."""
        return affine(x, self.w1, self.b1).relu()

    def loss(self, x: Tensor, y: Tensor, dropout: Dropout) -> Tensor:
        """Return the mean squared error over the batch.

        Args:
            x: ``(examples, 5)``.
            y: ``(examples, 1)``.
            dropout: Between the hidden units and the output.
        """
        return (dropout.connect(self.hidden(x), self.w2, self.b2) - y).square().mean()

    def gradients(self, x: Tensor, y: Tensor, dropout: Dropout) -> "TwoLayers":
        """Return the gradient of :meth:`loss` by each parameter, by autograd."""
        own = self.copy()
        return TwoLayers(*torch.autograd.grad(own.loss(x, y, dropout), own.parameters))


def made_up(seed: int) -> tuple[TwoLayers, Tensor, Tensor]:
    """Return a network, inputs ``(15, 5)`` and targets ``(15, 1)``, drawn from a lesson's seed."""
    net = TwoLayers(
        normal((INPUTS, UNITS), seed, 0, 1) * (2 / INPUTS) ** 0.5,
        normal((1, UNITS), seed, 0, 2) * 0.1,
        normal((UNITS, 1), seed, 0, 3) * (1 / UNITS) ** 0.5,
        normal((1, 1), seed, 0, 4) * 0.1,
    )
    return net, normal((EXAMPLES, INPUTS), seed, 0, 5), normal((EXAMPLES, 1), seed, 0, 6)
